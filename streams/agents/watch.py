"""watch: clean frames to closed windows and findings."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from schemas import metrics, quality, topics
from schemas.config import Stream as StreamConfig
from schemas.derive import fingerprint
from schemas.errors import Reject
from schemas.events import Finding, encode
from schemas.frame import Header, decode, decode_header
from schemas.frame import encode as encode_frame
from schemas.kinds import kind as kind_by_name
from schemas.reading import Lane
from schemas.rules import Rule
from storage.checkpoints import Checkpoint
from streams.steps.evaluate import Evaluator
from streams.steps.sources import integers, times
from streams.steps.window import Windows
from streams.task import Marks, Outcome, Output, Record

WINDOW_S = 60


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

    def take(self, batch: pa.RecordBatch, offset: int) -> None:
        """Add live rows to their windows, noting where each window begins in the log."""
        ts = times(batch, "ts")
        size = WINDOW_S * 1_000_000
        open_rows = ts - ts % size + size > self.closed_to
        if not open_rows.all():
            batch, ts = batch.filter(pa.array(open_rows)), ts[open_rows]
        if len(ts) == 0:
            return
        self.windows.add(batch)
        for start in np.unique(ts - ts % size):
            self.first_offset.setdefault(int(start), offset)
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
        for record in records:
            try:
                header = decode_header(record.headers)
                if self._again.is_new(header.stream, header.seq):
                    live, _ = _lanes(decode(record.value, header), header.lane)
                    if live.num_rows:
                        state = self._kind(header.kind)
                        state.take(live, record.offset)
                        state.evaluators["live"].remember(live)
            except Reject:
                continue

    def process(self, records: Sequence[Record]) -> Outcome:
        """Give the windows that closed and the findings of these frames."""
        outcome = Outcome()
        findings: list[Finding] = []
        touched: set[str] = set()
        for record in records:
            try:
                header = decode_header(record.headers)
                if not self._marks.is_new(header.stream, header.seq):
                    metrics.STREAM_SKIPPED.labels("watch").inc()
                    continue
                live, late = _lanes(decode(record.value, header), header.lane)
            except Reject:
                continue
            state = self._kind(header.kind)
            touched.add(header.kind)
            if live.num_rows:
                state.take(live, record.offset)
                findings += state.evaluators["live"].evaluate(live)
            if late.num_rows:
                findings += state.evaluators["late"].evaluate(late)
            metrics.STREAM_ROWS.labels("watch", header.kind).inc(header.rows)
        for kind in sorted(touched):
            state = self._kinds[kind]
            self._emit(kind, state.close(state.newest - state.lateness), outcome)
        outcome.marks = self._marks.changes()
        self._finish(outcome, findings, touched)
        return outcome

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
        if closed.num_rows == 0:
            return
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
        outcome.outputs.append(Output(topics.WINDOWS, self._partition, value, headers))

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


def _lanes(batch: pa.RecordBatch, lane: Lane) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """Split a clean batch into its live and its late rows; backfill counts as late."""
    if lane != "live":
        return batch.slice(0, 0), batch
    late = (integers(batch, "quality") & quality.LATE) != 0
    if not late.any():
        return batch, batch.slice(0, 0)
    return batch.filter(pa.array(~late)), batch.filter(pa.array(late))
