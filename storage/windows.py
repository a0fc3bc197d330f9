"""Closed windows in the database: replaced by fuller ones, corrected by late readings, added up to longer ones."""

# ruff: noqa: S608 - every name put into SQL here is declared in code, every value is a parameter
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.derive import arrow_schema
from schemas.kinds.derived import LATE_PART
from storage import sketch, staging
from storage.connect import Connection
from storage.ddl import KEYS
from storage.tables import WINDOWS, columns, quoted

LONGER: dict[str, dict[int, int]] = {"source": {900: 60, 3600: 900}}
"""By dimension, the lengths that are added up, and the length each is added up from; groups as ``GROUP_LONGER``."""
GROUP_LONGER = {60: 10, 900: 60, 3600: 900}
KEY = KEYS["window"]
PIECE = 50_000
"""Windows written by one statement: those of a million sources that wait together would outlast its time limit."""
DUE_AGAIN = " ON CONFLICT (kind, dimension, size, ts) DO UPDATE SET version = due_windows.version + 1"
"""Whoever adds the period up without these windows, which are not committed yet, will find it changed, and due still."""
Row = dict[str, Any]


def longer(dimension: str) -> dict[int, int]:
    """Give the lengths that windows of a dimension are added up to, each with the length it is made of."""
    return LONGER.get(dimension, GROUP_LONGER)


async def save(connection: Connection, batch: pa.RecordBatch) -> int:
    """Write windows in the caller's transaction; give how many rows changed.

    A window replaces itself unless the one there rests on more readings; a correction (a part from ``LATE_PART``
    on) is added to what is there, so it must be given exactly once. Longer windows of the same time become due.
    """
    late = pc.greater_equal(batch.column("part"), LATE_PART)
    plain, corrections = batch.filter(pc.invert(late)), batch.filter(late)
    changed = await replace(connection, plain) if plain.num_rows else 0
    if corrections.num_rows:
        changed += await _add(connection, corrections)
    await _make_due(connection, batch)
    return changed


async def replace(connection: Connection, batch: pa.RecordBatch, *, always: bool = False) -> int:
    """Write windows over those there, unless they rest on more readings or it is to happen ``always``."""
    await connection.execute(f"CREATE TEMP TABLE IF NOT EXISTS stage_{WINDOWS} (LIKE {WINDOWS}) ON COMMIT DELETE ROWS")
    starts = range(0, batch.num_rows, PIECE)
    return sum([await _replace(connection, batch.slice(start, PIECE), always=always) for start in starts])


async def _replace(connection: Connection, batch: pa.RecordBatch, *, always: bool) -> int:
    names = columns("window")
    await connection.execute(f"TRUNCATE stage_{WINDOWS}")
    await staging.copy(connection, f"stage_{WINDOWS}", batch)
    changes = ", ".join(f'"{n}" = excluded."{n}"' for n in names if n not in KEY)
    done = await connection.execute(
        f"INSERT INTO {WINDOWS} AS w ({quoted(names)})"
        f" SELECT DISTINCT ON ({quoted(KEY)}) {quoted(names)} FROM stage_{WINDOWS}"
        f' ORDER BY {quoted(KEY)}, "count" DESC, seen_at DESC'
        f" ON CONFLICT ({quoted(KEY)}) DO UPDATE SET {changes}" + ("" if always else ' WHERE excluded."count" >= w."count"')
    )
    return int(done.split()[-1])


async def _add(connection: Connection, batch: pa.RecordBatch) -> int:
    """Add corrections to those there, whose rows stay locked until the transaction ends."""
    given = plain_rows(batch)
    keys = [[row[name] for row in given] for name in KEY]
    matches = " AND ".join(f'w."{n}" = k.c{i}' for i, n in enumerate(KEY))
    found = await connection.fetch(
        f"SELECT {quoted(columns('window'), 'w.')} FROM {WINDOWS} w JOIN"
        " (SELECT DISTINCT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::timestamptz[],"
        f" $7::bigint[]) AS k(c0, c1, c2, c3, c4, c5, c6)) k ON {matches} FOR UPDATE OF w",
        *keys,
    )
    return await replace(connection, as_batch(merged([*(dict(r) for r in found), *given], KEY)), always=True)


def plain_rows(batch: pa.RecordBatch) -> list[Row]:
    """Give rows of windows with times as integers."""
    times = {n: batch.column(n).cast(pa.int64()).to_pylist() for n in ("ts", "sent_at", "seen_at")}
    rest = {n: batch.column(n).to_pylist() for n in batch.schema.names if n not in times}
    whole = times | rest
    return [dict(zip(whole, values, strict=True)) for values in zip(*whole.values(), strict=True)]


def as_batch(rows: Sequence[Row]) -> pa.RecordBatch:
    """Give rows of windows in the columns of their table."""
    schema = arrow_schema("window", "clean")
    sound = {"quality": 0}
    return pa.RecordBatch.from_arrays(
        [pa.array([r.get(f.name, sound.get(f.name)) for r in rows], f.type) for f in schema], schema=schema
    )


def merged(rows: Iterable[Mapping[str, Any]], by: Sequence[str]) -> list[Row]:
    """Add up rows that are equal in the fields ``by``, in order of their first; exact in any order."""
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in by), []).append(row)
    return [_sum(found) for found in groups.values()]


def _sum(rows: Sequence[Mapping[str, Any]]) -> Row:
    newest = max(rows, key=lambda r: (r["last_at"], r["last"]))
    count, total = sum(r["count"] for r in rows), sum(r["total"] for r in rows)
    found = dict(rows[0]) | {
        "seen_at": max(r["seen_at"] for r in rows),
        "count": count,
        "total": total,
        "mean": total / count,
        "low": min(r["low"] for r in rows),
        "high": max(r["high"] for r in rows),
        "last": newest["last"],
        "last_at": newest["last_at"],
    }
    packed = [r["sketch"] for r in rows if r["sketch"] is not None]
    if packed:
        scale = sketch.scale(found["kind"], found["metric"])
        counts = np.stack([sketch.unpack(p, scale.buckets) for p in packed]).sum(axis=0, dtype=np.int32)
        found["p50"], found["p95"] = (float(scale.quantiles(counts, share)) for share in (0.5, 0.95))
        found["sketch"] = sketch.pack(counts[np.newaxis])[0].as_py()
    return found


async def _make_due(connection: Connection, batch: pa.RecordBatch) -> None:
    """Note which longer windows hold these; in order of key, so that two transactions never wait for each other in a ring."""
    ts = batch.column("ts").cast(pa.int64())
    table = pa.table([batch.column(n) for n in ("kind", "dimension", "size")] + [ts], names=["kind", "dimension", "size", "ts"])
    due = set()
    for row in table.group_by(["kind", "dimension", "size", "ts"]).aggregate([]).to_pylist():
        for size, lower in longer(row["dimension"]).items():
            if lower == row["size"]:
                due.add((row["kind"], row["dimension"], size, row["ts"] - row["ts"] % (size * 1_000_000)))
    ordered = sorted(due)
    await connection.execute(
        "INSERT INTO due_windows (kind, dimension, size, ts)"
        " SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::timestamptz[])" + DUE_AGAIN,
        *([d[i] for d in ordered] for i in range(4)),
    )
