"""Alerts: lists, one with its history, and what people do with them."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from fastapi import APIRouter, Depends, Query, Request
from pydantic import Field
from starlette.responses import Response

from gateway.actions import perform
from gateway.api.shapes import AlertId, Body, Clean, Limit, json_answer, returns
from gateway.masking import mask_alert, mask_change
from gateway.parts import parts_of
from gateway.policy import Guard
from gateway.problems import Problem
from gateway.sessions import Identity
from schemas.events import Action, Alert, AlertEvent, Severity, Status
from schemas.messages import Command
from storage import queries

router = APIRouter(prefix="/api", tags=["alerts"])
Viewer = Annotated[Identity, Depends(Guard("viewer"))]
CODES = {"conflict": "conflict", "refused": "refused"}


class AlertPage(msgspec.Struct, frozen=True):
    """Alerts, newest first; ``next`` goes into ``before`` for the page after, absent on the last."""

    alerts: list[Alert]
    next: str | None


class AlertLife(msgspec.Struct, frozen=True):
    """An alert and all its changes, oldest first."""

    alert: Alert
    events: list[AlertEvent]


class Done(msgspec.Struct, frozen=True):
    """What became of an action; ``timeout`` means it is on its way and its effect will show."""

    cmd_id: str
    outcome: Literal["ok", "conflict", "refused", "timeout"]
    alert: Alert | None
    detail: str


class Act(Body):
    """An action on an alert; ``expected_version`` is the version the person saw."""

    cmd_id: Annotated[str, Field(min_length=1, max_length=64)]
    action: Action
    expected_version: Annotated[int, Field(ge=0, lt=2**31)]
    note: Annotated[str, Field(max_length=2000)] | None = None
    cause: Annotated[str, Field(max_length=64)] | None = None


@router.get("/alerts", responses=returns(AlertPage, "One page of alerts."))
async def alerts(
    request: Request,
    who: Viewer,
    status: Annotated[list[Status], Query()] = [],  # noqa: B006 - FastAPI copies it
    severity: Annotated[list[Severity], Query()] = [],  # noqa: B006
    before: Annotated[str | None, Query(max_length=100, pattern=Clean, description="As ``next`` of the page before.")] = None,
    limit: Limit = 100,
) -> Response:
    """List alerts, newest first."""
    pool = parts_of(request).pool
    found = await queries.alerts(pool, status=status, severity=severity, before=_cursor(before), limit=limit)
    more = f"{found[-1].opened_at}_{found[-1].id}" if len(found) == limit else None
    return json_answer(AlertPage([mask_alert(a) for a in found] if who.coarse else found, more))


def _cursor(before: str | None) -> tuple[int, str] | None:
    if before is None:
        return None
    at, _, alert_id = before.partition("_")
    if not (at.isascii() and at.isdecimal() and len(at) <= 16):
        raise Problem("bad_request", "before is the value of 'next' of an earlier page")
    return int(at), alert_id


@router.get("/alerts/{alert_id}", responses=returns(AlertLife, "The alert and its changes."))
async def alert(alert_id: AlertId, request: Request, who: Viewer) -> Response:
    """Give one alert with its whole life."""
    found = await queries.alert(parts_of(request).pool, alert_id)
    if found is None:
        raise Problem("not_found", f"alert {alert_id}")
    life = AlertLife(found[0], [msgspec.convert(e, AlertEvent) for e in found[1]])
    if who.coarse:
        life = AlertLife(mask_alert(life.alert), [mask_change(e) for e in life.events])
    return json_answer(life)


@router.post("/alerts/{alert_id}/commands", responses=returns(Done, "Done, or (202) on its way."))
async def act(alert_id: AlertId, body: Act, request: Request, who: Annotated[Identity, Depends(Guard("duty"))]) -> Response:
    """Act on an alert; 409 brings its current state when somebody else was faster, 202 means the answer is still due."""
    wanted = Command(
        cmd_id=body.cmd_id,
        alert_id=alert_id,
        action=body.action,
        expected_version=body.expected_version,
        note=body.note,
        cause=body.cause,
    )
    result = await perform(request, who, wanted)
    if result.outcome in CODES:
        raise Problem(CODES[result.outcome], result.detail, cmd_id=body.cmd_id, outcome=result.outcome, alert=result.alert)
    done = Done(result.cmd_id, result.outcome, result.alert, result.detail)
    return json_answer(done, 202 if result.outcome == "timeout" else 200)
