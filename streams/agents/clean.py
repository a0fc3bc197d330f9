"""clean: raw frames to clean frames one to one, refused rows to ``rejects``."""

from __future__ import annotations

import struct
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas import metrics, topics
from schemas.config import Stream as StreamConfig
from schemas.derive import fingerprint
from schemas.errors import Reject
from schemas.frame import Header, decode_header, empty, encode, from_readings, stack
from schemas.frame import decode_lean as read
from schemas.kinds import kind as kind_by_name
from schemas.kinds.derived import RejectRow
from schemas.reading import Lane
from storage.checkpoints import Checkpoint
from streams.aside import POISON, header_of, rejected, without_rows
from streams.mapped import in_file
from streams.steps.dedupe import Dedupe
from streams.steps.enrich import Lateness, judged, with_judgement
from streams.steps.matching import Matcher, settled, with_columns
from streams.steps.reference import Reference
from streams.steps.sources import Columns
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

    def __init__(
        self, topic: str, partition: int, reference: Callable[[], Reference], settings: StreamConfig, folder: Path | None = None
    ) -> None:
        self._out = topics.clean(topic.removeprefix("raw-"))
        self._partition = partition
        self._reference = reference
        self._settings = settings
        self._folder = folder
        self._marks = Marks()
        self._dedupe: dict[str, Dedupe] = {}
        self._lateness: dict[str, Lateness] = {}
        self._matchers: dict[str, Matcher] = {}

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
            elif what == "match":
                self._matcher_of(kind).restore("/".join(rest), value)
        for kind, found in blocks.items():
            self._dedupe_of(kind).restore(found)

    def remember(self, records: Sequence[Record]) -> None:
        """Nothing is open between batches."""

    def tick(self, now: int) -> None:
        """Time passing changes nothing here."""
        del now

    def set_aside(self, record: Record) -> Outcome:
        """Give an empty clean frame that counts the rows, and the raw frame whole as a reject."""
        header = header_of(record)
        outcome = Outcome(outputs=[rejected(record, "clean", "poison", POISON, record.value)])
        if header is not None and self._marks.is_new(header.stream, header.seq):
            outcome.outputs.insert(0, without_rows(header, empty(header.kind, "clean"), self._out, self._partition))
            outcome.marks = self._marks.changes()
        return outcome

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
                outputs[number] = [rejected(record, "clean", reject.reason, reject.detail, record.value[:4096])]
        for (kind, lane), raws in groups.items():
            outputs |= self._group(kind, lane, raws)
        for number in sorted(outputs):
            outcome.outputs += outputs[number]
        outcome.marks = self._marks.changes()
        for kind in {k for k, _ in groups}:
            outcome.state |= {f"dedupe/{kind}/{n}": v for n, v in self._dedupe[kind].changes().items()}
            outcome.state |= {f"match/{kind}/{k}": v for k, v in self._matcher_of(kind).changes().items()}
            outcome.state[f"newest/{kind}"] = struct.pack("<q", self._lateness_of(kind).newest)
        return outcome

    def _group(self, kind: str, lane: Lane, raws: Sequence[Raw]) -> dict[int, list[Output]]:
        """Clean all frames of one kind and lane as one batch, then cut it into their frames again."""
        rows = Columns(stack([r.batch for r in raws], kind, "raw"))
        sizes = np.array([r.batch.num_rows for r in raws])
        frame_of = np.repeat(np.arange(len(raws)), sizes)
        keep, refusals = check(rows, kind, lane)
        fresh = self._dedupe_of(kind).unseen(rows, keep)
        lateness = self._lateness_of(kind)
        late, watermarks = np.ones(len(rows), np.bool_), np.full(len(raws), lateness.watermark)
        if lane == "live":
            late, watermarks = lateness.late(rows, frame_of, len(raws), fresh)
        parts = _cut(self._enriched(kind, rows, late, fresh), kind, sizes, fresh)
        refused: dict[int, list[Refusal]] = defaultdict(list)
        for refusal in refusals:
            refused[int(frame_of[refusal.row])].append(refusal)
        found: dict[int, list[Output]] = {}
        for place, (raw, part) in enumerate(zip(raws, parts, strict=True)):
            found[raw.number] = [self._frame(raw, part, refused[place], max(0, int(watermarks[place])))]
            if refused[place]:
                found[raw.number].append(self._refused(raw.header, rows.table, refused[place]))
        passed = int(fresh.sum())
        _count(kind, passed, len(rows) - passed - len(refusals), refusals)
        return found

    def _enriched(self, kind: str, rows: Columns, late: NDArray[np.bool_], fresh: NDArray[np.bool_]) -> pa.Table:
        """Give the rows in the clean form of their kind, with what the reference data says of them."""
        reference = self._reference()
        rows = settled(rows, kind, reference.registry)
        bits, zone = judged(rows, reference.zones, late)
        matched = self._matcher_of(kind).columns(rows, reference, bits, fresh, ~late)
        return with_columns(with_judgement(rows.table, bits, zone), kind, matched)

    def _frame(self, raw: Raw, clean: pa.RecordBatch, refusals: Sequence[Refusal], watermark: int) -> Output:
        header, whole = raw.header, clean.num_rows == raw.header.rows
        ts = pc.min_max(clean.column("ts").cast(pa.int64())).as_py() if clean.num_rows and not whole else {"min": 0, "max": 0}
        made = msgspec.structs.replace(
            header,
            stage="clean",
            fingerprint=fingerprint(header.kind, "clean"),
            rows=clean.num_rows,
            ts_min=header.ts_min if whole else ts["min"],
            ts_max=header.ts_max if whole else ts["max"],
            duplicates=header.rows - clean.num_rows - len(refusals),
            rejected=dict(Counter(r.reason for r in refusals)) if refusals else {},
            watermark=watermark,
        )
        value, headers = encode(clean, made)
        return Output(self._out, self._partition, value, headers)

    def _refused(self, header: Header, batch: pa.Table, refusals: Sequence[Refusal]) -> Output:
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

    def _reject_frame(self, header: Header, rows: list[RejectRow]) -> Output:
        batch = from_readings(rows, "reject")
        made = msgspec.structs.replace(
            header,
            kind="reject",
            stage="raw",
            fingerprint=fingerprint("reject", "raw"),
            rows=len(rows),
            run=f"{header.run}.{self._out}.clean",
            total=0,
            duplicates=0,
            rejected={},
        )
        value, headers = encode(batch, made)
        return Output(topics.REJECTS, self._partition, value, headers)

    def _dedupe_of(self, kind: str) -> Dedupe:
        found = self._dedupe.get(kind)
        if found is None:
            keep = None if self._folder is None else partial(in_file, folder=self._folder)
            found = self._dedupe[kind] = Dedupe(kind_by_name(kind).parts, keep=keep)
        return found

    def _matcher_of(self, kind: str) -> Matcher:
        return self._matchers.setdefault(kind, Matcher(kind))

    def _lateness_of(self, kind: str) -> Lateness:
        return self._lateness.setdefault(kind, Lateness(self._allowed(kind)))

    def _allowed(self, kind: str) -> float:
        return self._settings.lateness_s.get(kind, kind_by_name(kind).lateness_s)


def _cut(table: pa.Table, kind: str, sizes: NDArray[np.int64], fresh: NDArray[np.bool_]) -> list[pa.RecordBatch]:
    """Cut rows into their frames again, leaving out those that are not fresh; whole frames are not copied."""
    batches = iter(table.to_batches())
    parts = [next(batches) if size else empty(kind, "clean") for size in sizes]
    if not fresh.all():
        ends = np.cumsum(sizes)
        for place, (end, size) in enumerate(zip(ends, sizes, strict=True)):
            mask = fresh[end - size : end]
            if not mask.all():
                parts[place] = parts[place].filter(pa.array(mask))
    return parts


def _count(kind: str, rows: int, duplicates: int, refusals: Sequence[Refusal]) -> None:
    metrics.STREAM_ROWS.labels("clean", kind).inc(rows)
    metrics.STREAM_DUPLICATES.labels(kind).inc(duplicates)
    for reason, number in Counter(r.reason for r in refusals).items():
        metrics.STREAM_REJECTS.labels(kind, reason).inc(number)
