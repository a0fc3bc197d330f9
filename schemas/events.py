"""The single records of the flow, as JSON: findings, alerts, commands of duty staff, states of connectors."""

from __future__ import annotations

import hashlib
from typing import Any, Literal

import msgspec

from schemas.reading import Lane

Severity = Literal["critical", "major", "minor"]
"""Shown as 紧急, 重要, 一般."""
Status = Literal["open", "acknowledged", "resolved"]
Action = Literal["acknowledge", "resolve", "note", "reopen"]
Health = Literal["starting", "live", "degraded", "down", "refused", "idle"]


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A record that travels as one JSON object; all times are microseconds since 1970 UTC."""


class Finding(Event, frozen=True, kw_only=True):
    """A rule or detector spoke about a source: its condition began (``raise``) or ended (``clear``).

    ``started`` is the event time at which the condition began and, with rule and source, its identity:
    a replay makes the same finding again. ``at`` is the event time of this statement.
    """

    rule: str
    rule_version: int
    state: Literal["raise", "update", "clear"]
    category: Literal["city", "data"] = "city"
    """city pages duty staff; data is a ticket about a sensor."""
    severity: Severity
    kind: str
    source: str
    zone: int | None = None
    lon: float | None = None
    lat: float | None = None
    started: int
    at: int
    seen_at: int
    value: float | None = None
    limit: float | None = None
    unit: str = ""
    lane: Lane = "live"
    detected_late: bool = False
    evidence: dict[str, Any] = {}

    @property
    def id(self) -> str:
        """The identity of the condition: the same for its raise, updates and clear."""
        return finding_id(self.rule, self.source, self.started)


class Rejudgement(Event, frozen=True, kw_only=True):
    """All that a rule finds of a source between two times, from its stored readings: it replaces what was found there.

    It speaks of conditions that began after ``since`` and before ``until`` (absent: however late).
    """

    rule: str
    source: str
    since: int
    until: int | None = None
    at: int
    """When it was judged."""
    findings: list[Finding]
    """A ``raise`` for each condition, and a ``clear`` where it ended."""
    known: list[int] = []
    """Starts of those conditions that overlap a finding of record already."""


def finding_id(rule: str, source: str, started: int) -> str:
    """Give 16 hex digits from rule, source and start."""
    return hashlib.sha256(f"{rule}|{source}|{started}".encode()).hexdigest()[:16]


class Alert(Event, frozen=True, kw_only=True):
    """The life of a finding as duty staff see it; ``version`` grows by one with every change."""

    id: str
    version: int
    status: Status
    rule: str
    rule_version: int
    category: Literal["city", "data"] = "city"
    severity: Severity
    kind: str
    source: str
    zone: int | None = None
    lon: float | None = None
    lat: float | None = None
    started: int
    last: int
    opened_at: int
    """When the alert was opened here (arrival time of its first finding)."""
    cleared: int | None = None
    """Event time at which the condition ended; absent while it holds."""
    resolved_at: int | None = None
    count: int = 1
    reopened: int = 0
    value: float | None = None
    limit: float | None = None
    unit: str = ""
    detected_late: bool = False
    evidence: dict[str, Any] = {}
    acked_by: str | None = None
    acked_at: int | None = None
    resolved_by: str | None = None
    """Name of the person, or ``system`` when the condition's end resolved it."""
    cause: str | None = None
    note: str | None = None


class AlertCommand(Event, frozen=True, kw_only=True):
    """What a person asks of an alert; ``cmd_id`` makes repeating it harmless."""

    cmd_id: str
    alert_id: str
    source: str
    """Source of the alert: it decides the partition."""
    action: Action
    actor: str
    at: int
    expected_version: int
    note: str | None = None
    cause: str | None = None
    device: str | None = None


class AlertEvent(Event, frozen=True, kw_only=True):
    """One change of an alert, or the answer to a command; append-only, the audit of its life."""

    id: str
    """Deterministic: alert, version and change, or the command's id."""
    alert_id: str
    version: int
    change: Literal[
        "opened", "merged", "acknowledged", "resolved", "cleared", "noted", "reopened", "corrected", "conflict", "refused"
    ]
    at: int
    actor: str = "system"
    note: str | None = None
    cause: str | None = None
    cmd_id: str | None = None
    device: str | None = None
    alert: Alert | None = None
    """The alert after the change."""


class StreamTotal(Event, frozen=True, kw_only=True):
    """Rows of one kind in one bucket since the connector's run began."""

    topic: str
    kind: str
    bucket: int
    received: int
    """Rows taken in from packets that were, or will be, acknowledged."""
    produced: int
    """Rows whose frame Kafka has confirmed."""
    spooled: int = 0
    """Rows in frames now in the disk spool."""


class ConnectorState(Event, frozen=True, kw_only=True):
    """How one connector instance is, each time its health changes and every few seconds besides."""

    connector: str
    """Instance name."""
    type: str
    """Folder name."""
    run: str
    health: Health
    at: int
    since: int
    kinds: list[str] = []
    detail: str = ""
    packets: int = 0
    readings: int = 0
    rejects: int = 0
    rate: float = 0.0
    """Readings per second over the last minute."""
    connections: int = 0
    last_reading: int | None = None
    totals: list[StreamTotal] = []


def encode(event: Event) -> bytes:
    """Give an event's JSON."""
    return msgspec.json.encode(event)
