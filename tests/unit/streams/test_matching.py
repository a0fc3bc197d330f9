"""Roads, lines and places in the clean frames: matched in the order of the log, whatever the batches and the deaths."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import frame
from schemas.config import Stream
from storage.checkpoints import Checkpoint
from storage.layers import BusLineAttributes, Feature, FenceAttributes, RoadAttributes, SourceAttributes
from streams.agents.clean import CleanTask
from streams.steps.reference import Reference
from streams.task import Record
from tests.scenarios.timeline import REFERENCE, City, local
from tests.unit.streams.test_reference import at

START = local("2026-11-23 08:00:00")
SOUTH, NORTH = [at(0, 0), at(2000, 0)], [at(0, 40), at(2000, 40)]
ROADS = [
    Feature("south", RoadAttributes(), shapely.linestrings(SOUTH)),
    Feature("north", RoadAttributes(), shapely.linestrings(NORTH)),
]
LINES = [
    Feature("1-up", BusLineAttributes(line="1"), shapely.linestrings(SOUTH)),
    Feature("2-up", BusLineAttributes(line="2"), shapely.linestrings(NORTH)),
]
FENCE = Feature("depot", FenceAttributes(restriction="no_parking"), shapely.box(*at(500, -100), *at(900, 100)))
LAYERED = REFERENCE.updated({"roads": (1, ROADS), "bus_lines": (1, LINES), "geofences": (1, [FENCE])}, REFERENCE.zones)


def fix(source: str, t: float, x: float, y: float, **more: Any) -> dict[str, Any]:
    lon, lat = at(x, y)
    return {"source": source, "t": t, "lon": lon, "lat": lat, "speed": 8.0, "status": 3, **more}


def cleaned(city: City, name: str) -> list[Any]:
    return [value for _, batch in city.cleaned for value in batch.column(name).to_pylist()]


def layered(reference: Reference = LAYERED) -> City:
    city = City("transport", START)
    city.reference = reference
    return city


def test_a_bus_gets_its_road_and_line_and_keeps_them_through_one_stray_fix() -> None:
    city = layered()
    for n, y in enumerate((2, 31, 3, 31, 32, 31)):
        city.push("bus_position", [fix("b1", n, 100 + n, y)])
    assert cleaned(city, "road") == ["south"] * 4 + ["north"] * 2
    assert cleaned(city, "line") == ["1"] * 4 + ["2"] * 2


def test_on_a_street_that_lines_share_a_bus_keeps_its_line_and_gets_none_there() -> None:
    shared = [*LINES, Feature("3-up", BusLineAttributes(line="3"), shapely.linestrings(SOUTH))]
    reference = LAYERED.updated({"bus_lines": (2, shared)}, REFERENCE.zones)
    city = layered(reference)
    city.push("bus_position", [fix("b1", 10 * i, 10 + i, 2) for i in range(3)])
    assert cleaned(city, "line") == [None] * 3
    city.push("bus_position", [fix("b1", 30 + 10 * i, 10 + i, 38) for i in range(2)])
    city.push("bus_position", [fix("b1", 60 + 10 * i, 10 + i, 2) for i in range(3)])
    assert cleaned(city, "line") == [None] * 3 + ["2"] * 5


def test_a_line_that_the_row_or_the_register_names_goes_before_the_matched_one() -> None:
    registered = LAYERED.updated({"sources": (1, [Feature("b3", SourceAttributes(line="9"))])}, REFERENCE.zones)
    city = layered(registered)
    city.push("bus_position", [fix("b1", 0, 10, 2, line="7"), fix("b2", 0, 10, 2), fix("b3", 0, 10, 2), fix("b4", 0, 10, 500)])
    assert cleaned(city, "line") == ["7", "1", None, None]
    assert cleaned(city, "road") == ["south", "south", "south", None]


def test_a_row_without_a_fix_and_kinds_that_stand_still_are_not_matched() -> None:
    city = layered()
    city.push("taxi_position", [fix("t1", 0, 600, 2), fix("t2", 0, 600, 2, status=0), {"source": "t3", "t": 0}])
    assert cleaned(city, "road") == ["south", None, None]
    assert cleaned(city, "fence") == ["depot", None, None]
    assert cleaned(city, "breach") == [0, None, None]
    traffic = City("traffic", START)
    traffic.reference = LAYERED
    traffic.push("traffic_link", [{"source": "l1", "t": 0, "lon": at(1, 1)[0], "lat": at(1, 1)[1]}])
    assert "breach" not in traffic.cleaned[0][1].schema.names


def test_late_rows_move_nothing_that_is_held() -> None:
    city = layered()
    city.push("bus_position", [fix("b1", 0, 10, 2)])
    for n in range(3):
        city.push("bus_position", [fix("b1", n - 500, 10, 38, seen=1)], lane="late")
    city.push("bus_position", [fix("b1", 1, 10, 15)])
    assert cleaned(city, "road") == ["south", "north", "north", "north", "south"]


def test_without_layers_frames_have_no_such_columns() -> None:
    sent = [City("transport", START).raw("taxi_position", [fix("t1", 0, 600, 2)])]
    (output,) = CleanTask("raw-transport", 0, lambda: REFERENCE, Stream()).process(sent).outputs
    held = frame.decode_lean(output.value, frame.decode_header(output.headers)).schema.names
    assert not {"road", "fence", "breach", "over_limit"} & set(held)


def test_a_fixed_source_without_a_place_stands_where_it_is_registered() -> None:
    there = Feature("w1", SourceAttributes(name="水厂"), shapely.Point(112.85, 35.5))
    city = City("utilities", START)
    city.reference = REFERENCE.updated({"sources": (1, [there])}, REFERENCE.zones)
    own = {"lon": 112.9, "lat": 35.8}
    city.push("water_node", [{"source": "w1", "t": 0}, {"source": "w2", "t": 0}, {"source": "w1", "t": 1, **own}])
    assert cleaned(city, "lon") == [112.85, None, 112.9]
    assert cleaned(city, "lat") == [35.5, None, 35.8]
    assert cleaned(city, "zone") == [140502, None, 140581]


def log_of_a_day() -> list[Record]:
    """Three buses weaving between two roads, in frames of both lanes, some rows sent twice."""
    city, made = City("transport", START), []
    for t in range(0, 200, 10):
        rows = [fix(f"b{n}", t, 100 + 8 * t, (t * (n + 3) // 10 * 7) % 45) for n in range(3)]
        made.append(city.raw("bus_position", [*rows, rows[0]]))
        if t % 50 == 0:
            made.append(city.raw("bus_position", [fix("b1", t - 300, 100, 30, seen=t)], lane="late"))
    return made


LOG = log_of_a_day()


def rows_of(cuts: Sequence[int], deaths: set[int]) -> list[dict[str, Any]]:
    """Clean the log in batches cut there, dying before some of them."""
    checkpoint, found = Checkpoint(), []
    task = CleanTask("raw-transport", 0, lambda: LAYERED, Stream())
    for number, (start, end) in enumerate(itertools.pairwise(sorted({0, len(LOG), *cuts}))):
        if number in deaths:
            task = CleanTask("raw-transport", 0, lambda: LAYERED, Stream())
            task.restore(checkpoint)
        outcome = task.process(LOG[start:end])
        checkpoint.marks |= outcome.marks
        checkpoint.state |= {k: v for k, v in outcome.state.items() if v is not None}
        for gone in [k for k, v in outcome.state.items() if v is None]:
            checkpoint.state.pop(gone, None)
        for output in outcome.outputs:
            found += frame.decode(output.value, frame.decode_header(output.headers)).to_pylist()
    return found


WHOLE = rows_of([], set())


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, len(LOG) - 1), max_size=8), st.sets(st.integers(1, 8)))
def test_any_cut_and_any_death_give_the_same_roads_lines_and_fences(cuts: list[int], deaths: set[int]) -> None:
    assert rows_of(cuts, deaths) == WHOLE


def test_the_day_has_something_to_hold() -> None:
    assert {r["road"] for r in WHOLE} == {"south", "north"}
    assert {r["fence"] for r in WHOLE} == {"depot", None}


def test_restored_blocks_that_are_no_more_leave_the_checkpoint() -> None:
    first = CleanTask("raw-transport", 0, lambda: LAYERED, Stream())
    city = City("transport", START)
    rows = [fix(f"b{n:03}", 0, 10, 2 if n % 3 == 0 else 5000) for n in range(600)]
    state = first.process([city.raw("bus_position", rows)]).state
    assert {k for k in state if k.startswith("match/bus_position/road")} == {f"match/bus_position/road/{n}" for n in range(3)}
    again = CleanTask("raw-transport", 0, lambda: LAYERED, Stream())
    again.restore(Checkpoint(state={k: v for k, v in state.items() if v is not None}))
    later = again.process([city.raw("bus_position", [fix("b000", 10, 20, 2)])]).state
    blocks = [later[f"match/bus_position/road/{n}"] for n in range(3)]
    assert [b is None for b in blocks] == [False, True, True], "200 held sources fit one block"
