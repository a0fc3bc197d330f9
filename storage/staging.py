"""Rows on their way into tables: appended by COPY; late ones looked up first, for they may be stored already."""

# ruff: noqa: S608 - every name put into SQL here is declared in code, every value is a parameter
from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas import frame
from storage import pgcopy
from storage.connect import Connection
from storage.tables import identity, quoted, table_of

GAP_US = 60_000_000
SPAN_US = 600_000_000
"""Late rows are looked up by stretches of time: further apart than the gap, or beyond the span, they are looked up
apart. A stretch costs a few milliseconds and the rows stored in it, so no single statement can take long."""


async def copy(connection: Connection, table: str, batch: pa.RecordBatch) -> None:
    """Append a batch to a table that has columns of its names; columns that hold nothing are not sent."""
    held = frame.lean(batch)
    pieces: Any = _pieces(held)  # asyncpg takes any buffer, its stubs only bytes
    await connection.copy_to_table(table, source=pieces, columns=held.schema.names, format="binary")


async def _pieces(batch: pa.RecordBatch) -> AsyncIterator[bytes | memoryview]:
    """Give the bytes of a COPY; of a long one the next piece is built in a thread while the server takes in this one."""
    pieces = pgcopy.stream(batch)
    if batch.num_rows <= pgcopy.SLICE:
        for piece in pieces:
            yield piece
        return
    ahead = asyncio.ensure_future(asyncio.to_thread(next, pieces, None))
    while (built := await ahead) is not None:
        ahead = asyncio.ensure_future(asyncio.to_thread(next, pieces, None))
        yield built


async def unstored(connection: Connection, kind: str, batch: pa.RecordBatch) -> NDArray[np.bool_]:
    """Give the mask of rows that the kind's table does not hold yet; of equal rows in the batch the first is new.

    Rows are equal when their identity is (``tables.identity``).
    """
    names, table = identity(kind), table_of(kind)
    stage = f"stage_{table}"
    made = f"SELECT {quoted(names)}, 0 AS place FROM {table} WITH NO DATA"
    await connection.execute(f"CREATE TEMP TABLE IF NOT EXISTS {stage} ON COMMIT DELETE ROWS AS {made}")
    await connection.execute(f"TRUNCATE {stage}")
    places = pa.array(np.arange(batch.num_rows, dtype=np.int32))
    await copy(connection, stage, batch.select(list(names)).append_column("place", places))
    # Without these the planner may probe the time index once a row: it has no statistics of a temporary table.
    await connection.execute("SET LOCAL enable_nestloop = off; SET LOCAL plan_cache_mode = force_custom_plan")
    same = " AND ".join(f't."{n}" IS NOT DISTINCT FROM s."{n}"' for n in names if n not in ("source", "ts"))
    statement = (
        f"SELECT DISTINCT ON ({quoted(names, 's.')}) s.place FROM {stage} s WHERE s.ts BETWEEN $1 AND $2"
        f" AND NOT EXISTS (SELECT FROM {table} t WHERE t.ts BETWEEN $1 AND $2 AND t.source = ANY($3)"
        f" AND t.source = s.source AND t.ts = s.ts AND {same}) ORDER BY {quoted(names, 's.')}, s.place"
    )
    new = np.zeros(batch.num_rows, np.bool_)
    times, sources = batch.column("ts").view(pa.int64()).to_numpy(), batch.column("source")
    for since, until in segments(times):
        inside = pa.array(np.flatnonzero((times >= since) & (times <= until)))
        found = await connection.fetch(statement, since, until, sources.take(inside).unique().to_pylist())
        new[[row["place"] for row in found]] = True
    await connection.execute("SET LOCAL enable_nestloop = on; SET LOCAL plan_cache_mode = auto")
    return new


def segments(times: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Cut times into stretches (first, last) that together hold all of them, each within the gap and span."""
    ordered = np.unique(times)
    starts = np.concatenate([[True], np.diff(ordered) > GAP_US])
    since = ordered[starts][np.cumsum(starts) - 1]
    starts |= np.concatenate([[True], np.diff((ordered - since) // SPAN_US) != 0])
    lasts = ordered[np.concatenate([np.flatnonzero(starts)[1:] - 1, [len(ordered) - 1]])]
    return list(zip(ordered[starts].tolist(), lasts.tolist(), strict=True))
