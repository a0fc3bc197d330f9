"""HTTP polling: the documents a session asks for, fetched in time, within limits, from allowed hosts only."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from socket import AddressFamily
from typing import Any

import aiohttp
import structlog
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from connectors._api.manifest import Settings
from connectors._api.registry import Connector
from connectors._api.session import Received, Request
from connectors._host.builder import Delivery
from connectors._host.door import Door
from connectors._host.intake import Intake, guarded
from connectors._host.options import HttpPollOptions
from schemas.errors import Reject
from schemas.events import Health
from schemas.metrics import CONNECTOR_RETRIES

log = structlog.get_logger()

SECOND = 1_000_000
REDIRECTS = 3
LONGEST_PAUSE_S = 60.0


@dataclass(frozen=True, slots=True)
class Fetched:
    """A server's answer; ``body`` is None when the document has not changed."""

    status: int
    body: bytes | None
    validators: dict[str, str]


class PublicResolver(AbstractResolver):
    """Resolves names, and refuses those that lead to a loopback, link-local or private address."""

    def __init__(self) -> None:
        self._inner = ThreadedResolver()

    async def resolve(self, host: str, port: int = 0, family: AddressFamily = AddressFamily.AF_INET) -> list[ResolveResult]:
        """Give the addresses of a host; raises ``OSError`` when one of them is not public."""
        found = await self._inner.resolve(host, port, family)
        for result in found:
            if not ip_address(result["host"]).is_global:
                msg = f"{host} resolves to {result['host']}, which is not public; set allow_private = true if that is meant"
                raise OSError(msg)
        return found

    async def close(self) -> None:
        """Nothing is open."""


class Fetcher:
    """Fetches documents within limits: time, bytes, allowed hosts, no redirect off the host."""

    def __init__(self, options: HttpPollOptions, hosts: Iterable[str]) -> None:
        self._options = options
        self._hosts = frozenset(hosts) | frozenset(options.hosts)
        self._session: aiohttp.ClientSession | None = None

    async def fetch(self, url: str, validators: dict[str, str]) -> Fetched:
        """Give a server's answer; a refusal on our side raises ``Reject("http_status")`` or ``("too_large")``."""
        target = URL(url)
        for _ in range(REDIRECTS + 1):
            self._allow(target)
            async with self._client().get(target, headers=validators, allow_redirects=False) as response:
                if response.status in (301, 302, 303, 307, 308):
                    to = target.join(URL(response.headers.get("Location", "")))
                    if to.origin() != target.origin():
                        raise Reject("http_status", f"{response.status}: redirect off the host, to {to.origin()}")
                    target = to
                    continue
                if response.status == 304:
                    return Fetched(304, None, validators)
                body = await self._body(response)
                fresh = {
                    "If-None-Match": response.headers.get("ETag"),
                    "If-Modified-Since": response.headers.get("Last-Modified"),
                }
                return Fetched(response.status, body, {k: v for k, v in fresh.items() if v})
        raise Reject("http_status", f"more than {REDIRECTS} redirects from {url}")

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _allow(self, url: URL) -> None:
        if url.scheme not in ("http", "https") or url.host not in self._hosts:
            raise Reject("http_status", f"{url} is not asked: its host is not in the settings; add it to hosts if it is meant")

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        """Read what is sent, counted after decompression."""
        parts: list[bytes] = []
        size = 0
        async for part in response.content.iter_chunked(64 * 1024):
            size += len(part)
            if size > self._options.max_bytes:
                raise Reject(
                    "too_large", f"{response.url} is larger than {self._options.max_bytes} bytes", parts[0] if parts else part
                )
            parts.append(part)
        return b"".join(parts)

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            resolver = None if self._options.allow_private else PublicResolver()
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit_per_host=4, resolver=resolver),
                timeout=aiohttp.ClientTimeout(total=self._options.timeout_s),
                headers={"User-Agent": "cityops", **{name: value.reveal() for name, value in self._options.headers.items()}},
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session


class Poller(Door):
    """One polled feed: asks what its session wants when it wants it, again with growing pauses where it fails."""

    def __init__(
        self,
        connector: Connector,
        settings: Settings,
        options: HttpPollOptions,
        intake: Intake,
        clock: Callable[[], int],
        *,
        fetch: Callable[[str, dict[str, str]], Awaitable[Fetched]] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__(connector, settings, intake, clock)
        self._options = options
        self._sleep = sleep
        self._session = self.make_session()
        self._fetcher = Fetcher(options, hosts_in(settings))
        self._fetch = fetch or self._fetcher.fetch
        self.pending: dict[str, int] = {}
        """When each document is due, by URL."""
        self._validators: dict[str, dict[str, str]] = {}
        self._asked_at: dict[str, int] = {}
        self._interval: dict[str, int] = {}
        self._failures: dict[str, int] = {}
        self._row = 0
        """Failures in a row, of any document."""
        self._closed_until = 0

    async def serve(self, ready: Callable[[], None] = lambda: None) -> None:
        """Poll until cancelled."""
        ready()
        try:
            self.begin()
            while True:
                now = self.clock()
                self._handle(partial(self._session.tick, now), b"")
                url = self.next_due(now)
                if url is not None:
                    await self.intake.room()
                    await self.poll(url)
                else:
                    due = max(min(self.pending.values(), default=now + SECOND), self._closed_until)
                    await self._sleep(min(max((due - now) / SECOND, 0.01), 1.0))
        finally:
            await self._fetcher.close()

    def begin(self) -> None:
        """Start the session: its first requests become due."""
        self._handle(partial(self._session.start, self.clock()), b"")

    def next_due(self, now: int) -> str | None:
        """Give the document that has been due longest; none while the circuit breaker is open."""
        due = [(at, url) for url, at in self.pending.items() if at <= now]
        return min(due)[1] if due and now >= self._closed_until else None

    async def poll(self, url: str) -> Delivery | None:
        """Fetch one document and hand it to the session; tells when its readings are safe, None if there are none."""
        self.pending.pop(url, None)
        self._asked_at[url] = asked = self.clock()
        try:
            fetched = await self._fetch(url, self._validators.get(url, {}))
        except Reject as reject:
            return self._failed(url, reject)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            return self._failed(url, None, f"{type(error).__name__}: {error}")
        if fetched.body is None:
            self._succeeded(url)
            self.pending.setdefault(url, asked + self._interval.get(url, 30 * SECOND))
            return None
        if fetched.status != 200:
            return self._failed(url, Reject("http_status", f"{fetched.status} from {url}", fetched.body[:4096]))
        self._succeeded(url)
        self._validators[url] = fetched.validators
        body, seen_at = fetched.body, self.clock()
        before = self.intake.rejects
        delivery = self._handle(partial(self._session.receive, body, seen_at, url), body, url)
        refused = self.intake.rejects > before
        if url in self.pending:
            self._interval[url] = max(self.pending[url] - asked, SECOND)
        elif refused:
            self.pending[url] = asked + self._interval.get(url, 30 * SECOND)
        return delivery

    def _handle(self, call: Callable[[], Received], packet: bytes, url: str = "") -> Delivery | None:
        received = guarded(self.connector.type, call, packet)
        for request in received.requests:
            self._want(request)
        if not (packet or received.readings or received.rejects):
            return None
        return self.intake.take(received, packet, self.clock(), url)

    def _want(self, request: Request) -> None:
        self.pending[request.url] = request.at

    def _succeeded(self, url: str) -> None:
        self._failures.pop(url, None)
        self._row = 0
        self.health, self.detail = "live", ""

    def _failed(self, url: str, reject: Reject | None, detail: str = "") -> Delivery | None:
        """Count a failure, have the document asked for again later, and open the breaker after many in a row."""
        now = self.clock()
        failures = self._failures[url] = self._failures.get(url, 0) + 1
        pause = min(2.0 ** min(failures - 1, 10), LONGEST_PAUSE_S) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
        self.pending[url] = now + int(pause * SECOND)
        CONNECTOR_RETRIES.labels(self.intake.name).inc()
        self._row += 1
        if self._row >= self._options.breaker_failures:
            self._closed_until = now + int(self._options.breaker_s * SECOND)
        detail = reject.detail if reject is not None else detail
        health: Health = (
            "refused" if reject is not None else "down" if self._row >= self._options.breaker_failures else "degraded"
        )
        if health != self.health:
            log.warning("feed cannot be fetched", connector=self.intake.name, url=url, detail=detail)
        self.health, self.detail = health, detail
        if reject is None:
            return None
        return self.intake.take(Received(rejects=[reject]), reject.raw, now, url)


def hosts_in(settings: Any) -> set[str]:
    """Give the hosts of all URLs in a connector's settings: those the operator means to be asked."""
    if isinstance(settings, str):
        try:
            host = URL(settings).host if settings.startswith(("http://", "https://")) else None
        except ValueError:
            host = None
        return {host} if host else set()
    if isinstance(settings, dict):
        return set().union(*(hosts_in(v) for v in settings.values())) if settings else set()
    if isinstance(settings, list | tuple):
        return set().union(*(hosts_in(v) for v in settings)) if settings else set()
    return set()
