"""Closed windows hold what a plain loop over the readings gives, however rows are ordered and frames cut."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.frame import from_readings
from schemas.kinds.transport import BusPosition
from storage import sketch
from storage.windows import merged
from streams.steps.dimensions import KindWindows, ZoneNumbers
from streams.steps.enrich import with_judgement
from streams.steps.sources import Columns, SourceTable

T0 = 1_790_000_040_000_000 - 1_790_000_040_000_000 % 60_000_000
LONG_AGO = np.iinfo(np.int64).min
Row = tuple[str, int, float | None]
ROWS = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(0, 200), st.none() | st.floats(0, 90, allow_nan=False)),
    min_size=1,
    max_size=80,
)
LINES = {"a": "1路", "b": "2路", "c": None}


def clean(rows: list[Row]) -> Columns:
    readings = [BusPosition(source=s, ts=T0 + t * 1_000_000, seen_at=T0, speed=v, line=LINES[s]) for s, t, v in rows]
    raw = pa.Table.from_batches([from_readings(readings, "bus_position")])
    return Columns(with_judgement(raw, np.zeros(len(rows), np.int32), np.full(len(rows), 140502, np.int32)))


class Minutes:
    """The windows of buses, fed with rows."""

    def __init__(self) -> None:
        self.sources = SourceTable()
        self.windows = KindWindows("bus_position", self.sources, 3)

    def add(self, rows: list[Row]) -> None:
        columns = clean(rows)
        codes = columns.codes("source", self.sources)
        self.windows.add(columns, codes, np.ones(len(rows), np.bool_), np.full(len(rows), LONG_AGO))

    def close(self, until_s: float) -> list[dict[str, Any]]:
        return self.windows.close(T0 + int(until_s * 1e6)).to_pylist()


def reference(rows: list[Row]) -> dict[tuple[str, int], tuple[int, float, float, float, float]]:
    grouped: dict[tuple[str, int], list[tuple[int, float]]] = defaultdict(list)
    for source, t, value in rows:
        if value is not None:
            grouped[(source, t // 60)].append((t, value))
    result = {}
    for key, found in grouped.items():
        values = [v for _, v in found]
        newest = max(t for t, _ in found)
        last = max(v for t, v in found if t == newest)
        result[key] = (len(values), math.fsum(values) / len(values), min(values), max(values), last)
    return result


def by_source(closed: list[dict[str, Any]]) -> dict[tuple[str, int], tuple[int, float, float, float, float]]:
    rows = [r for r in closed if r["dimension"] == "source"]
    assert {(r["metric"], r["size"], r["part"]) for r in rows} <= {("speed", 60, 0)}
    at = [int((r["ts"].timestamp() * 1_000_000 - T0) // 60_000_000) for r in rows]
    return {(r["source"], t): (r["count"], r["mean"], r["low"], r["high"], r["last"]) for r, t in zip(rows, at, strict=True)}


@settings(max_examples=150, deadline=None)
@given(ROWS, st.integers(1, 9))
def test_windows_equal_a_plain_loop_for_any_split(rows: list[Row], step: int) -> None:
    minutes = Minutes()
    for start in range(0, len(rows), step):
        minutes.add(rows[start : start + step])
    got, want = by_source(minutes.close(1e6)), reference(rows)
    assert got.keys() == want.keys()
    for key, (count, mean, low, high, last) in want.items():
        assert got[key] == (count, pytest.approx(mean, abs=1e-8), low, high, last)


@settings(max_examples=100, deadline=None)
@given(ROWS, st.randoms(use_true_random=False), st.integers(1, 9))
def test_any_order_and_any_split_give_the_same_windows_to_the_last_bit(rows: list[Row], random: Any, step: int) -> None:
    one, other = Minutes(), Minutes()
    one.add(rows)
    shuffled = list(rows)
    random.shuffle(shuffled)
    for start in range(0, len(shuffled), step):
        other.add(shuffled[start : start + step])
    assert ordered(one.close(1e6)) == ordered(other.close(1e6))


def ordered(closed: list[dict[str, Any]]) -> list[tuple[tuple[str, object], ...]]:
    return sorted((tuple(sorted(r.items(), key=lambda i: i[0])) for r in closed), key=repr)


def test_groups_add_up_what_their_members_sent() -> None:
    minutes = Minutes()
    minutes.add([("a", 1, 10.0), ("b", 2, 20.0), ("c", 3, 60.0), ("a", 11, 5.0), ("b", 12, None)])
    groups = {(r["dimension"], r["source"], r["ts"].second): r for r in minutes.close(1e6) if r["dimension"] != "source"}
    assert set(groups) == {
        ("zone", "140502", 0), ("zone", "140502", 10), ("line", "1路", 0), ("line", "1路", 10), ("line", "2路", 0),
    }  # fmt: skip
    zone = groups[("zone", "140502", 0)]
    assert (zone["count"], zone["mean"], zone["low"], zone["high"], zone["size"], zone["part"]) == (3, 30.0, 10.0, 60.0, 10, 3)
    (whole,) = merged([zone], ("source", "ts"))
    assert whole["p50"] == pytest.approx(20.0, rel=0.011)
    assert groups[("line", "2路", 0)]["count"] == 1


def test_only_windows_behind_the_watermark_close() -> None:
    minutes = Minutes()
    minutes.add([("a", 10, 1.0), ("a", 70, 2.0)])
    assert set(by_source(minutes.close(60))) == {("a", 0)}
    assert minutes.windows.oldest == T0 + 60_000_000
    assert by_source(minutes.close(119.999999)) == {}
    assert set(by_source(minutes.close(120))) == {("a", 1)}
    assert minutes.windows.oldest is None


def test_a_row_counts_as_long_as_its_window_was_open_when_its_frame_came() -> None:
    minutes = Minutes()
    columns = clean([("a", 10, 1.0), ("a", 50, 2.0), ("a", 70, 3.0)])
    codes = columns.codes("source", minutes.sources)
    counted = minutes.windows.add(columns, codes, np.ones(3, np.bool_), np.full(3, T0 + 60_000_000))
    assert counted.tolist() == [False, False, True]


def test_rows_half_a_century_apart_have_a_window_each_and_nothing_between() -> None:
    minutes, half_s = Minutes(), 1_577_880_000
    minutes.add([("a", -half_s, 1.0), ("a", 10, 2.0), ("a", -half_s, 3.0)])
    closed = minutes.close(60)
    starts = {"source": {-half_s // 60 * 60, 0}, "zone": {-half_s // 10 * 10, 10}, "line": {-half_s // 10 * 10, 10}}
    for dimension, wanted in starts.items():
        assert {(w["ts"].timestamp() - T0 / 1e6) for w in closed if w["dimension"] == dimension} == wanted


VALUES = st.lists(st.floats(0, 100) | st.floats(0, 1), min_size=1, max_size=200)


@settings(max_examples=200, deadline=None)
@given(VALUES, st.floats(0, 1), st.integers(0, 200))
def test_a_sketch_tells_any_quantile_within_one_percent_and_merges_exactly(values: list[float], share: float, cut: int) -> None:
    scale = sketch.scale("bus_position", "speed")
    counts = [
        np.bincount(scale.of(np.array(part, np.float64)), minlength=scale.buckets).astype(np.int32)
        for part in (values[:cut], values[cut:], values)
    ]
    assert np.array_equal(counts[0] + counts[1], counts[2])
    packed = sketch.pack(np.stack(counts)).to_pylist()
    assert all(np.array_equal(sketch.unpack(p, scale.buckets), c) for p, c in zip(packed, counts, strict=True))
    true = sorted(values)[math.floor(share * (len(values) - 1))]
    assert float(scale.quantiles(counts[2], share)) == pytest.approx(true, rel=0.0101, abs=sketch.SMALLEST)


def test_a_sketch_knows_negative_values() -> None:
    scale = sketch.scale("bus_event", "delay")
    counts = np.bincount(scale.of(np.array([-120.0, -60.0, 0.0, 30.0, 600.0])), minlength=scale.buckets).astype(np.int32)
    assert scale.quantiles(counts, 0.0) == pytest.approx(-120.0, rel=0.01)
    assert scale.quantiles(counts, 0.5) == 0.0
    assert scale.quantiles(counts, 1.0) == pytest.approx(600.0, rel=0.01)


def test_zones_are_numbered_in_order_of_appearance_whatever_their_codes() -> None:
    zones = ZoneNumbers()
    assert zones.codes(np.array([0, 0])).tolist() == [-1, -1]
    assert zones.codes(np.array([140581, 0, 140502])).tolist() == [1, -1, 0]
    assert zones.codes(np.array([110101, 140581, 650000, 140502])).tolist() == [2, 1, 3, 0]
    assert zones.names == ["140502", "140581", "110101", "650000"]
