"""The life of an alert: open, acknowledged, resolved; merge, reopen, and what people ask of it.

Everything here is a pure function of the alert, the input and its time; illegal moves give a ``refused``
or ``conflict`` event and change nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from schemas.events import Alert, AlertCommand, AlertEvent, Finding, Rejudgement

REOPEN_US = 600_000_000
"""A finding this soon after the alert was resolved by the system reopens it under the same id."""

ALLOWED: dict[str, tuple[str, ...]] = {
    "acknowledge": ("open",),
    "resolve": ("open", "acknowledged"),
    "note": ("open", "acknowledged", "resolved"),
    "reopen": ("resolved",),
}
"""From which states each command is legal."""

CHANGE = {"acknowledge": "acknowledged", "resolve": "resolved", "note": "noted", "reopen": "reopened"}


def apply_finding(alert: Alert | None, finding: Finding) -> tuple[Alert | None, AlertEvent | None]:
    """Give the alert after a finding, and the event that tells of it; ``alert`` is the newest of rule and source."""
    if finding.state == "clear":
        return _clear(alert, finding)
    if alert is None or (alert.status == "resolved" and not _reopens(alert, finding)):
        if finding.state == "update" or (alert is not None and finding.started <= alert.started):
            return alert, None
        return _open(finding)
    if alert.status == "resolved":
        changed = _merged(
            alert, finding, status="open", reopened=alert.reopened + 1, cleared=None, resolved_at=None, resolved_by=None
        )
        return changed, _event(changed, "reopened", finding.seen_at)
    if finding.at <= alert.last and finding.started >= alert.started:
        return alert, None
    changed = _merged(alert, finding, cleared=None)
    return changed, _event(changed, "merged", finding.seen_at)


def _reopens(alert: Alert, finding: Finding) -> bool:
    return (
        alert.resolved_by == "system"
        and finding.state == "raise"
        and finding.started > alert.last
        and finding.seen_at - (alert.resolved_at or 0) <= REOPEN_US
    )


def _open(finding: Finding, cleared: int | None = None) -> tuple[Alert, AlertEvent]:
    """Open an alert, resolved already where the condition was over before anybody knew."""
    alert = Alert(
        id=finding.id,
        version=1,
        status="open",
        rule=finding.rule,
        rule_version=finding.rule_version,
        category=finding.category,
        severity=finding.severity,
        kind=finding.kind,
        source=finding.source,
        zone=finding.zone,
        lon=finding.lon,
        lat=finding.lat,
        started=finding.started,
        last=finding.at,
        opened_at=finding.seen_at,
        value=finding.value,
        limit=finding.limit,
        unit=finding.unit,
        detected_late=finding.detected_late,
        evidence=finding.evidence,
    )
    if cleared is not None:
        over = {"cleared": cleared, "last": cleared, "resolved_at": finding.seen_at, "resolved_by": "system"}
        alert = msgspec.structs.replace(alert, status="resolved", **over)
    return alert, _event(alert, "opened", finding.seen_at)


def _merged(alert: Alert, finding: Finding, **more: object) -> Alert:
    newer = finding.at >= alert.last
    changes: dict[str, object] = {
        "version": alert.version + 1,
        "count": alert.count + 1,
        "started": min(alert.started, finding.started),
        "last": max(alert.last, finding.at),
        "detected_late": alert.detected_late and finding.detected_late,
        **more,
    }
    if newer:
        changes |= {"value": finding.value, "limit": finding.limit, "zone": finding.zone, "lon": finding.lon, "lat": finding.lat}
    return msgspec.structs.replace(alert, **changes)


def _clear(alert: Alert | None, finding: Finding) -> tuple[Alert | None, AlertEvent | None]:
    if alert is None or alert.status == "resolved" or finding.at < alert.started:
        return alert, None
    changed = msgspec.structs.replace(
        alert,
        version=alert.version + 1,
        status="resolved",
        cleared=finding.at,
        last=max(alert.last, finding.at),
        resolved_at=finding.seen_at,
        resolved_by="system",
    )
    return changed, _event(changed, "cleared", finding.seen_at)


CORRECTED = "起止时间按迟到数据更正 / start or end corrected by late readings"
WITHDRAWN = "计入迟到数据后不再成立 / no longer supported once late readings are counted"


def apply_rejudgement(alerts: Sequence[Alert], found: Rejudgement) -> list[tuple[Alert, AlertEvent]]:
    """Give the alerts of a rule and source as late readings correct them, or open late, and the events that tell of it.

    Whether an alert stands is left to the live findings and to people: only its times and evidence change.
    """
    ends = {f.started: f.at for f in found.findings if f.state == "clear"}
    raised = [f for f in found.findings if f.state == "raise"]
    changes: list[tuple[Alert, AlertEvent]] = []
    for alert in alerts:
        own = [f for f in raised if _holds(alert, f.started, ends.get(f.started))]
        changes += _corrected(alert, found, [(f.started, ends.get(f.started)) for f in own])
    for finding in raised:
        end = ends.get(finding.started)
        if finding.started in found.known or any(_holds(a, finding.started, end) for a in alerts):
            continue
        changes.append(_open(msgspec.structs.replace(finding, seen_at=found.at), end))
    return changes


def _holds(alert: Alert, started: int, end: int | None) -> bool:
    """Tell whether an alert is about a condition: whether their times overlap."""
    over = alert.cleared if alert.cleared is not None else alert.last if alert.status == "resolved" else None
    return (over is None or started <= over) and (end is None or alert.started <= end)


def _corrected(alert: Alert, found: Rejudgement, conditions: Sequence[tuple[int, int | None]]) -> list[tuple[Alert, AlertEvent]]:
    """Correct an alert that began where was judged anew; ``conditions`` are those it is about."""
    until = found.until
    if alert.started <= found.since or (until is not None and alert.started >= until):
        return []
    evidence = dict(alert.evidence) | {"withdrawn": True}
    started, cleared = alert.started, alert.cleared
    if conditions:
        evidence.pop("withdrawn")
        started = min(s for s, _ in conditions)
        ends = [e for _, e in conditions if e is not None]
        if len(ends) == len(conditions) and (until is None or alert.last < until) and alert.status == "resolved":
            cleared = max(ends) if alert.cleared is not None else None
    if (started, cleared, evidence) == (alert.started, alert.cleared, alert.evidence):
        return []
    changed = msgspec.structs.replace(alert, version=alert.version + 1, started=started, cleared=cleared, evidence=evidence)
    return [(changed, _event(changed, "corrected", found.at, CORRECTED if conditions else WITHDRAWN))]


def apply_command(alert: Alert | None, command: AlertCommand) -> tuple[Alert | None, AlertEvent]:
    """Give the alert after a person's command, and the event that answers it."""
    if alert is None:
        return None, _answer(command, None, "refused", "no such alert, or it ended long ago")
    if command.expected_version != alert.version and command.action != "note":
        return alert, _answer(command, alert, "conflict", f"version is {alert.version}, not {command.expected_version}")
    if alert.status not in ALLOWED[command.action]:
        return alert, _answer(command, alert, "refused", f"{command.action} is not possible while {alert.status}")
    changes: dict[str, object] = {"version": alert.version + 1}
    if command.note:
        changes["note"] = command.note
    if command.action == "acknowledge":
        changes |= {"status": "acknowledged", "acked_by": command.actor, "acked_at": command.at}
    elif command.action == "resolve":
        changes |= {"status": "resolved", "resolved_by": command.actor, "resolved_at": command.at, "cause": command.cause}
    elif command.action == "reopen":
        changes |= {"status": "open", "reopened": alert.reopened + 1, "resolved_by": None, "resolved_at": None, "cleared": None}
        changes |= {"acked_by": None, "acked_at": None}
    changed = msgspec.structs.replace(alert, **changes)
    return changed, _answer(command, changed, CHANGE[command.action], command.note)


def _answer(command: AlertCommand, alert: Alert | None, change: str, note: str | None) -> AlertEvent:
    return msgspec.convert(
        {
            "id": command.cmd_id,
            "alert_id": command.alert_id,
            "version": alert.version if alert else 0,
            "change": change,
            "at": command.at,
            "actor": command.actor,
            "note": note,
            "cause": command.cause,
            "cmd_id": command.cmd_id,
            "device": command.device,
            "alert": alert,
        },
        AlertEvent,
        from_attributes=True,
    )


def _event(alert: Alert, change: str, at: int, note: str | None = None) -> AlertEvent:
    return msgspec.convert(
        {
            "id": f"{alert.id}:{alert.version}",
            "alert_id": alert.id,
            "version": alert.version,
            "change": change,
            "at": at,
            "note": note,
            "alert": alert,
        },
        AlertEvent,
        from_attributes=True,
    )
