"""Who may do what: every route declares the least role it needs, and an app with a route that does not is refused."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address
from typing import Literal
from urllib.parse import urlsplit

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, APIWebSocketRoute, iter_route_contexts
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection

from gateway.parts import address, parts_of
from gateway.problems import Problem
from gateway.sessions import COOKIE, Identity
from storage.accounts import Role

Need = Role | Literal["public", "loopback or engineer", "session"]
"""A role and those above it; anyone; a caller on this machine or an engineer; the route's own check of the session."""


class Guard:
    """A dependency that lets a request through only if its session's role suffices."""

    def __init__(self, role: Role) -> None:
        self.need: Need = role
        self.role = role

    async def __call__(self, connection: HTTPConnection) -> Identity:
        """Give whose request it is; refuse it with 401 or 403 otherwise."""
        identity = await identify(connection)
        if identity is None:
            raise Problem("not_logged_in")
        if not identity.may(self.role):
            raise Problem("forbidden", self.role)
        return identity


class Open:
    """A dependency that declares a route open to anyone."""

    need: Need = "public"

    async def __call__(self) -> None:
        """Let everyone through."""


class OwnCheck:
    """A dependency that declares that the route itself checks the session, because it answers in its own way."""

    need: Need = "session"

    async def __call__(self) -> None:
        """Let everyone through to the route's own check."""


class Local:
    """A dependency that lets through callers on this machine, and engineers from anywhere."""

    need: Need = "loopback or engineer"

    async def __call__(self, connection: HTTPConnection) -> None:
        """Refuse others with 401 or 403."""
        try:
            if ip_address(address(connection)).is_loopback:
                return
        except ValueError:
            pass
        await Guard("engineer")(connection)


async def identify(connection: HTTPConnection) -> Identity | None:
    """Give whose session the request's cookie is."""
    return await parts_of(connection).sessions.identify(connection.cookies.get(COOKIE))


def same_origin(headers: Headers, allowed: Iterable[str]) -> bool:
    """Say whether a request comes from our own page, a configured origin, or no web page at all.

    Browsers tell the origin of every websocket and every request that changes something; programs tell none.
    """
    origin = headers.get("origin")
    if origin is None:
        return headers.get("sec-fetch-site", "same-origin") in ("same-origin", "none")
    if origin in allowed:
        return True
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc) and parts.netloc.lower() == headers.get("host", "").lower()


def needs(app: FastAPI) -> dict[tuple[str, str], Need]:
    """Give what each method and path needs; a route that declares nothing raises ``LookupError``."""
    found: dict[tuple[str, str], Need] = {}
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if not isinstance(route, APIRoute | APIWebSocketRoute):
            msg = f"route {route!r} cannot declare who may use it"
            raise LookupError(msg)  # noqa: TRY004 - what is missing is the declaration
        declared = _declared(route.dependant)
        if len(declared) != 1:
            msg = f"route {context.path} must declare exactly one of Guard, Open, OwnCheck, Local"
            raise LookupError(msg)
        methods = (route.methods or ()) if isinstance(route, APIRoute) else ("WEBSOCKET",)
        found |= {(method, str(context.path)): declared[0] for method in methods}
    return found


def _declared(dependant: Dependant) -> list[Need]:
    own = [dependant.call.need] if isinstance(dependant.call, Guard | Open | OwnCheck | Local) else []
    return own + [need for part in dependant.dependencies for need in _declared(part)]
