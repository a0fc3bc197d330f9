"""Streetlights: each cabinet publishes its lamps; they burn from dusk to dawn, dimmed in the small hours."""

from __future__ import annotations

from typing import Any

from cityops.simulator.carriers import Message
from cityops.simulator.conditions import drawn, wobble
from cityops.simulator.estate import LAMPS_PER_CABINET, Site
from cityops.simulator.world import World
from connectors.mqtt_json import encoder

PROFILE = "streetlight"
REPORT_US = 30_000_000
RATED_W, IDLE_W = 120.0, 0.8
DIMMED = 60.0
"""Light output between 23:00 and 05:00, %."""


class Cabinets:
    """All cabinets; each reports every 30 s, in turn."""

    def __init__(self, world: World) -> None:
        self._world = world
        count = len(world.estate.cabinets)
        self._due = [world.started_at + 2_000_000 + n * REPORT_US // max(count, 1) for n in range(count)]

    def due(self, now: int) -> list[Message]:
        """Give the reports of the cabinets whose turn it is."""
        found = []
        for n, cabinet in enumerate(self._world.estate.cabinets):
            if now >= self._due[n]:
                self._due[n] += REPORT_US * ((now - self._due[n]) // REPORT_US + 1)
                found.append(self._report(n, cabinet, now))
        return found

    def _report(self, n: int, cabinet: Site, now: int) -> Message:
        ts = now // 1_000_000 * 1_000_000
        rows = [{"cabinet": cabinet.id, "ts": ts, **self.lamp(n, k, now)} for k in range(LAMPS_PER_CABINET)]
        return Message(*encoder.message(PROFILE, "streetlight", rows), len(rows))

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
