"""alerts: findings and people's commands to the life of alerts; the one writer of alert state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import structlog

from schemas import topics
from schemas.events import Alert, AlertCommand, AlertEvent, Finding, encode
from storage.alerts_store import save_alerts
from storage.checkpoints import Checkpoint
from streams.aside import POISON, rejected
from streams.steps.lifecycle import apply_command, apply_finding
from streams.task import Outcome, Output, Record

log = structlog.get_logger()
_FINDING = msgspec.json.Decoder(Finding)
_COMMAND = msgspec.json.Decoder(AlertCommand)


class Book:
    """The newest alert of every rule and source whose partition this is."""

    def __init__(self, alerts: Sequence[Alert]) -> None:
        self._by_id: dict[str, Alert] = {}
        self._by_subject: dict[tuple[str, str], str] = {}
        for alert in sorted(alerts, key=lambda a: (a.started, a.version)):
            self.put(alert)

    def put(self, alert: Alert) -> None:
        """Keep an alert as the newest of its rule and source."""
        self._by_id[alert.id] = alert
        self._by_subject[(alert.rule, alert.source)] = alert.id

    def subject(self, rule: str, source: str) -> Alert | None:
        """Give the newest alert of a rule and source."""
        return self._by_id.get(self._by_subject.get((rule, source), ""))

    def get(self, alert_id: str) -> Alert | None:
        """Give an alert by id."""
        return self._by_id.get(alert_id)


class AlertsTask:
    """Applies the findings, or the commands, of one partition to its book."""

    def __init__(self, topic: str, partition: int, book: Book) -> None:
        self._commands = topic == topics.ALERT_COMMANDS
        self._partition = partition
        self._book = book
        self._answered: dict[str, None] = {}

    def restore(self, checkpoint: Checkpoint) -> None:
        """The book is loaded from the alerts themselves; there is no other state."""

    def remember(self, records: Sequence[Record]) -> None:
        """Nothing is open between batches."""

    def tick(self, now: int) -> None:
        """Time passing changes nothing here."""
        del now

    def set_aside(self, record: Record) -> Outcome:
        """Give the finding or command as a reject."""
        return Outcome(outputs=[rejected(record, "alerts", "poison", POISON, record.value)])

    def process(self, records: Sequence[Record]) -> Outcome:
        """Give every change as records for the screens and rows for the database."""
        changed: dict[str, Alert] = {}
        events: list[AlertEvent] = []
        for record in records:
            try:
                alert, event = self._apply(record)
            except msgspec.MsgspecError:
                log.exception("unreadable record set aside", topic=record.topic, offset=record.offset)
                continue
            if event is not None:
                events.append(event)
            if alert is not None and event is not None and event.change not in ("conflict", "refused"):
                self._book.put(alert)
                changed[alert.id] = alert
        outcome = Outcome()
        for event in events:
            outcome.outputs.append(Output(topics.ALERT_EVENTS, self._partition, encode(event), key=event.alert_id.encode()))
        for alert in changed.values():
            outcome.outputs.append(Output(topics.ALERTS, self._partition, encode(alert), key=alert.id.encode()))
        if events:

            async def write(connection: Any) -> None:
                await save_alerts(connection, list(changed.values()), events)

            outcome.write = write
        return outcome

    def _apply(self, record: Record) -> tuple[Alert | None, AlertEvent | None]:
        if not self._commands:
            finding = _FINDING.decode(record.value)
            return apply_finding(self._book.subject(finding.rule, finding.source), finding)
        command = _COMMAND.decode(record.value)
        if command.cmd_id in self._answered:
            return None, None
        self._answered[command.cmd_id] = None
        if len(self._answered) > 10_000:
            del self._answered[next(iter(self._answered))]
        return apply_command(self._book.get(command.alert_id), command)
