"""Closed windows hold what a plain loop over the readings gives, however frames are cut."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.frame import from_readings
from schemas.kinds.transport import BusPosition
from streams.steps.enrich import clean_batch
from streams.steps.window import Windows

T0 = 1_790_000_040_000_000 - 1_790_000_040_000_000 % 60_000_000
ROWS = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(0, 200), st.none() | st.floats(0, 90, allow_nan=False)),
    min_size=1,
    max_size=80,
)


def clean(rows: list[tuple[str, int, float | None]]) -> pa.RecordBatch:
    readings = [BusPosition(source=s, ts=T0 + t * 1_000_000, seen_at=T0, speed=v) for s, t, v in rows]
    return clean_batch(from_readings(readings, "bus_position"), "bus_position", (), np.zeros(len(rows), np.bool_))


def reference(rows: list[tuple[str, int, float | None]]) -> dict[tuple[str, int], tuple[int, float, float, float, float]]:
    grouped: dict[tuple[str, int], list[tuple[int, float]]] = defaultdict(list)
    for source, t, value in rows:
        if value is not None:
            grouped[(source, t // 60)].append((t, value))
    result = {}
    for key, found in grouped.items():
        values = [v for _, v in found]
        newest = max(t for t, _ in found)
        last = [v for t, v in found if t == newest][-1]
        result[key] = (len(values), math.fsum(values) / len(values), min(values), max(values), last)
    return result


def results(closed: pa.RecordBatch) -> dict[tuple[str, int], tuple[int, float, float, float, float]]:
    rows = closed.to_pylist()
    assert {r["metric"] for r in rows} <= {"speed"}
    at = [int((r["ts"].timestamp() * 1_000_000 - T0) // 60_000_000) for r in rows]
    return {(r["source"], t): (r["count"], r["mean"], r["low"], r["high"], r["last"]) for r, t in zip(rows, at, strict=True)}


@settings(max_examples=150, deadline=None)
@given(ROWS, st.integers(1, 9))
def test_windows_equal_a_plain_loop_for_any_split(rows: list[tuple[str, int, float | None]], step: int) -> None:
    windows = Windows("bus_position", ("speed", "occupancy"))
    for start in range(0, len(rows), step):
        windows.add(clean(rows[start : start + step]))
    got, want = results(windows.close(T0 + 10**12)), reference(rows)
    assert got.keys() == want.keys()
    for key, (count, mean, low, high, last) in want.items():
        assert got[key] == (count, pytest.approx(mean), low, high, last)


def test_only_windows_behind_the_watermark_close() -> None:
    windows = Windows("bus_position", ("speed",))
    windows.add(clean([("a", 10, 1.0), ("a", 70, 2.0)]))
    assert set(results(windows.close(T0 + 60_000_000))) == {("a", 0)}
    assert windows.oldest == T0 + 60_000_000
    assert windows.close(T0 + 119_999_999).num_rows == 0
    assert set(results(windows.close(T0 + 120_000_000))) == {("a", 1)}
    assert windows.oldest is None
