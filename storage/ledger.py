"""The ledger: what came in, per connector, kind, partition and minute, and what became of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from schemas import topics
from schemas.frame import Header
from schemas.reading import Lane
from storage.connect import Connection

MINUTE = 60_000_000
Key = tuple[str, str, str, int, int]
"""Connector, kind, topic, partition, minute."""


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """What became of the rows of a frame: ``received = stored + duplicates + sum(rejected)``.

    ``minute`` is the start of the minute of arrival in microseconds. ``run`` and ``total`` carry the frame's own
    running total, absent (empty) where it says none; ``lane`` tells which batch its rows went into.
    """

    connector: str
    kind: str
    topic: str
    partition: int
    minute: int
    received: int
    stored: int
    duplicates: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    run: str = ""
    bucket: int = 0
    total: int = 0
    lane: Lane = "live"

    @property
    def key(self) -> Key:
        """What rows are added up by."""
        return (self.connector, self.kind, self.topic, self.partition, self.minute)

    def minus(self, duplicates: int) -> LedgerRow:
        """Give the row after so many of its stored rows turned out to be duplicates."""
        return replace(self, stored=self.stored - duplicates, duplicates=self.duplicates + duplicates)


def ledger_row(header: Header, topic: str, partition: int) -> LedgerRow:
    """Give the ledger's row of a clean frame that came from this topic and partition."""
    return LedgerRow(
        connector=header.connector,
        kind=header.kind,
        topic=topic,
        partition=partition,
        minute=header.seen_at - header.seen_at % MINUTE,
        received=header.received,
        stored=header.rows,
        duplicates=header.duplicates,
        rejected=dict(header.rejected),
        run=header.run,
        bucket=header.bucket,
        total=header.total,
        lane=header.lane,
    )


def refused_rows(batch: pa.RecordBatch, topic: str, partition: int) -> list[LedgerRow]:
    """Give the ledger's rows of refused input: each row that a connector refused came in once and was rejected once.

    Rows that ``clean`` refused are left out: the header of their clean frame counts them.
    """
    found: dict[Key, LedgerRow] = {}
    minutes = batch.column("seen_at").view(pa.int64()).to_numpy(zero_copy_only=False) // MINUTE * MINUTE
    columns = (batch.column(name).to_pylist() for name in ("connector", "stage", "reason"))
    for connector, stage, reason, minute in zip(*columns, minutes.tolist(), strict=True):
        if stage == "clean":
            continue
        row = LedgerRow(connector, "reject", topic, partition, minute, 1, 0, 0, {reason: 1})
        found[row.key] = added(found[row.key], row) if row.key in found else row
    return list(found.values())


def added(one: LedgerRow, other: LedgerRow) -> LedgerRow:
    """Give the sum of two rows of one key."""
    reasons = dict(one.rejected)
    for reason, n in other.rejected.items():
        reasons[reason] = reasons.get(reason, 0) + n
    return replace(
        one,
        received=one.received + other.received,
        stored=one.stored + other.stored,
        duplicates=one.duplicates + other.duplicates,
        rejected=reasons,
    )


def owners(rows: Sequence[LedgerRow], count: int) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Give, for each of ``count`` table rows, which ledger row it belongs to; they follow each other in order."""
    stored = [r.stored for r in rows]
    if sum(stored) != count:
        kind = rows[0].kind if rows else "?"
        msg = f"ledger of {kind} says {sum(stored)} rows to store, its batches hold {count}"
        raise ValueError(msg)
    return np.repeat(np.arange(len(rows)), stored)


async def save(connection: Connection, rows: Iterable[LedgerRow]) -> None:
    """Add rows to the ledger and raise the running totals that their frames carried."""
    sums: dict[Key, LedgerRow] = {}
    totals: dict[tuple[str, str, str, str, int], int] = {}
    for row in rows:
        sums[row.key] = added(sums[row.key], row) if row.key in sums else row
        if row.run:
            total = (row.connector, row.run, topics.frame_topic(row.kind, "raw"), row.kind, row.bucket)
            totals[total] = max(totals.get(total, 0), row.total)
    if not sums:
        return
    ordered = [sums[key] for key in sorted(sums)]
    await _save_sums(connection, ordered)
    await _save_reasons(connection, ordered)
    if totals:
        await _save_totals(connection, totals)


async def _save_sums(connection: Connection, rows: Sequence[LedgerRow]) -> None:
    statement = (
        "INSERT INTO ledger AS l (connector, kind, topic, partition, minute, received, stored, duplicates, rejected)"
        " SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::timestamptz[],"
        " $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[])"
        " ON CONFLICT (connector, kind, topic, partition, minute) DO UPDATE SET received = l.received + excluded.received,"
        " stored = l.stored + excluded.stored, duplicates = l.duplicates + excluded.duplicates,"
        " rejected = l.rejected + excluded.rejected"
    )
    lines = [(*r.key, r.received, r.stored, r.duplicates, sum(r.rejected.values())) for r in rows]
    await connection.execute(statement, *map(list, zip(*lines, strict=True)))


async def _save_reasons(connection: Connection, rows: Sequence[LedgerRow]) -> None:
    counts: dict[tuple[str, str, int, int, str], int] = {}
    for r in rows:
        for reason, n in r.rejected.items():
            key = (r.connector, r.kind, r.partition, r.minute, reason)
            counts[key] = counts.get(key, 0) + n
    if not counts:
        return
    statement = (
        "INSERT INTO ledger_reasons AS l (connector, kind, partition, minute, reason, n)"
        " SELECT * FROM unnest($1::text[], $2::text[], $3::int[], $4::timestamptz[], $5::text[], $6::bigint[])"
        " ON CONFLICT (connector, kind, partition, minute, reason) DO UPDATE SET n = l.n + excluded.n"
    )
    lines = [(*key, counts[key]) for key in sorted(counts)]
    await connection.execute(statement, *map(list, zip(*lines, strict=True)))


async def _save_totals(connection: Connection, totals: dict[tuple[str, str, str, str, int], int]) -> None:
    statement = (
        "INSERT INTO frame_totals AS t (connector, run, topic, kind, bucket, framed)"
        " SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::int[], $6::bigint[])"
        " ON CONFLICT (connector, run, topic, kind, bucket) DO UPDATE SET framed = excluded.framed"
        " WHERE excluded.framed > t.framed"
    )
    lines = [(*key, totals[key]) for key in sorted(totals)]
    await connection.execute(statement, *map(list, zip(*lines, strict=True)))
