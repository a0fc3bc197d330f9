"""Managing accounts, and reading the audit: for admins."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from gateway.api.shapes import Body, Limit, Name, Password, UserName, json_answer, returns
from gateway.parts import actor, parts_of
from gateway.policy import Guard
from gateway.problems import Problem
from gateway.sessions import Identity
from storage import accounts
from storage.accounts import Refused, Role, User
from storage.connect import passing_faults

router = APIRouter(prefix="/api", tags=["accounts"])
CODES = {"exists": "exists", "unknown_user": "not_found", "last_admin": "last_admin"}
Admin = Annotated[Identity, Depends(Guard("admin"))]


class NewUser(Body):
    """An account to be made."""

    name: Name
    password: Password
    role: Role


class UserChange(Body):
    """What to change of an account; absent means leave it."""

    password: Password | None = None
    role: Role | None = None
    disabled: bool | None = None
    unlock: bool = False


@router.get("/users", responses=returns(list[User], "All accounts."))
async def users(request: Request, _: Admin) -> Response:
    """List the accounts."""
    parts = parts_of(request)
    with passing_faults():
        return json_answer(await accounts.list_users(parts.pool, parts.clock()))


@router.post("/users", status_code=201)
async def create(body: NewUser, request: Request, who: Admin) -> Response:
    """Make an account."""
    try:
        with passing_faults():
            await accounts.create_user(parts_of(request).pool, actor(request, who.name), body.name, body.password, body.role)
    except Refused as refused:
        raise Problem(CODES[refused.code], refused.detail) from refused
    return json_answer({"name": body.name, "role": body.role}, 201)


@router.patch("/users/{name}", status_code=204)
async def change(name: UserName, body: UserChange, request: Request, who: Admin) -> Response:
    """Change role or password, disable, enable or unlock; takes effect on open sessions and websockets within a minute."""
    parts = parts_of(request)
    try:
        with passing_faults():
            await accounts.change_user(
                parts.pool,
                actor(request, who.name),
                name,
                password=body.password,
                role=body.role,
                disabled=body.disabled,
                unlock=body.unlock,
            )
    except Refused as refused:
        raise Problem(CODES[refused.code], refused.detail) from refused
    parts.sessions.forget(name)
    return Response(status_code=204)


@router.get("/audit")
async def audit(
    request: Request, _: Admin, before: Annotated[int | None, Query(ge=1, le=2**62)] = None, limit: Limit = 100
) -> Response:
    """List the audit, newest first; ``before`` is the number of the last row seen."""
    with passing_faults():
        return json_answer({"audit": await accounts.audit_rows(parts_of(request).pool, before, limit)})


@router.get("/audit/verdict")
async def verdict(request: Request, _: Admin) -> Response:
    """Check the audit's chain of hashes: ``broken`` is the number of the first row changed, moved or missing."""
    with passing_faults():
        broken = await accounts.broken_audit_row(parts_of(request).pool)
    return json_answer({"intact": broken is None, "broken": broken})
