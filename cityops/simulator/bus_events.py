"""What buses do at stops, as the bus company publishes it: arrivals, doors, departures, and how late they are (HFP)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np

from cityops.simulator import identity, tempo
from cityops.simulator.carriers import Message
from cityops.simulator.conditions import wobble
from cityops.simulator.world import World
from connectors.hfp import encoder

COUNT = 60
"""Buses with the newer computers, the last of the fleet."""
SLOWEST_S = 420.0
"""What a standstill of the streets would add to a bus's delay."""


class BusEvents:
    """Watches which buses halt and start."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._buses = np.arange(max(world.size.buses - COUNT, 0), world.size.buses)
        self._halted = world.fleet.pause[self._buses] > 0.0
        self._seen = world.fleet.now

    def due(self, now: int) -> list[Message]:
        """Give what happened since the last step of the city."""
        fleet = self._world.fleet
        if fleet.now == self._seen:
            return []
        self._seen = fleet.now
        halted = fleet.pause[self._buses] > 0.0
        changed = np.flatnonzero(halted != self._halted)
        self._halted = halted
        return [
            self._event(int(self._buses[n]), name) for n in changed for name in (("ars", "doo") if halted[n] else ("doc", "dep"))
        ]

    def delay(self, bus: int) -> float:
        """Give how late a bus is, s: slow streets make all late, a jam those in it."""
        fleet = self._world.fleet
        slow = self._world.conditions.pace * float(fleet.jam[fleet.edge[bus]])
        return round(40.0 * wobble(self._world.seed, 700 + bus, self._seen, 600.0) + SLOWEST_S * max(1.0 - slow, -0.1))

    def _event(self, bus: int, event: str) -> Message:
        s, fleet = self._world.snapshot, self._world.fleet
        line, lines = int(fleet.line[bus]), fleet.lines
        along = lines.begin[line, fleet.place[bus]] + fleet.offset[bus]
        stop = f"{line + 1:03d}{int(along / lines.spacing[line]):03d}"
        began = datetime.fromtimestamp(self._seen // 1_800_000_000 * 1800 + tempo.SHANGHAI_S, UTC)
        values: dict[str, Any] = {
            "source": f"{identity.OPERATOR}/{bus + 1}",
            "ts": self._seen,
            "lon": round(float(s.lon[bus]), 6),
            "lat": round(float(s.lat[bus]), 6),
            "speed": round(float(s.speed[bus]), 2),
            "delay": self.delay(bus),
            "line": str(line + 1),
            "stop": stop,
            "doors_open": event in ("ars", "doo"),
            "trip": f"{line + 1:03d}/1/{began:%Y-%m-%d}/{began:%H:%M}",
        }
        topic, body = encoder.message(values, event=event, next_stop=stop)
        return Message(topic, body)
