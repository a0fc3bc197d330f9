"""The planned faults: every one has its rule, its vehicle and its time."""

from __future__ import annotations

import tomllib
from pathlib import Path

from cityops.simulator import faults
from cityops.simulator.world import Size, World

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
        assert fault.rule in ("", faults.NO_RULE_YET) or fault.kind in rules[fault.rule]["kinds"], fault.id


def test_the_first_cycle_holds_what_the_city_must_notice_within_a_minute() -> None:
    first = faults.plan(NAMES, 12.0, 1)
    by_rule = [f.rule for f in first if f.start_s <= 60.0]
    assert by_rule.count("bus-overspeed") == 2
    assert by_rule.count("source-silent") == 4
    assert by_rule.count("dust-pm10-hourly") == 2
    assert {"coach-overspeed", "hazmat-overspeed", "hazmat-emergency", "position-jump"} <= set(by_rule)
    assert all(f.start_s >= 20.0 for f in first if f.kind.endswith("_position"))


def test_thirty_and_more_faults_befall_every_department_within_two_minutes() -> None:
    world = World(Size(), 1405, 1_780_243_200_000_000, 1, platform=True)
    early = [f for f in world.faults if f.start_s <= 120.0]
    assert len(early) >= 30
    assert {f.kind for f in early} >= {
        *("bus_position", "taxi_position", "coach_position", "hazmat_position", "ride_hailing_position", "ev_battery"),
        *("dust_station", "bike_station", "water_node", "gas_node", "power_load", "heat_substation", "meter_reading"),
        *("traffic_link", "traffic_detector", "streetlight", "cabinet", "bill_payment", "feed"),
    }
    assert all(f.finds for f in early if f.rule == faults.NO_RULE_YET), "what an expert would find is said"
    assert all(f.source == world.sources[f.kind][f.subject] for f in early)


def test_a_fault_near_another_befalls_the_nearest_source() -> None:
    names = {"water_node": tuple("abcde"), "traffic_link": ("far", "near")}
    places = {"water_node": [(112.0 + n / 10, 35.0) for n in range(5)], "traffic_link": [(111.0, 35.0), (112.41, 35.0)]}
    found = {f.id: f for f in faults.plan(names, 12.0, 1, places)}
    assert found["burst-main"].source == "e"
    assert found["burst-street"].source == "near"


def test_a_label_tells_device_fault_times_and_what_is_expected() -> None:
    by_id = {f.id: f for f in faults.plan(NAMES, 12.0, 1)}
    told = faults.label(by_id["bus-bunching"], 0)
    assert (told["device"], told["expected"], told["from"]) == ("b120", faults.NO_RULE_YET, "1970-01-01T00:00:20+00:00")
    assert faults.label(by_id["bus-fast-a"], 0)["expected"] == "bus-overspeed"
    assert faults.label(by_id["coach-repeats"], 0)["expected"] == "none may raise"


def test_ids_are_unique_and_no_vehicle_has_two_faults_at_once() -> None:
    found = [f for f in faults.plan(NAMES, 12.0, 6) if f.kind.endswith("_position")]
    assert len({f.id for f in found}) == len(found)
    for cycle in range(6):
        inside = [f.source for f in found if cycle * faults.CYCLE_S <= f.start_s < (cycle + 1) * faults.CYCLE_S]
        assert len(inside) == len(set(inside)) == 16 + (cycle == 0)


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
    assert sorted(f.id for f in few) == ["bus-fast-a", "bus-fast-b", "dust-1"]  # the stuck monitor is the twelfth
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
