"""Windows on a real database: replaced by fuller ones, corrected by late readings, added up to longer ones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from schemas.frame import from_readings
from schemas.kinds.derived import LATE_PART, Window
from storage import queries, rollup, sketch, windows
from storage.connect import Connection, Pool, create_pool
from storage.migrate import migrate
from streams.agents.store import StoreTask
from tests.scenarios.timeline import City, drive
from tests.unit.storage.rows import NOON, SECOND

MINUTE = 60 * SECOND
HOUR = NOON - NOON % (3600 * SECOND)


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    await asyncio.to_thread(migrate, database)
    found = await create_pool(database, size=3)
    yield found
    await found.close()


def window(count: int, total: float, *, at: int = HOUR, source: str = "B", **more: Any) -> Window:
    told = {"size": 60, "dimension": "source", "part": 0, "low": 0.0, "high": 9.0, "last": 1.0, "last_at": at, **more}
    return Window(
        source=source,
        ts=at,
        seen_at=at,
        kind="bus_position",
        metric="speed",
        count=count,
        total=total,
        mean=total / count,
        **told,
    )


async def put(pool: Pool, *rows: Window) -> int:
    async with pool.acquire() as connection, connection.transaction():
        return await windows.save(connection, windows.as_batch(windows.plain_rows(from_readings(rows, "window"))))


async def whole(pool: Pool, size: int = 60, dimension: str = "source") -> list[tuple[str, int, int, float]]:
    found = await queries.windows(pool, "bus_position", "speed", HOUR, HOUR + 3600 * SECOND, size=size, dimension=dimension)
    return [(w["source"], (w["ts"] - HOUR) // SECOND, w["count"], w["mean"]) for w in found]


async def test_windows_are_replaced_but_never_by_one_that_rests_on_less(pool: Pool) -> None:
    assert await put(pool, window(5, 10.0), window(4, 36.0), window(3, 3.0, source="C")) == 2
    assert await put(pool, window(3, 21.0)) == 0
    assert await put(pool, window(6, 15.0)) == 1
    assert await whole(pool) == [("B", 0, 6, 2.5), ("C", 0, 3, 1.0)]


async def test_windows_that_waited_long_are_written_by_several_statements(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "PIECE", 2)
    sources = ["D", "A", "C", "A", "B"]
    assert await put(pool, *(window(n, 8.0 * n, source=s) for n, s in enumerate(sources, 1))) == 5
    assert await whole(pool) == [("A", 0, 4, 8.0), ("B", 0, 5, 8.0), ("C", 0, 3, 8.0), ("D", 0, 1, 8.0)]


async def test_corrections_add_up_and_stand_beside_the_window_whichever_comes_first(pool: Pool) -> None:
    assert await put(pool, window(1, 8.0, part=LATE_PART, last=8.0, last_at=HOUR + 50 * SECOND)) == 1
    assert await put(pool, window(5, 10.0, last_at=HOUR + 40 * SECOND)) == 1
    assert await put(pool, window(2, 6.0, part=LATE_PART, low=-1.0, last=2.0, last_at=HOUR + 20 * SECOND)) == 1
    (found,) = await queries.windows(pool, "bus_position", "speed", HOUR, HOUR + 1, size=60)
    assert (found["count"], found["mean"], found["low"], found["last"]) == (8, 3.0, -1.0, 8.0)
    row = await pool.fetchrow("SELECT count, mean, low, last, corrected FROM whole_windows")
    assert tuple(row) == (8, 3.0, -1.0, 8.0, True)


async def test_longer_windows_are_added_up_when_they_are_over_and_again_when_corrected(pool: Pool) -> None:
    await put(pool, *(window(2, 2.0 * m, at=HOUR + m * MINUTE) for m in range(20)))
    assert await rollup.refresh(pool, HOUR + 14 * MINUTE) == 0
    while await rollup.refresh(pool, HOUR + 60 * MINUTE):
        pass
    assert await whole(pool, 900) == [("B", 0, 30, 7.0), ("B", 900, 10, 17.0)]
    assert await whole(pool, 3600) == [("B", 0, 40, 9.5)]
    await put(pool, window(10, 0.0, at=HOUR, part=LATE_PART))
    while await rollup.refresh(pool, HOUR + 60 * MINUTE):
        pass
    assert await whole(pool, 900) == [("B", 0, 40, 5.25), ("B", 900, 10, 17.0)]
    assert await whole(pool, 3600) == [("B", 0, 50, 7.6)]


async def test_adding_up_keeps_nobody_waiting_and_what_changes_meanwhile_is_due_still(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(pool, window(2, 2.0))
    add_up = rollup._add_up

    async def slowly(connection: Connection, *period: Any) -> None:
        await add_up(connection, *period)
        await asyncio.wait_for(put(pool, window(8, 88.0, source="C")), 2)  # while the sums are not committed

    monkeypatch.setattr(rollup, "_add_up", slowly)
    assert await rollup.refresh(pool, HOUR + 15 * MINUTE) == 1
    assert await whole(pool, 900) == [("B", 0, 2, 1.0)]
    monkeypatch.undo()
    assert await rollup.refresh(pool, HOUR + 15 * MINUTE) == 1
    assert await whole(pool, 900) == [("B", 0, 2, 1.0), ("C", 0, 8, 11.0)]
    assert await rollup.refresh(pool, HOUR + 15 * MINUTE) == 0


async def test_groups_are_added_up_over_partitions_with_their_distribution(pool: Pool) -> None:
    scale = sketch.scale("bus_position", "speed")

    def part(number: int, values: list[float], second: int) -> Window:
        counts = np.bincount(scale.of(np.array(values)), minlength=scale.buckets).astype(np.int32)
        packed = sketch.pack(counts[np.newaxis])[0].as_py()
        return window(
            len(values),
            sum(values),
            at=HOUR + second * SECOND,
            source="140502",
            size=10,
            dimension="zone",
            part=number,
            sketch=packed,
        )

    await put(pool, part(0, [1.0] * 50, 0), part(1, [3.0] * 40, 0), part(1, [30.0] * 10, 30))
    while await rollup.refresh(pool, HOUR + 60 * MINUTE):
        pass
    for size in (60, 900, 3600):
        (found,) = await queries.windows(pool, "bus_position", "speed", HOUR, HOUR + 1, size=size, dimension="zone")
        assert (found["count"], found["mean"], found["part"]) == (100, 4.7, 0)
        assert (found["p50"], found["p95"]) == (pytest.approx(1.0, rel=0.01), pytest.approx(30.0, rel=0.01))


async def test_late_and_backfilled_readings_correct_the_windows_they_missed(pool: Pool) -> None:
    """The windows of a day whose readings came late are those of the same day in order."""
    city = City("transport", HOUR)
    city.push("bus_position", drive("b1", list(range(0, 600, 10)), 36))
    city.push("bus_position", drive("b1", [15.0, 25.0], 72))  # far behind the watermark
    city.push("bus_position", drive("b1", [65.0], 72), lane="late")
    city.push("bus_position", [*drive("b1", [75.0], 72), *drive("b1", [20.0], 36)], lane="backfill")
    task = StoreTask("clean-transport", 0)
    outcome = task.process(city.log)
    assert outcome.write is not None
    closed = [r for r in city.windows if r["size"] == 60 and r["metric"] == "speed"]
    async with pool.acquire() as connection, connection.transaction():
        await outcome.write(connection)
        await windows.save(connection, windows.as_batch([micros(r) for r in closed]))
    found = {t // 60: (n, mean) for _, t, n, mean in await whole(pool)}
    assert found[0] == (8, pytest.approx((6 * 10 + 2 * 20) / 8))
    assert found[1] == (8, pytest.approx((6 * 10 + 2 * 20) / 8))
    assert found[2] == (6, pytest.approx(10.0))
    stored = await pool.fetchrow("SELECT count(*), avg(speed) FROM bus_position WHERE ts < $1 AND ts >= $2", HOUR + MINUTE, HOUR)
    assert (stored[0], stored[1]) == (8, pytest.approx(found[0][1]))


def micros(row: dict[str, Any]) -> dict[str, Any]:
    return row | {n: int(row[n].timestamp() * 1e6) for n in ("ts", "seen_at")} | {"quality": 0}


def test_the_rows_of_a_batch_survive_the_way_to_python_and_back() -> None:
    rows = [window(2, 3.0), window(1, 1.0, sketch=b"\x01\x00\x00\x00\x00\x00", p50=1.0)]
    batch = from_readings(rows, "window")
    again = windows.as_batch(windows.plain_rows(batch)).select(batch.schema.names)
    assert again.equals(batch)
