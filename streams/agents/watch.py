"""watch: clean frames to closed windows and findings."""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import structlog
from numpy.typing import NDArray

from schemas import metrics, quality, topics
from schemas.config import Stream as StreamConfig
from schemas.derive import fingerprint
from schemas.errors import Reject
from schemas.events import Finding, encode
from schemas.frame import Header, concat, decode_header
from schemas.frame import decode as read
from schemas.frame import encode as encode_frame
from schemas.kinds import kind as kind_by_name
from schemas.reading import Lane
from schemas.rules import Rule
from storage.checkpoints import Checkpoint
from streams.steps.evaluate import Evaluator
from streams.steps.sources import integers, times
from streams.steps.window import Windows
from streams.task import Marks, Outcome, Output, Record

log = structlog.get_logger()

WINDOW_S = 60
FRAME_ROWS = 5000
"""Rows of a frame of windows, well below Kafka's message limit."""


class KindState:
    """Windows and rules of one kind in one partition."""

    def __init__(self, kind: str, rules: Mapping[str, Rule], lateness_s: float) -> None:
        declared = kind_by_name(kind)
        self.windows = Windows(kind, declared.metrics, WINDOW_S)
        self.lateness = int(lateness_s * 1e6)
        self.evaluators: dict[Lane, Evaluator] = {
            "live": Evaluator(kind, rules.values()),
            "late": Evaluator(kind, rules.values(), "late"),
        }
        self.newest = 0
        self.closed_to = 0
        self.seen_at = 0
        self.first_offset: dict[int, int] = {}

    def take(self, batch: pa.RecordBatch, offsets: NDArray[np.int64]) -> None:
        """Add live rows to their windows, noting where in the log each window begins.

        Rows of windows already closed, and values that stand for a period themselves, are left out.
        """
        ts, size = times(batch, "ts"), WINDOW_S * 1_000_000
        use = ts - ts % size + size > self.closed_to
        if "period" in batch.schema.names:
            self.newest = max(self.newest, int((ts + integers(batch, "period") * 1_000_000).max(initial=0)))
            use &= integers(batch, "period") == 0
        if not use.all():
            batch, ts, offsets = batch.filter(pa.array(use)), ts[use], offsets[use]
        if len(ts) == 0:
            return
        self.windows.add(batch)
        starts = ts - ts % size
        for start in np.unique(starts):
            first = int(offsets[starts == start].min())
            self.first_offset[int(start)] = min(first, self.first_offset.get(int(start), first))
        self.newest = max(self.newest, int(ts.max()))
        self.seen_at = max(self.seen_at, int(times(batch, "seen_at").max()))

    def close(self, watermark: int) -> pa.RecordBatch:
        """Give the windows that end by the watermark."""
        self.closed_to = max(self.closed_to, watermark)
        closed = self.windows.close(self.closed_to)
        oldest = self.windows.oldest
        self.first_offset = {s: o for s, o in self.first_offset.items() if oldest is not None and s >= oldest}
        return closed


class WatchTask:
    """Windows and rules over the frames of one clean partition."""

    def __init__(self, topic: str, partition: int, rules: Mapping[str, Rule], settings: StreamConfig) -> None:
        self._topic = topic
        self._partition = partition
        self._rules = rules
        self._settings = settings
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
                state.closed_to, state.newest = struct.unpack("<qq", value)
            elif what == "rule" and rest[0] in ("live", "late"):
                state.evaluators["late" if rest[0] == "late" else "live"].restore(rest[1], value)

    def remember(self, records: Sequence[Record]) -> None:
        """Fill the open windows anew from frames processed before the restart."""
        for kind, (live, offsets, _) in self._by_kind(records, self._again).items():
            if live.num_rows:
                self._kind(kind).take(live, offsets)
                self._kind(kind).evaluators["live"].remember(live)

    def process(self, records: Sequence[Record]) -> Outcome:
        """Give the windows that closed and the findings of these frames."""
        outcome = Outcome()
        findings: list[Finding] = []
        found = self._by_kind(records, self._marks)
        for kind, (live, offsets, late) in found.items():
            state = self._kind(kind)
            if live.num_rows:
                state.take(live, offsets)
                findings += state.evaluators["live"].evaluate(live)
            if late.num_rows:
                findings += state.evaluators["late"].evaluate(late)
            self._emit(kind, state.close(state.newest - state.lateness), outcome)
            metrics.STREAM_ROWS.labels("watch", kind).inc(live.num_rows + late.num_rows)
        outcome.marks = self._marks.changes()
        self._finish(outcome, findings, set(found))
        return outcome

    def _by_kind(
        self, records: Sequence[Record], marks: Marks
    ) -> dict[str, tuple[pa.RecordBatch, NDArray[np.int64], pa.RecordBatch]]:
        """Join the frames not seen before: per kind the live rows with the offset each came from, and the late rows."""
        groups: dict[str, list[tuple[Lane, int, pa.RecordBatch]]] = defaultdict(list)
        for record in records:
            try:
                header = decode_header(record.headers)
                if marks.is_new(header.stream, header.seq):
                    groups[header.kind].append((header.lane, record.offset, read(record.value, header)))
                else:
                    metrics.STREAM_SKIPPED.labels("watch").inc()
            except Reject as reject:
                log.warning("record is no frame", topic=record.topic, offset=record.offset, detail=reject.detail)
        return {kind: _split(found) for kind, found in groups.items()}

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
        ts = times(closed, "ts")
        header = Header(
            kind="window",
            stage="raw",
            fingerprint=fingerprint("window", "raw"),
            rows=closed.num_rows,
            ts_min=int(ts.min()),
            ts_max=int(ts.max()),
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
            outcome.state[f"closed/{kind}"] = struct.pack("<qq", state.closed_to, state.newest)
            for lane, evaluator in state.evaluators.items():
                outcome.state |= {f"rule/{kind}/{lane}/{k}": v for k, v in evaluator.changes().items()}
        outcome.replay_from = min((o for s in self._kinds.values() for o in s.first_offset.values()), default=None)

    def _kind(self, kind: str) -> KindState:
        state = self._kinds.get(kind)
        if state is None:
            allowed = self._settings.lateness_s.get(kind, kind_by_name(kind).lateness_s)
            state = self._kinds[kind] = KindState(kind, self._rules, allowed)
        return state


def _split(found: Sequence[tuple[Lane, int, pa.RecordBatch]]) -> tuple[pa.RecordBatch, NDArray[np.int64], pa.RecordBatch]:
    """Join frames of one kind and split them into live rows, their offsets, and late rows; backfill counts as late."""
    batch = concat([b for _, _, b in found])
    sizes = [b.num_rows for _, _, b in found]
    offsets = np.repeat(np.array([o for _, o, _ in found], np.int64), sizes)
    late = np.repeat([lane != "live" for lane, _, _ in found], sizes)
    late |= (integers(batch, "quality") & quality.LATE) != 0
    if not late.any():
        return batch, offsets, batch.slice(0, 0)
    return batch.filter(pa.array(~late)), offsets[~late], batch.filter(pa.array(late))
