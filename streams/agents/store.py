"""store: clean frames, windows, rejects and connector states to the database, exactly once in effect."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import structlog
from numpy.typing import NDArray

from schemas import frame, metrics, topics
from schemas.errors import Reject
from schemas.events import ConnectorState
from schemas.frame import Header
from schemas.reading import Lane
from storage import gaps, states
from storage.checkpoints import Checkpoint
from storage.ledger import LedgerRow, ledger_row
from storage.sources import Heard
from storage.tables import OWN
from storage.writer import Batch, Written, store
from streams.aside import POISON, reject_row
from streams.aside import header_of as frame_header
from streams.steps.dimensions import END_OF_TIME, corrections
from streams.steps.reference import Registry, unregistered
from streams.task import Marks, Outcome, Record

log = structlog.get_logger()
LANES: tuple[Lane, ...] = ("live", "late", "backfill")
_STATE = msgspec.json.Decoder(ConnectorState)


class StoreTask:
    """Gathers the frames of one partition into one write per batch."""

    def __init__(self, topic: str, partition: int, registry: Callable[[], Registry] = unregistered) -> None:
        self._topic = topic
        self._partition = partition
        self._registry = registry
        self._marks = Marks()
        self._heard = Heard()

    def restore(self, checkpoint: Checkpoint) -> None:
        """Take up frame numbers."""
        self._marks.restore(checkpoint.marks)

    def remember(self, records: Sequence[Record]) -> None:
        """Note again the sources of frames that are stored, but were not in the register before the restart."""
        found: dict[str, list[pa.RecordBatch]] = defaultdict(list)
        for record in records:
            try:
                header = frame.decode_header(record.headers)
                batch = frame.decode(record.value, header)
            except Reject:  # it was set aside when it was new
                continue
            if header.kind not in OWN:
                self._heard.begin(record.offset, batch.num_rows)
                found[header.kind].append(batch)
        for kind, batches in found.items():
            self._heard.note(kind, frame.concat(batches))

    def tick(self, now: int) -> Outcome | None:
        """Give the sources heard of lately to the register, now that there is time for it."""
        del now
        return Outcome(write=self._heard.save, committed=self._heard.saved) if len(self._heard) else None

    def set_aside(self, record: Record) -> Outcome:
        """Give one write: the record whole as a reject, its rows counted as rejected."""
        header = frame_header(record)
        batch = reject_row(record, "store", "poison", POISON, record.value)
        rows: list[LedgerRow] = []
        if header is not None:
            self._marks.is_new(header.stream, header.seq)
            counted = msgspec.structs.replace(header, rows=0, rejected={**header.rejected, "poison": header.rows})
            rows = [ledger_row(counted, self._topic, self._partition)] if header.kind not in OWN else []

        async def write(connection: Any) -> None:
            await store(connection, topics.REJECTS, self._partition, [("reject", "live", batch)], rows)

        return Outcome(marks=self._marks.changes(), write=write, replay_from=self._heard.since)

    def process(self, records: Sequence[Record]) -> Outcome:
        """Give one write for all records, in their order."""
        if self._topic == topics.CONNECTOR_STATES:
            return self._states(records)
        frames = self._new_frames(records)
        batches: list[Batch] = []
        rows: list[LedgerRow] = []
        closed_to = _watermarks(frames)

        def correct(kind: str, late: pa.RecordBatch, numbers: NDArray[np.int64]) -> pa.RecordBatch:
            return corrections(kind, late, closed_to[kind][numbers], self._partition, self._registry)

        for (kind, lane), found in frames.items():
            batches.append((kind, lane, _joined(kind, found)))
            if kind not in OWN:
                rows += [ledger_row(header, self._topic, self._partition) for header, _ in found]

        written: dict[str, Written] = {}
        holes = [] if self._topic == topics.REJECTS else self._marks.holes()
        registering = self._heard.begin(records[0].offset, sum(row.stored for row in rows))
        replay_from = None if registering else self._heard.since

        async def write(connection: Any) -> None:
            written.update(await store(connection, self._topic, self._partition, batches, rows, correct, self._heard))
            await gaps.save(connection, self._topic, holes)
            if registering:
                await self._heard.save(connection)

        def committed() -> None:
            for kind, result in written.items():
                metrics.STORE_ROWS.labels(kind).inc(result.rows)
            if registering:
                self._heard.saved()

        marks = self._marks.changes()
        return Outcome(marks=marks, replay_from=replay_from, write=write if batches else None, committed=committed)

    def _new_frames(self, records: Sequence[Record]) -> dict[tuple[str, Lane], list[tuple[Header, bytes]]]:
        """Give the frames not seen before, by kind and lane."""
        frames: dict[tuple[str, Lane], list[tuple[Header, bytes]]] = defaultdict(list)
        gaps_before = self._marks.gaps
        for record in records:
            try:
                header = frame.decode_header(record.headers)
            except Reject as reject:
                log.warning("record is no frame", topic=record.topic, offset=record.offset, detail=reject.detail)
                continue
            if header.seq and not self._marks.is_new(header.stream, header.seq):
                metrics.STREAM_SKIPPED.labels("store").inc()
                continue
            frames[(header.kind, header.lane)].append((header, record.value))
        if self._topic != topics.REJECTS:
            metrics.STREAM_GAPS.labels("store").inc(self._marks.gaps - gaps_before)
        return frames

    def _states(self, records: Sequence[Record]) -> Outcome:
        found: list[ConnectorState] = []
        for record in records:
            try:
                found.append(_STATE.decode(record.value))
            except msgspec.MsgspecError:
                log.exception("unreadable connector state", offset=record.offset)

        async def write(connection: Any) -> None:
            await states.save(connection, found)

        return Outcome(write=write if found else None)


def _watermarks(frames: Mapping[tuple[str, Lane], Sequence[tuple[Header, bytes]]]) -> dict[str, NDArray[np.int64]]:
    """Give, by kind, the watermark of each row's frame, in the order of lanes; to the backfill lane all is closed."""
    found: dict[str, list[NDArray[np.int64]]] = defaultdict(list)
    for lane in LANES:
        for (kind, of), headers in frames.items():
            if of == lane:
                closed = [END_OF_TIME if lane == "backfill" else h.watermark for h, _ in headers]
                found[kind].append(np.repeat(np.array(closed, np.int64), [h.rows for h, _ in headers]))
    return {kind: np.concatenate(parts) for kind, parts in found.items()}


def _joined(kind: str, found: Sequence[tuple[Header, bytes]]) -> pa.RecordBatch:
    """Give the rows of frames of one kind as one batch."""
    stage = found[0][0].stage
    table = frame.stack([frame.decode_lean(value, header) for header, value in found], kind, stage).combine_chunks()
    batches = table.to_batches()
    return frame.align(batches[0], kind, stage) if batches else frame.empty(kind, stage)
