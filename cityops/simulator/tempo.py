"""How the city moves through the day: speeds by kind and road class, rush hours, who is out at night."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from cityops.simulator.roads import Bools, Floats, Ints

SHANGHAI_S = 8 * 3600
KMH = 1.0 / 3.6


class Kind(IntEnum):
    """The vehicle groups, in the order of the speed tables."""

    BUS = 0
    TAXI = 1
    COACH = 2
    HAZMAT = 3


CRUISE = np.array([[33.0, 46.0], [44.0, 62.0], [40.0, 72.0], [36.0, 53.0]]) * KMH
"""Usual speed, m/s, by kind and class (street, trunk)."""
CEILING = np.array([[48.0, 60.0], [58.0, 78.0], [50.0, 88.0], [48.0, 58.0]]) * KMH
"""Never exceeded without a fault: below every speed rule of bus, taxi, coach and hazardous freight."""

_HOURS = np.array([0.0, 2.0, 5.0, 6.5, 7.2, 8.8, 10.0, 11.5, 14.0, 17.0, 17.6, 18.8, 20.0, 22.0, 24.0])
_PACE = np.array([1.08, 1.08, 1.08, 1.0, 0.72, 0.72, 0.92, 0.9, 0.95, 0.85, 0.68, 0.7, 0.92, 1.0, 1.08])
_SHARES: dict[Kind, tuple[list[float], list[float]]] = {
    Kind.BUS: ([0, 5, 5.5, 6.5, 20, 22, 23, 24], [0.3, 0.3, 0.6, 1.0, 1.0, 0.7, 0.3, 0.3]),
    Kind.TAXI: ([0, 2, 5, 7, 21, 24], [0.6, 0.35, 0.35, 1.0, 1.0, 0.6]),
    Kind.COACH: ([0, 0.49, 0.5, 5, 5.01, 6, 20, 22, 24], [0.15, 0.15, 0, 0, 0.2, 1.0, 1.0, 0.2, 0.15]),
    Kind.HAZMAT: ([0, 5.5, 6.5, 20, 22, 24], [0.2, 0.2, 1.0, 1.0, 0.2, 0.2]),
}


def hour_of_day(now: int) -> float:
    """Give the hour in Jincheng, 0 to 24, at a time in microseconds UTC."""
    return ((now // 1_000_000 + SHANGHAI_S) % 86_400) / 3600.0


def pace(hour: float) -> float:
    """Give the factor on street speeds: below 0.75 in the rush hours, above 1 at night."""
    return float(np.interp(hour, _HOURS, _PACE))


def share(kind: Kind, hour: float) -> float:
    """Give the share of a group that is on the road at an hour."""
    hours, shares = _SHARES[kind]
    return float(np.interp(hour, hours, shares))


def rest_hours(hour: float) -> bool:
    """Tell whether coaches must stand still (02:00 to 05:00)."""
    return 2.0 <= hour < 5.0


def target(kind: Ints, trunk: Bools, habit: Floats, hour: float) -> Floats:
    """Give the speed, m/s, each vehicle aims at; ``habit`` is its driver's own factor."""
    slow = np.where(trunk, (1.0 + pace(hour)) / 2.0, pace(hour))
    at = trunk.astype(np.intp)
    return np.asarray(np.minimum(CRUISE[kind, at] * slow * habit, CEILING[kind, at]))
