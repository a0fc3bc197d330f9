"""The fleet: plausible motion, no rule broken without a fault, the same for a seed."""

from __future__ import annotations

import numpy as np
import pytest

from cityops.simulator import roads, tempo
from cityops.simulator.fleet import Fleet
from cityops.simulator.tempo import KMH, Kind

COUNTS = (60, 100, 20, 20)
SECOND = 1_000_000
MIDNIGHT = 1_780_243_200 * SECOND
"""A midnight in Jincheng."""


def at(hour: float) -> int:
    return MIDNIGHT + int(hour * 3600) * SECOND


def fleet(hour: float, seed: int = 1405) -> Fleet:
    return Fleet(roads.build(1405), COUNTS, seed, at(hour))


def test_midnight_is_midnight() -> None:
    assert tempo.hour_of_day(MIDNIGHT) == 0.0


@pytest.mark.parametrize("hour", [3.0, 7.9, 12.0, 22.5])
def test_speeds_stay_below_the_ceilings_and_positions_follow_them(hour: float) -> None:
    moving = fleet(hour)
    ceiling = tempo.CEILING.max(axis=1)[moving.kind]
    before = moving.snapshot()
    for second in range(1, 400):
        moving.step(at(hour) + second * SECOND)
        now = moving.snapshot()
        assert (now.speed <= ceiling + 1.0).all()
        moved = roads.metres(np.stack((now.lon, now.lat), 1), np.stack((before.lon, before.lat), 1))
        assert (moved <= ceiling + 15.0).all()
        assert ((now.heading >= 0) & (now.heading <= 360)).all()
        assert (now.odometer >= before.odometer).all()
        before = now


def test_ceilings_are_below_every_speed_rule() -> None:
    bus, _, coach, hazmat = tempo.CEILING.max(axis=1) / KMH
    assert bus < 65
    assert coach < 95
    assert hazmat < 60


def test_day_is_busy_and_coaches_rest_at_night() -> None:
    noon, night = fleet(12.0), fleet(3.0)
    for second in range(5, 120, 5):
        noon.step(at(12.0) + second * SECOND)
        night.step(at(3.0) + second * SECOND)
    taxis = noon.members[Kind.TAXI]
    assert (noon.speed[taxis] > 1.0).mean() > 0.7
    assert (night.speed[night.members[Kind.COACH]] == 0.0).all()
    assert night.snapshot().engine.sum() < noon.snapshot().engine.sum()


def test_a_coach_under_way_stops_when_the_night_ban_begins() -> None:
    late = fleet(1.995)
    coach = late.members[Kind.COACH][0]
    late.parked[coach], late.pause[coach], late.speed[coach] = False, 0.0, 15.0
    for second in range(1, 60):
        late.step(at(1.995) + second * SECOND)
    assert late.speed[coach] == 0.0


def test_rush_hour_is_slower_than_night() -> None:
    assert tempo.pace(8.0) < 0.75
    assert tempo.pace(3.0) > 1.0


def test_buses_stop_and_go_along_their_line() -> None:
    moving = fleet(12.0)
    buses = moving.members[Kind.BUS]
    stood = np.zeros(len(buses), dtype=bool)
    for second in range(1, 240):
        moving.step(at(12.0) + second * SECOND)
        stood |= moving.speed[buses] == 0.0
        on_line = moving.lines.edges[moving.line[buses], moving.place[buses]]
        assert np.array_equal(on_line, moving.edge[buses])
    assert stood.mean() > 0.8
    assert (moving.speed[buses] > 1.0).mean() > 0.5


def test_a_forced_speed_is_held_and_let_go() -> None:
    moving = fleet(12.0)
    bus = moving.members[Kind.BUS][3]
    moving.forced[bus] = 86 * KMH
    for second in range(1, 90):
        moving.step(at(12.0) + second * SECOND)
    assert moving.speed[bus] == pytest.approx(86 * KMH)
    moving.forced[bus] = np.nan
    for second in range(90, 130):
        moving.step(at(12.0) + second * SECOND)
    assert moving.speed[bus] <= tempo.CEILING[Kind.BUS].max()


def test_the_seed_decides_the_motion() -> None:
    first, again, other = fleet(9.0), fleet(9.0), fleet(9.0, seed=7)
    for second in range(1, 60):
        for one in (first, again, other):
            one.step(at(9.0) + second * SECOND)
    assert np.array_equal(first.snapshot().lon, again.snapshot().lon)
    assert not np.array_equal(first.offset, other.offset)


def test_earlier_times_change_nothing_and_long_gaps_are_bounded() -> None:
    moving = fleet(9.0)
    moving.step(at(9.0) + SECOND)
    offset = moving.offset.copy()
    moving.step(at(9.0))
    assert np.array_equal(moving.offset, offset)
    odometer = moving.odometer.copy()
    moving.step(at(12.0))
    assert (moving.odometer - odometer).max() < 60.0 * 30.0


def test_taxis_carry_passengers_and_let_them_out() -> None:
    moving = fleet(12.0)
    taxis = moving.members[Kind.TAXI]
    before = moving.occupied[taxis].copy()
    for second in range(2, 600, 2):
        moving.step(at(12.0) + second * SECOND)
    assert (moving.occupied[taxis] != before).any()


def test_a_city_without_some_kinds_runs() -> None:
    lone = Fleet(roads.build(1405), (0, 1, 0, 0), 1, at(9.0))
    lone.step(at(9.0) + 10 * SECOND)
    assert len(lone.snapshot().lon) == 1
