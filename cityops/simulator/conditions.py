"""The state every device of the city reads: hour, weather, traffic and demand; a pure function of seed and time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cityops.simulator import tempo
from cityops.simulator.roads import Floats

DAY_S = 86_400
MEAN_C, SEASON_C, COURSE_C, SPELL_C = 11.0, 14.0, 5.5, 3.0
"""Temperature of Jincheng, °C: the year's mean, half its span, half a day's span, what the weather adds or takes."""
HEATING_BELOW_C = 16.0
"""Rooms need no heat from this outdoor temperature on."""
DUSK = -0.05
"""Sine of the sun's height at which lamps are switched."""
LATITUDE = np.radians(35.5)
_MASK = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Conditions:
    """How the city is at one moment."""

    hour: float
    """0 to 24, in Jincheng."""
    outdoor: float
    """°C."""
    rain: float
    """mm/h."""
    sun: float
    """Sine of the sun's height above the horizon."""
    pace: float
    """Factor on street speeds: rush hours, school runs and rain lower it."""
    traffic: float
    """Vehicles under way as a share of the busiest hour's."""
    water: float
    power: float
    gas: float
    heat: float
    """Demand as a share of the mean (heat: of the coldest day's)."""

    @property
    def dark(self) -> bool:
        """Whether streetlights are to burn."""
        return self.sun < DUSK


class Curve:
    """A day's course of a demand, its mean 1, and the running total of it."""

    def __init__(self, hours: list[float], values: list[float]) -> None:
        grid = np.interp(np.arange(0, 24 * 60 + 1) / 60.0, hours, values)
        steps = (grid[1:] + grid[:-1]) / 2.0
        self._grid: Floats = grid / steps.mean()
        self._sums: Floats = np.concatenate(([0.0], np.cumsum(steps / steps.mean()))) * 60.0

    def at(self, hour: float) -> float:
        """Give the demand at an hour as a share of the mean."""
        return float(np.interp(hour * 60.0, np.arange(len(self._grid)), self._grid))

    def total(self, now: int) -> float:
        """Give the seconds of mean demand since 1970, local midnight: what a counter has summed up, never falling."""
        days, rest = divmod(now / 1e6 + tempo.SHANGHAI_S, DAY_S)
        return float(days * DAY_S + np.interp(rest / 60.0, np.arange(len(self._sums)), self._sums))


WATER = Curve(
    [0, 3, 5, 7, 8.5, 11, 12.5, 15, 18.5, 20.5, 22.5, 24], [0.45, 0.3, 0.5, 1.6, 1.4, 1.1, 1.4, 0.9, 1.6, 1.5, 0.9, 0.45]
)
POWER = Curve([0, 4, 6.5, 9, 11.5, 13.5, 17, 19.5, 21.5, 24], [0.7, 0.58, 0.7, 1.1, 1.2, 1.05, 1.15, 1.4, 1.25, 0.7])
GAS = Curve([0, 4, 6, 7, 9, 11.5, 13.5, 17, 18.5, 21, 24], [0.4, 0.3, 0.7, 1.6, 0.8, 1.9, 0.7, 0.9, 2.1, 1.0, 0.4])
TRAFFIC = Curve([0, 3, 5, 7.5, 9, 12, 14, 17.8, 19.5, 22, 24], [0.3, 0.15, 0.3, 1.9, 1.4, 1.3, 1.2, 2.0, 1.3, 0.7, 0.3])


def conditions(seed: int, now: int) -> Conditions:
    """Give the city's state at a time in microseconds UTC; the same for the same seed and time."""
    hour = tempo.hour_of_day(now)
    day = (now // 1_000_000 + tempo.SHANGHAI_S) / DAY_S
    spell = wobble(seed, 1, now, 2.0 * DAY_S)
    rain = max(wobble(seed, 2, now, DAY_S / 3.0) - 0.62, 0.0) * 14.0
    year = 2.0 * np.pi * (day % 365.2425 - 15.0) / 365.2425
    course = COURSE_C * np.cos((hour - 15.0) / 24.0 * 2.0 * np.pi)
    outdoor = float(MEAN_C - SEASON_C * np.cos(year) + course + SPELL_C * spell - min(rain, 3.0))
    cold = max(HEATING_BELOW_C - outdoor, 0.0)
    tilt = np.radians(-23.44 * np.cos(year + 2.0 * np.pi * 25.0 / 365.2425))
    noon = np.cos((hour - 12.5) / 24.0 * 2.0 * np.pi)
    sun = float(np.sin(LATITUDE) * np.sin(tilt) + np.cos(LATITUDE) * np.cos(tilt) * noon)
    return Conditions(
        hour=hour,
        outdoor=outdoor,
        rain=rain,
        sun=sun,
        pace=pace(hour, int(day), rain),
        traffic=TRAFFIC.at(hour) / 2.0,
        water=WATER.at(hour) * (1.0 + max(outdoor - 24.0, 0.0) * 0.02),
        power=POWER.at(hour) * (1.0 + max(outdoor - 26.0, 0.0) * 0.03 + cold * 0.008),
        gas=GAS.at(hour) * (1.0 + cold * 0.05),
        heat=min(cold / 30.0, 1.0),
    )


def pace(hour: float, day: int, rain: float) -> float:
    """Give the factor on street speeds: rush hours and school runs on working days, half of them at weekends."""
    usual = tempo.pace(hour)
    if (day + 3) % 7 >= 5:  # 1970-01-01 was a Thursday
        usual = (usual + min(1.0, usual + 0.25)) / 2.0
    elif 7.3 <= hour < 8.0 or 16.6 <= hour < 17.4:
        usual *= 0.94
    return usual * (1.0 - 0.03 * min(rain, 4.0))


def wobble(seed: int, key: int, now: int, period_s: float) -> float:
    """Give slow noise within -1 and 1 that forgets after ``period_s``: a pure function of its arguments."""
    place = now / 1e6 / period_s
    step = int(place // 1)
    share = (1.0 - float(np.cos((place - step) * np.pi))) / 2.0
    return drawn(seed, key, step) * (1.0 - share) + drawn(seed, key, step + 1) * share


def drawn(seed: int, *keys: int) -> float:
    """Give a number within -1 and 1 that belongs to these keys."""
    mixed = seed & _MASK
    for key in keys:
        mixed = (mixed ^ (key & _MASK)) * 0x9E3779B97F4A7C15 & _MASK
        mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 & _MASK
        mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & _MASK
        mixed ^= mixed >> 31
    return mixed / (1 << 63) - 1.0
