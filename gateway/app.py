"""The whole HTTP face as one app, put together from parts."""

from __future__ import annotations

from typing import Annotated, Any

import asyncpg
import structlog
from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway import page
from gateway.api import alerts, catalog, health, layers, operations, readings, session, users
from gateway.api.shapes import SCHEMAS, json_answer
from gateway.doorman import Doorman
from gateway.live import socket
from gateway.parts import Parts
from gateway.policy import Open, needs
from gateway.problems import Problem, answer
from schemas.errors import Retry

log = structlog.get_logger(__name__)

TITLE = "CityOps"
ABOUT = (
    "城市运行平台接口 / The platform's HTTP API. Log in with POST /api/login; the session is a cookie. "
    "Times in records are microseconds since 1970 UTC, in queries milliseconds. Errors are JSON with code, detail and remedy. "
    "Live data comes over the websocket /ws."
)
document = APIRouter(prefix="/api")


class ApiGzip:
    """Compresses answers of the API; the dashboard's files are compressed already, and ranges must not be."""

    def __init__(self, app: ASGIApp) -> None:
        self._plain = app
        self._gzip = GZipMiddleware(app, minimum_size=1024, compresslevel=5)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        api = scope["type"] == "http" and scope["path"].startswith("/api/")
        await (self._gzip if api else self._plain)(scope, receive, send)


def create_app(parts: Parts) -> FastAPI:
    """Give the app; a route that does not declare who may use it raises ``LookupError``."""
    app = FastAPI(
        title=TITLE,
        description=ABOUT,
        version=parts.build,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        middleware=[Middleware(Doorman, origins=parts.config.gateway.origins), Middleware(ApiGzip)],
        redirect_slashes=False,
    )
    app.state.parts = parts
    for module in (session, users, alerts, readings, operations, catalog, layers):
        app.include_router(module.router)
    app.include_router(document)
    app.include_router(health.router)
    app.include_router(socket.router)
    app.include_router(page.router)  # last: it takes every path that is left
    for exception, handler in HANDLERS.items():
        app.add_exception_handler(exception, handler)
    needs(app)
    return app


@document.get("/openapi.json", include_in_schema=False)
async def openapi(request: Request, _: Annotated[None, Depends(Open())]) -> Response:
    """Give the API's description."""
    app: FastAPI = request.app
    if app.openapi_schema is None:
        app.openapi_schema = _describe(app)
    return json_answer(app.openapi_schema, cache="no-cache")


def _describe(app: FastAPI) -> dict[str, Any]:
    described: dict[str, Any] = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    components = described.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    schemas |= SCHEMAS
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas["Problem"] = {
        "type": "object",
        "required": ["status", "code", "detail", "remedy"],
        "properties": {"status": {"type": "integer"}, **{n: {"type": "string"} for n in ("code", "detail", "remedy")}},
    }
    components["securitySchemes"] = {"session": {"type": "apiKey", "in": "cookie", "name": "cityops_session"}}
    needed = needs(app)
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for path, operations_ in described["paths"].items():
        for method, operation in operations_.items():
            need = needed[method.upper(), path]
            operation["x-role"] = need
            if need != "public":
                operation["security"] = [{"session": []}]
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = {"description": "拒绝及原因 / A refusal and its reason", "content": problem}
    return described


async def _problem(_: Request, error: Exception) -> Response:
    if not isinstance(error, Problem):
        raise error
    return answer(error.code, error.what, **error.more)


async def _invalid(_: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    said = []
    for fault in error.errors()[:5]:
        where = ".".join(str(part) for part in fault["loc"])
        said.append(f"{where}: {fault['msg']}".encode("utf-8", "backslashreplace").decode())
    return answer("bad_request", "; ".join(said))


async def _http(_: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    code = {404: "not_found", 405: "no_such_method", 413: "too_large"}.get(error.status_code)
    if code is None:
        code = "bad_request" if error.status_code < 500 else "internal"
    return answer(code, headers=dict(error.headers) if error.headers else None)


async def _away(_: Request, error: Exception) -> Response:
    log.warning("a part does not answer", error=str(error))
    return answer("unavailable", str(error), headers={"Retry-After": "5"})


async def _unusable(_: Request, error: Exception) -> Response:
    return answer("bad_request", str(error).encode("utf-8", "backslashreplace").decode()[:200])


HANDLERS: dict[type[Exception], Any] = {
    Problem: _problem,
    RequestValidationError: _invalid,
    HTTPException: _http,
    Retry: _away,
    asyncpg.DataError: _unusable,
    UnicodeError: _unusable,
}
"""How each kind of failure is answered; what is not here is a fault of ours, which the doorman answers."""
