"""The bus company's GTFS-Realtime feed: when buses reach their next stops, and notices of streets that are blocked."""

from __future__ import annotations

import numpy as np

from cityops.simulator import identity
from cityops.simulator.bus_events import BusEvents
from cityops.simulator.tempo import Kind
from cityops.simulator.world import World
from connectors.gtfs_realtime import encoder

PATH = "/gtfs-realtime.pb"
PERIOD_S = 20
BUSES, STOPS = 60, 3
"""Buses that predict, the first of the fleet, and how many stops ahead."""
USUAL_MS = 6.0
"""Speed of a bus with its stops, m/s, in free streets."""


class Timetable:
    """The publisher."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._delays = BusEvents(world)
        self._feed: tuple[int, bytes] = (0, b"")

    def feed(self, now: int) -> bytes:
        """Give the feed of the last whole period."""
        at = now // (PERIOD_S * 1_000_000) * PERIOD_S * 1_000_000
        if self._feed[0] != at:
            fleet = self._world.fleet
            buses = [bus for bus in range(min(BUSES, self._world.size.buses)) if not fleet.parked[bus]]
            self._feed = at, encoder.feed(at, [*(self._trip(bus, at) for bus in buses), *self._notices(at)])
        return self._feed[1]

    def _trip(self, bus: int, at: int) -> encoder.Entity:
        fleet = self._world.fleet
        line, delay = int(fleet.line[bus]), self._delays.delay(bus)
        spacing, total = float(fleet.lines.spacing[line]), float(fleet.lines.total[line])
        along = float(fleet.lines.begin[line, fleet.place[bus]] + fleet.offset[bus])
        pace = USUAL_MS * self._world.conditions.pace
        stops = []
        for ahead in range(1, STOPS + 1):
            number = int(along / spacing) + ahead
            arrival = at + int((number * spacing - along) / pace * 1e6)
            stops.append((f"{line + 1:03d}{number % max(round(total / spacing), 1):03d}", arrival, int(delay)))
        return encoder.trip_update(
            f"{line + 1:03d}-{bus + 1:03d}",
            stops,
            ts=at,
            route=str(line + 1),
            vehicle_id=identity.phone(Kind.BUS, bus + 1),
        )

    def _notices(self, at: int) -> list[encoder.Entity]:
        """Tell passengers of every line that passes a blocked street, and of the works that are always somewhere."""
        world, lines = self._world, self._world.fleet.lines
        found = [
            _notice("works", "站点施工，临时改道", "Works at a stop, temporary diversion", "CONSTRUCTION", "DETOUR", "1", at)
        ]
        for fault in world.active:
            if fault.effect != "jam":
                continue
            edge = world.estate.links[fault.subject].edge
            for line in np.flatnonzero(((lines.edges == edge) | (lines.edges == (edge ^ 1))).any(axis=1)):
                road = world.estate.links[fault.subject].road
                text = f"{road}拥堵，{line + 1} 路可能晚点", f"Congestion, line {line + 1} may be late"
                found.append(_notice(f"{fault.id}-{line + 1}", *text, "ACCIDENT", "SIGNIFICANT_DELAYS", str(line + 1), at))
        return found


def _notice(name: str, zh: str, en: str, cause: str, effect: str, route: str, at: int) -> encoder.Entity:
    begins = at // 3_600_000_000 * 3_600_000_000
    header = {"zh": zh, "en": en}
    return encoder.alert(name, header, cause=cause, effect=effect, route=route, period=(begins, begins + 7_200_000_000))
