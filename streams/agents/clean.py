"""clean: raw frames to clean frames one to one, refused rows to ``rejects``."""

from __future__ import annotations

import struct
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas import metrics, topics
from schemas.config import Stream as StreamConfig
from schemas.derive import fingerprint
from schemas.errors import Reject
from schemas.frame import Header, concat, decode_header, encode, from_readings
from schemas.frame import decode as read
from schemas.kinds import kind as kind_by_name
from schemas.kinds.derived import RejectRow
from schemas.reading import Lane
from storage.checkpoints import Checkpoint
from storage.zones import Zone
from streams.steps.dedupe import Dedupe
from streams.steps.enrich import Lateness, clean_batch
from streams.steps.sources import times
from streams.steps.validate import Refusal, check
from streams.task import Marks, Outcome, Output, Record


@dataclass(frozen=True, slots=True)
class Raw:
    """A raw frame of a batch and its place among the batch's records."""

    number: int
    header: Header
    batch: pa.RecordBatch


class CleanTask:
    """Checks, deduplicates and enriches the frames of one raw partition."""

    def __init__(self, topic: str, partition: int, zones: Sequence[Zone], settings: StreamConfig) -> None:
        self._out = topics.clean(topic.removeprefix("raw-"))
        self._partition = partition
        self._zones = zones
        self._settings = settings
        self._marks = Marks()
        self._dedupe: dict[str, Dedupe] = {}
        self._lateness: dict[str, Lateness] = {}

    def restore(self, checkpoint: Checkpoint) -> None:
        """Take up frame numbers, seen keys and watermarks."""
        self._marks.restore(checkpoint.marks)
        blocks: dict[str, dict[int, bytes]] = {}
        for key, value in checkpoint.state.items():
            what, kind, *rest = key.split("/")
            if what == "dedupe":
                blocks.setdefault(kind, {})[int(rest[0])] = value
            elif what == "newest":
                self._lateness[kind] = Lateness(self._allowed(kind), struct.unpack("<q", value)[0])
        for kind, found in blocks.items():
            self._dedupe[kind] = Dedupe()
            self._dedupe[kind].restore(found)

    def remember(self, records: Sequence[Record]) -> None:
        """Nothing is open between batches."""

    def tick(self, now: int) -> None:
        """Time passing changes nothing here."""
        del now

    def process(self, records: Sequence[Record]) -> Outcome:
        """Give one clean frame for each raw frame not seen before, in their order, and the refused rows."""
        outcome = Outcome()
        outputs: dict[int, list[Output]] = {}
        groups: dict[tuple[str, Lane], list[Raw]] = defaultdict(list)
        for number, record in enumerate(records):
            try:
                header = decode_header(record.headers)
                if not self._marks.is_new(header.stream, header.seq):
                    metrics.STREAM_SKIPPED.labels("clean").inc()
                    continue
                groups[(header.kind, header.lane)].append(Raw(number, header, read(record.value, header)))
            except Reject as reject:
                outputs[number] = [self._unreadable(record, reject)]
        for (kind, lane), raws in groups.items():
            outputs |= self._group(kind, lane, raws)
        for number in sorted(outputs):
            outcome.outputs += outputs[number]
        outcome.marks = self._marks.changes()
        for kind in {k for k, _ in groups}:
            outcome.state |= {f"dedupe/{kind}/{n}": v for n, v in self._dedupe[kind].changes().items()}
            outcome.state[f"newest/{kind}"] = struct.pack("<q", self._lateness[kind].newest)
        return outcome

    def _group(self, kind: str, lane: Lane, raws: Sequence[Raw]) -> dict[int, list[Output]]:
        """Clean all frames of one kind and lane as one batch, then cut it into their frames again."""
        dedupe = self._dedupe.setdefault(kind, Dedupe())
        lateness = self._lateness.setdefault(kind, Lateness(self._allowed(kind)))
        batch = concat([r.batch for r in raws])
        frame_of = np.repeat(np.arange(len(raws)), [r.batch.num_rows for r in raws])
        keep, refusals = check(batch, kind, lane)
        passed, passed_frame = _only(batch, frame_of, keep)
        fresh, fresh_frame = _only(passed, passed_frame, dedupe.unseen(passed))
        late = lateness.late(fresh, fresh_frame, len(raws)) if lane == "live" else np.ones(fresh.num_rows, np.bool_)
        clean = clean_batch(fresh, kind, self._zones, late)
        refused: dict[int, list[Refusal]] = defaultdict(list)
        for refusal in refusals:
            refused[int(frame_of[refusal.row])].append(refusal)
        rows = np.bincount(fresh_frame, minlength=len(raws))
        duplicates = np.bincount(passed_frame, minlength=len(raws)) - rows
        starts = np.cumsum(rows) - rows
        _count(kind, clean.num_rows, int(duplicates.sum()), refusals)
        found: dict[int, list[Output]] = {}
        for place, raw in enumerate(raws):
            part = clean.slice(int(starts[place]), int(rows[place]))
            found[raw.number] = [self._frame(raw.header, part, int(duplicates[place]), refused[place])]
            if refused[place]:
                found[raw.number].append(self._refused(raw.header, batch, refused[place]))
        return found

    def _frame(self, header: Header, clean: pa.RecordBatch, duplicates: int, refusals: Sequence[Refusal]) -> Output:
        ts = times(clean, "ts")
        made = msgspec.structs.replace(
            header,
            stage="clean",
            fingerprint=fingerprint(header.kind, "clean"),
            rows=clean.num_rows,
            ts_min=int(ts.min()) if len(ts) else 0,
            ts_max=int(ts.max()) if len(ts) else 0,
            duplicates=duplicates,
            rejected=dict(Counter(r.reason for r in refusals)),
        )
        value, headers = encode(clean, made)
        return Output(self._out, self._partition, value, headers)

    def _refused(self, header: Header, batch: pa.RecordBatch, refusals: Sequence[Refusal]) -> Output:
        rows = []
        for refusal in refusals:
            row = batch.slice(refusal.row, 1).to_pylist()[0]
            rows.append(
                RejectRow(
                    source=row["source"],
                    ts=header.seen_at,
                    seen_at=header.seen_at,
                    serial=refusal.row,
                    connector=header.connector,
                    stage="clean",
                    reason=refusal.reason,
                    detail=refusal.detail[:1024],
                    raw=msgspec.json.encode(row),
                    refused_kind=header.kind,
                )
            )
        return self._reject_frame(header, rows)

    def _unreadable(self, record: Record, reject: Reject) -> Output:
        """A record that is no frame of this release: kept whole enough to see what it was."""
        where = f"{record.topic}/{record.partition}/{record.offset}"
        seen_at = record.produced_at
        header = Header(
            kind="reject", stage="raw", fingerprint="", rows=1, ts_min=0, ts_max=0, seen_at=seen_at,
            connector="unknown", run=where, bucket=self._partition, seq=1, total=1,
        )  # fmt: skip
        row = RejectRow(
            source=where, ts=seen_at, seen_at=seen_at, serial=record.offset, connector="unknown", stage="clean",
            reason=reject.reason, detail=f"{where}: {reject.detail}"[:1024], raw=record.value[:4096],
        )  # fmt: skip
        return self._reject_frame(header, [row])

    def _reject_frame(self, header: Header, rows: list[RejectRow]) -> Output:
        batch = from_readings(rows, "reject")
        made = msgspec.structs.replace(
            header,
            kind="reject",
            stage="raw",
            fingerprint=fingerprint("reject", "raw"),
            rows=len(rows),
            run=f"{header.run}.clean",
            total=0,
            duplicates=0,
            rejected={},
        )
        value, headers = encode(batch, made)
        return Output(topics.REJECTS, self._partition, value, headers)

    def _allowed(self, kind: str) -> float:
        return self._settings.lateness_s.get(kind, kind_by_name(kind).lateness_s)


def _only(
    batch: pa.RecordBatch, frame_of: NDArray[np.int64], mask: NDArray[np.bool_]
) -> tuple[pa.RecordBatch, NDArray[np.int64]]:
    """Give the masked rows and the numbers of their frames."""
    if mask.all():
        return batch, frame_of
    return batch.filter(pa.array(mask)), frame_of[mask]


def _count(kind: str, rows: int, duplicates: int, refusals: Sequence[Refusal]) -> None:
    metrics.STREAM_ROWS.labels("clean", kind).inc(rows)
    metrics.STREAM_DUPLICATES.labels(kind).inc(duplicates)
    for reason, number in Counter(r.reason for r in refusals).items():
        metrics.STREAM_REJECTS.labels(kind, reason).inc(number)
