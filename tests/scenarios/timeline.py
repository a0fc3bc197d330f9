"""Time-line tests in an operator's words: readings at times in, findings out, through the real clean and watch tasks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from schemas import frame
from schemas.config import Stream
from schemas.events import Alert, AlertEvent, Finding
from schemas.frame import Header
from schemas.kinds import kind as kind_by_name
from schemas.reading import Lane
from schemas.rules import load
from storage import zones
from storage.checkpoints import Checkpoint
from streams.agents.clean import CleanTask
from streams.agents.watch import WatchTask
from streams.steps.lifecycle import apply_finding
from streams.steps.reference import Reference
from streams.task import Outcome, Record
from tests.scenarios import record as of_record

S = 1_000_000
REFERENCE = Reference.plain(zones.load())
RULES = load(sorted(Path(__file__).parents[2].joinpath("streams", "rules").glob("*.toml")))


def local(text: str) -> int:
    """Give a local time of Jincheng, "2026-11-23 08:00:00", in microseconds UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Asia/Shanghai")).timestamp()) * S


@dataclass
class City:
    """One partition of one domain: pushes readings in, keeps what comes out."""

    domain: str
    start: int
    findings: list[Finding] = field(default_factory=list)
    windows: list[dict[str, Any]] = field(default_factory=list)
    rejects: list[dict[str, Any]] = field(default_factory=list)
    cleaned: list[tuple[Header, Any]] = field(default_factory=list)
    record: of_record.Record = field(default_factory=of_record.Record)
    reference: Reference = REFERENCE
    """What zones, sources and so on are; may be replaced at any time, as in a worker."""

    def __post_init__(self) -> None:
        self.clean = CleanTask(f"raw-{self.domain}", 0, lambda: self.reference, Stream())
        self.watch = WatchTask(f"clean-{self.domain}", 0, RULES, Stream(), lambda: self.reference.registry)
        self._seq = 0
        self._offset = 0
        self.log: list[Record] = []

    def push(self, kind: str, rows: Iterable[dict[str, Any]], *, lane: Lane = "live", delay_s: float = 1.0) -> None:
        """Send one frame; each row has ``t`` (seconds after the start) and the kind's fields."""
        self.feed(self.raw(kind, rows, lane=lane, delay_s=delay_s))

    def raw(self, kind: str, rows: Iterable[dict[str, Any]], *, lane: Lane = "live", delay_s: float = 1.0) -> Record:
        """Give the next raw frame, as a connector would make it."""
        made = []
        for row in rows:
            fields = dict(row)
            at = self.start + int(fields.pop("t") * S)
            seen = self.start + int(fields.pop("seen") * S) if "seen" in fields else at + int(delay_s * S)
            made.append(kind_by_name(kind)(ts=at, seen_at=seen, **fields))
        self._seq += 1
        batch = frame.from_readings(made, kind)
        header = frame.make_header(
            batch,
            kind,
            seen_at=max(r.seen_at for r in made),
            connector="test",
            run="r1",
            bucket=0,
            seq=self._seq,
            total=0,
            lane=lane,
        )
        value, headers = frame.encode(batch, header)
        return Record(f"raw-{self.domain}", 0, self._seq - 1, value, headers)

    def feed(self, record: Record) -> None:
        """Hand one raw record through clean and watch."""
        outcome = self.clean.process([record])
        for output in outcome.outputs:
            header = frame.decode_header(output.headers)
            batch = frame.decode(output.value, header)
            if output.topic == "rejects":
                self.rejects += batch.to_pylist()
                continue
            self.cleaned.append((header, batch))
            self.record.store(header, batch)
            self.log.append(Record(output.topic, 0, self._offset, output.value, output.headers))
            self._offset += 1
            self.take(self.watch.process(self.log[-1:]))

    def take(self, outcome: Outcome) -> None:
        """Keep what watch made."""
        for output in outcome.outputs:
            if output.topic == "findings":
                self.findings.append(msgspec.json.decode(output.value, type=Finding))
                self.record.enter(self.findings[-1])
            else:
                self.windows += frame.decode(output.value, frame.decode_header(output.headers)).to_pylist()

        if outcome.write is not None:
            self.record.note(outcome.write(self.record))
        self.record.judge(RULES)

    def said(self, rule: str, source: str | None = None) -> list[tuple[str, float]]:
        """Give (state, seconds after the start) of each finding of a rule."""
        found = [f for f in self.findings if f.rule == rule and source in (None, f.source)]
        return [(f.state, (f.at - self.start) / S) for f in found if f.state != "update"]

    def alerts(self) -> tuple[dict[str, Alert], list[AlertEvent]]:
        """Give the alerts these findings lead to, and their events."""
        newest: dict[tuple[str, str], Alert] = {}
        alerts: dict[str, Alert] = {}
        events: list[AlertEvent] = []
        for finding in self.findings:
            subject = (finding.rule, finding.source)
            alert, event = apply_finding(newest.get(subject), finding)
            if alert is not None:
                newest[subject] = alerts[alert.id] = alert
            if event is not None:
                events.append(event)
        return alerts, events


def drive(source: str, seconds: Sequence[float], kmh: float | Sequence[float], **fields: Any) -> list[dict[str, Any]]:
    """Give position rows of a vehicle at those seconds and speeds, creeping east so that no fix jumps."""
    speeds = [kmh] * len(seconds) if isinstance(kmh, int | float) else list(kmh)
    return [
        {"source": source, "t": t, "speed": v / 3.6, "lon": 112.85 + t * 1e-5, "lat": 35.5, "status": 3, **fields}
        for t, v in zip(seconds, speeds, strict=True)
    ]


def empty_checkpoint() -> Checkpoint:
    """Give a checkpoint of a partition nobody has read."""
    return Checkpoint(next_offset=None, replay_from=None, marks={}, state={})
