"""alerts: findings and people's commands to the life of alerts; the one writer of alert state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import structlog

from schemas import topics
from schemas.events import Alert, AlertCommand, AlertEvent, Finding, Rejudgement, encode
from storage import findings
from storage.alerts_store import save_alerts
from storage.checkpoints import Checkpoint
from streams.aside import POISON, rejected
from streams.steps.lifecycle import apply_command, apply_finding, apply_rejudgement
from streams.task import Outcome, Output, Record

log = structlog.get_logger()
_FINDING = msgspec.json.Decoder(Finding)
_REJUDGEMENT = msgspec.json.Decoder(Rejudgement)
_COMMAND = msgspec.json.Decoder(AlertCommand)


class Book:
    """The newest alert of every rule and source whose partition this is."""

    def __init__(self, alerts: Sequence[Alert]) -> None:
        self._by_id: dict[str, Alert] = {}
        self._by_subject: dict[tuple[str, str], str] = {}
        self._all_of: dict[tuple[str, str], list[str]] = {}
        for alert in sorted(alerts, key=lambda a: (a.started, a.version)):
            self.put(alert)

    def put(self, alert: Alert) -> None:
        """Keep an alert; as the newest of its rule and source, unless it is over and began before that one."""
        subject = (alert.rule, alert.source)
        if alert.id not in self._by_id:
            self._all_of.setdefault(subject, []).append(alert.id)
        self._by_id[alert.id] = alert
        newest = self.subject(*subject)
        if newest is None or alert.status != "resolved" or alert.started >= newest.started:
            self._by_subject[subject] = alert.id

    def of(self, rule: str, source: str) -> list[Alert]:
        """Give all alerts of a rule and source."""
        return [self._by_id[i] for i in self._all_of.get((rule, source), ())]

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
        found: list[Finding | Rejudgement] = []
        for record in records:
            try:
                changes = self._apply(record, found)
            except msgspec.MsgspecError:
                log.exception("unreadable record set aside", topic=record.topic, offset=record.offset)
                continue
            for alert, event in changes:
                events.append(event)
                if alert is not None and event.change not in ("conflict", "refused"):
                    self._book.put(alert)
                    changed[alert.id] = alert
        outcome = Outcome()
        for event in events:
            outcome.outputs.append(Output(topics.ALERT_EVENTS, self._partition, encode(event), key=event.alert_id.encode()))
        for alert in changed.values():
            outcome.outputs.append(Output(topics.ALERTS, self._partition, encode(alert), key=alert.id.encode()))
        if events or found:

            async def write(connection: Any) -> None:
                await findings.save(connection, found)
                await save_alerts(connection, list(changed.values()), events)

            outcome.write = write
        return outcome

    def _apply(self, record: Record, found: list[Finding | Rejudgement]) -> Sequence[tuple[Alert | None, AlertEvent]]:
        """Give what a record changes; a finding is added to those ``found``."""
        if self._commands:
            return self._command(_COMMAND.decode(record.value))
        if ("type", b"rejudgement") in record.headers:
            judged = _REJUDGEMENT.decode(record.value)
            found.append(judged)
            return apply_rejudgement(self._book.of(judged.rule, judged.source), judged)
        finding = _FINDING.decode(record.value)
        if finding.state != "update":
            found.append(finding)
        alert, event = apply_finding(self._book.subject(finding.rule, finding.source), finding)
        return [(alert, event)] if event is not None else []

    def _command(self, command: AlertCommand) -> Sequence[tuple[Alert | None, AlertEvent]]:
        if command.cmd_id in self._answered:
            return []
        self._answered[command.cmd_id] = None
        if len(self._answered) > 10_000:
            del self._answered[next(iter(self._answered))]
        return [apply_command(self._book.get(command.alert_id), command)]
