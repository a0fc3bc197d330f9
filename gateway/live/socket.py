"""The websocket door: who may open it, what is said on it, and when it is closed."""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress
from typing import Annotated, Any, Final

import msgspec
import structlog
from fastapi import APIRouter, Depends, WebSocket
from starlette.websockets import WebSocketDisconnect

from gateway.actions import perform
from gateway.live.client import Client
from gateway.parts import Parts, parts_of
from gateway.policy import OwnCheck, identify, same_origin
from gateway.problems import KINDS
from gateway.problems import Problem as Refusal
from gateway.sessions import COOKIE, Identity
from schemas import metrics
from schemas.errors import Retry
from schemas.messages import LAYERS, PROTO, Ack, Command, FromClient, Hello, Problem, Result, Snapshot, Subscribe, Welcome

router = APIRouter()
log = structlog.get_logger(__name__)

HELLO_S: Final = 3.0
RECHECK_S: Final = 20.0
"""How often an open websocket's session is looked at again."""
PER_USER: Final = 10
BUFFER: Final = 1 << 20
"""Bytes that may wait in the transport; more, and not shrinking, is a client that does not read."""
NO_SESSION, ROLE_CHANGED, BAD_PROTO, NO_HELLO, TOO_MANY, BAD_MESSAGE = 4401, 4409, 4406, 4408, 4429, 4400
_DECODER: Final[msgspec.json.Decoder[FromClient]] = msgspec.json.Decoder(FromClient)


class Closed(Exception):  # noqa: N818
    """The conversation ends with this close code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


@router.websocket("/ws")
async def door(websocket: WebSocket, _: Annotated[None, Depends(OwnCheck())]) -> None:
    """Serve one client: 403 for another site's page, 4401 without a session, then the language of schemas.messages."""
    parts = parts_of(websocket)
    if not same_origin(websocket.headers, parts.config.gateway.origins):
        metrics.GATEWAY_DROPPED.labels("origin").inc()
        await websocket.close()
        return
    await websocket.accept()
    try:
        await _admitted(websocket, parts, await identify(websocket))
    except Closed as closed:
        metrics.GATEWAY_DROPPED.labels(closed.reason.replace(" ", "_")).inc()
        with suppress(RuntimeError, WebSocketDisconnect):
            await websocket.close(closed.code, closed.reason)
    except Retry:
        with suppress(RuntimeError, WebSocketDisconnect):
            await websocket.close(1013, "try again")
    except WebSocketDisconnect:
        pass


async def _admitted(websocket: WebSocket, parts: Parts, identity: Identity | None) -> None:
    if identity is None:
        raise Closed(NO_SESSION, "log in first")
    if parts.sockets.get(identity.name, 0) >= PER_USER:
        raise Closed(TOO_MANY, "too many connections")
    parts.sockets[identity.name] = parts.sockets.get(identity.name, 0) + 1
    try:
        await Conversation(websocket, parts, identity).run()
    finally:
        parts.sockets[identity.name] -= 1
        if not parts.sockets[identity.name]:
            del parts.sockets[identity.name]


class Conversation:
    """One open websocket."""

    def __init__(self, websocket: WebSocket, parts: Parts, identity: Identity) -> None:
        self._socket = websocket
        self._parts = parts
        self._identity = identity
        self._client = Client(coarse=identity.coarse, now=parts.clock())
        self._commands: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Greet, then talk until either side ends it."""
        try:
            hello = await asyncio.wait_for(self._hear(), HELLO_S)
        except TimeoutError as error:
            raise Closed(NO_HELLO, "no hello") from error
        if not isinstance(hello, Hello):
            raise Closed(NO_HELLO, "no hello")
        if hello.proto != PROTO:
            raise Closed(BAD_PROTO, "other protocol")
        self._welcome(hello)
        tasks = [asyncio.create_task(job) for job in (self._receive(), self._send(), self._watch())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            self._parts.hub.clients.discard(self._client)
            for task in [*tasks, *self._commands]:
                task.cancel()
            await asyncio.gather(*tasks, *self._commands, return_exceptions=True)

    def _welcome(self, hello: Hello) -> None:
        hub, client = self._parts.hub, self._client
        missed = hub.since(hello.resume, coarse=self._identity.coarse)
        client.reply(
            Welcome(
                proto=PROTO,
                epoch=hub.epoch,
                build=self._parts.build,
                now_ms=self._parts.clock() // 1000,
                interval_ms=client.interval_ms,
                seq=hub.seq,
                user=self._identity.name,
                role=self._identity.role,
                resumed=missed is not None,
            )
        )
        client.renew([hub.alerts(coarse=self._identity.coarse)] if missed is None else missed)
        hub.clients.add(client)

    async def _hear(self) -> FromClient | None:
        """Give the next message; None for one that could not be understood, which is answered."""
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1005))
        said: str | bytes = message.get("text") or message.get("bytes") or b""
        try:
            return _DECODER.decode(said)
        except (msgspec.DecodeError, UnicodeError) as error:
            self._client.reply(Problem(code="bad_message", detail=str(error)[:200]))
            return None

    async def _receive(self) -> None:
        while True:
            said = await self._hear()
            expected = isinstance(said, Ack) and self._client.ack(said.frames)
            if not expected and not self._client.admit(self._parts.clock()):
                raise Closed(TOO_MANY, "too many messages")
            if isinstance(said, Subscribe):
                self._subscribe(said)
            elif isinstance(said, Snapshot):
                self._client.renew([self._parts.hub.alerts(coarse=self._identity.coarse)])
            elif isinstance(said, Command):
                task = asyncio.create_task(self._command(said))
                self._commands.add(task)
                task.add_done_callback(self._commands.discard)
            elif isinstance(said, Hello):
                self._client.reply(Problem(code="bad_message", detail="hello was said already"))

    def _subscribe(self, wanted: Subscribe) -> None:
        if any(not 0 <= n < len(LAYERS) for n in wanted.layers):
            self._client.reply(Problem(code="bad_layer", detail=f"layers are 0 to {len(LAYERS) - 1}"))
        elif wanted.bbox is not None and not _is_box(wanted.bbox):
            self._client.reply(Problem(code="bad_bbox", detail="bbox is west, south, east, north in degrees"))
        else:
            self._client.subscribe(msgspec.structs.replace(wanted, layers=sorted(set(wanted.layers))))

    async def _command(self, said: Command) -> None:
        try:
            self._client.reply(await perform(self._socket, self._identity, said))
        except Refusal as refusal:
            kind = KINDS[refusal.code]
            words = f"{kind.zh} / {kind.en}" + (f": {refusal.what}" if refusal.what else "")
            self._client.reply(Result(cmd_id=said.cmd_id, outcome="refused", detail=words))
        except Retry as error:
            self._client.reply(Result(cmd_id=said.cmd_id, outcome="timeout", detail=str(error)))

    async def _send(self) -> None:
        while True:
            part = self._client.take()
            if part is None:
                await self._client.wake.wait()
            elif isinstance(part, bytes):
                metrics.GATEWAY_SENT_BYTES.labels("state").inc(len(part))
                await self._socket.send_bytes(part)
            else:
                metrics.GATEWAY_SENT_BYTES.labels("events").inc(len(part))
                await self._socket.send_text(part)

    async def _watch(self) -> None:
        """Close when the session is over or the role changed, abort when the client does not read."""
        waited, before = 0.0, 0
        while True:
            await asyncio.sleep(1)
            waited += 1
            transport = self._socket.scope.get("extensions", {}).get("cityops", {}).get("transport")
            buffered = transport.get_write_buffer_size() if transport is not None else 0
            if buffered > BUFFER and buffered >= before > BUFFER:
                metrics.GATEWAY_DROPPED.labels("does_not_read").inc()
                log.info("client does not read", user=self._identity.name, buffered=buffered)
                _abort(transport)
                raise WebSocketDisconnect(1006)
            before = buffered
            if waited >= RECHECK_S:
                waited = 0.0
                await self._recheck()

    async def _recheck(self) -> None:
        try:
            identity = await self._parts.sessions.identify(self._socket.cookies.get(COOKIE))
        except Retry:
            return  # nobody can be barred while the database is away; the map stays
        if identity is None:
            raise Closed(NO_SESSION, "session is over")
        if identity.role != self._identity.role:
            raise Closed(ROLE_CHANGED, "role changed")


def _abort(transport: Any) -> None:
    transport.abort()


def _is_box(box: tuple[float, float, float, float]) -> bool:
    west, south, east, north = box
    return all(math.isfinite(v) for v in box) and -360 <= west < east <= 360 and -90 <= south < north <= 90
