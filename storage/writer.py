"""The store's one transaction: rows, ledger and the offset they came from, all or nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas import frame, metrics, quality
from schemas.events import ConnectorState
from schemas.reading import Lane
from storage import checkpoints, ledger, staging, states, windows
from storage.checkpoints import Mark
from storage.connect import Connection, Pool, passing_faults
from storage.ledger import LedgerRow
from storage.sources import Heard
from storage.tables import OWN, columns, table_of

Batch = tuple[str, Lane, pa.RecordBatch]
"""Kind, lane and rows; several frames of one kind and lane may be joined into one."""


Correct = Callable[[str, pa.RecordBatch, NDArray[np.int64]], pa.RecordBatch]
"""Gives corrections of windows by kind, late rows that were new, and their numbers among the kind's rows of the
transaction: live batches first, then late, then backfill."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a transaction changed: rows stored, and late rows that were stored already."""

    rows: int
    duplicates: int


class Writer:
    """Writes batches of one partition to the database, exactly once in effect."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def write(
        self,
        *,
        agent: str,
        topic: str,
        partition: int,
        expected: int | None,
        next_offset: int,
        batches: Sequence[Batch] = (),
        marks: Mapping[Mark, int] | None = None,
        ledger: Sequence[LedgerRow] = (),
        totals: Sequence[ConnectorState] = (),
    ) -> Written:
        """Commit the batches with everything that follows from them and the new offset.

        Ledger rows of a kind and lane describe the rows of its batches in their order: their ``stored`` must add up
        to them, else ``ValueError``. Refused input and windows need none. ``totals`` are states of connectors.
        Raises ``Fenced`` when another owner has committed since ``expected``, ``Retry`` for faults that pass.
        """
        with passing_faults(), metrics.STORE_SECONDS.labels(agent).time():
            async with self._pool.acquire() as connection, connection.transaction():
                await checkpoints.save(
                    connection,
                    agent,
                    topic,
                    partition,
                    expected=expected,
                    next_offset=next_offset,
                    replay_from=next_offset,
                    marks=marks or {},
                    state={},
                )
                stored = await store(connection, topic, partition, batches, ledger)
                await states.save(connection, totals)
        for kind, written in stored.items():
            metrics.STORE_ROWS.labels(kind).inc(written.rows)
        return Written(sum(w.rows for w in stored.values()), sum(w.duplicates for w in stored.values()))


async def store(
    connection: Connection,
    topic: str,
    partition: int,
    batches: Sequence[Batch],
    rows: Sequence[LedgerRow],
    correct: Correct | None = None,
    heard: Heard | None = None,
) -> dict[str, Written]:
    """Write batches and their ledger inside the caller's transaction; give what changed, by kind.

    ``correct`` tells what late rows, now that they are stored, add to windows that had closed. Sources are only noted
    in ``heard``, for the caller to write; without it they are written at once.
    """
    found: dict[str, Written] = {}
    sources = Heard() if heard is None else heard
    entries: list[LedgerRow] = []
    for kind in sorted({b[0] for b in batches} | {r.kind for r in rows}):
        of_kind = [b for b in batches if b[0] == kind]
        if kind == "window":
            found[kind] = Written(await _windows(connection, of_kind), 0)
        elif kind == "reject":
            joined = _joined(kind, of_kind)
            await staging.copy(connection, table_of(kind), joined)
            entries += ledger.refused_rows(joined, topic, partition)
            found[kind] = Written(joined.num_rows, 0)
        else:
            of_rows = [r for r in rows if r.kind == kind]
            found[kind], changed = await _readings(connection, kind, of_kind, of_rows, correct, sources)
            entries += changed
    await ledger.save(connection, entries)
    if heard is None:
        await sources.save(connection)
    return found


async def _windows(connection: Connection, batches: Sequence[Batch]) -> int:
    joined = _joined("window", batches)
    return await windows.save(connection, joined) if joined.num_rows else 0


async def _readings(
    connection: Connection, kind: str, batches: Sequence[Batch], rows: Sequence[LedgerRow], correct: Correct | None, heard: Heard
) -> tuple[Written, list[LedgerRow]]:
    """Append live rows; look late ones up first. Give what changed and the ledger rows as they then are."""
    ordered: list[LedgerRow] = []
    parts: list[pa.RecordBatch] = []
    doubtful: list[NDArray[np.bool_]] = []
    for lane in ("live", "late", "backfill"):
        joined = _joined(kind, [b for b in batches if b[1] == lane])
        of_lane = [r for r in rows if r.lane == lane]
        ordered += of_lane
        ledger.owners(of_lane, joined.num_rows)  # each lane's ledger must be right by itself
        parts.append(joined)
        doubtful.append(_late(joined) if lane == "live" else np.ones(joined.num_rows, np.bool_))
    whole, late = _one(parts), np.concatenate(doubtful)
    owner = ledger.owners(ordered, whole.num_rows)
    noting = asyncio.ensure_future(asyncio.to_thread(heard.note, kind, whole))
    try:
        kept = await _append(connection, kind, whole, late)
    finally:
        await noting
    belated = np.flatnonzero(late & kept)
    if correct is not None and len(belated):
        corrections = correct(kind, whole.take(pa.array(belated)), belated)
        if corrections.num_rows:
            await windows.save(connection, _complete("window", corrections))
    twice = np.bincount(owner[~kept], minlength=len(ordered))
    changed = [row.minus(int(n)) for row, n in zip(ordered, twice, strict=True)]
    return Written(int(kept.sum()), int((~kept).sum())), changed


async def _append(connection: Connection, kind: str, rows: pa.RecordBatch, late: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Append rows, late ones only where they are not there yet; give the mask of those appended."""
    table = table_of(kind)
    if not late.any():
        if rows.num_rows:
            await staging.copy(connection, table, rows)
        return np.ones(rows.num_rows, np.bool_)
    if not late.all():
        await staging.copy(connection, table, rows.filter(pa.array(~late)))
    suspects = rows.filter(pa.array(late))
    new = await staging.unstored(connection, kind, suspects)
    if new.any():
        await staging.copy(connection, table, suspects.filter(pa.array(new)))
    kept = ~late
    kept[np.flatnonzero(late)[new]] = True
    return kept


def _late(batch: pa.RecordBatch) -> NDArray[np.bool_]:
    bits = batch.column("quality").to_numpy(zero_copy_only=False)
    late: NDArray[np.bool_] = (bits & quality.LATE) != 0
    return late


def _joined(kind: str, batches: Sequence[Batch]) -> pa.RecordBatch:
    """Join batches of a kind in the order and with the columns of its table."""
    if not batches:
        return frame.empty(kind, "clean")
    return _one([_complete(kind, b[2]) if kind in OWN else b[2].select(list(columns(kind))) for b in batches])


def _complete(kind: str, batch: pa.RecordBatch) -> pa.RecordBatch:
    """Give a raw batch of CityOps' own making the columns that ``clean`` would have added: nothing wrong, no zone."""
    absent = {"quality": pa.array(np.zeros(batch.num_rows, np.int32)), "zone": pa.nulls(batch.num_rows, pa.int32())}
    arrays = [batch.column(n) if n in batch.schema.names else absent[n] for n in columns(kind)]
    return pa.RecordBatch.from_arrays(arrays, names=list(columns(kind)))


def _one(parts: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    filled = [p for p in parts if p.num_rows] or list(parts[:1])
    if len(filled) == 1:
        return filled[0]
    return pa.Table.from_batches([p.cast(filled[0].schema) for p in filled]).combine_chunks().to_batches()[0]
