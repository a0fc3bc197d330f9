"""HTTP push: documents are posted to us; the answer says that their readings are safe, or why they were refused."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
from collections import OrderedDict
from collections.abc import Callable
from functools import partial

import structlog
from aiohttp import web

from connectors._api.manifest import Settings
from connectors._api.registry import Connector
from connectors._api.session import Received
from connectors._host.builder import Delivery
from connectors._host.descriptors import affordable
from connectors._host.door import Door, safe, stop_listening
from connectors._host.intake import Intake, guarded
from connectors._host.limits import Allowance, Gate, Tls
from connectors._host.options import HttpPushOptions, address
from schemas.errors import Reject
from schemas.metrics import CONNECTOR_CONNECTIONS

log = structlog.get_logger()

SENDERS_REMEMBERED = 10_000
HANDSHAKE_S = 10.0
LINGER_S = 1.0
AGAIN = {"Retry-After": "1"}


class HttpListener(Door):
    """Takes requests for one instance; all of them belong to one session, which lives as long as the door."""

    def __init__(
        self, connector: Connector, settings: Settings, options: HttpPushOptions, intake: Intake, clock: Callable[[], int]
    ) -> None:
        super().__init__(connector, settings, intake, clock)
        self._options = options
        self._session = self.make_session()
        self._logins = _logins(options)
        self._allowances: OrderedDict[str, Allowance] = OrderedDict()
        self._busy = 0
        self._halted = False
        self._loop = asyncio.get_running_loop()
        self._site: asyncio.Server | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._protocols: Protocols | None = None

    @property
    def count(self) -> int:
        """How many connections are open."""
        return self._protocols.gate.count if self._protocols is not None else 0

    @property
    def port(self) -> int:
        """The port it listens on, once it does."""
        assert self._site is not None, "serve() comes first"
        return int(self._site.sockets[0].getsockname()[1])

    async def serve(self, ready: Callable[[], None] = lambda: None) -> None:
        """Listen and serve until cancelled; ``ready`` is called when the port is open."""
        options = self._options
        host, port = address(options.listen, self.connector.manifest.default_port)
        self._protocols = Protocols(self._answer, options, self.intake.name)
        self._take(guarded(self.connector.type, partial(self._session.start, self.clock()), b""), b"", "")
        tls = Tls(options).listening
        wait_s = HANDSHAKE_S if tls else None
        self._site = await self._loop.create_server(
            self._protocols, host, port, ssl=tls, backlog=1024, ssl_handshake_timeout=wait_s
        )
        ready()
        while True:
            await asyncio.sleep(1.0)
            self._take(guarded(self.connector.type, partial(self._session.tick, self.clock()), b""), b"", "")

    def halt(self) -> None:
        """Take in nothing more; requests that wait for their readings are still answered."""
        self._halted = True
        if self._site is not None and self._stopping is None:
            self._stopping = asyncio.create_task(stop_listening(self._site))

    async def close(self) -> None:
        """Close all connections, once the answers that are due are out."""
        self.halt()
        if self._stopping is not None:
            await self._stopping
        if self._protocols is not None:
            await self._protocols.shutdown(LINGER_S)
            await asyncio.sleep(0)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; whatever happens inside, the sender hears whether to send again."""
        sender = request.remote or ""
        if self._protocols is not None:
            self._protocols.heard(request)
        if self._halted or self._busy >= self._options.max_concurrent:
            return _refusal(503, "busy, send again", AGAIN)
        if not self._allowance(sender).grant(request.content_length or 0, self._loop.time()):
            return _refusal(429, "too many requests, send again later", AGAIN)
        if not self._known(request):
            reject = Reject("unauthenticated", f"{request.method} {request.path[:256]} without a valid login")
            self._take(Received(rejects=[reject]), b"", sender)
            return _refusal(401, "login required", {"WWW-Authenticate": 'Basic realm="cityops"'})
        self._busy += 1
        try:
            return await self._receive(request, sender)
        finally:
            self._busy -= 1

    async def _receive(self, request: web.BaseRequest, sender: str) -> web.Response:
        try:
            async with asyncio.timeout(self._options.answer_timeout_s):
                await self.intake.room()
        except TimeoutError:
            return _refusal(503, "too much waits to be stored, send again", AGAIN)
        try:
            async with asyncio.timeout(self._options.answer_timeout_s):
                body = await self._body(request)
        except TimeoutError:
            return _refusal(408, "the body did not come in time")
        if body is None:
            reject = Reject("too_large", f"{request.path[:256]}: the body has more than {self._options.max_bytes} bytes")
            self._take(Received(rejects=[reject]), b"", sender)
            return _refusal(413, reject.detail)
        received = self.decode(self._session, body, self.clock(), f"{request.method} {request.path_qs}")
        return await self._result(received, self._take(received, body, sender))

    async def _body(self, request: web.BaseRequest) -> bytes | None:
        """Give the body after decompression; None for one beyond the limit."""
        found = bytearray()
        async for part in request.content.iter_any():
            found += part
            if len(found) > self._options.max_bytes:
                return None
        return bytes(found)

    async def _result(self, received: Received, delivery: Delivery) -> web.Response:
        """Make the answer, and wait until it may be given: when all is safe, or at once where the session says so."""
        reply = received.replies[0] if received.replies else None
        if reply is None or reply.when == "durable":
            try:
                async with asyncio.timeout(self._options.answer_timeout_s):
                    await safe(delivery)
            except TimeoutError:
                return _refusal(503, "not stored yet, send again", AGAIN)
        if reply is not None:
            kind = _content_type(reply.data)
            return web.Response(body=reply.data, status=reply.status, content_type=kind, charset="utf-8")
        if received.rejects and not received.readings:
            reasons = [{"reason": r.reason, "detail": r.detail} for r in received.rejects]
            return web.json_response({"code": 400, "rejects": reasons}, status=400)
        return web.json_response({"code": 0})

    def _take(self, received: Received, body: bytes, sender: str) -> Delivery:
        return self.intake.take(received, body, self.clock(), f"{sender}:0" if sender else "")

    def _allowance(self, sender: str) -> Allowance:
        found = self._allowances.get(sender)
        if found is None:
            if len(self._allowances) >= SENDERS_REMEMBERED:
                self._allowances.popitem(last=False)
            found = self._allowances[sender] = Allowance(self._options, self._loop.time())
        self._allowances.move_to_end(sender)
        return found

    def _known(self, request: web.BaseRequest) -> bool:
        given = (request.headers.get("Authorization", ""), f"Bearer {request.headers.get('X-Token', '')}")
        tries = [hmac.compare_digest(g.encode(), login) for g in given for login in self._logins]
        return any(tries) or not self._logins


class Protocols(web.Server):
    """Makes the HTTP side of each connection, and closes those that the gate does not let in."""

    def __init__(self, answer: Callable[..., object], options: HttpPushOptions, name: str) -> None:
        super().__init__(answer, access_log=None, keepalive_timeout=options.idle_timeout_s)  # type: ignore[arg-type]
        self.gate = Gate(options.allow, options.max_connections, options.max_per_ip)
        self._first_packet_s = options.first_packet_s
        self._name = name
        self._inside: dict[web.RequestHandler, str] = {}
        self._heard: set[web.RequestHandler] = set()

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """Let a connection in, or close it."""
        super().connection_made(handler, transport)
        ip = (transport.get_extra_info("peername") or ("",))[0]
        if not affordable(transport) or not self.gate.enter(ip):
            transport.abort()
            return
        self._inside[handler] = ip
        asyncio.get_running_loop().call_later(self._first_packet_s, self._expire, handler)
        CONNECTOR_CONNECTIONS.labels(self._name).set(self.gate.count)

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        """Count a connection as gone."""
        super().connection_lost(handler, exc)
        self._heard.discard(handler)
        ip = self._inside.pop(handler, None)
        if ip is not None:
            self.gate.leave(ip)
            CONNECTOR_CONNECTIONS.labels(self._name).set(self.gate.count)

    def heard(self, request: web.BaseRequest) -> None:
        """Note that a connection has sent a whole request head; from then on its idle time-out counts."""
        self._heard.add(request.protocol)

    def _expire(self, handler: web.RequestHandler) -> None:
        if handler in self._inside and handler not in self._heard:
            handler.force_close()


def _logins(options: HttpPushOptions) -> list[bytes]:
    """Give what an ``Authorization`` header may say; empty where nobody needs to say anything."""
    found = []
    if options.token:
        found.append(b"Bearer " + options.token.reveal().encode())
    if options.username or options.password:
        pair = f"{options.username}:{options.password.reveal()}".encode()
        found.append(b"Basic " + base64.b64encode(pair))
    return found


def _refusal(status: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response({"code": status, "message": message}, status=status, headers=headers)


def _content_type(body: bytes) -> str:
    """Give a body's type: sessions give bytes only, and carriers want it named rightly."""
    start = body.lstrip()[:1]
    if start == b"<":
        return "application/xml"
    try:
        json.loads(body)
    except ValueError:
        return "text/plain"
    return "application/json" if start in (b"{", b"[") else "text/plain"
