"""The store's transaction on a real database: exactly once, fenced, and the ledger that proves it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import msgspec
import pyarrow as pa
import pytest

from schemas import frame, quality
from schemas.errors import Retry
from schemas.events import ConnectorState, StreamTotal
from schemas.frame import from_readings
from schemas.kinds.derived import RejectRow
from storage import checkpoints, queries, states
from storage.checkpoints import Fenced
from storage.connect import Pool, create_pool
from storage.ledger import LedgerRow, ledger_row
from storage.migrate import migrate
from storage.writer import Batch, Writer, Written, store
from streams.agents.store import StoreTask
from streams.task import Record
from tests.integration.stack import Stack
from tests.unit.storage.rows import NOON, SECOND, buses, clean, header

TOPIC = "clean-transport"
MINUTE = 60 * SECOND


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    await asyncio.to_thread(migrate, database)
    found = await create_pool(database, size=3)
    yield found
    await found.close()


async def write(pool: Pool, *batches: Batch, expected: int | None = None, at: int = 1, **more: Any) -> Written:
    """Write batches whose ledger rows follow from plain frame headers."""
    told: dict[str, Any] = {"topic": TOPIC, "partition": 0, "agent": "store", "marks": {("buses", "r1", 0): at}, **more}
    rows = [ledger_row(header(b, kind, lane=lane, total=0), told["topic"], told["partition"]) for kind, lane, b in batches]
    return await Writer(pool).write(**{"ledger": rows, **told}, expected=expected, next_offset=at, batches=batches)


async def test_rows_ledger_sources_and_offset_are_one_transaction(pool: Pool) -> None:
    assert await write(pool, ("bus_position", "live", buses(5))) == Written(5, 0)
    assert await queries.counts(pool, ["bus_position"]) == {"bus_position": 5}
    found = await checkpoints.load(pool, "store", TOPIC, 0)
    assert (found.next_offset, found.replay_from, found.marks) == (1, 1, {("buses", "r1", 0): 1})
    (source,) = await queries.latest_sources(pool, "bus_position")
    assert (source["source"], source["ts"], source["lon"]) == ("B", NOON + 4 * SECOND, 112.8)
    with pytest.raises(Exception, match="says 4 rows"):
        await write(
            pool,
            ("bus_position", "live", buses(5)),
            expected=1,
            at=2,
            ledger=[LedgerRow("c", "bus_position", TOPIC, 0, NOON, 4, 4)],
        )
    assert (await checkpoints.load(pool, "store", TOPIC, 0)).next_offset == 1
    assert (await queries.counts(pool, ["bus_position"]))["bus_position"] == 5


async def test_a_replay_and_a_second_owner_write_nothing(pool: Pool) -> None:
    await write(pool, ("bus_position", "live", buses(5)))
    for expected in (None, 0, 7):
        with pytest.raises(Fenced, match="does not own clean-transport/0"):
            await write(pool, ("bus_position", "live", buses(5)), expected=expected, at=9)
    assert (await queries.counts(pool, ["bus_position"]))["bus_position"] == 5


@pytest.mark.parametrize("first", [None, 4])
async def test_of_racing_owners_exactly_one_wins(pool: Pool, first: int | None) -> None:
    if first is not None:
        await write(pool, at=first)
    racers = [write(pool, ("bus_position", "live", buses(50, source=f"B{i}")), expected=first, at=10 + i) for i in range(8)]
    outcomes = await asyncio.gather(*racers, return_exceptions=True)
    assert sorted(type(o).__name__ for o in outcomes) == ["Fenced"] * 7 + ["Written"]
    winner = next(i for i, o in enumerate(outcomes) if isinstance(o, Written))
    assert [s["source"] for s in await queries.latest_sources(pool)] == [f"B{winner}"]
    assert (await checkpoints.load(pool, "store", TOPIC, 0)).next_offset == 10 + winner


async def save(pool: Pool, expected: int | None, at: int, marks: dict[Any, int], state: dict[str, bytes | None]) -> None:
    async with pool.acquire() as connection, connection.transaction():
        await checkpoints.save(
            connection, "watch", TOPIC, 1, expected=expected, next_offset=at, replay_from=at - 1, marks=marks, state=state
        )


async def test_marks_only_grow_and_state_changes_by_part(pool: Pool) -> None:
    empty = await checkpoints.load(pool, "watch", TOPIC, 1)
    assert empty == checkpoints.Checkpoint()
    await save(pool, None, 5, {("a", "r", 0): 7, ("b", "r", 0): 1}, {"x": b"1", "y": b"\x00\xff", "z": b""})
    await save(pool, 5, 6, {("a", "r", 0): 3, ("b", "r", 0): 2}, {"x": b"2", "y": None})
    found = await checkpoints.load(pool, "watch", TOPIC, 1)
    assert found == checkpoints.Checkpoint(6, 5, {("a", "r", 0): 7, ("b", "r", 0): 2}, {"x": b"2", "z": b""})


async def test_late_rows_that_are_there_already_are_duplicates_of_the_right_connector(pool: Pool) -> None:
    await write(pool, ("bus_position", "live", buses(4)))
    again = buses(6)  # four known, two new
    twice = clean("bus_position", [{"source": "C", "ts": NOON + i, "serial": None} for i in (1, 1, 2)])
    rows = [
        ledger_row(header(again, lane="backfill", connector="buses"), TOPIC, 0),
        ledger_row(header(twice, lane="backfill", connector="files"), TOPIC, 0),
    ]
    batches: list[Batch] = [("bus_position", "backfill", again), ("bus_position", "backfill", twice)]
    assert await write(pool, *batches, expected=1, at=2, ledger=rows) == Written(4, 5)
    by = {(b["connector"], b["stored"], b["duplicates"]) for b in (await queries.ledger(pool))["by"]}
    assert by == {("buses", 6, 4), ("files", 2, 1)}
    assert (await queries.counts(pool, ["bus_position"]))["bus_position"] == 8


async def test_late_rows_inside_a_live_frame_are_looked_up_too(pool: Pool) -> None:
    await write(pool, ("bus_position", "live", buses(3)))
    known = buses(3, quality=quality.LATE)
    fresh = buses(2, start=NOON + 3600 * SECOND)
    mixed = pa.Table.from_batches([fresh, known]).combine_chunks().to_batches()[0]
    assert await write(pool, ("bus_position", "live", mixed), expected=1, at=2) == Written(2, 3)
    found = await queries.ledger(pool)
    assert (found["received"], found["stored"], found["duplicates"], found["lost"]) == (8, 5, 3, 0)


async def test_rows_of_one_message_that_differ_in_factor_are_all_kept(pool: Pool) -> None:
    rows = clean("env_factor", [{"source": "E", "ts": NOON, "factor": f, "period": 0, "value": 1.0} for f in ("a", "b", "a")])
    assert await write(pool, ("env_factor", "backfill", rows)) == Written(2, 1)


async def test_late_rows_scattered_over_a_year_are_each_found(pool: Pool) -> None:
    days = clean("bus_position", [{"source": "S", "ts": NOON - d * 86_400 * SECOND, "serial": d} for d in range(0, 360, 9)])
    assert await write(pool, ("bus_position", "backfill", days)) == Written(40, 0)
    assert await write(pool, ("bus_position", "backfill", days), expected=1, at=2) == Written(0, 40)


async def test_the_latest_place_never_goes_backwards_and_is_kept_when_absent(pool: Pool) -> None:
    await write(pool, ("bus_position", "live", buses(3, start=NOON + 100 * SECOND)))
    old = clean("bus_position", [{"source": "B", "ts": NOON, "lon": 1.0, "lat": 1.0}])
    await write(pool, ("bus_position", "backfill", old), expected=1, at=2)
    no_fix = clean("bus_position", [{"source": "B", "ts": NOON + 200 * SECOND, "zone": 140502}])
    await write(pool, ("bus_position", "live", no_fix), expected=2, at=3)
    (source,) = await queries.latest_sources(pool)
    assert (source["ts"], source["lon"], source["zone"]) == (NOON + 200 * SECOND, 112.8, 140502)


async def test_refused_input_is_kept_and_counted_once(pool: Pool) -> None:
    rows = [
        RejectRow(source="9", ts=NOON, seen_at=NOON + i * MINUTE, connector="buses", stage=stage, reason=reason, raw=b"\x7e\x00")
        for i, (stage, reason) in enumerate([("decode", "bad_checksum"), ("decode", "bad_length"), ("clean", "future_time")])
    ]
    batch = from_readings(rows, "reject")
    await write(pool, ("reject", "live", batch), topic="rejects", ledger=[ledger_row(header(batch, "reject"), "rejects", 0)])
    assert [(r["reason"], r["raw"]) for r in await queries.rejects(pool, limit=2)] == [
        ("future_time", b"\x7e\x00"),
        ("bad_length", b"\x7e\x00"),
    ]
    assert [r["stage"] for r in await queries.rejects(pool, reason="bad_checksum")] == ["decode"]
    (by,) = (await queries.ledger(pool))["by"]
    assert (by["connector"], by["kind"], by["received"], by["rejected"], by["lost"]) == ("buses", "reject", 2, 2, 0)
    assert [(r["reason"], r["n"]) for r in await queries.reasons(pool)] == [("bad_checksum", 1), ("bad_length", 1)]


def state(run: str, at: int, received: int, produced: int, spooled: int = 0) -> ConnectorState:
    total = StreamTotal(
        topic="raw-transport", kind="bus_position", bucket=0, received=received, produced=produced, spooled=spooled
    )
    return ConnectorState(connector="buses", type="jt808", run=run, health="live", at=at, since=NOON, totals=[total])


async def test_the_ledger_holds_what_connectors_took_in_against_what_arrived(pool: Pool) -> None:
    await write(pool, totals=[state("r1", NOON + 2, 30, 20), state("r1", NOON + 1, 10, 10)], topic="connector-states")
    found = await queries.ledger(pool, in_flight={("buses", "bus_position", 0): 12})
    assert (found["received"], found["in_flight"], found["lost"]) == (30, 12, 18)
    batch = buses(25)
    told = ledger_row(header(batch, duplicates=2, rejected={"future_time": 3}, total=30), TOPIC, 0)
    await write(pool, ("bus_position", "live", batch), ledger=[told])
    found = await queries.ledger(pool)
    assert found == {
        "received": 30, "stored": 25, "duplicates": 2, "rejected": 3, "in_flight": 0, "lost": 0,
        "by": [{"connector": "buses", "kind": "bus_position", "partition": 0, "received": 30, "stored": 25,
                "duplicates": 2, "rejected": 3, "in_flight": 0, "lost": 0}],
    }  # fmt: skip
    (latest,) = await queries.connectors(pool)
    assert (latest["run"], latest["at"]) == ("r1", NOON + 2)


async def test_a_frame_that_never_arrived_shows_as_lost_by_the_totals_of_those_after_it(pool: Pool) -> None:
    batch = buses(4)
    await write(pool, ("bus_position", "live", batch), ledger=[ledger_row(header(batch, seq=3, total=12), TOPIC, 0)])
    assert (await queries.ledger(pool))["lost"] == 8


async def test_states_and_frames_of_two_stores_never_wait_for_each_other(pool: Pool) -> None:
    await write(pool, ("bus_position", "live", buses(1, source="first of its day")))  # TimescaleDB makes a chunk alone
    batch = buses(2)
    rows = [[ledger_row(header(batch, bucket=b), TOPIC, b)] for b in (0, 1)]
    said = state("r1", NOON, 2, 2)
    both = msgspec.structs.replace(said, totals=[*said.totals, msgspec.structs.replace(said.totals[0], bucket=1)])
    async with pool.acquire() as one, pool.acquire() as other, one.transaction(), other.transaction():
        await store(one, TOPIC, 0, [("bus_position", "live", batch)], rows[0])
        await store(other, TOPIC, 1, [("bus_position", "live", buses(2, source="C"))], rows[1])
        await one.execute("SET LOCAL lock_timeout = '1s'")
        await states.save(one, [both])
    assert (await queries.ledger(pool))["received"] == 5


async def test_rows_that_a_killed_run_had_not_secured_are_not_owed(pool: Pool) -> None:
    states = [state("r1", NOON, 50, 30, 5), state("r2", NOON + MINUTE, 20, 20)]
    await write(pool, totals=states, topic="connector-states")
    assert (await queries.ledger(pool))["received"] == 30 + 5 + 20


async def test_the_ledger_since_a_minute_counts_frames_only(pool: Pool) -> None:
    await write(pool, ("bus_position", "live", buses(4)), totals=[state("r1", NOON, 100, 100)])
    assert (await queries.ledger(pool, since=NOON))["received"] == 4
    assert (await queries.ledger(pool, since=NOON + MINUTE))["by"] == []


async def test_a_database_that_goes_away_is_a_passing_fault(stack: Stack) -> None:
    with stack.fresh_database() as url:
        await asyncio.to_thread(migrate, url)
        pool = await create_pool(url, size=1)
        await write(pool, ("bus_position", "live", buses(1)))
    with pytest.raises(Retry, match="database:"):  # dropped, its connections with it
        await write(pool, ("bus_position", "live", buses(1)), expected=1, at=2)
    pool.terminate()


async def test_other_faults_are_not_taken_for_passing_ones(pool: Pool) -> None:
    await pool.execute("DROP TABLE bus_position")
    with pytest.raises(Exception, match="bus_position") as caught:
        await write(pool, ("bus_position", "live", buses(1)))
    assert not isinstance(caught.value, Retry)


async def test_frames_that_never_came_are_named(pool: Pool) -> None:
    task, record = StoreTask(TOPIC, 0), partial(Record, TOPIC, 0)
    frames = [frame.encode(buses(1, start=NOON + n * SECOND), header(buses(1), seq=n, total=n)) for n in (1, 4, 5, 9)]
    outcome = task.process([record(n, value, headers) for n, (value, headers) in enumerate(frames)])
    assert outcome.write is not None
    async with pool.acquire() as connection, connection.transaction():
        await outcome.write(connection)
    rows = await pool.fetch("SELECT connector, run, topic, bucket, first_seq, last_seq FROM frame_gaps ORDER BY first_seq")
    assert [tuple(r) for r in rows] == [("buses", "r1", TOPIC, 0, 2, 3), ("buses", "r1", TOPIC, 0, 6, 8)]
