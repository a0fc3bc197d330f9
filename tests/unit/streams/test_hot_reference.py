"""Reference data replaced between two batches: rows cleaned later have the new zones, windows the registered groups."""

from __future__ import annotations

import shapely

from storage.layers import Attributes, Feature, SourceAttributes
from streams.steps.reference import Reference
from tests.scenarios.timeline import REFERENCE, City, local

START = local("2026-11-23 08:00:00")
PARK = Feature("999001", Attributes(zh="园区"), shapely.box(112.8, 35.4, 112.9, 35.6))


def with_sources(**operators: str) -> Reference:
    features = [Feature(source, SourceAttributes(operator=o, line=f"{o}1路")) for source, o in operators.items()]
    return REFERENCE.updated({"sources": (1, features)}, REFERENCE.zones)


def second(t: float, **more: object) -> list[dict[str, object]]:
    """Two buses at one time; the first names its line itself."""
    place = {"t": t, "lon": 112.85, "lat": 35.5, "speed": 10.0, "status": 3, **more}
    return [{"source": "bus-1", "line": "9路", **place}, {"source": "bus-2", **place}]


def groups(city: City, dimension: str) -> dict[str, int]:
    """Rows counted in closed ten-second windows of speed, by group."""
    found: dict[str, int] = {}
    for w in city.windows:
        if w["dimension"] == dimension and w["metric"] == "speed":
            found[w["source"]] = found.get(w["source"], 0) + w["count"]
    return found


def test_zones_change_between_two_batches() -> None:
    city = City("transport", START)
    city.push("bus_position", second(0))
    city.reference = REFERENCE.updated({"zones": (1, [PARK])}, REFERENCE.zones)
    city.push("bus_position", second(1))
    city.reference = REFERENCE
    city.push("bus_position", second(2))
    found = [batch.column("zone").to_pylist() for _, batch in city.cleaned]
    assert found == [[140502] * 2, [999001] * 2, [140502] * 2]


def test_groups_that_rows_do_not_name_come_from_the_registry() -> None:
    city = City("transport", START)
    city.push("bus_position", second(0))
    city.reference = with_sources(**{"bus-1": "甲", "bus-2": "乙"})
    city.push("bus_position", second(10))
    city.reference = with_sources(**{"bus-1": "丙"})
    city.push("bus_position", second(20))
    for t in (600, 601):  # the second one's watermark closes what lies before the first
        city.push("bus_position", second(t))
    assert groups(city, "line") == {"9路": 3, "乙1路": 1}, "a row's own line goes before the registered one"
    assert groups(city, "operator") == {"甲": 1, "乙": 1, "丙": 1}
    assert groups(city, "zone") == {"140502": 6}


def test_kinds_without_such_columns_get_the_registered_operator_too() -> None:
    city = City("environment", START)
    city.reference = with_sources(**{"dust-1": "建工"})
    for t in (0, 3600, 7200, 7201):
        city.push("dust_station", [{"source": s, "t": t, "pm10": 50.0} for s in ("dust-1", "dust-2")])
    found = {(w["dimension"], w["source"], w["count"]) for w in city.windows if w["metric"] == "pm10"}
    assert {("operator", "建工", 1), ("source", "dust-1", 1), ("source", "dust-2", 1)} <= found
    assert {source for dimension, source, _ in found if dimension in ("operator", "line")} == {"建工", "建工1路"}
