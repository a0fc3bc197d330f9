"""Streetlights: each cabinet publishes its lamps; they burn from dusk to dawn, dimmed in the small hours."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from cityops.simulator.carriers import Message
from cityops.simulator.conditions import drawn, wobble
from cityops.simulator.estate import LAMPS_PER_CABINET
from cityops.simulator.world import World
from connectors.mqtt_json import encoder

PROFILE = "streetlight"
OWN = "streetlights"
"""The instance that reads the city's own controllers."""
REPORT_US = 30_000_000
RATED_W, IDLE_W = 120.0, 0.8
DIMMED = 60.0
"""Light output between 23:00 and 05:00, %."""


class Cabinets:
    """Some of the city's cabinets, by number; each reports every 30 s, in turn."""

    def __init__(self, world: World, cabinets: list[int]) -> None:
        self._world = world
        self._due = {n: world.started_at + 2_000_000 + n * REPORT_US // max(len(world.estate.cabinets), 1) for n in cabinets}

    def due(self, now: int) -> list[Message]:
        """Give the reports of the cabinets whose turn it is."""
        found = []
        for n, at in self._due.items():
            if now >= at:
                self._due[n] += REPORT_US * ((now - at) // REPORT_US + 1)
                found += self.report(n, now // 1_000_000 * 1_000_000)
        return found

    def report(self, n: int, now: int) -> list[Message]:
        """Give what a cabinet says of its lamps: here as the plain JSON of the city's own controllers."""
        cabinet = {"cabinet": self._world.estate.cabinets[n].id, "ts": now}
        rows = [{**cabinet, **self.lamp(n, k, now)} for k in range(LAMPS_PER_CABINET)]
        return [Message(*encoder.message(PROFILE, "streetlight", rows), len(rows))]

    def lamp(self, cabinet: int, place: int, now: int) -> dict[str, Any]:
        """Give what the controller of a lamp says."""
        world, number = self._world, cabinet * LAMPS_PER_CABINET + place
        site, c = world.estate.lamps[number], world.conditions
        tripped = place < (world.on("cabinet", cabinet, "tripped") or 0.0)
        burns = world.on("streetlight", number, "lit") is not None or c.dark
        burns = burns and not tripped and world.on("streetlight", number, "unlit") is None
        dimming = 0.0 if not burns else DIMMED if c.hour >= 23.0 or c.hour < 5.0 else 100.0
        voltage = 0.0 if tripped else 222.0 - 3.0 * (c.power - 1.0) + 1.5 * wobble(world.seed, 400 + cabinet, now, 60.0)
        power = RATED_W * dimming / 100.0 * (1.0 + 0.02 * drawn(number, 3)) if burns else 0.0 if tripped else IDLE_W
        factor = 0.96 if burns else 0.5
        values = {
            "source": site.id, "lon": site.lon, "lat": site.lat, "on": burns, "commanded_on": c.dark, "dimming": dimming,
            "power": round(power, 1), "voltage": round(voltage, 1), "power_factor": factor,
            "current": round(power / voltage / factor, 3) if voltage else 0.0,
            "temperature": round(c.outdoor + 6.0 + 12.0 * burns, 1),
        }  # fmt: skip
        fault = "no_supply" if tripped else "lamp" if c.dark and not burns else ""
        return values | {"fault": fault}


def shares(world: World, makers: Collection[str]) -> dict[str, list[int]]:
    """Give the cabinets by who made them: of five one each is Sparkplug's and TALQ's, where these are among ``makers``."""
    found: dict[str, list[int]] = {}
    for n in range(len(world.estate.cabinets)):
        maker = {3: "sparkplug", 4: "talq"}.get(n % 5, OWN)
        found.setdefault(maker if maker in makers else OWN, []).append(n)
    return found
