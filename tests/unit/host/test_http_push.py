"""Documents pushed over HTTP: the answer waits for their readings, and every limit has its status."""

from __future__ import annotations

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from connectors._api.session import Received, Reply
from connectors._host.http_push import HttpListener
from connectors._host.options import HttpPushOptions
from schemas.config import Secret
from schemas.errors import Reject
from tests.contract.test_connectors import with_session
from tests.unit.host.fakes import Bench, bus, certificate, until


class Carrier:
    """A platform that verifies the address by GET and pushes buses by POST."""

    def __init__(self, settings: Any, peer: Any) -> None:
        self.origins: list[str] = []

    def start(self, now: int) -> Received:
        return Received()

    def tick(self, now: int) -> Received:
        return Received()

    def receive(self, body: bytes, seen_at: int, origin: str = "") -> Received:
        self.origins.append(origin)
        if origin.startswith("GET"):
            return Received(message={"name": "echo"}, replies=[Reply(origin.partition("msg=")[2].encode(), "now")])
        if body == b"bad":
            raise Reject("bad_field", "no bus")
        replies = [Reply(b'{"rc":1}')] if body == b"reply" else []
        return Received(message={"name": "bus"}, readings=[bus(body[:9].decode())], replies=replies)


@asynccontextmanager
async def served(bench: Bench, **options: Any) -> AsyncIterator[tuple[HttpListener, str]]:
    given = HttpPushOptions(listen="127.0.0.1:0", **options)
    door = HttpListener(with_session(Carrier, None), {}, given, bench.intake, bench.clock)
    async with bench.opened(door):
        yield door, f"{'https' if given.tls_cert else 'http'}://127.0.0.1:{door.port}/push"


@asynccontextmanager
async def client(**given: Any) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10), **given) as made:
        yield made
    await asyncio.sleep(0)


async def post(to: aiohttp.ClientSession, url: str, body: bytes, **given: Any) -> tuple[int, Any]:
    async with to.post(url, data=body, **given) as answer:
        return answer.status, await answer.json(content_type=None)


async def test_no_200_before_the_readings_are_safe() -> None:
    bench = Bench()
    async with served(bench) as (_, url), client() as c:
        sent = asyncio.create_task(post(c, url, b"B1"))
        reply = asyncio.create_task(post(c, url, b"reply"))
        await until(lambda: bench.intake.readings == 2)
        await asyncio.sleep(0.05)
        assert not sent.done()
        assert not reply.done()
        bench.confirm()
        assert await sent == (200, {"code": 0})
        assert await reply == (200, {"rc": 1})


async def test_refused_document_is_answered_with_its_reasons_once_they_are_recorded() -> None:
    bench = Bench()
    async with served(bench) as (_, url), client() as c:
        sent = asyncio.create_task(post(c, url, b"bad"))
        await until(lambda: bench.intake.rejects == 1)
        await asyncio.sleep(0.02)
        assert not sent.done()
        bench.confirm()
        assert await sent == (400, {"code": 400, "rejects": [{"reason": "bad_field", "detail": "no bus"}]})


async def test_get_reaches_the_session_with_its_path_and_query() -> None:
    bench = Bench()
    async with served(bench) as (door, url), client() as c:
        async with c.get(f"{url}?nonce=1&msg=echo-me") as answer:
            assert (answer.status, await answer.text(), answer.content_type) == (200, "echo-me", "text/plain")
        assert door._session.origins == ["GET /push?nonce=1&msg=echo-me"]  # type: ignore[attr-defined]


async def test_readings_that_are_not_safe_in_time_are_to_be_sent_again() -> None:
    bench = Bench()
    async with served(bench, answer_timeout_s=0.05) as (_, url), client() as c:
        assert (await post(c, url, b"B1"))[0] == 503
    bench = Bench(max_unconfirmed=1)
    async with served(bench, answer_timeout_s=0.05) as (_, url), client() as c:
        assert [(await post(c, url, b"B1"))[0] for _ in range(2)] == [503, 503]
        assert bench.intake.readings == 1


async def test_limits_have_their_status() -> None:
    bench = Bench()
    async with served(bench, max_bytes=1000) as (_, url), client() as c:
        assert (await post(c, url, b"x" * 1001))[0] == 413
        packed = gzip.compress(b"\0" * 1_000_000)
        assert (await post(c, url, packed, headers={"Content-Encoding": "gzip"}))[0] == 413
        assert bench.intake.rejects == 2
    async with served(bench, packets_per_s=1, answer_timeout_s=0.02) as (_, url), client() as c:
        assert [(await post(c, url, b"B1"))[0] for _ in range(2)] == [503, 429]
    async with served(bench, max_concurrent=1) as (door, url), client() as c:
        first = asyncio.create_task(post(c, url, b"B7"))
        await until(lambda: door._busy == 1)
        assert (await post(c, url, b"B8"))[0] == 503
        await until(lambda: bench.submitted or bench.intake.unconfirmed)
        bench.confirm()
        assert (await first)[0] == 200


@pytest.mark.parametrize("options", [{"max_connections": 1, "max_per_ip": 0}, {"max_per_ip": 1}, {"allow": ["10.0.0.0/8"]}])
async def test_connections_beyond_the_gate_are_closed_at_once(options: dict[str, Any]) -> None:
    bench = Bench()
    async with served(bench, **options) as (door, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        await until(lambda: door.count == (0 if "allow" in options else 1))
        reader_2, writer_2 = await asyncio.open_connection("127.0.0.1", door.port)
        with pytest.raises(ConnectionError):
            if not await asyncio.wait_for((reader if "allow" in options else reader_2).read(), 10):
                raise ConnectionResetError
        for w in (writer, writer_2):
            w.transport.abort()
            await asyncio.gather(w.wait_closed(), return_exceptions=True)
        await until(lambda: door.count == 0)


async def test_connection_that_asks_nothing_is_closed() -> None:
    bench = Bench()
    async with served(bench, first_packet_s=0.05) as (door, _):
        for content in (b"", b"POST /push HTTP/1.1\r\nHost: x\r\nX-Slow"):
            reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
            writer.write(content)
            await asyncio.wait_for(reader.read(), 10)
            writer.close()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)
        await until(lambda: door.count == 0)


async def test_body_that_does_not_come_is_not_waited_for() -> None:
    bench = Bench()
    async with served(bench, answer_timeout_s=0.05) as (door, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(b"POST /push HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nB1")
        assert b" 408 " in await asyncio.wait_for(reader.readline(), 10)
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)


@pytest.mark.parametrize(
    ("options", "given", "status"),
    [
        ({"token": Secret("t0")}, {}, 401),
        ({"token": Secret("t0")}, {"headers": {"Authorization": "Bearer t1"}}, 401),
        ({"token": Secret("t0")}, {"headers": {"Authorization": "Bearer t0"}}, 200),
        ({"token": Secret("t0")}, {"headers": {"X-Token": "t0"}}, 200),
        ({"username": "u", "password": Secret("p")}, {"headers": {"Authorization": aiohttp.encode_basic_auth("u", "p")}}, 200),
        ({"username": "u", "password": Secret("p")}, {"headers": {"Authorization": aiohttp.encode_basic_auth("u", "q")}}, 401),
        ({"username": "u", "password": Secret("p")}, {"headers": {"X-Token": "dTpw"}}, 401),
        ({"token": Secret("t0"), "username": "u"}, {"headers": {"Authorization": aiohttp.encode_basic_auth("u", "")}}, 200),
    ],
)
async def test_login(options: dict[str, Any], given: dict[str, Any], status: int) -> None:
    bench = Bench()
    async with served(bench, **options) as (_, url), client() as c:
        sent = asyncio.create_task(post(c, url, b"B1", **given))
        await until(lambda: bench.intake.readings or bench.intake.rejects)
        bench.confirm()
        assert (await sent)[0] == status
        assert [bench.intake.readings, bench.intake.rejects] == ([1, 0] if status == 200 else [0, 1])


async def test_tls_and_certificates_of_clients(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    own, own_key = certificate(tmp_path, "carrier")
    bench = Bench()
    trusting = ssl.create_default_context(cafile=cert)

    async def echo(url: str) -> str:
        async with client() as c, c.get(f"{url}?msg=hi", ssl=trusting) as answer:
            return await answer.text()

    async with served(bench, tls_cert=cert, tls_key=key) as (_, url):
        assert await echo(url) == "hi"
    async with served(bench, tls_cert=cert, tls_key=key, tls_ca=own) as (_, url):
        with pytest.raises(aiohttp.ClientError):
            await echo(url)
        trusting.load_cert_chain(own, own_key)
        assert await echo(url) == "hi"


async def test_requests_in_work_are_answered_when_the_door_halts() -> None:
    bench = Bench()
    async with served(bench) as (door, url), client() as c:
        sent = asyncio.create_task(post(c, url, b"B1"))
        await until(lambda: bench.intake.readings == 1)
        door.halt()
        bench.confirm()
        assert await sent == (200, {"code": 0})
