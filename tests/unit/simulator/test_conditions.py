"""The city's state: a pure function of seed and time, plausible at every hour of the year."""

from __future__ import annotations

from itertools import pairwise

import pytest

from cityops.simulator import tempo
from cityops.simulator.conditions import GAS, POWER, TRAFFIC, WATER, Conditions, Curve, conditions, drawn, wobble

SECOND = 1_000_000
HOUR = 3600 * SECOND
DAY = 24 * HOUR
MIDNIGHT = 1_780_243_200 * SECOND
"""Monday 1 June 2026 in Jincheng."""
WINTER = MIDNIGHT - 140 * DAY


def at(hour: float, day: int = 0, start: int = MIDNIGHT) -> Conditions:
    return conditions(1405, start + day * DAY + int(hour * HOUR))


def test_the_same_seed_and_time_give_the_same_city_and_others_another() -> None:
    assert at(8.0) == at(8.0)
    assert conditions(1, MIDNIGHT) != conditions(2, MIDNIGHT)


def test_rush_hours_and_school_runs_slow_the_streets_on_working_days() -> None:
    monday, sunday = (at(7.6, day).pace for day in (0, 6))
    assert monday < at(12.5).pace < at(3.0).pace
    assert monday < sunday
    assert at(7.6).traffic > 2.0 * at(3.0).traffic


def test_lamps_are_wanted_at_night_only() -> None:
    assert [hour for hour in range(24) if at(hour).dark] == [0, 1, 2, 3, 4, 5, 20, 21, 22, 23]
    assert at(18.5, start=WINTER).dark


def test_cold_drives_heat_and_gas_and_warmth_none() -> None:
    winter, summer = (
        min((at(h, d, start) for h in (3, 15) for d in range(0, 20, 5)), key=lambda c: c.heat) for start in (WINTER, MIDNIGHT)
    )
    assert winter.heat > 0.3
    assert summer.heat == 0.0
    assert at(12.0, start=WINTER).gas > at(12.0).gas * 1.3


@pytest.mark.parametrize("day", range(0, 365, 13))
def test_every_figure_stays_within_reason(day: int) -> None:
    for hour in range(24):
        c = at(hour, day)
        assert -25.0 < c.outdoor < 42.0
        assert 0.0 <= c.rain < 6.0
        assert 0.4 < c.pace < 1.15
        assert 0.0 < c.traffic <= 1.1
        assert all(0.1 < demand < 6.0 for demand in (c.water, c.power, c.gas))
        assert 0.0 <= c.heat <= 1.0
        assert -1.0 <= c.sun <= 1.0


@pytest.mark.parametrize("curve", [WATER, POWER, GAS, TRAFFIC])
def test_a_counter_sums_up_what_was_used(curve: Curve) -> None:
    assert curve.total(MIDNIGHT + DAY) - curve.total(MIDNIGHT) == pytest.approx(86_400.0)
    quarter = 900 * SECOND
    for now in range(MIDNIGHT, MIDNIGHT + DAY, quarter):
        used = curve.total(now + quarter) - curve.total(now)
        middle = curve.at(tempo.hour_of_day(now + quarter // 2))
        assert used == pytest.approx(middle * 900.0, rel=0.05)


def test_noise_is_bounded_slow_and_its_own_for_each_device() -> None:
    series = [wobble(7, 3, now, 60.0) for now in range(0, 600 * SECOND, SECOND)]
    assert all(-1.0 <= value <= 1.0 for value in series)
    assert max(abs(b - a) for a, b in pairwise(series)) < 0.06
    assert max(series) - min(series) > 0.5
    assert len({drawn(7, key) for key in range(1000)}) == 1000
