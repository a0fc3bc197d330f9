"""Every door: who may open it, where requests may come from, and the headers each answer carries."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI
from starlette.datastructures import Headers

from gateway.api import health
from gateway.app import create_app
from gateway.doorman import HEADERS, MAX_BODY
from gateway.policy import Guard, Open, needs, same_origin
from gateway.problems import KINDS
from gateway.sessions import COOKIE, Sessions
from tests.unit.gateway.city import Clock, parts

PATHS = {"{name}": "x", "{alert_id}": "a1", "{kind}": "bus_position", "{source}": "b1", "{path:path}": "nothing.js"}


def address(path: str) -> str:
    for name, value in PATHS.items():
        path = path.replace(name, value)
    assert "{" not in path, f"{path}: give the new path parameter a value in PATHS"
    return path


@pytest.fixture
def app(tmp_path: Path) -> FastAPI:
    return create_app(parts(Clock(), tmp_path))


@pytest.fixture
async def http(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, client=("203.0.113.9", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://city.example") as client:
        yield client


def test_every_route_declares_who_may_use_it(app: FastAPI) -> None:
    public = {path for (_, path), need in needs(app).items() if need == "public"}
    assert public == {"/api/login", "/api/openapi.json", "/healthz", "/readyz", "/{path:path}"}


@pytest.mark.parametrize("guards", [0, 2])
def test_a_route_that_does_not_declare_it_once_is_refused(app: FastAPI, guards: int) -> None:
    router = APIRouter()

    if guards == 0:

        @router.get("/planted")
        async def planted() -> None: ...

    else:

        @router.get("/planted")
        async def planted_twice(a: Annotated[Any, Depends(Guard("admin"))], b: Annotated[None, Depends(Open())]) -> None: ...

    app.include_router(router)
    with pytest.raises(LookupError, match="/planted"):
        needs(app)


def test_a_mounted_app_is_refused(app: FastAPI) -> None:
    app.mount("/planted", FastAPI())
    with pytest.raises(LookupError, match="planted"):
        needs(app)


async def test_nobody_gets_through_a_guard_and_every_answer_carries_the_headers(app: FastAPI, http: httpx.AsyncClient) -> None:
    for (method, path), need in needs(app).items():
        if method == "WEBSOCKET":
            continue
        answer = await http.request(method, address(path), json={} if method in ("POST", "PATCH") else None)
        assert (answer.status_code == 401) == (need != "public"), f"{method} {path}: {answer.status_code}"
        assert answer.status_code < 500
        for name, value in HEADERS.items():
            assert answer.headers.get(name) == value, f"{method} {path} lacks {name}"
        if path.startswith("/api/"):
            assert "no-" in answer.headers["cache-control"]
        if answer.status_code >= 400 and method != "HEAD":
            said = answer.json()
            assert said.keys() >= {"code", "detail", "remedy", "status"}
            assert said["status"] == answer.status_code == KINDS[said["code"]].status
            assert answer.headers["content-type"] == "application/problem+json"


async def test_another_sites_page_changes_nothing(app: FastAPI, http: httpx.AsyncClient) -> None:
    for method, path in needs(app):
        if method not in ("POST", "PATCH"):
            continue
        for told in ({"origin": "http://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}):
            answer = await http.request(method, address(path), json={}, headers=told)
            assert (answer.status_code, answer.json()["code"]) == (403, "wrong_origin"), f"{method} {path} {told}"


@pytest.mark.parametrize(
    ("headers", "fine"),
    [
        ({"host": "city.example"}, True),
        ({"host": "city.example", "origin": "http://city.example"}, True),
        ({"host": "city.example", "origin": "https://CITY.example"}, True),
        ({"host": "city.example:8808", "origin": "http://city.example:8808"}, True),
        ({"host": "city.example:8808", "origin": "http://city.example"}, False),
        ({"host": "city.example", "origin": "http://city.example.evil.example"}, False),
        ({"host": "city.example", "origin": "http://evil.example/city.example"}, False),
        ({"host": "city.example", "origin": "file://city.example"}, False),
        ({"host": "city.example", "origin": "null"}, False),
        ({"host": "city.example", "origin": ""}, False),
        ({"host": "", "origin": "http://"}, False),
        ({"host": "city.example", "origin": "http://[::1"}, False),
        ({"host": "city.example", "origin": "https://screen.example"}, True),
        ({"host": "city.example", "sec-fetch-site": "same-origin"}, True),
        ({"host": "city.example", "sec-fetch-site": "same-site"}, False),
    ],
)
def test_origins(headers: dict[str, str], fine: bool) -> None:
    assert same_origin(Headers(headers), ["https://screen.example"]) is fine


async def test_a_body_too_large_is_refused_whether_it_says_so_or_not(http: httpx.AsyncClient) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(70):
            yield b"x" * 1024

    told = await http.post("/api/login", content=b"x" * (MAX_BODY + 1), headers={"content-type": "application/json"})
    untold = await http.post("/api/login", content=chunks(), headers={"content-type": "application/json"})
    liar = await http.post("/api/login", content=b"{}", headers={"content-type": "application/json", "content-length": "-5"})
    assert [a.status_code for a in (told, untold, liar)] == [413, 413, 413]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'{"user": 5, "password": "x"}',
        b'{"user": "a", "password": ""}',
        b'{"user": "a b", "password": "x"}',
        b'{"user": "a\\u0000", "password": "x"}',
        b'{"user": "\\ud800", "password": "x"}',
        b'{"user": "a", "password": "\\ud800"}',
        b'{"user": "a", "password": "x", "more": 1}',
        b"\xff\xfe",
        b"{" * 3000,
    ],
)
async def test_malformed_input_is_a_400_that_says_what_is_wrong(http: httpx.AsyncClient, body: bytes) -> None:
    answer = await http.post("/api/login", content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
    assert len(answer.json()["detail"]) > len("请求无效 / the request is not valid: ")


async def test_a_fault_of_ours_is_a_500_in_the_same_shape(app: FastAPI, http: httpx.AsyncClient) -> None:
    async def broken() -> list[str]:
        raise ZeroDivisionError

    app.state.parts.trouble = broken
    answer = await http.get("/readyz")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_readiness_gives_its_reasons(app: FastAPI, http: httpx.AsyncClient) -> None:
    assert (await http.get("/readyz")).json() == {"ready": True, "reasons": []}

    async def away() -> list[str]:
        return ["no answer from Kafka"]

    app.state.parts.trouble = away
    answer = await http.get("/readyz")
    assert (answer.status_code, answer.json()) == (503, {"ready": False, "reasons": ["no answer from Kafka"]})
    assert (await http.get("/healthz")).status_code == 200


async def test_metrics_are_for_this_machine(app: FastAPI, http: httpx.AsyncClient) -> None:
    assert (await http.get("/metrics")).status_code == 401
    for near in ("127.0.0.1", "::1"):
        transport = httpx.ASGITransport(app, client=(near, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://city.example") as client:
            answer = await client.get("/metrics")
            assert answer.status_code == 200
            assert "cityops_gateway_request_seconds" in answer.text
    assert health.router.routes


async def test_the_description_names_the_role_of_every_operation(app: FastAPI, http: httpx.AsyncClient) -> None:
    described = (await http.get("/api/openapi.json")).json()
    needed = needs(app)
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            assert operation["x-role"] == needed[method.upper(), path]
            assert "422" not in operation["responses"]
    refs = set(str(described).split("#/components/schemas/")[1:])
    for ref in refs:
        assert ref.split("'")[0] in described["components"]["schemas"]


@pytest.mark.parametrize("cookie", ["", "x", "a.b", "a" * 300, "é", "token.AAAA", ".", "\ud800"])
async def test_a_forged_cookie_is_nobody_without_asking_the_database(tmp_path: Path, cookie: str) -> None:
    assert await parts(Clock(), tmp_path).sessions.identify(cookie) is None


async def test_a_cookie_signed_with_another_key_is_nobody(tmp_path: Path) -> None:
    other = Sessions(None, b"x" * 32, Clock(), 12.0)  # type: ignore[arg-type] # never reaches the database
    forged = other._signer.sign("token").decode()
    assert other._token(forged) == b"token"
    assert parts(Clock(), tmp_path).sessions._token(forged) is None
    assert COOKIE == "cityops_session"
