"""A polled feed is asked when its session wants, within limits, and again with growing pauses where it fails."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from connectors._api.manifest import Settings
from connectors._api.session import Peer, Received, Request
from connectors._host.builder import Frame, FrameBuilder
from connectors._host.intake import Intake
from connectors._host.options import HttpPollOptions
from connectors._host.poll import SECOND, Fetched, Fetcher, Poller, PublicResolver, hosts_in
from schemas.config import Secret
from schemas.errors import Reject
from tests.contract.test_connectors import with_session
from tests.unit.host.fakes import FakeTime, bus, turn

URL = "http://feed.example/a"


class Feed:
    """A session that wants one document every 30 s."""

    def __init__(self, settings: Settings, peer: Peer) -> None:
        self.bodies: list[bytes] = []

    def start(self, now: int) -> Received:
        return Received(requests=[Request(URL, now)])

    def tick(self, now: int) -> Received:
        return Received()

    def receive(self, packet: bytes, seen_at: int, origin: str = "") -> Received:
        if packet == b"bad":
            raise Reject("bad_frame", "no feed")
        if packet == b"last":
            return Received(message={"name": "feed"})
        return Received(message={"name": "feed"}, readings=[bus()], requests=[Request(origin, seen_at + 30 * SECOND)])


class Web:
    """Answers from a list; remembers what it was asked and when."""

    def __init__(self, time: FakeTime, answers: list[Fetched | BaseException]) -> None:
        self.answers = answers
        self.asked: list[tuple[int, dict[str, str]]] = []
        self._time = time

    async def fetch(self, url: str, validators: dict[str, str]) -> Fetched:
        self.asked.append(((self._time.now - 1_793_491_200_000_000) // SECOND, validators))
        answer = self.answers.pop(0) if self.answers else Fetched(200, b"feed", {})
        if isinstance(answer, BaseException):
            raise answer
        return answer


@asynccontextmanager
async def polling(answers: list[Fetched | BaseException], **options: Any) -> AsyncIterator[tuple[Poller, Web, FakeTime, Intake]]:
    time = FakeTime()
    served = Web(time, answers)
    submitted: list[Frame] = []
    builder = FrameBuilder("f1", "run1", partitions=4, frame_rows=1000, flush_us=200_000)
    intake = Intake("f1", builder, submitted.extend, time.clock, flush_s=60)
    poller = Poller(with_session(Feed), {}, HttpPollOptions(**options), intake, time.clock, fetch=served.fetch, sleep=time.sleep)
    task = asyncio.create_task(poller.serve())
    await turn()
    try:
        yield poller, served, time, intake
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        intake.flush()


async def test_document_is_asked_when_its_session_wants_it() -> None:
    async with polling([]) as (_, served, time, intake):
        await time.advance(95)
        assert [at for at, _ in served.asked] == pytest.approx([0, 30, 60, 90], abs=4)
        assert intake.readings == len(served.asked) == intake.packets


async def test_document_that_has_not_changed_is_asked_again_with_its_validators_and_not_decoded() -> None:
    tag = {"If-None-Match": '"1"'}
    async with polling([Fetched(200, b"feed", tag), Fetched(304, None, tag), Fetched(304, None, tag)]) as (
        _,
        served,
        time,
        intake,
    ):
        await time.advance(70)
        assert [v for _, v in served.asked] == [{}, tag, tag]
        assert intake.readings == 1


async def test_error_status_is_a_reject_and_is_asked_again_soon() -> None:
    async with polling([Fetched(503, b"busy", {}), Fetched(500, b"busy", {})]) as (poller, served, time, intake):
        await turn()
        assert poller.health == "refused"
        assert "503" in poller.detail
        await time.advance(6)
        assert len(served.asked) == 3
        assert (intake.rejects, intake.readings) == (2, 1)
        assert poller.health == "live"


async def test_refused_document_is_asked_again_at_the_interval_of_its_feed() -> None:
    async with polling([Fetched(200, b"feed", {}), Fetched(200, b"bad", {})]) as (_, served, time, intake):
        await time.advance(70)
        assert [at for at, _ in served.asked] == pytest.approx([0, 30, 60], abs=4)
        assert (intake.rejects, intake.readings) == (1, 2)


async def test_session_that_wants_no_more_is_not_asked_again() -> None:
    async with polling([Fetched(200, b"last", {})]) as (_, served, time, _intake):
        await time.advance(120)
        assert len(served.asked) == 1


async def test_pauses_grow_and_the_breaker_opens_and_closes() -> None:
    fault = aiohttp.ClientConnectionError("no route")
    async with polling([fault] * 6, breaker_failures=5, breaker_s=60.0) as (poller, served, time, intake):
        await time.advance(50)
        tried = [at for at, _ in served.asked]
        assert len(tried) == 5
        assert poller.health == "down"
        assert tried[-1] - tried[0] < 20
        await time.advance(60)
        assert len(served.asked) == 6
        assert served.asked[5][0] - tried[4] >= 60
        await time.advance(130)
        assert intake.readings > 0
        assert poller.health == "live"


@asynccontextmanager
async def website(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def fetcher(hosts: tuple[str, ...] = ("127.0.0.1",), **options: Any) -> AsyncIterator[Fetcher]:
    made = Fetcher(HttpPollOptions(**options), hosts)
    try:
        yield made
    finally:
        await made.close()


async def test_fetch_gives_body_and_validators_and_sends_them_back() -> None:
    async def handler(request: web.Request) -> web.Response:
        assert request.headers["X-Key"] == "secret"
        if request.headers.get("If-None-Match") == '"v1"':
            return web.Response(status=304)
        return web.Response(body=b"hello", headers={"ETag": '"v1"', "Last-Modified": "Sun, 01 Nov 2026 00:00:00 GMT"})

    async with website(handler) as base, fetcher(headers={"X-Key": Secret("secret")}) as f:
        first = await f.fetch(f"{base}/a", {})
        assert (first.status, first.body, first.validators["If-None-Match"]) == (200, b"hello", '"v1"')
        assert (await f.fetch(f"{base}/a", first.validators)).body is None


async def test_body_beyond_the_limit_is_refused_also_when_it_comes_compressed() -> None:
    async def handler(request: web.Request) -> web.Response:
        if request.path == "/bomb":
            return web.Response(body=gzip.compress(b"\0" * 5_000_000), headers={"Content-Encoding": "gzip"})
        return web.Response(body=b"x" * 5_000_000)

    async with website(handler) as base, fetcher(max_bytes=1_000_000) as f:
        for path in ("/large", "/bomb"):
            with pytest.raises(Reject) as refused:
                await f.fetch(base + path, {})
            assert refused.value.reason == "too_large"


async def test_redirect_within_the_host_is_followed_and_off_it_is_not() -> None:
    async def handler(request: web.Request) -> web.Response:
        if request.path == "/off":
            raise web.HTTPFound("http://169.254.169.254/latest")
        if request.path == "/loop":
            raise web.HTTPFound("/loop")
        if request.path == "/old":
            raise web.HTTPMovedPermanently("/new")
        return web.Response(body=b"new")

    async with website(handler) as base, fetcher() as f:
        assert (await f.fetch(f"{base}/old", {})).body == b"new"
        with pytest.raises(Reject, match="off the host"):
            await f.fetch(f"{base}/off", {})
        with pytest.raises(Reject, match="redirects"):
            await f.fetch(f"{base}/loop", {})


@pytest.mark.parametrize(
    "url",
    ["http://169.254.169.254/latest", "file:///etc/passwd", "http://other.example/", "http://[::ffff:127.0.0.1]/", "nonsense"],
)
async def test_host_that_no_setting_names_is_not_asked(url: str) -> None:
    async with fetcher() as f:
        with pytest.raises(Reject) as refused:
            await f.fetch(url, {})
        assert refused.value.reason == "http_status"


async def test_name_that_leads_to_a_private_address_is_not_asked() -> None:
    with pytest.raises(OSError, match="not public"):
        await PublicResolver().resolve("localhost", 80)


def test_hosts_are_those_of_all_urls_in_the_settings() -> None:
    settings = {
        "url": "https://a.example/x",
        "more": ["http://b.example:8080/", "plain"],
        "table": {"k": "https://c.example"},
        "n": 3,
    }
    assert hosts_in(settings) == {"a.example", "b.example", "c.example"}
    assert hosts_in({}) == set()
