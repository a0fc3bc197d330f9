"""Logging in and out, and who one is."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Depends, Request
from pydantic import Field
from starlette.responses import Response

from gateway.api.shapes import Body, Name, json_answer, returns
from gateway.parts import Parts, actor, address, parts_of
from gateway.policy import Guard, Open
from gateway.problems import Problem
from gateway.sessions import COOKIE, Identity
from schemas import metrics
from storage.accounts import ROLES, Role

router = APIRouter(prefix="/api", tags=["session"])
PER_MINUTE: Final = 30
"""Log-in attempts of one network address in a minute; each costs 64 MiB for a moment."""
MINUTE_US: Final = 60_000_000


class Me(msgspec.Struct, frozen=True):
    """Who is logged in; ``may`` names the roles this one includes, ``expires_at`` is in microseconds."""

    user: str
    role: Role
    may: list[Role]
    expires_at: int


class LogIn(Body):
    """A log-in."""

    user: Name
    password: Annotated[str, Field(min_length=1, max_length=256)]


@router.post("/login", responses=returns(Me, "Logged in; the session's cookie is set."))
async def log_in(body: LogIn, request: Request, _: Annotated[None, Depends(Open())]) -> Response:
    """Open a session; five failures lock the name for 15 minutes."""
    parts = parts_of(request)
    _count(parts, address(request))
    outcome, cookie = await parts.sessions.log_in(actor(request, body.user), body.password)
    metrics.GATEWAY_LOGINS.labels(outcome).inc()
    if cookie is None:
        raise Problem("locked" if outcome == "locked" else "wrong_password")
    identity = await parts.sessions.identify(cookie)
    if identity is None:
        raise Problem("not_logged_in")
    answer = json_answer(_me(identity))
    answer.set_cookie(
        COOKIE,
        cookie,
        max_age=int(parts.sessions.hours * 3600),
        path="/",
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return answer


def _count(parts: Parts, where: str) -> None:
    now = parts.clock()
    parts.log_ins = {k: kept for k, v in parts.log_ins.items() if (kept := [t for t in v if t > now - MINUTE_US])}
    times = parts.log_ins.setdefault(where, [])
    if len(times) >= PER_MINUTE:
        metrics.GATEWAY_LOGINS.labels("too_many").inc()
        raise Problem("too_many_requests")
    times.append(now)


@router.post("/logout", status_code=204)
async def log_out(request: Request, who: Annotated[Identity, Depends(Guard("viewer"))]) -> Response:
    """End the session."""
    await parts_of(request).sessions.log_out(who, actor(request, who.name))
    answer = Response(status_code=204)
    answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
    return answer


@router.get("/me", responses=returns(Me, "Who is logged in."))
async def me(who: Annotated[Identity, Depends(Guard("viewer"))]) -> Response:
    """Give whose session it is."""
    return json_answer(_me(who))


def _me(who: Identity) -> Me:
    return Me(who.name, who.role, [r for r in ROLES if who.may(r)], who.expires_at)
