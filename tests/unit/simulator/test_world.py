"""The city as a whole: planned faults show in what the devices report, nothing else does."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from cityops.simulator import roads, tempo
from cityops.simulator.world import Size, World
from connectors._api import bcd
from connectors.jt808 import location
from storage import zones

SECOND = 1_000_000
Story = tuple[World, list[tuple[float, np.ndarray, np.ndarray, np.ndarray]]]
NOON = (1_780_243_200 + 12 * 3600) * SECOND


@pytest.fixture(scope="module")
def story() -> Story:
    """Ninety seconds of a full city at noon: elapsed, points, speeds in km/h, alarms."""
    world = World(Size(), 1405, NOON, 2)
    told = []
    for second in range(1, 91):
        world.step(NOON + second * SECOND)
        s = world.snapshot
        told.append((float(second), np.stack((s.lon, s.lat), 1), s.speed / tempo.KMH, s.alarm))
    return world, told


def vehicles(world: World, effect: str) -> set[int]:
    return {world.vehicle(f) for f in world.faults if f.effect == effect and f.start_s < 90.0}


def test_only_labelled_vehicles_exceed_a_limit(story: Story) -> None:
    world, told = story
    limits = np.array([70.0, 1e3, 100.0, 80.0])[world.fleet.kind]
    over = np.stack([speed > limits for _, _, speed, _ in told])
    assert set(np.flatnonzero(over.any(axis=0)).tolist()) == vehicles(world, "speed")
    assert (over[60:].sum(axis=0)[sorted(vehicles(world, "speed"))] == 30).all()
    assert not over[:20].any()


def test_only_the_labelled_truck_presses_the_button(
    story: Story,
) -> None:
    world, told = story
    pressed = np.stack([alarm for _, _, _, alarm in told])
    assert set(np.flatnonzero(pressed.any(axis=0)).tolist()) == vehicles(world, "alarm")
    assert set(pressed[pressed > 0].tolist()) == {1}


def test_only_the_labelled_taxi_jumps_and_it_lands_in_the_city(
    story: Story,
) -> None:
    world, told = story
    points = np.stack([p for _, p, _, _ in told])
    steps = roads.metres(points[1:], points[:-1])
    jumps = np.argwhere(steps > 1000.0)
    assert {int(who) for _, who in jumps} == vehicles(world, "jump")
    assert len(jumps) == 2
    assert steps.max() == pytest.approx(30_000.0, rel=0.02)
    city = shapely.union_all([z.geometry for z in zones.load()])
    assert shapely.contains_xy(city, points[..., 0], points[..., 1]).all()


def test_a_fix_says_what_the_vehicle_does(story: Story) -> None:
    world, _ = story
    for who in (0, 400, 730, 800):
        ts, body = world.fix(who)
        read = location.read(body)
        assert ts == NOON + 90 * SECOND
        assert read["speed"] / 10 == pytest.approx(world.snapshot.speed[who] / tempo.KMH, abs=0.06)
        assert read["latitude"] / 1e6 == pytest.approx(world.snapshot.lat[who], abs=1e-6)
        assert read["status"] & 0b11 == 0b11


def test_the_speeding_lorry_and_coach_have_open_road(
    story: Story,
) -> None:
    world, _ = story
    fast = sorted(v for v in vehicles(world, "speed") if world.fleet.kind[v] >= tempo.Kind.COACH)
    assert len(fast) == 2
    assert world.roads.trunk[world.fleet.edge[fast]].all()


def test_a_wrong_clock_is_wrong_in_the_report_only(story: Story) -> None:
    world, _ = story
    for fault in (f for f in world.faults if f.effect == "clock" and f.start_s < 90.0):
        ts, body = world.fix(world.vehicle(fault))
        sent = bcd.instant(body[22:28], 8 * 3600 * SECOND)
        assert ts == NOON + 90 * SECOND
        assert sent - ts == fault.value * SECOND


def test_a_taxi_on_a_detour_drives_past_its_goal_and_comes_back_to_it() -> None:
    fleet = World(Size(), 1405, NOON, 1).fleet
    who = int(fleet.members[tempo.Kind.TAXI][5])
    goal = int(fleet.goal[who])
    fleet.detour(who)
    via = int(fleet.goal[who])
    assert (int(fleet.after[who]), bool(fleet.occupied[who])) == (goal, True)
    assert via != goal
    for second in range(1, 3600):
        fleet.step(NOON + second * SECOND)
        if int(fleet.goal[who]) == goal:
            break
    assert int(fleet.goal[who]) == goal
    assert bool(fleet.occupied[who]), "the passenger is still inside"


def test_a_stuck_monitor_repeats_itself_and_the_others_do_not() -> None:
    world = World(Size(), 1405, NOON, 1)
    stuck = next(f.subject for f in world.faults if f.effect == "stuck" and f.kind == "dust_station")
    told: list[list[dict[str, float]]] = [[], []]
    for second in range(20, 200, 30):
        world.step(NOON + second * SECOND)
        for kept, station in zip(told, (stuck, stuck + 1), strict=True):
            kept.append(world.air(station))
    assert all(one == told[0][0] for one in told[0])
    assert any(one != told[1][0] for one in told[1])


def test_the_seed_decides_the_city() -> None:
    size = Size(4, 4, 4, 4, 3, 5)
    one, two, other = World(size, 5, NOON, 1), World(size, 5, NOON, 1), World(size, 6, NOON, 1)
    for second in range(1, 30):
        for world in (one, two, other):
            world.step(NOON + second * SECOND)
    assert one.fix(3) == two.fix(3)
    assert one.fix(3) != other.fix(3)
    assert one.dust.factors(1) == two.dust.factors(1)
    assert one.conditions == two.conditions != other.conditions
    assert one.link_speed(0) == two.link_speed(0)
    assert np.array_equal(one.bikes.available, two.bikes.available)
