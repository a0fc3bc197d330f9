"""Rules over geofences: entering, leaving, standing and speeding inside raise; others, flaps, late and silent do not page."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import shapely

from storage.layers import Feature, FenceAttributes
from tests.scenarios.test_rules import MORNING, NIGHT, every
from tests.scenarios.timeline import REFERENCE, City, local

AREA = shapely.box(112.80, 35.45, 112.90, 35.55)
IN, OUT = (112.8995, 35.5), (112.9005, 35.5)


def fence(restriction: str, kinds: str = "", **more: Any) -> Feature:
    return Feature(restriction, FenceAttributes(restriction=restriction, kinds=kinds, **more), AREA)  # type: ignore[arg-type]


def city(*fences: Feature, start: int = MORNING) -> City:
    found = City("transport", start)
    found.reference = REFERENCE.updated({"geofences": (1, fences)}, REFERENCE.zones)
    return found


def at(seconds: Iterable[float], place: tuple[float, float], kmh: float = 36, source: str = "v1") -> list[dict[str, Any]]:
    """Fixes at one place, whatever the speed: what matters is the fence."""
    lon, lat = place
    return [{"source": source, "t": t, "lon": lon, "lat": lat, "speed": kmh / 3.6, "status": 3} for t in seconds]


def push(found: City, kind: str, *parts: list[dict[str, Any]]) -> None:
    for row in [row for part in parts for row in part]:
        found.push(kind, [row])


def test_a_hazmat_vehicle_that_enters_a_forbidden_area_raises_and_leaving_clears() -> None:
    found = city(fence("no_entry", "hazmat_position"))
    push(found, "hazmat_position", at(every(10, 20), OUT), at(every(10, 60, 30), IN), at(every(10, 130, 70), OUT))
    push(found, "bus_position", at(every(10, 130), IN, source="b1"))
    assert found.said("hazmat-no-entry") == [("raise", 40.0), ("clear", 130.0)]
    assert found.said("vehicle-no-entry") == [], "the fence is not for buses"
    assert [(a.status, a.severity) for a in found.alerts()[0].values()] == [("resolved", "critical")]
    fences = [batch.column("fence")[0].as_py() for header, batch in found.cleaned if header.kind == "hazmat_position"]
    assert fences == [None] * 3 + ["no_entry"] * 4 + [None] * 7


def test_other_vehicles_have_the_area_forbidden_by_local_setting() -> None:
    found = city(fence("no_entry"))
    push(found, "taxi_position", at(every(10, 30), IN))
    assert found.said("vehicle-no-entry") == [("raise", 10.0)]


def test_one_fix_inside_raises_nothing_and_flapping_at_the_edge_stays_one_alert() -> None:
    found = city(fence("no_entry"))
    push(found, "hazmat_position", at([0], IN), at(every(10, 120, 10), OUT))
    assert found.said("hazmat-no-entry") == []
    push(found, "hazmat_position", *(at([200 + 10 * n], OUT if n % 3 == 2 else IN) for n in range(30)))
    assert [s for s, _ in found.said("hazmat-no-entry")] == ["raise"]
    assert len(found.alerts()[0]) == 1


def test_a_breach_in_late_data_is_marked_in_its_rows_and_pages_nobody() -> None:
    found = city(fence("no_entry"), start=NIGHT)
    found.push("hazmat_position", [{**row, "seen": 6 * 3600} for row in at(every(10, 60), IN)], lane="late")
    ((_, batch),) = found.cleaned
    assert batch.column("breach").to_pylist() == [1] * 7, "what judges late data judges these rows"
    assert [f for f in found.findings if f.lane == "live"] == []


def test_a_vehicle_that_falls_silent_inside_keeps_its_alert_and_a_fix_without_satellites_says_nothing() -> None:
    found = city(fence("no_entry"))
    push(found, "hazmat_position", at(every(10, 60), IN))
    push(found, "hazmat_position", at(every(10, 900, 70), OUT, source="other"))
    push(found, "hazmat_position", [{**row, "status": 1} for row in at(every(10, 1100, 910), OUT)])
    assert found.said("hazmat-no-entry", "v1") == [("raise", 10.0)]


def test_a_fence_that_is_used_no_more_ends_what_it_began() -> None:
    found = city(fence("no_entry"))
    push(found, "hazmat_position", at(every(10, 60), IN))
    found.reference = REFERENCE
    push(found, "hazmat_position", at(every(10, 200, 70), IN))
    assert found.said("hazmat-no-entry") == [("raise", 10.0), ("clear", 130.0)]


def test_off_the_approved_corridor_or_out_of_its_area_raises_after_a_minute() -> None:
    found = city(fence("corridor", "hazmat_position"), fence("no_exit", "taxi_position"))
    push(found, "hazmat_position", at(every(10, 60), IN), at(every(10, 160, 70), OUT))
    push(found, "taxi_position", at(every(10, 60), IN, source="t1"), at(every(10, 160, 70), OUT, source="t1"))
    push(found, "coach_position", at(every(10, 160), OUT, source="c1"))
    assert found.said("hazmat-off-route") == [("raise", 130.0)]
    assert found.said("vehicle-left-area") == [("raise", 130.0)]
    assert {f.source for f in found.findings if f.state == "raise"} == {"v1", "t1"}


def test_standing_where_stopping_is_forbidden_raises_after_a_minute_and_passing_does_not() -> None:
    found = city(fence("no_stop"))
    push(found, "coach_position", at(every(10, 120), IN, 0), at(every(10, 200, 130), IN, 30))
    push(found, "coach_position", at(every(10, 200), IN, 30, source="c2"))
    assert found.said("vehicle-stop-forbidden") == [("raise", 60.0), ("clear", 160.0)]


def test_parking_inside_longer_than_ten_minutes_raises() -> None:
    found = city(fence("no_parking"))
    push(found, "hazmat_position", at(every(10, 700), IN, 0))
    push(found, "bus_position", at(every(10, 500), IN, 0, source="b1"), at(every(10, 700, 510), IN, 30, source="b1"))
    assert found.said("vehicle-parked-forbidden", "v1") == [("raise", 600.0)]
    assert found.said("vehicle-parked-forbidden", "b1") == []


def test_an_areas_own_speed_limit_with_hysteresis() -> None:
    found = city(fence("speed", limit_kmh=30))
    push(found, "bus_position", at(every(10, 60), IN, 40), at(every(10, 120, 70), IN, 32), at(every(10, 200, 130), OUT, 60))
    push(found, "taxi_position", at(every(10, 200), IN, 32, source="t1"), at(every(10, 400, 210), OUT, 70, source="t1"))
    assert found.said("fence-overspeed", "v1") == [("raise", 20.0), ("clear", 160.0)]
    assert found.said("fence-overspeed", "t1") == []
    assert len(found.alerts()[0]) == 1
    raised = next(f for f in found.findings if f.state == "raise")
    assert (raised.value, raised.limit, raised.unit) == (10.0, 3.0, "km/h")


def test_a_fence_holds_at_its_hours_only() -> None:
    found = city(fence("no_entry", hours="22:00-06:00"), start=local("2026-11-23 05:58:00"))
    push(found, "hazmat_position", at(every(10, 300), IN))
    assert found.said("hazmat-no-entry") == [("raise", 10.0), ("clear", 180.0)]
