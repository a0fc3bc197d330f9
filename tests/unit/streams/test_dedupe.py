"""Repetitions are found exactly, across frames, merges and restarts."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.frame import from_readings
from schemas.kinds.transport import TaxiPosition
from streams.steps.dedupe import Dedupe

IDENTITIES = st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(1, 40), st.none() | st.integers(0, 2)), max_size=60)
T0 = 1_790_000_000_000_000


def batch(rows: list[tuple[str, int, int | None]]) -> pa.RecordBatch:
    readings = [TaxiPosition(source=s, ts=T0 + t * 1_000_000, seen_at=T0, serial=n) for s, t, n in rows]
    return from_readings(readings, "taxi_position")


def first_seen(rows: list[tuple[str, int, int | None]]) -> list[bool]:
    seen: set[tuple[str, int, int | None]] = set()
    verdicts = []
    for row in rows:
        verdicts.append(row not in seen)
        seen.add(row)
    return verdicts


@settings(max_examples=200, deadline=None)
@given(IDENTITIES, st.integers(1, 7), st.sets(st.integers(0, 12)))
def test_any_split_and_restart_finds_the_same_repetitions(
    rows: list[tuple[str, int, int | None]], step: int, restarts: set[int]
) -> None:
    dedupe, kept = Dedupe(), dict[int, bytes]()
    verdicts: list[bool] = []
    for number, start in enumerate(range(0, len(rows), step)):
        verdicts += dedupe.unseen(batch(rows[start : start + step])).tolist()
        for key, value in dedupe.changes().items():
            if value is None:
                kept.pop(int(key), None)
            else:
                kept[int(key)] = value
        if number in restarts:
            dedupe = Dedupe()
            dedupe.restore(kept)
    assert verdicts == first_seen(rows)


def test_blocks_are_merged_and_old_ones_dropped() -> None:
    dedupe, kept = Dedupe(horizon_s=100.0), dict[str, bytes]()
    for t in range(400):
        assert dedupe.unseen(batch([("a", t + 1, None)])).all()
        for key, value in dedupe.changes().items():
            if value is None:
                kept.pop(key, None)
            else:
                kept[key] = value
    assert len(kept) < 40
    assert sum(len(v) for v in kept.values()) < 400 * 8
    assert not dedupe.unseen(batch([("a", 390, None)])).any()
