"""What late readings make of alerts: opened without a page, corrected, withdrawn; never closed and never twice."""

from __future__ import annotations

import msgspec

from schemas.events import Alert, Finding, Rejudgement
from streams.steps.lifecycle import apply_finding, apply_rejudgement
from tests.unit.streams.test_lifecycle import T0, S, finding


def late(state: str, started: int, at: int) -> Finding:
    return msgspec.structs.replace(finding(state, started, at), lane="late", detected_late=True)


def judged(*conditions: tuple[int, int | None], until: int | None = None, known: tuple[int, ...] = ()) -> Rejudgement:
    found = []
    for start, end in conditions:
        found.append(late("raise", start, start + S))
        found += [late("clear", start, end)] if end is not None else []
    some = finding()
    return Rejudgement(
        rule=some.rule, source=some.source, since=0, until=until, at=T0 + 900 * S, findings=found, known=list(known)
    )


def live() -> Alert:
    alert, _ = apply_finding(None, finding())
    assert alert is not None
    return alert


def test_a_condition_that_is_over_before_it_is_known_gives_one_resolved_alert_marked_late() -> None:
    ((alert, event),) = apply_rejudgement([], judged((T0, T0 + 60 * S)))
    assert (alert.status, alert.cleared, alert.detected_late, event.change) == ("resolved", T0 + 60 * S, True, "opened")
    assert apply_rejudgement([alert], judged((T0, T0 + 60 * S))) == []
    assert apply_rejudgement([], judged((T0, T0 + 60 * S), known=(T0,))) == [], "an alert of days ago is left as it was"


def test_a_standing_alert_keeps_its_status_whatever_late_readings_say() -> None:
    ((longer, event),) = apply_rejudgement([live()], judged((T0 - 50 * S, None)))
    assert (longer.status, longer.started, event.change) == ("open", T0 - 50 * S, "corrected")
    ((gone, event),) = apply_rejudgement([live()], judged())
    assert (gone.status, gone.evidence, event.change) == ("open", {"withdrawn": True}, "corrected")
    assert apply_rejudgement([gone], judged()) == []
    ((back, _),) = apply_rejudgement([gone], judged((T0, None)))
    assert back.evidence == {}


def test_what_lies_outside_the_stretch_judged_is_left_alone() -> None:
    assert apply_rejudgement([live()], judged(until=T0)) == []


def test_a_live_finding_makes_a_late_alert_one_that_pages() -> None:
    ((alert, _),) = apply_rejudgement([], judged((T0, None)))
    assert (alert.status, alert.detected_late) == ("open", True)
    merged, _ = apply_finding(alert, finding("raise", T0 + S, T0 + 30 * S))
    assert merged is not None
    assert not merged.detected_late
