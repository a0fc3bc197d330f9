"""The pure parts of storage: stretches of late rows, newest row of a source, steps of a history, which faults pass."""

from __future__ import annotations

import asyncpg
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.derive import fields
from schemas.errors import Retry
from schemas.kinds import all_kinds
from storage.connect import passing_faults
from storage.ddl import add_column, create_table
from storage.migrate import files
from storage.series import MOST_POINTS, field_of, step_for
from storage.sources import newest
from storage.staging import SPAN_US, segments
from storage.tables import identity, reading_kinds, table_of
from tests.unit.storage.rows import NOON, SECOND, clean

DAY = 86_400 * SECOND


@given(st.lists(st.integers(0, 400 * DAY) | st.integers(0, 3600 * SECOND), min_size=1, max_size=80))
def test_stretches_hold_every_time_and_are_short(times: list[int]) -> None:
    found = segments(np.array(times))
    assert all(last - first < SPAN_US for first, last in found)
    assert all(sum(first <= t <= last for first, last in found) == 1 for t in times)
    assert all(first in times and last in times for first, last in found)


def test_rows_days_apart_are_looked_up_apart() -> None:
    assert segments(np.array([5, 9 * DAY, 7, 9 * DAY + 1])) == [(5, 7), (9 * DAY, 9 * DAY + 1)]


def test_a_long_backlog_is_looked_up_piece_by_piece() -> None:
    found = segments(np.arange(0, 3600, 15) * SECOND)
    assert [(first // SECOND, last // SECOND) for first, last in found] == [(600 * i, 600 * i + 585) for i in range(6)]


def test_the_newest_row_of_a_source_is_the_one_measured_last_not_the_one_sent_last() -> None:
    rows = [
        {"source": "b", "ts": NOON + 5, "speed": 1.0},
        {"source": "a", "ts": NOON, "speed": 2.0},
        {"source": "b", "ts": NOON + 3, "speed": 3.0},
        {"source": "a", "ts": NOON + 9, "speed": 4.0},
    ]
    found = newest(clean("bus_position", rows))
    assert found.column("source").to_pylist() == ["a", "b"]
    assert found.column("speed").to_pylist() == [4.0, 1.0]


@given(st.integers(1, 4000 * DAY), st.none() | st.integers(SECOND, DAY))
def test_a_history_never_has_more_points_than_allowed(span: int, step: int | None) -> None:
    chosen = step_for(NOON, NOON + span, step)
    assert len(range(NOON, NOON + span, chosen)) <= MOST_POINTS
    assert chosen >= SECOND
    assert step is None or chosen % step == 0


@pytest.mark.parametrize(
    ("kind", "field"), [("bus_position", "plate"), ("bus_position", "no"), ("window", "mean"), ("x; --", "y")]
)
def test_names_that_are_not_declared_never_reach_sql(kind: str, field: str) -> None:
    with pytest.raises(ValueError, match="known:"):
        field_of(kind, field)
    with pytest.raises(KeyError):
        table_of("x; DROP TABLE alerts")


def test_several_rows_of_one_message_are_told_apart() -> None:
    assert identity("env_factor") == ("source", "ts", "serial", "factor", "system", "period")
    assert identity("traffic_detector") == ("source", "ts", "serial", "period", "lane")
    assert identity("bus_position") == ("source", "ts", "serial")


@pytest.mark.parametrize(
    "fault",
    [
        ConnectionRefusedError(),
        TimeoutError(),
        asyncpg.DeadlockDetectedError("x"),
        asyncpg.DiskFullError("x"),
        asyncpg.InterfaceError("closed"),
    ],
)
def test_passing_faults_ask_for_another_try(fault: Exception) -> None:
    with pytest.raises(Retry), passing_faults():
        raise fault


@pytest.mark.parametrize(
    "fault", [asyncpg.DataError("x"), asyncpg.UniqueViolationError("x"), asyncpg.UndefinedTableError("x"), ValueError("x")]
)
def test_faults_that_would_come_again_go_through(fault: Exception) -> None:
    with pytest.raises(type(fault)), passing_faults():
        raise fault


def test_every_kind_has_its_table_in_the_migrations_as_declared() -> None:
    texts = "\n".join(text for _, text in files())
    later = {
        kind: [f.name for f in fields(kind, "clean") if all(statement in texts for statement in add_column(kind, f))]
        for kind in all_kinds()
    }
    missing = [kind for kind in all_kinds() if create_table(kind, later[kind]) not in texts]
    assert not missing, f"run python -m storage.ddl {' '.join(missing)} and commit its text as the next migration"
    assert set(reading_kinds()) == set(all_kinds()) - {"window", "reject"}
