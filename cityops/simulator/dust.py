"""Dust stations at building sites: a daily course, slow noise, momentary values and closed hours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely

from cityops.simulator.lines import apportion
from cityops.simulator.places import SEATS, SITES, SITES_EN, TOWNS
from cityops.simulator.roads import M_PER_DEGREE, Floats, Roads
from cityops.simulator.tempo import hour_of_day
from storage import zones

HOUR = 3_600_000_000
"""Microseconds."""
MEMORY_S = 900.0
"""How long a deviation of a station's concentration lasts."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where a dust station stands; WGS-84."""

    lon: float
    lat: float
    county: int
    zh: str
    en: str


def sites(roads: Roads, count: int, seed: int) -> tuple[Site, ...]:
    """Give building sites beside streets of the county seats, by the seats' weight."""
    rng = np.random.default_rng([seed, 3])
    outline = {z.code: z.geometry.buffer(-0.002) for z in zones.load()}
    found = []
    for seat, number in zip(range(SEATS), apportion(count), strict=True):
        own = roads.seat_nodes(seat)
        own = own[shapely.contains_xy(outline[TOWNS[seat].code], roads.nodes[own, 0], roads.nodes[own, 1])]
        nodes = rng.choice(own, number, replace=number > len(own))
        for order, node in enumerate(nodes, 1):
            beside = rng.uniform(-90.0, 90.0, 2) / M_PER_DEGREE
            what = int(rng.integers(len(SITES)))
            town = TOWNS[seat]
            lon, lat = roads.nodes[node] + beside
            label = f"{town.zh}{SITES[what]}工地{order}号", f"{town.en} {SITES_EN[what].lower()} site {order}"
            found.append(Site(round(float(lon), 6), round(float(lat), 6), town.code, *label))
    return tuple(found)


class Dust:
    """The air at every station; ``raise_pm10`` adds µg/m³ where a fault wants it."""

    def __init__(self, count: int, seed: int, now: int) -> None:
        self.now = now
        self._rng = np.random.default_rng([seed, 4])
        self._level = self._rng.uniform(0.8, 1.2, count)
        self._drift = self._rng.normal(0.0, 1.0, count)
        self._wind = self._rng.uniform(0.0, 360.0)
        self.raise_pm10 = np.zeros(count)
        self._hour = now // HOUR * HOUR
        self._sum = np.zeros((2, count))
        self._steps = 0
        self._closed: tuple[int, Floats] | None = None

    def step(self, now: int) -> None:
        """Advance to a time in microseconds UTC; an hour that ends on the way is closed."""
        dt = (now - self.now) / 1e6
        if dt <= 0.0:
            return
        keep = np.exp(-dt / MEMORY_S)
        self._drift = keep * self._drift + np.sqrt(1.0 - keep * keep) * self._rng.normal(0.0, 1.0, len(self._drift))
        self._wind = (self._wind + self._rng.normal(0.0, 1.0) * np.sqrt(dt / 10.0)) % 360.0
        self.now = now
        if now // HOUR * HOUR > self._hour:
            self._closed = (self._hour, self._mean())
            self._hour, self._sum, self._steps = now // HOUR * HOUR, self._sum * 0.0, 0
        self._sum += np.stack((self.pm10(), self.pm25()))
        self._steps += 1

    def _mean(self) -> Floats:
        return self._sum / self._steps if self._steps else np.stack((self.pm10(), self.pm25()))

    def pm10(self) -> Floats:
        """Give PM10 now, µg/m³: highest in working hours, below every limit without a fault."""
        return self._course(hour_of_day(self.now), self._drift) + self.raise_pm10

    def pm25(self) -> Floats:
        """Give PM2.5 now, µg/m³."""
        return self.pm10() * 0.4 + 4.0

    def _course(self, hour: float, drift: Floats | float) -> Floats:
        work = np.clip(np.minimum(hour - 6.5, 19.5 - hour) / 1.5, 0.0, 1.0)
        return np.asarray(np.clip((62.0 + 34.0 * work) * self._level * np.exp(0.14 * drift), 15.0, 140.0))

    def hour(self) -> tuple[int, Floats]:
        """Give the last closed hour: its start (microseconds UTC) and mean PM10 and PM2.5, shape (2, stations).

        The hour before the start of the simulation follows the daily course, faults included.
        """
        if self._closed is not None:
            return self._closed
        pm10 = self._course(hour_of_day(self._hour - HOUR // 2), self._drift * 0.3) + self.raise_pm10
        return self._hour - HOUR, np.stack((pm10, pm10 * 0.4 + 4.0))

    def factors(self, station: int) -> dict[str, float]:
        """Give one station's momentary values by factor code, in the units stations usually send."""
        hour = hour_of_day(self.now)
        warm = np.cos((hour - 15.0) / 24.0 * 2.0 * np.pi)
        wind = 1.8 + 0.9 * warm + 0.4 * self._drift[station]
        noise = 56.0 + 9.0 * (7.0 <= hour < 20.0) + 2.5 * self._drift[(station + 1) % len(self._drift)]
        values = {
            "a34002": self.pm10()[station],
            "a34004": self.pm25()[station],
            "a34001": self.pm10()[station] * 1.6,
            "LA": noise,
            "a01001": 17.0 + 6.0 * warm,
            "a01002": 52.0 - 16.0 * warm,
            "a01006": 93.2 - 0.2 * warm,
            "a01007": max(wind, 0.1),
            "a01008": (self._wind + 5.0 * self._drift[station]) % 360.0,
        }
        return {code: round(float(value), 1) for code, value in values.items()}
