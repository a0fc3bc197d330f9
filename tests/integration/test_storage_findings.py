"""Findings of record on a real database: entered twice or replaced twice they are the same; what is due waits for the log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from storage import findings
from storage.connect import Pool, create_pool
from storage.findings import Due
from storage.migrate import migrate
from tests.unit.streams.test_lifecycle import T0, S, finding
from tests.unit.streams.test_rejudgement import judged


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    await asyncio.to_thread(migrate, database)
    found = await create_pool(database, size=2)
    yield found
    await found.close()


async def enter(pool: Pool, *found: Any) -> list[tuple[Any, ...]]:
    async with pool.acquire() as connection, connection.transaction():
        await findings.save(connection, found)
    rows = await pool.fetch("SELECT started, raised, cleared, detected_late FROM findings ORDER BY started")
    return [((r[0] - T0) // S, (r[1] - T0) // S, r[2] and (r[2] - T0) // S, r[3]) for r in rows]


async def test_a_judgement_replaces_what_it_covers_and_nothing_else_and_may_be_entered_twice(pool: Pool) -> None:
    said = [finding(), finding("clear", T0, T0 + 60 * S), finding("raise", T0 + 500 * S)]
    assert await enter(pool, *said, *said) == [(0, 0, 60, False), (500, 500, None, False)]
    anew = judged((T0 - 20 * S, T0 + 10 * S), (T0 + 100 * S, T0 + 130 * S), until=T0 + 400 * S)
    want = [(-20, -19, 10, False), (100, 101, 130, True), (500, 500, None, False)]
    assert await enter(pool, anew) == want
    assert await enter(pool, anew) == want
    assert await enter(pool, judged()) == []


async def test_what_overlaps_a_finding_of_record_is_known(pool: Pool) -> None:
    await enter(pool, finding(), finding("clear", T0, T0 + 60 * S))
    asked = [(T0 - 90 * S, T0 - 30 * S), (T0 + 30 * S, None)]
    assert await findings.standing(pool, "bus-overspeed", "b1", asked) == [T0 + 30 * S]


async def test_a_due_source_waits_for_watch_and_store_and_is_forgotten_only_as_it_was(pool: Pool) -> None:
    async with pool.acquire() as connection, connection.transaction():
        await findings.note_due(connection, [Due("bus_position", "b1", T0, T0 + S)], "clean-transport", 1, 10)
    put = "INSERT INTO checkpoints (agent, topic, partition, next_offset, replay_from) VALUES ($1, 'clean-transport', 1, $2, 0)"
    await pool.execute(put, "watch", 12)
    assert await findings.waiting(pool, 9) == []
    await pool.execute(put, "store", 10)
    (due,) = await findings.waiting(pool, 9)
    assert (due.since, due.until, due.partition, due.settled) == (T0, T0 + S, 1, None)
    async with pool.acquire() as connection, connection.transaction():
        await findings.note_due(connection, [Due("bus_position", "b1", T0 - S, T0)], "clean-transport", 1, 11)
    await findings.done(pool, due)
    await findings.postpone(pool, due, settled=T0, newest=None)
    await pool.execute("UPDATE checkpoints SET next_offset = 20")
    (wider,) = await findings.waiting(pool, 9)
    assert (wider.since, wider.until, wider.settled) == (T0 - S, T0 + S, None)
    await findings.postpone(pool, wider, settled=None, newest=T0 + 5 * S)
    assert await findings.waiting(pool, 9) == [], "nothing newer came"
    await pool.execute("INSERT INTO sources (kind, source, ts, seen_at) VALUES ('bus_position', 'b1', $1, $1)", T0 + 6 * S)
    (again,) = await findings.waiting(pool, 9)
    await findings.done(pool, again)
    assert await findings.waiting(pool, 9) == []
    assert await findings.newest(pool, "bus_position") == T0 + 6 * S
