"""Findings of record, and the sources whose findings must be judged again because readings of them came out of order."""

# ruff: noqa: S608 - every name put into SQL here is declared in code, every value is a parameter
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import pyarrow as pa

from schemas.derive import arrow_schema
from schemas.events import Finding, Rejudgement
from storage.connect import Connection, Pool, passing_faults
from storage.tables import columns, quoted, table_of

COLUMNS = (
    "rule", "source", "started", "raised", "cleared", "kind", "value", "limit", "unit", "zone", "lon", "lat", "detected_late",
)  # fmt: skip
TYPES = (
    "text", "text", "timestamptz", "timestamptz", "timestamptz", "text", "float8", "float8", "text", "int", "float8", "float8",
    "bool",
)  # fmt: skip
_ARRAYS = ", ".join(f"${i}::{t}[]" for i, t in enumerate(TYPES, 1))
_OVERLAP = "f.started <= coalesce({1}, 'infinity') AND {0} <= coalesce(f.cleared, 'infinity')"


@dataclass(frozen=True, slots=True)
class Due:
    """A source of a kind, and first and last event time of its readings that rules did not see in order."""

    kind: str
    source: str
    since: int
    until: int


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A due source as its row of ``due_findings`` tells."""

    kind: str
    source: str
    since: int
    until: int
    topic: str
    partition: int
    next_offset: int
    settled: int | None
    newest: int | None


async def note_due(connection: Connection, due: Sequence[Due], topic: str, partition: int, next_offset: int) -> None:
    """Note sources to be judged again once ``watch`` and ``store`` have reached an offset; inside the caller's transaction."""
    lines = sorted((d.kind, d.source, d.since, d.until) for d in due)
    await connection.execute(
        "INSERT INTO due_findings AS d (kind, source, since, until, topic, partition, next_offset)"
        " SELECT *, $5, $6::int, $7::bigint FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[])"
        " ON CONFLICT (kind, source) DO UPDATE SET since = least(d.since, excluded.since),"
        " until = greatest(d.until, excluded.until), topic = excluded.topic, partition = excluded.partition,"
        " next_offset = excluded.next_offset, settled = NULL, newest = NULL",
        *map(list, zip(*lines, strict=True)), topic, partition, next_offset,
    )  # fmt: skip


async def waiting(pool: Pool, limit: int) -> list[Waiting]:
    """Give due sources whose readings are stored and whose live findings are said, and that have something new to judge."""
    with passing_faults():
        rows = await pool.fetch(
            "SELECT d.* FROM due_findings d"
            " LEFT JOIN sources s ON d.newest IS NOT NULL AND s.kind = d.kind AND s.source = d.source"
            " WHERE (d.newest IS NULL OR s.ts > d.newest) AND 2 = (SELECT count(*) FROM checkpoints c WHERE c.topic = d.topic"
            " AND c.partition = d.partition AND c.agent IN ('watch', 'store') AND c.next_offset >= d.next_offset)"
            " ORDER BY d.since LIMIT $1",
            limit,
        )
    return [msgspec.convert(dict(row), Waiting) for row in rows]


async def done(pool: Pool, due: Waiting) -> None:
    """Forget a due source, unless it became due anew meanwhile."""
    with passing_faults():
        await pool.execute(f"DELETE FROM due_findings d WHERE {_UNCHANGED}", *_identity(due))


async def postpone(pool: Pool, due: Waiting, *, settled: int | None, newest: int | None) -> None:
    """Judge a source again when ``watch`` has seen all that is stored now; with ``newest``, when more than that came."""
    with passing_faults():
        await pool.execute(
            "UPDATE due_findings d SET settled = $6, newest = $7, next_offset = c.next_offset FROM checkpoints c"
            f" WHERE {_UNCHANGED} AND (c.agent, c.topic, c.partition) = ('store', d.topic, d.partition)",
            *_identity(due), settled, newest,
        )  # fmt: skip


_UNCHANGED = "d.kind = $1 AND d.source = $2 AND d.since = $3 AND d.until = $4 AND d.next_offset = $5"


def _identity(due: Waiting) -> tuple[str, str, int, int, int]:
    return due.kind, due.source, due.since, due.until, due.next_offset


async def rows(pool: Pool, kind: str, source: str, since: int, until: int) -> pa.RecordBatch:
    """Give the stored readings of a source between two times, both included, in order of time."""
    names = columns(kind)
    with passing_faults():
        found = await pool.fetch(
            f"SELECT {quoted(names)} FROM {table_of(kind)} WHERE source = $1 AND ts BETWEEN $2 AND $3"
            " ORDER BY ts, coalesce(serial, 0), seen_at",
            source, since, until,
        )  # fmt: skip
    schema = arrow_schema(kind, "clean")
    return pa.RecordBatch.from_arrays([pa.array([r[f.name] for r in found], f.type) for f in schema], schema=schema)


async def newest(pool: Pool, kind: str) -> int:
    """Give how far the time of a kind has come: its newest reading."""
    with passing_faults():
        return int(await pool.fetchval("SELECT coalesce(max(ts), '-infinity') FROM sources WHERE kind = $1", kind))


async def standing(pool: Pool, rule: str, source: str, conditions: Sequence[tuple[int, int | None]]) -> list[int]:
    """Give the starts of those conditions (start, end) that overlap a finding of record."""
    overlap = _OVERLAP.format("k.started", "k.cleared")
    with passing_faults():
        found = await pool.fetch(
            "SELECT k.started FROM unnest($3::timestamptz[], $4::timestamptz[]) AS k(started, cleared) WHERE EXISTS"
            f" (SELECT FROM findings f WHERE f.rule = $1 AND f.source = $2 AND {overlap})",
            rule, source, [c[0] for c in conditions], [c[1] for c in conditions],
        )  # fmt: skip
    return [row["started"] for row in found]


async def save(connection: Connection, found: Sequence[Finding | Rejudgement]) -> None:
    """Enter findings in their order, inside the caller's transaction; entering them again changes nothing."""
    for one in found:
        if isinstance(one, Rejudgement):
            await _replace(connection, one)
        elif one.state == "raise":
            await connection.execute(
                f"INSERT INTO findings ({quoted(COLUMNS)}) SELECT * FROM unnest({_ARRAYS}) ON CONFLICT DO NOTHING",
                *zip(_line(one, None), strict=True),
            )
        elif one.state == "clear":
            await connection.execute(
                "UPDATE findings SET cleared = $4 WHERE rule = $1 AND source = $2 AND started = $3",
                one.rule, one.source, one.started, one.at,
            )  # fmt: skip


async def _replace(connection: Connection, found: Rejudgement) -> None:
    """Put what was found anew in place of what stood there; what was known in time stays so."""
    ends = {f.started: f.at for f in found.findings if f.state == "clear"}
    gone = await connection.fetch(
        "DELETE FROM findings WHERE rule = $1 AND source = $2 AND started > $3"
        " AND started < coalesce($4::timestamptz, 'infinity')"
        " RETURNING started, cleared, detected_late",
        found.rule, found.source, found.since, found.until,
    )  # fmt: skip
    in_time = [(g["started"], g["cleared"]) for g in gone if not g["detected_late"]]
    lines = []
    for raised in (f for f in found.findings if f.state == "raise"):
        end = ends.get(raised.started)
        late = not any(_overlap(raised.started, end, *g) for g in in_time)
        lines.append(_line(msgspec.structs.replace(raised, detected_late=late), end))
    if lines:
        await connection.execute(
            f"INSERT INTO findings ({quoted(COLUMNS)}) SELECT * FROM unnest({_ARRAYS}) ON CONFLICT DO NOTHING",
            *map(list, zip(*lines, strict=True)),
        )


def _overlap(start: int, end: int | None, other_start: int, other_end: int | None) -> bool:
    return (other_end is None or start <= other_end) and (end is None or other_start <= end)


def _line(found: Finding, cleared: int | None) -> tuple[object, ...]:
    return (
        found.rule, found.source, found.started, found.at, cleared, found.kind, found.value, found.limit, found.unit,
        found.zone, found.lon, found.lat, found.detected_late,
    )  # fmt: skip
