"""Values over time: history of a field, track of a vehicle, windows, and where every source was last."""

# ruff: noqa: S608 - every name put into SQL here is declared in code, every value is a parameter
from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pyarrow as pa

from schemas.derive import Field, fields
from storage.connect import Pool, passing_faults
from storage.tables import columns, quoted, reading_kinds, table_of
from storage.windows import merged

MOST_POINTS = 5000
"""More points than any screen has columns; a step is widened until they suffice."""
SECOND = 1_000_000
DEFAULT_POINTS = 600
TRACK = ("lon", "lat", "speed", "heading", "quality", "zone")


def field_of(kind: str, name: str) -> Field:
    """Give a numeric or yes/no field of a kind; anything else raises ``ValueError`` naming those there are."""
    if kind not in reading_kinds():
        msg = f"no history of kind {kind!r}; known: {', '.join(reading_kinds())}"
        raise ValueError(msg)
    known = {f.name: f for f in fields(kind) if f.type in (pa.float64(), pa.int64(), pa.bool_()) and f.name != "serial"}
    if name not in known:
        msg = f"{kind} has no measured field {name!r}; known: {', '.join(known)}"
        raise ValueError(msg)
    return known[name]


def step_for(since: int, until: int, step: int | None) -> int:
    """Give the step to use, in microseconds: the one asked for, widened to whole multiples until the points suffice."""
    if until <= since:
        msg = f"until ({until}) must lie after since ({since})"
        raise ValueError(msg)
    if step is not None and step < SECOND:
        msg = f"step must be at least one second, not {step} µs"
        raise ValueError(msg)
    wanted = step or max(SECOND, math.ceil((until - since) / DEFAULT_POINTS / SECOND) * SECOND)
    return wanted * max(1, math.ceil((until - since) / wanted / MOST_POINTS))


async def history(
    pool: Pool, kind: str, source: str, field: str, since: int, until: int, step: int | None = None
) -> list[dict[str, Any]]:
    """Give ``{"ts", "mean", "low", "high", "last", "count"}`` for every step from ``since`` to before ``until``.

    Times in microseconds, values in the field's unit. A step without readings has count 0 and None for every value:
    a gap stays a gap. Unknown kinds and fields raise ``ValueError``.
    """
    declared, step = field_of(kind, field), step_for(since, until, step)
    value = f'"{declared.name}"' + ("::int" if pa.types.is_boolean(declared.type) else "") + "::float8"
    statement = (
        f"SELECT date_bin($4::interval, ts, $2::timestamptz) AS at, avg({value}) AS mean, min({value}) AS low,"
        f" max({value}) AS high, (array_agg({value} ORDER BY ts DESC, seen_at DESC))[1] AS last, count(*) AS count"
        f" FROM {table_of(kind)} WHERE source = $1 AND ts >= $2 AND ts < $3"
        f' AND "{declared.name}" IS NOT NULL GROUP BY at ORDER BY at'
    )
    with passing_faults():
        rows = await pool.fetch(statement, source, since, until, timedelta(microseconds=step))
    found = {row["at"]: row for row in rows}
    names = ("mean", "low", "high", "last")
    points = []
    for ts in range(since, until, step):
        row = found.get(ts)
        values = {name: row[name] if row else None for name in names}
        points.append({"ts": ts, **values, "count": row["count"] if row else 0})
    return points


async def track(pool: Pool, kind: str, source: str, since: int, until: int, limit: int = MOST_POINTS) -> list[dict[str, Any]]:
    """Give the positions of a vehicle in order of event time, the newest ``limit`` of them; rows without one are left out."""
    own = {f.name for f in fields(kind, "clean")} if kind in reading_kinds() else set()
    if not {"lon", "lat"} <= own:
        msg = f"kind {kind!r} has no positions"
        raise ValueError(msg)
    names = ", ".join(name for name in TRACK if name in own)
    statement = (
        f"SELECT ts, {names} FROM {table_of(kind)} WHERE source = $1 AND ts >= $2 AND ts < $3"
        " AND lon IS NOT NULL AND lat IS NOT NULL ORDER BY ts DESC LIMIT $4"
    )
    with passing_faults():
        rows = await pool.fetch(statement, source, since, until, min(limit, MOST_POINTS))
    return [dict(row) for row in reversed(rows)]


async def windows(
    pool: Pool,
    kind: str,
    metric: str,
    since: int,
    until: int,
    *,
    size: int,
    dimension: str = "source",
    source: str | None = None,
    limit: int = MOST_POINTS,
) -> list[dict[str, Any]]:
    """Give closed windows of a metric, ``size`` seconds long, in order of start; of all subjects unless one is named.

    The parts of a window are added up: what late readings corrected is in it.
    """
    field_of(kind, metric)
    statement = (
        f"SELECT {quoted(columns('window'))} FROM windows WHERE kind = $1 AND metric = $2 AND size = $3 AND dimension = $4"
        " AND ts >= $5 AND ts < $6 AND ($7::text IS NULL OR source = $7) ORDER BY ts, source, part LIMIT $8"
    )
    with passing_faults():
        rows = await pool.fetch(statement, kind, metric, size, dimension, since, until, source, limit)
    return merged([dict(row) for row in rows], ("source", "ts"))


async def latest_sources(pool: Pool, kind: str | None = None, since: int | None = None) -> list[dict[str, Any]]:
    """Give every known source, of one kind or all, heard of at or after ``since`` (event time), by kind and name."""
    statement = (
        "SELECT kind, source, ts, seen_at, lon, lat, zone, first_at FROM sources"
        " WHERE ($1::text IS NULL OR kind = $1) AND ($2::timestamptz IS NULL OR ts >= $2) ORDER BY kind, source"
    )
    with passing_faults():
        return [dict(row) for row in await pool.fetch(statement, kind, since)]


async def silent_sources(pool: Pool, kind: str, before: int) -> list[dict[str, Any]]:
    """Give the sources of a kind that were last heard before that event time, longest silent first."""
    statement = "SELECT kind, source, ts, seen_at, lon, lat, zone, first_at FROM sources WHERE kind = $1 AND ts < $2 ORDER BY ts"
    with passing_faults():
        return [dict(row) for row in await pool.fetch(statement, kind, before)]
