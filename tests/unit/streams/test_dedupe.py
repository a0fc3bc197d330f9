"""Repetitions are found exactly, across frames, merges and restarts."""

from __future__ import annotations

import gc
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.frame import from_readings
from schemas.kinds.environment import EnvFactor
from schemas.kinds.transport import TaxiPosition
from streams.mapped import in_file
from streams.steps.dedupe import Dedupe
from streams.steps.sources import Columns

IDENTITIES = st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(1, 40), st.none() | st.integers(0, 2)), max_size=60)
T0 = 1_790_000_000_000_000


def batch(rows: list[tuple[str, int, int | None]]) -> Columns:
    readings = [TaxiPosition(source=s, ts=T0 + t * 1_000_000, seen_at=T0, serial=n) for s, t, n in rows]
    return Columns(from_readings(readings, "taxi_position"))


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


def test_blocks_that_would_be_too_large_stay_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.steps.dedupe.MOST", 100)
    dedupe, sizes = Dedupe(), dict[str, int]()
    for t in range(400):
        dedupe.unseen(batch([("a", t + 1, None)]))
        sizes = {k: v for k, v in (sizes | {k: len(v or b"") for k, v in dedupe.changes().items()}).items() if v}
    assert max(sizes.values()) == 16 * 8 + 9
    assert not dedupe.unseen(batch([("a", t + 1, None) for t in range(400)])).any()


def test_the_parts_of_a_kind_tell_readings_of_one_message_apart() -> None:
    rows = [
        EnvFactor(source="a", ts=T0, seen_at=T0, factor=factor, period=period)
        for factor, period in (("a34001", 0), ("a34002", 0), ("a34001", 60), ("a34001", 0))
    ]
    dedupe = Dedupe(EnvFactor.parts)
    assert dedupe.unseen(Columns(from_readings(rows, "env_factor"))).tolist() == [True, True, True, False]
    again = Dedupe(EnvFactor.parts)
    again.restore({int(k): v for k, v in dedupe.changes().items() if v is not None})
    assert not again.unseen(Columns(from_readings(rows, "env_factor"))).any()


def test_refused_rows_are_not_remembered() -> None:
    dedupe = Dedupe()
    rows = batch([("a", 1, None), ("a", 2, None)])
    assert dedupe.unseen(rows, np.array([True, False])).tolist() == [True, False]
    assert dedupe.unseen(rows).tolist() == [False, True]


def in_files(folder: Path) -> int:
    """Give how many nameless files of a folder are mapped into this process."""
    return sum(str(folder) in line and "(deleted)" in line for line in Path("/proc/self/maps").read_text().splitlines())


def test_large_blocks_lie_in_files_and_are_searched_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.steps.dedupe.LARGE", 8)
    dedupe, kept = Dedupe(keep=partial(in_file, folder=tmp_path)), dict[int, bytes]()
    rows = [("a", t + 1, None) for t in range(400)]
    for row in rows:
        assert dedupe.unseen(batch([row])).all()
        for key, value in dedupe.changes().items():
            if value is None:
                kept.pop(int(key), None)
            else:
                kept[int(key)] = value
    assert in_files(tmp_path) == sum(len(v) >= 8 * 8 + 9 for v in kept.values()) > 2
    assert list(tmp_path.iterdir()) == []
    again = Dedupe(keep=partial(in_file, folder=tmp_path))
    again.restore(kept)
    for each in (dedupe, again):
        assert not each.unseen(batch(rows)).any()
        assert each.unseen(batch([("a", 5, 7), ("b", 5, None)])).all()
    del dedupe, again, each
    gc.collect()
    assert in_files(tmp_path) == 0


def test_keys_stay_in_memory_where_no_file_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.steps.dedupe.LARGE", 2)
    dedupe = Dedupe(keep=partial(in_file, folder=tmp_path / "absent"))
    for start in range(0, 64, 2):
        dedupe.unseen(batch([("a", start + 1, None), ("a", start + 2, None)]))
        dedupe.changes()
    assert not dedupe.unseen(batch([("a", t + 1, None) for t in range(64)])).any()
