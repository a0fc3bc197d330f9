"""Every state meets every input: what is legal changes the alert, what is not answers and changes nothing."""

from __future__ import annotations

import msgspec
import pytest

from schemas.events import Action, Alert, AlertCommand, Finding, Status
from streams.steps.lifecycle import ALLOWED, REOPEN_US, apply_command, apply_finding

S = 1_000_000
T0 = 1_790_000_000 * S


def finding(state: str = "raise", started: int = T0, at: int | None = None, seen_at: int | None = None) -> Finding:
    at = started if at is None else at
    return msgspec.convert(
        {
            "rule": "bus-overspeed", "rule_version": 1, "state": state, "severity": "major", "kind": "bus_position", "source": "b1",
            "started": started, "at": at, "seen_at": at + S if seen_at is None else seen_at, "value": 80.0, "limit": 70.0, "unit": "km/h",
        },
        Finding,
    )  # fmt: skip


def opened() -> Alert:
    alert, event = apply_finding(None, finding())
    assert alert is not None
    assert event is not None
    assert event.change == "opened"
    return alert


def in_state(status: Status) -> Alert:
    alert = opened()
    if status in ("acknowledged", "resolved"):
        alert = commanded(alert, "acknowledge")
    if status == "resolved":
        alert = commanded(alert, "resolve")
    return alert


def commanded(alert: Alert, action: Action) -> Alert:
    after, event = apply_command(alert, command(alert, action))
    assert after is not None
    assert event.change not in ("conflict", "refused")
    return after


def command(alert: Alert, action: Action, version: int | None = None) -> AlertCommand:
    expected = alert.version if version is None else version
    return AlertCommand(
        cmd_id=f"c-{action}-{expected}", alert_id=alert.id, source="b1", action=action, actor="王芳", at=T0 + 60 * S, expected_version=expected, note="已电话联系"
    )  # fmt: skip


@pytest.mark.parametrize("status", ["open", "acknowledged", "resolved"])
@pytest.mark.parametrize("action", list(ALLOWED))
def test_commands_are_legal_exactly_where_the_table_says(status: Status, action: Action) -> None:
    alert = in_state(status)
    after, event = apply_command(alert, command(alert, action))
    if status in ALLOWED[action]:
        assert after is not None
        assert after.version == alert.version + 1
        assert event.alert == after
        assert event.actor == "王芳"
    else:
        assert after == alert
        assert event.change == "refused"


@pytest.mark.parametrize("action", ["acknowledge", "resolve", "reopen"])
def test_a_stale_version_conflicts_and_tells_the_current_one(action: Action) -> None:
    alert = in_state("open")
    after, event = apply_command(alert, command(alert, action, version=alert.version - 1))
    assert (after, event.change, event.alert) == (alert, "conflict", alert)


def test_an_unknown_alert_is_refused() -> None:
    after, event = apply_command(None, command(opened(), "acknowledge"))
    assert after is None
    assert event.change == "refused"


def test_acknowledging_records_who_and_when() -> None:
    alert = commanded(opened(), "acknowledge")
    assert (alert.status, alert.acked_by, alert.acked_at, alert.note) == ("acknowledged", "王芳", T0 + 60 * S, "已电话联系")


def test_a_repeated_finding_changes_nothing_and_a_newer_one_merges() -> None:
    alert = opened()
    assert apply_finding(alert, finding()) == (alert, None)
    merged, event = apply_finding(alert, finding("update", at=T0 + 30 * S))
    assert merged is not None
    assert event is not None
    assert (event.change, merged.count, merged.last, merged.started) == ("merged", 2, T0 + 30 * S, T0)


def test_the_end_of_the_condition_resolves_open_and_acknowledged() -> None:
    for status in ("open", "acknowledged"):
        alert, event = apply_finding(in_state(status), finding("clear", at=T0 + 90 * S))  # type: ignore[arg-type]
        assert alert is not None
        assert event is not None
        assert (alert.status, alert.resolved_by, alert.cleared, event.change) == ("resolved", "system", T0 + 90 * S, "cleared")


def test_a_return_soon_after_reopens_the_same_alert_and_later_opens_another() -> None:
    closed, _ = apply_finding(opened(), finding("clear", at=T0 + 90 * S))
    assert closed is not None
    soon, event = apply_finding(closed, finding(started=T0 + 120 * S))
    assert soon is not None
    assert event is not None
    assert (soon.id, soon.status, soon.reopened, event.change) == (closed.id, "open", 1, "reopened")
    late = finding(started=T0 + 3600 * S, seen_at=(closed.resolved_at or 0) + REOPEN_US + 1)
    other, event = apply_finding(closed, late)
    assert other is not None
    assert event is not None
    assert (other.id != closed.id, event.change, other.version) == (True, "opened", 1)


def test_what_a_person_resolved_stays_resolved_until_the_condition_begins_anew() -> None:
    alert = in_state("resolved")
    assert apply_finding(alert, finding("update", at=T0 + 120 * S)) == (alert, None)
    assert apply_finding(alert, finding("clear", at=T0 + 150 * S)) == (alert, None)
    again, event = apply_finding(alert, finding(started=T0 + 200 * S))
    assert again is not None
    assert event is not None
    assert (again.id != alert.id, event.change) == (True, "opened")
