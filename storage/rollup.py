"""Longer windows, added up from shorter ones once their time is over, and again whenever one of those changes."""

# ruff: noqa: S608 - every name put into SQL here is declared in code, every value is a parameter
from __future__ import annotations

from typing import Any

from storage import windows
from storage.connect import Connection, Pool, passing_faults
from storage.ddl import KEYS
from storage.tables import WINDOWS, columns, quoted

AT_ONCE = 32
"""Longer windows looked for at a time."""
LONGEST_S = 900.0
"""How long adding up one of them may take: an hour of a million sources needs minutes."""
SORT_MEMORY = "64MB"
_SUMS = {
    "sent_at": "NULL",
    "seen_at": "max(seen_at)",
    "serial": "NULL",
    "part": "0",
    "count": "sum(count)::bigint",
    "total": "sum(total ORDER BY ts, part)",
    "mean": "sum(total ORDER BY ts, part) / sum(count)",
    "low": "min(low)",
    "high": "max(high)",
    "last": "(array_agg(last ORDER BY last_at DESC, last DESC))[1]",
    "last_at": "max(last_at)",
    "p50": "NULL",
    "p95": "NULL",
    "sketch": "NULL",
    "quality": "0",
    "zone": "NULL",
}
_DONE = "DELETE FROM due_windows WHERE (kind, dimension, size, ts, version) = ($1, $2, $3, $4, $5)"


async def refresh(pool: Pool, now: int) -> int:
    """Add up longer windows that are due and over by ``now`` (microseconds UTC); give how many periods were done.

    Nobody who writes windows waits for it: what changes meanwhile is due still. A database that is away raises ``Retry``.
    """
    with passing_faults():
        async with pool.acquire() as connection:
            due = await connection.fetch(
                "SELECT kind, dimension, size, ts, version FROM due_windows"
                " WHERE ts + size * interval '1 second' <= $1 ORDER BY size, ts, kind, dimension LIMIT $2",
                now,
                AT_ONCE,
            )
            for row in due:
                async with connection.transaction():
                    await connection.execute(f"SET LOCAL statement_timeout = 0; SET LOCAL work_mem = '{SORT_MEMORY}'")
                    await _add_up(connection, row["kind"], row["dimension"], row["size"], row["ts"])
                await connection.execute(_DONE, *row)
    return len(due)


async def _add_up(connection: Connection, kind: str, dimension: str, size: int, start: int) -> None:
    lower = windows.longer(dimension)[size]
    where = "kind = $1 AND dimension = $2 AND size = $3 AND ts >= $4 AND ts < $5"
    values: list[Any] = [kind, dimension, lower, start, start + size * 1_000_000]
    if dimension == "source":
        await _add_up_sources(connection, where, size, values)
    else:
        rows = await connection.fetch(
            f"SELECT {quoted(columns('window'))} FROM {WINDOWS} WHERE {where} ORDER BY ts, part", *values
        )
        found = windows.merged([dict(r) | {"ts": start, "size": size, "part": 0} for r in rows], KEYS["window"])
        if found:
            await windows.replace(connection, windows.as_batch(found), always=True)
    for longer, made_of in windows.longer(dimension).items():
        if made_of == size:
            period = start - start % (longer * 1_000_000)
            await connection.execute(
                "INSERT INTO due_windows (kind, dimension, size, ts) VALUES ($1, $2, $3, $4)" + windows.DUE_AGAIN,
                kind, dimension, longer, period,
            )  # fmt: skip


async def _add_up_sources(connection: Connection, where: str, size: int, values: list[Any]) -> None:
    """Add up all sources of a kind in the database itself: there may be very many."""
    names, key = columns("window"), KEYS["window"]
    told = {
        "source": "source",
        "metric": "metric",
        "kind": "$1",
        "dimension": "$2",
        "size": "$6::bigint",
        "ts": "$4::timestamptz",
    }
    picked = ", ".join((told | _SUMS)[n] for n in names)
    changes = ", ".join(f'"{n}" = excluded."{n}"' for n in names if n not in key)
    await connection.execute(
        f"INSERT INTO {WINDOWS} ({quoted(names)}) SELECT {picked} FROM {WINDOWS} WHERE {where} GROUP BY source, metric"
        f" ON CONFLICT ({quoted(key)}) DO UPDATE SET {changes}",
        *values,
        size,
        timeout=LONGEST_S,
    )
