"""The planned faults: every one has its rule, its vehicle and its time."""

from __future__ import annotations

import tomllib
from pathlib import Path

from cityops.simulator import faults

RULES = Path(__file__).parents[3] / "streams" / "rules"
NAMES = {
    "bus_position": tuple(f"b{n}" for n in range(300)),
    "taxi_position": tuple(f"t{n}" for n in range(500)),
    "coach_position": tuple(f"c{n}" for n in range(60)),
    "hazmat_position": tuple(f"h{n}" for n in range(80)),
    "dust_station": tuple(f"d{n}" for n in range(40)),
    "bike_station": tuple(f"s{n}" for n in range(120)),
}


def test_every_fault_names_a_rule_that_exists_and_watches_its_kind() -> None:
    rules = {k: v for file in RULES.glob("*.toml") for k, v in tomllib.loads(file.read_text(encoding="utf-8")).items()}
    for fault in faults.plan(NAMES, 3.0, 1):
        assert not fault.rule or fault.kind in rules[fault.rule]["kinds"], fault.id


def test_the_first_cycle_holds_what_the_city_must_notice_within_a_minute() -> None:
    first = faults.plan(NAMES, 12.0, 1)
    by_rule = [f.rule for f in first if f.start_s <= 60.0]
    assert by_rule.count("bus-overspeed") == 2
    assert by_rule.count("source-silent") == 3
    assert by_rule.count("dust-pm10-hourly") == 2
    assert {"coach-overspeed", "hazmat-overspeed", "hazmat-emergency", "position-jump"} <= set(by_rule)
    assert all(f.start_s >= 20.0 for f in first if f.kind.endswith("_position"))


def test_ids_are_unique_and_no_vehicle_has_two_faults_at_once() -> None:
    found = [f for f in faults.plan(NAMES, 12.0, 6) if f.kind.endswith("_position")]
    assert len({f.id for f in found}) == len(found)
    for cycle in range(6):
        inside = [f.source for f in found if cycle * faults.CYCLE_S <= f.start_s < (cycle + 1) * faults.CYCLE_S]
        assert len(inside) == len(set(inside)) == 9


def test_later_cycles_befall_other_vehicles() -> None:
    fast = [f.source for f in faults.plan(NAMES, 12.0, 4) if f.effect == "speed" and f.kind == "coach_position"]
    assert len(set(fast)) == 4


def test_the_speeding_coach_breaks_the_night_ban_only_at_night() -> None:
    def night(hour: float) -> list[str]:
        return [f.source for f in faults.plan(NAMES, hour, 1) if f.rule == "coach-night-driving"]

    assert night(12.0) == []
    assert night(3.0) == [f.source for f in faults.plan(NAMES, 3.0, 1) if f.rule == "coach-overspeed"]


def test_a_small_city_leaves_out_what_it_cannot_show() -> None:
    few = faults.plan({"bus_position": ("b1", "b2"), "dust_station": ("d1", "d2", "d3")}, 12.0, 1)
    assert sorted(f.id for f in few) == ["bus-fast-a", "bus-fast-b", "dust-1"]
    assert {f.source for f in few if f.kind == "bus_position"} == {"b1", "b2"}


def test_ground_truth_tells_absolute_times() -> None:
    fault = next(f for f in faults.plan(NAMES, 12.0, 1) if f.id == "hazmat-sos")
    told = faults.describe(fault, 1_780_243_200_000_000)
    assert told["starts_at"] == "2026-05-31T16:00:20+00:00"
    assert told["ends_at"] == "2026-05-31T16:01:50+00:00"
    lasting = next(f for f in faults.plan(NAMES, 12.0, 1) if f.effect == "full")
    assert faults.describe(lasting, 0)["ends_at"] is None
    assert fault.active(20.0)
    assert not fault.active(19.9)
    assert not fault.active(110.0)
