"""watch: clean frames to closed windows and findings."""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import structlog
from numpy.typing import NDArray

from schemas import metrics, quality, topics
from schemas.config import Stream as StreamConfig
from schemas.derive import fingerprint
from schemas.errors import Reject
from schemas.events import Finding, encode
from schemas.frame import Header, decode_header, stack
from schemas.frame import decode_lean as read
from schemas.frame import encode as encode_frame
from schemas.kinds import kind as kind_by_name
from schemas.rules import Rule
from storage.checkpoints import Checkpoint
from storage.findings import Due, note_due
from streams.aside import POISON, header_of, rejected
from streams.steps.dimensions import SOURCE_US, KindWindows
from streams.steps.evaluate import Evaluator
from streams.steps.reference import Registry, unregistered
from streams.steps.sources import Codes, Columns, Mask, SourceTable
from streams.task import Marks, Outcome, Output, Record

log = structlog.get_logger()

FRAME_ROWS = 5000
"""Rows of a frame of windows, well below Kafka's message limit."""


@dataclass(frozen=True, slots=True)
class Batch:
    """The frames of one kind not seen before, joined, and of each frame its offset and watermark."""

    rows: Columns
    frame_of: NDArray[np.int64]
    offsets: NDArray[np.int64]
    watermarks: NDArray[np.int64]
    live: Mask
    """Rows that may page."""
    rebuilding: Mask
    """Rows of the backfill lane: their windows are recomputed from stored rows."""


class KindState:
    """Windows and rules of one kind in one partition."""

    def __init__(
        self, kind: str, rules: Mapping[str, Rule], lateness_s: float, partition: int, registry: Callable[[], Registry]
    ) -> None:
        self.sources = SourceTable()
        self.windows = KindWindows(kind, self.sources, partition, registry)
        self.lateness = int(lateness_s * 1e6)
        self.evaluator = Evaluator(kind, rules.values(), self.sources)
        self.seen_at = 0
        self.first_offset: dict[int, int] = {}

    def take(self, batch: Batch, codes: Codes) -> None:
        """Add rows to the windows still open when their frame came, noting where in the log each window begins.

        Late rows count as long as their window is open; values that stand for a period themselves never do.
        """
        rows, ts = batch.rows, batch.rows.times("ts")
        use = ~batch.rebuilding
        if rows.has("period"):
            use &= rows.integers("period") == 0
        counted = self.windows.add(rows, codes, use, batch.watermarks[batch.frame_of])
        if not counted.any():
            return
        starts, of = ts[counted] // SOURCE_US, batch.offsets[batch.frame_of[counted]]
        for number in np.unique(starts).tolist():
            start, first = number * SOURCE_US, int(of[starts == number].min())
            self.first_offset[start] = min(first, self.first_offset.get(start, first))
        self.seen_at = max(self.seen_at, int(rows.times("seen_at").max()))

    def judge(self, batch: Batch, codes: Codes) -> list[Finding]:
        """Give what the rules find in the live rows; the others are judged from stored rows, with those around them."""
        live = batch.live
        if live.all():
            return self.evaluator.evaluate(batch.rows, codes, batch.frame_of)
        self.evaluator.miss(batch.rows.select(~live), codes[~live])
        return self.evaluator.evaluate(batch.rows.select(live), codes[live], batch.frame_of[live])

    def close(self, watermark: int) -> pa.RecordBatch:
        """Give the windows that end by the watermark."""
        closed = self.windows.close(watermark)
        oldest = self.windows.oldest
        self.first_offset = {s: o for s, o in self.first_offset.items() if oldest is not None and s >= oldest}
        return closed


class WatchTask:
    """Windows and rules over the frames of one clean partition."""

    def __init__(
        self,
        topic: str,
        partition: int,
        rules: Mapping[str, Rule],
        settings: StreamConfig,
        registry: Callable[[], Registry] = unregistered,
    ) -> None:
        self._topic = topic
        self._partition = partition
        self._rules = rules
        self._settings = settings
        self._registry = registry
        self._marks = Marks()
        self._again = Marks()
        self._kinds: dict[str, KindState] = {}

    def restore(self, checkpoint: Checkpoint) -> None:
        """Take up frame numbers, conditions and how far windows were closed."""
        self._marks.restore(checkpoint.marks)
        for key, value in checkpoint.state.items():
            what, kind, *rest = key.split("/", 3)
            state = self._kind(kind)
            if what == "closed":
                (state.windows.closed_to,) = struct.unpack("<q", value)
            elif what == "rule" and rest[0] == "live":
                state.evaluator.restore(rest[1], value)

    def remember(self, records: Sequence[Record]) -> None:
        """Fill the open windows anew from frames processed before the restart."""
        for kind, batch in self._by_kind(records, self._again).items():
            state = self._kind(kind)
            codes = batch.rows.codes("source", state.sources)
            state.take(batch, codes)
            state.evaluator.remember(batch.rows.select(batch.live), codes[batch.live], batch.frame_of[batch.live])

    def set_aside(self, record: Record) -> Outcome:
        """Give the frame as a reject; its rows are stored, but no window or rule has seen them."""
        header = header_of(record)
        if header is not None:
            self._marks.is_new(header.stream, header.seq)
        outcome = Outcome(outputs=[rejected(record, "watch", "poison", POISON, record.value)], marks=self._marks.changes())
        self._finish(outcome, [], set())
        return outcome

    def process(self, records: Sequence[Record]) -> Outcome:
        """Give the windows that closed and the findings of these frames."""
        outcome = Outcome()
        findings: list[Finding] = []
        due: list[Due] = []
        found = self._by_kind(records, self._marks)
        for kind, batch in found.items():
            state = self._kind(kind)
            codes = batch.rows.codes("source", state.sources)
            state.take(batch, codes)
            findings += state.judge(batch, codes)
            due += [Due(kind, source, *stretch) for source, stretch in state.evaluator.missed().items()]
            self._emit(kind, state.close(int(batch.watermarks.max())), outcome)
            metrics.STREAM_ROWS.labels("watch", kind).inc(len(batch.rows))
        outcome.marks = self._marks.changes()
        self._finish(outcome, findings, set(found))
        if due:
            end = records[-1].offset + 1

            async def write(connection: Any) -> None:
                await note_due(connection, due, self._topic, self._partition, end)

            outcome.write = write
        return outcome

    def _by_kind(self, records: Sequence[Record], marks: Marks) -> dict[str, Batch]:
        """Join the frames not seen before, by kind."""
        groups: dict[str, list[tuple[Header, int, pa.RecordBatch]]] = defaultdict(list)
        for record in records:
            try:
                header = decode_header(record.headers)
                if marks.is_new(header.stream, header.seq):
                    groups[header.kind].append((header, record.offset, read(record.value, header)))
                else:
                    metrics.STREAM_SKIPPED.labels("watch").inc()
            except Reject as reject:
                log.warning("record is no frame", topic=record.topic, offset=record.offset, detail=reject.detail)
        return {kind: _batch(found) for kind, found in groups.items()}

    def tick(self, now: int) -> Outcome | None:
        """Show the windows that the clock says are over while nothing comes that could close them.

        They stay open: when readings spooled during an outage arrive, the fuller rows replace these.
        """
        outcome = Outcome()
        for kind, state in self._kinds.items():
            self._emit(kind, state.windows.show(now - state.lateness), outcome)
        if not outcome.outputs:
            return None
        self._finish(outcome, [], set())
        return outcome

    def _emit(self, kind: str, closed: pa.RecordBatch, outcome: Outcome) -> None:
        for start in range(0, closed.num_rows, FRAME_ROWS):
            outcome.outputs.append(self._window_frame(kind, closed.slice(start, FRAME_ROWS)))

    def _window_frame(self, kind: str, closed: pa.RecordBatch) -> Output:
        ts = pc.min_max(closed.column("ts").cast(pa.int64())).as_py()
        header = Header(
            kind="window",
            stage="raw",
            fingerprint=fingerprint("window", "raw"),
            rows=closed.num_rows,
            ts_min=ts["min"],
            ts_max=ts["max"],
            seen_at=self._kinds[kind].seen_at,
            connector="watch",
            run=self._topic,
            bucket=self._partition,
            seq=0,
            total=0,
        )
        value, headers = encode_frame(closed, header)
        return Output(topics.WINDOWS, self._partition, value, headers)

    def _finish(self, outcome: Outcome, findings: Sequence[Finding], touched: set[str]) -> None:
        for finding in findings:
            metrics.FINDINGS.labels(finding.rule, finding.state).inc()
            key = f"{finding.rule}|{finding.source}".encode()
            outcome.outputs.append(Output(topics.FINDINGS, self._partition, encode(finding), key=key))
        for kind in touched:
            state = self._kinds[kind]
            outcome.state[f"closed/{kind}"] = struct.pack("<q", state.windows.closed_to)
            outcome.state |= {f"rule/{kind}/live/{k}": v for k, v in state.evaluator.changes().items()}
        outcome.replay_from = min((o for s in self._kinds.values() for o in s.first_offset.values()), default=None)

    def _kind(self, kind: str) -> KindState:
        state = self._kinds.get(kind)
        if state is None:
            allowed = self._settings.lateness_s.get(kind, kind_by_name(kind).lateness_s)
            state = self._kinds[kind] = KindState(kind, self._rules, allowed, self._partition, self._registry)
        return state


def _batch(found: Sequence[tuple[Header, int, pa.RecordBatch]]) -> Batch:
    """Join frames of one kind."""
    rows = Columns(stack([b for _, _, b in found], found[0][0].kind, "clean"))
    frame_of = np.repeat(np.arange(len(found)), [b.num_rows for _, _, b in found])
    live = np.array([header.lane == "live" for header, _, _ in found])[frame_of]
    live &= (rows.integers("quality") & quality.LATE) == 0
    return Batch(
        rows,
        frame_of,
        offsets=np.array([offset for _, offset, _ in found], np.int64),
        watermarks=np.array([header.watermark for header, _, _ in found], np.int64),
        live=live,
        rebuilding=np.array([header.lane == "backfill" for header, _, _ in found])[frame_of],
    )
