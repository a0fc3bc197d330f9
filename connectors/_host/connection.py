"""One device's stream: a framing and a session, replies in the order of packets, time-outs, a speed limit."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Protocol

import structlog

from connectors._api.registry import Connector
from connectors._api.session import Framing, Received, Session
from connectors._host.cut import flush
from connectors._host.intake import Intake, complain, guarded
from connectors._host.limits import Allowance, InOrder
from connectors._host.options import Streams
from schemas.errors import Reject

log = structlog.get_logger()

CHUNK = 64 * 1024
UNSENT_LIMIT = 1 << 20
"""A peer that does not read this many bytes of replies is cut off."""
WAITING_LIMIT = 4096
"""So many replies may wait for their readings before the connection is read on."""


class Site(Protocol):
    """What a connection needs of the door it came through."""

    connector: Connector
    intake: Intake
    clock: Callable[[], int]

    @property
    def options(self) -> Streams:
        """Limits and time-outs."""
        ...

    @property
    def keep(self) -> bool:
        """Whether a session's wish to disconnect is passed over."""
        ...

    def make_framing(self) -> Framing:
        """Give a framing for one connection."""
        ...

    def make_session(self, address: str = "") -> Session:
        """Give a session for one connection."""
        ...


class Connection:
    """One device's connection, from its first byte until the last reply it is owed is out."""

    def __init__(self, site: Site, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: str) -> None:
        self.address = address
        self._site = site
        self._reader = reader
        self._writer = writer
        self._framing = site.make_framing()
        self._session = site.make_session(address)
        self._outbox = InOrder()
        self._started = self._halted = self._closing = self._listening = False
        self._loop = asyncio.get_running_loop()
        self._deadline = self._loop.time() + site.options.first_packet_s
        self._allowance = Allowance(site.options, self._loop.time())
        self._reading: asyncio.Task[None] | None = None
        """The task that serves, while it reads and may be told to read no more."""

    async def serve(self) -> None:
        """Serve the connection until it is closed: first it is read, then the replies still due go out."""
        try:
            if not self._halted:
                await self._read_until_halted()
            with suppress(OSError):
                await self._writer.wait_closed()
        finally:
            self.abort()

    def halt(self) -> None:
        """Read no more; replies that wait for their readings still go out."""
        self._halted = True
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def finish(self) -> None:
        """Close the connection as soon as the replies it is owed are out."""
        if not self._closing:
            self._closing = True
            self._outbox.put(self._writer.close)

    def abort(self) -> None:
        """Close the connection at once."""
        self._closing = True
        self._outbox.clear()
        self._writer.transport.abort()

    @property
    def idle(self) -> bool:
        """Whether no reply is owed."""
        return not self._outbox

    async def _read_until_halted(self) -> None:
        """Read in the task that serves, which a halt cancels only here: of 20,000 connections each has but one task."""
        task = self._reading = asyncio.current_task()
        try:
            await self._read_all()
        except asyncio.CancelledError:
            if task is None or not self._halted or task.uncancel():
                raise
        finally:
            self._reading = None

    async def _read_all(self) -> None:
        self._act(lambda: self._session.start(self._site.clock()), b"")
        self._started = True
        try:
            while not self._closing:
                await self._site.intake.room()
                chunk = await self._read()
                if not chunk:
                    self._take(partial(flush, self._framing), b"")
                    break
                packets = self._take(partial(self._framing.feed, chunk), chunk)
                pause = self._allowance.spend(len(chunk), packets, self._loop.time())
                if pause > 0:
                    await asyncio.sleep(pause)
        except TimeoutError:
            log.debug("connection was silent", connector=self._site.intake.name, peer=self.address)
        except (ConnectionError, ssl.SSLError):
            self._outbox.clear()
        self._end()
        self.finish()

    async def _read(self) -> bytes:
        while len(self._outbox) >= WAITING_LIMIT:
            await asyncio.sleep(0.05)
        self._listening = True
        try:
            return await self._reader.read(CHUNK)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._listening or task is None or task.uncancel():
                raise
            raise TimeoutError from None
        finally:
            self._listening = False

    def _take(self, cut: Callable[[], list[bytes | Reject]], chunk: bytes) -> int:
        """Cut bytes into packets, decode each, and put their replies in line; gives the number of packets."""
        try:
            packets = cut()
        except Exception as error:  # noqa: BLE001 - a framing that fails is replaced, the connection lives
            complain(self._site.connector.type, error, chunk)
            self._framing = self._site.make_framing()
            packets = [Reject("bad_frame", repr(error), chunk)]
        for packet in packets:
            if self._closing:
                break
            if isinstance(packet, Reject):
                self._respond(Received(rejects=[packet]), packet.raw or chunk)
                continue
            received = self._act(partial(self._session.receive, packet, self._site.clock()), packet)
            if received.message is not None or received.readings or received.replies:
                self._deadline = self._loop.time() + self._site.options.idle_timeout_s
        return len(packets)

    def tick(self, now: int) -> None:
        """Let the session act on the passing of time, and give up a peer that has been silent for too long."""
        if not self._started or self._closing:
            return
        self._act(partial(self._session.tick, now), b"")
        if self._listening and self._reading is not None and self._loop.time() > self._deadline:
            self._listening = False
            self._reading.cancel()

    def _end(self) -> None:
        """Let a session that wants to know of it hear that its connection was lost."""
        end: Callable[[int], Received] | None = getattr(self._session, "end", None)
        if end is not None:
            self._act(partial(end, self._site.clock()), b"")

    def _act(self, call: Callable[[], Received], packet: bytes) -> Received:
        """Run one step of the session and act on what follows from it."""
        received = guarded(self._site.connector.type, call, packet)
        if packet or received.readings or received.replies or received.rejects or received.close:
            self._respond(received, packet)
        return received

    def _respond(self, received: Received, packet: bytes) -> None:
        """Store what a packet brought, and send its replies when their turn and their time have come."""
        delivery = self._site.intake.take(received, packet, self._site.clock(), self.address)
        for reply in received.replies:
            if not self._closing:
                self._outbox.put(partial(self._write, reply.data), None if reply.when == "now" else delivery)
        if received.close and not self._site.keep and not self._closing:
            self._closing = True
            self._outbox.put(self._writer.close, delivery)

    def _write(self, content: bytes) -> None:
        if self._writer.is_closing():
            self._outbox.clear()
            return
        self._writer.write(content)
        if self._writer.transport.get_write_buffer_size() > UNSENT_LIMIT:
            self.abort()
