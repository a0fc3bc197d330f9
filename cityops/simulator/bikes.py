"""Bike stations: capacity, and a stock that follows commuters without running empty or full by itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cityops.simulator.lines import apportion
from cityops.simulator.places import SEATS, TOWNS
from cityops.simulator.roads import M_PER_DEGREE, Ints, Roads
from cityops.simulator.tempo import hour_of_day

LEAST, MOST = 0.27, 0.70
"""Bounds of the share of bikes at a station without a fault: away from the limits of the empty and full rules."""


@dataclass(frozen=True, slots=True)
class Station:
    """A docking station; WGS-84."""

    id: str
    lon: float
    lat: float
    capacity: int
    zh: str
    en: str


def stations(roads: Roads, count: int, seed: int) -> tuple[Station, ...]:
    """Give docking stations at crossings of the county seats, by the seats' weight."""
    rng = np.random.default_rng([seed, 5])
    names: dict[int, tuple[str, str]] = {}
    for road in roads.roads:
        names.setdefault(road.a, (road.zh, road.en))
        names.setdefault(road.b, (road.zh, road.en))
    found = []
    for seat, number in zip(range(SEATS), apportion(count), strict=True):
        nodes = rng.choice(roads.seat_nodes(seat), number, replace=number > len(roads.seat_nodes(seat)))
        for order, node in enumerate(nodes, 1):
            lon, lat = roads.nodes[node] + rng.uniform(-40.0, 40.0, 2) / M_PER_DEGREE
            zh, en = names[int(node)]
            town = TOWNS[seat]
            found.append(
                Station(
                    id=f"{town.en.lower()}-{order:03d}",
                    lon=round(float(lon), 6),
                    lat=round(float(lat), 6),
                    capacity=int(rng.integers(16, 41)),
                    zh=f"{town.zh}{zh}{order}号站",
                    en=f"{town.en} {en} {order}",
                )
            )
    return tuple(found)


class Bikes:
    """The stock of every station; ``forced`` holds a share a fault wants, not a number elsewhere."""

    def __init__(self, capacity: Ints, seed: int, now: int) -> None:
        self.now = now
        self._rng = np.random.default_rng([seed, 6])
        self.capacity = capacity
        self._phase = self._rng.uniform(0.0, 2.0 * np.pi, len(capacity))
        self.disabled = (self._rng.random(len(capacity)) < 0.3).astype(np.int32)
        self.forced = np.full(len(capacity), np.nan)
        self._stock = self._wanted(hour_of_day(now)).astype(np.int32)

    def _wanted(self, hour: float) -> NDArray[np.float64]:
        share = 0.485 + 0.2 * np.sin(self._phase + hour / 12.0 * 2.0 * np.pi)
        return np.asarray(np.clip(share, LEAST, MOST) * self.capacity)

    def step(self, now: int) -> None:
        """Advance to a time in microseconds UTC: customers come and go, a few bikes a minute."""
        dt = (now - self.now) / 1e6
        if dt <= 0.0:
            return
        self.now = now
        lack = self._wanted(hour_of_day(now)) - self._stock
        rate = dt / 90.0 * (0.35 + np.abs(lack))
        moves = np.minimum(self._rng.poisson(rate), 3) * np.where(
            self._rng.random(len(lack)) < 0.5 + 0.2 * np.clip(lack, -2, 2), 1, -1
        )
        low, high = np.ceil(LEAST * self.capacity), np.floor(MOST * self.capacity)
        self._stock = np.clip(self._stock + moves, low, high).astype(np.int32)

    @property
    def available(self) -> Ints:
        """Bikes to rent, per station."""
        room = self.capacity - self.disabled
        held = np.isfinite(self.forced)
        return np.asarray(
            np.where(held, np.round(np.nan_to_num(self.forced) * room), np.minimum(self._stock, room)), dtype=np.int32
        )

    @property
    def docks(self) -> Ints:
        """Docks to return to, per station; with the bikes they make up the capacity."""
        return np.asarray(self.capacity - self.disabled - self.available, dtype=np.int32)
