"""What reference data says of points and sources, against plain geometry row by row."""

from __future__ import annotations

import random

import numpy as np
import pyarrow as pa
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import zones
from storage.layers import Attributes, BusLineAttributes, Feature, FenceAttributes, RoadAttributes, SourceAttributes
from streams.steps.places import ZoneGrid
from streams.steps.reference import METRES, NONE, Fences, Held, Near, Network, Reference, Registered, Registry
from streams.steps.sources import SourceTable

LON, LAT = 112.85, 35.5
EAST = METRES * np.cos(np.radians(LAT))


def at(x: float, y: float) -> tuple[float, float]:
    """Degrees of a point so many metres east and north of the city's middle."""
    return LON + x / EAST, LAT + y / METRES


def road(name: str, *points: tuple[float, float]) -> Feature:
    return Feature(name, RoadAttributes(limit_kmh=60), shapely.linestrings([at(*p) for p in points]))


def points(*where: tuple[float, float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    lon, lat = np.array([at(*p) for p in where]).reshape(-1, 2).T
    return lon, lat, np.ones(len(lon), np.bool_)


TWO = Network([road("south", (0, 0), (500, 0), (1000, 0)), road("north", (0, 40), (1000, 40))])


def test_the_nearest_line_and_its_distance() -> None:
    near = TWO.near(*points((10, 5), (600, 30), (500, 20.5), (10, 200), (1030, 0)), 50)
    assert near.nearest.tolist() == [0, 1, 1, NONE, 0]
    assert near.distance[near.first[:-1][[0, 1, 2, 4]]] == pytest.approx([5, 10, 19.5, 30], abs=0.05)
    assert np.diff(near.first).tolist() == [2, 2, 2, 0, 1], "both lines within 50 m, but the last point only reaches one"


def test_lines_within_the_limit_are_those_geometry_finds() -> None:
    rng = random.Random(7)  # noqa: S311 - places, no secret
    lines = [[(rng.uniform(0, 3000), rng.uniform(0, 3000)) for _ in range(rng.randint(2, 6))] for _ in range(40)]
    where = [(rng.uniform(-100, 3100), rng.uniform(-100, 3100)) for _ in range(400)]
    near = Network([road(str(n), *line) for n, line in enumerate(lines)]).near(*points(*where), 120)
    flat = [shapely.linestrings(line) for line in lines]
    for n, p in enumerate(where):
        exact = sorted((d, k) for k, line in enumerate(flat) if (d := shapely.distance(shapely.Point(p), line)) <= 120)
        here = slice(near.first[n], near.first[n + 1])
        assert near.line[here].tolist() == [k for _, k in exact]
        assert near.distance[here] == pytest.approx([d for d, _ in exact], abs=0.2)


def test_points_without_a_place_and_empty_layers_have_no_line() -> None:
    lon, lat, _ = points((1, 1), (2, 2))
    lon[0] = np.nan
    assert TWO.near(lon, lat, ~np.isnan(lon), 50).nearest.tolist() == [NONE, 0]
    assert Network().near(lon, lat, ~np.isnan(lon), 50).nearest.tolist() == [NONE, NONE]


def drive(held: Held, *north: float, network: Network = TWO) -> list[str]:
    """One bus's lines while it is so many metres north of the southern line."""
    codes = np.zeros(len(north), np.int64)
    found = held.take(codes, network.near(*points(*((100, y) for y in north)), 50), network, 10)
    return ["-" if n == NONE else network.ids[n] for n in found]


def bus() -> Held:
    sources = SourceTable()
    sources.code("bus-1")
    return Held(sources)


def test_a_line_is_kept_until_another_is_clearly_better_twice() -> None:
    assert drive(bus(), 2, 22, 24) == ["south"] * 3, "nearer by 4 and 8 m is not clear"
    assert drive(bus(), 2, 30, 2, 30, 2) == ["south"] * 5, "one fix is no evidence"
    assert drive(bus(), 2, 30, 31, 31) == ["south", "south", "north", "north"]
    assert drive(bus(), 200, 2) == ["-", "south"], "the first line near is taken at once"
    assert drive(bus(), 2, 200, 200, 30, 200, 30) == ["south"] * 5 + ["north"], "nothing near is no evidence either way"
    assert drive(bus(), 2, 85, 85) == ["south", "south", "north"], "a line out of reach is infinitely far"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(-20, 100)), max_size=60), st.integers(0, 60))
def test_batches_cut_anywhere_and_restarts_hold_the_same_lines(fixes: list[tuple[int, int]], cut: int) -> None:
    def names() -> SourceTable:
        table = SourceTable()
        for n in range(6):
            table.code(f"bus-{n}")
        return table

    codes = np.array([s for s, _ in fixes], np.int64)
    near = [TWO.near(*points(*((100, y + 0.25) for _, y in part)), 50) for part in (fixes, fixes[:cut], fixes[cut:])]
    whole = Held(names()).take(codes, near[0], TWO, 10).tolist()
    first, again, other = Held(names()), Held(SourceTable()), SourceTable()
    found = first.take(codes[:cut], near[1], TWO, 10).tolist()
    again = Held(other)
    for packed in first.changes().values():
        again.restore(packed)
    numbers = np.array([other.code(f"bus-{s}") for s, _ in fixes[cut:]], np.int64)
    swapped = Network([TWO.features[1], TWO.features[0]])
    later = again.take(numbers, swapped.near(*points(*((100, y + 0.25) for _, y in fixes[cut:])), 50), swapped, 10)
    assert found + [n if n == NONE else 1 - int(n) for n in later] == whole
    assert first.changes() == {}


def test_a_line_that_is_no_more_is_held_no_more() -> None:
    held = bus()
    assert drive(held, 2, 2) == ["south", "south"]
    assert drive(held, 2, 30, network=Network([TWO.features[1]])) == ["north", "north"]


def fence(name: str, restriction: str, kinds: str, *box: float) -> Feature:
    west, south = at(*box[:2])
    east, north = at(*box[2:])
    return Feature(name, FenceAttributes(restriction=restriction, kinds=kinds), shapely.box(west, south, east, north))  # type: ignore[arg-type]


def test_fences_a_point_lies_in() -> None:
    fences = Fences([fence("a", "no_entry", "hazmat_position", 0, 0, 100, 100), fence("b", "no_parking", "", 50, 50, 200, 200)])
    where = points((10, 10), (60, 60), (150, 150), (300, 0))
    rows, inside = fences.inside(*where)
    assert list(zip(rows.tolist(), inside.tolist(), strict=True)) == [(0, 0), (1, 0), (1, 1), (2, 1)]
    assert len(Fences().inside(*where)[0]) == len(fences.inside(*points((900, 900)))[0]) == 0


def registered(**operators: str) -> Registry:
    return Registry([Feature(source, SourceAttributes(operator=o)) for source, o in operators.items()])


def test_what_is_registered_comes_dense_by_the_number_of_the_source() -> None:
    sources, known = SourceTable(), SourceTable()
    column = Registered("operator", known)
    sources.codes(pa.array(["a", "x", "b"]))
    first = registered(a="市公交", b="客运")
    assert [known.names[n] if n >= 0 else None for n in column.codes(first, sources)] == ["市公交", None, "客运"]
    sources.code("c")
    assert column.codes(first, sources).tolist() == [0, NONE, 1, NONE]
    assert [known.names[n] for n in column.codes(registered(a="客运", x="新", b="新", c="新"), sources)] == [
        "客运",
        "新",
        "新",
        "新",
    ]
    assert column.codes(Registry(), sources).tolist() == [NONE] * 4
    assert (first.has("operator"), first.has("line"), Registry().has("operator")) == (True, False, False)


def test_the_grid_answers_as_the_outlines_do() -> None:
    counties = zones.load()
    rng = np.random.default_rng(1405)
    west, south, east, north = shapely.total_bounds([z.geometry for z in counties])
    lon, lat = rng.uniform(west - 0.1, east + 0.1, 4000), rng.uniform(south - 0.1, north + 0.1, 4000)
    found = ZoneGrid(counties).codes(lon, lat, np.ones(4000, np.bool_))
    for n in range(0, 4000, 7):
        inside = [z.code for z in counties if shapely.contains_xy(z.geometry, lon[n], lat[n])]
        assert found[n] == (inside[0] if inside else 0)


def test_a_snapshot_is_replaced_layer_by_layer_and_falls_back_to_the_default() -> None:
    plain = Reference.plain(zones.load())
    square = Feature("999001", Attributes(zh="园区"), shapely.box(*at(-100, -100), *at(100, 100)))
    line = Feature("1-up", BusLineAttributes(line="1路"), shapely.linestrings([at(0, 0), at(9, 9)]))
    newer = plain.updated({"zones": (4, [square]), "bus_lines": (1, [line])}, plain.zones)
    here = points((0, 0))
    assert newer.zones.codes(*here).tolist() == [999001]
    assert (newer.versions, newer.lines.ids, len(newer.roads)) == ({"zones": 4, "bus_lines": 1}, ["1-up"], 0)
    back = newer.updated({"zones": (0, [])}, plain.zones)
    assert (back.zones, back.versions, back.lines) == (plain.zones, {"bus_lines": 1}, newer.lines)
    assert plain.versions == {} and plain.zones.codes(*here).tolist() != [999001]


def test_numbers_of_a_column() -> None:
    assert TWO.numbers("limit_kmh").tolist() == [60, 60]


def test_pairs_of_an_empty_batch() -> None:
    empty = Near(*(np.zeros(0, np.int64),) * 2, np.zeros(0), np.zeros(1, np.int64))  # type: ignore[call-arg]
    assert empty.nearest.tolist() == []
    assert bus().take(np.zeros(0, np.int64), empty, TWO, 10).tolist() == []
