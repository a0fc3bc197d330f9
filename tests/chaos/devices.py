"""The devices on their sockets: each sends its script, keeps what is not answered, and sends it again unchanged.

No device runs further ahead of the slowest than ``LEAD`` steps. The input's skew is thus bounded below the
lateness that the platform allows, and whether a row is late does not depend on which fault struck.
"""

from __future__ import annotations

import asyncio
import random
import re
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from connectors.hj212.framing import Framing as Hj212Framing
from connectors.jt808 import header
from connectors.jt808.framing import Framing as Jt808Framing
from schemas import topics
from tests.chaos.script import Message, Row, Sender, Terminal

LEAD = 40
"""Steps; vehicles may be 60 s late."""
TICK_S = 0.05
REPEAT_S, GIVE_UP_S = 6.0, 15.0
"""Without any answer for so long a device repeats its oldest message, then connects anew."""
CONNECT_S = 5.0
GENERAL_ACK, DONE = 0x8001, 0
ANSWER = re.compile(rb"QN=(\d+);.*?CN=9014;", re.DOTALL)
Door = Callable[[], socket.socket]
"""Makes a socket in the network where the device lives."""
Address = tuple[str, int]


class Device(asyncio.Protocol):
    """One device, over all its connections."""

    def __init__(self, sender: Sender, address: Address, door: Door, phase: float) -> None:
        self.sender = sender
        self.made = 0
        self.answered = 0
        self.repeated = 0
        self.refused: list[tuple[int | str, int]] = []
        """Answers other than done."""
        self.sent: Counter[Row] = Counter()
        """How often rows that must be refused went out: each may be refused as often."""
        self._address = address
        self._door = door
        self._phase = phase
        self._waiting: dict[int | str, tuple[int, Message]] = {}
        self._framing = self._new_framing()
        self._transport: asyncio.Transport | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._next_try = 0.0
        self._heard = self._spoke = 0.0

    @property
    def done(self) -> bool:
        """Whether everything was sent and answered."""
        return self.made == self.sender.count and not self._waiting

    @property
    def floor(self) -> int:
        """Step of the oldest message without an answer."""
        number = next(iter(self._waiting.values()))[0] if self._waiting else self.made
        return number * self.sender.every

    def tick(self, now: float, step: float, limit: int) -> None:
        """Send what is due by ``step``, below ``limit``; mind the connection."""
        every = self.sender.every
        while self.made < self.sender.count and self.made * every + self._phase <= step and self.made * every < limit:
            self._make()
        if self._transport is None:
            if self._connecting is None and now >= self._next_try and not self.done:
                self._connecting = asyncio.create_task(self._connect())
        elif self._waiting and now - self._heard > GIVE_UP_S:
            self._transport.abort()
        elif self._waiting and now - max(self._heard, self._spoke) > REPEAT_S:
            self._spoke = now
            self._send(next(iter(self._waiting.values()))[1], again=True)

    def _make(self) -> None:
        message = self.sender.message(self.made)
        if not self._waiting:
            self._heard = self._spoke = asyncio.get_running_loop().time()
        self._waiting[message.key] = (self.made, message)
        self.made += 1
        for _ in range(message.copies):
            self._send(message)

    def _send(self, message: Message, *, again: bool = False) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self.repeated += again
        self.sent.update(row for row in message.rows if row[3] != "stored")
        self._transport.write(message.packet)

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            opened = self._door()
            try:
                async with asyncio.timeout(CONNECT_S):
                    await loop.sock_connect(opened, self._address)
                    await loop.create_connection(lambda: self, sock=opened)
            except BaseException:
                opened.close()
                raise
        except (OSError, TimeoutError):
            self._next_try = loop.time() + random.uniform(0.3, 0.9)  # noqa: S311 - jitter
        finally:
            self._connecting = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send again, in order, what no answer came to."""
        assert isinstance(transport, asyncio.Transport)
        self._transport, self._framing = transport, self._new_framing()
        self._heard = self._spoke = asyncio.get_running_loop().time()
        for _, message in self._waiting.values():
            self._send(message, again=True)

    def data_received(self, data: bytes) -> None:
        """Take the platform's answers."""
        for packet in self._framing.feed(data):
            if isinstance(packet, bytes):
                self._take(packet)

    def _take(self, packet: bytes) -> None:
        key, result = self._answer(packet)
        if key is None or key not in self._waiting:
            return
        self._heard = asyncio.get_running_loop().time()
        if result != DONE:
            self.refused.append((key, result))
        del self._waiting[key]
        self.answered += 1

    def connection_lost(self, exc: Exception | None) -> None:
        """Keep everything for the next connection."""
        self._transport = None
        self._next_try = asyncio.get_running_loop().time() + random.uniform(0.1, 0.5)  # noqa: S311 - jitter

    def _new_framing(self) -> Jt808Framing | Hj212Framing:
        return Jt808Framing({}) if isinstance(self.sender, Terminal) else Hj212Framing({"crc": "auto"})

    def _answer(self, packet: bytes) -> tuple[int | str | None, int]:
        """Give which message a packet answers, and how."""
        if not isinstance(self.sender, Terminal):
            found = ANSWER.search(packet)
            return (found[1].decode(), DONE) if found else (None, DONE)
        head = header.parse(packet)
        body = packet[head.start :]
        return (int.from_bytes(body[:2]), body[4]) if head.message_id == GENERAL_ACK else (None, DONE)

    async def close(self) -> None:
        """Hang up."""
        if self._connecting is not None:
            self._connecting.cancel()
            with suppress(asyncio.CancelledError):
                await self._connecting
        if self._transport is not None:
            self._transport.abort()


class Fleet:
    """All devices, kept in step."""

    def __init__(self, devices: Sequence[Device], steps: int, pace: float) -> None:
        self.devices = devices
        self.steps = steps
        self._pace = pace
        self._began = 0.0

    @property
    def clock(self) -> float:
        """Seconds since the devices began."""
        return asyncio.get_running_loop().time() - self._began if self._began else 0.0

    @property
    def step(self) -> float:
        """How far the input has come by the clock."""
        return self.clock * self._pace

    @property
    def floor(self) -> int:
        """The step before which everything of every device is answered."""
        return min(d.floor for d in self.devices)

    @property
    def done(self) -> bool:
        """Whether every device has an answer to all it had to send."""
        return all(d.done for d in self.devices)

    @property
    def answered(self) -> int:
        """Messages answered so far."""
        return sum(d.answered for d in self.devices)

    @property
    def repeated(self) -> int:
        """Messages sent again so far."""
        return sum(d.repeated for d in self.devices)

    def made(self, partitions: int) -> Counter[int]:
        """Give how many messages of vehicles were made so far, by the partition they belong to."""
        found: Counter[int] = Counter()
        for d in self.devices:
            if isinstance(d.sender, Terminal):
                found[topics.bucket(d.sender.source, partitions)] += d.made
        return found

    def sent(self) -> Counter[Row]:
        """Give how often each row that must be refused was sent."""
        found: Counter[Row] = Counter()
        for d in self.devices:
            found.update(d.sent)
        return found

    def unanswered(self) -> Iterator[str]:
        """Name the devices that still wait for an answer."""
        return (d.sender.source for d in self.devices if not d.done)

    async def run(self) -> None:
        """Return when every device is done; connections stay open."""
        loop = asyncio.get_running_loop()
        self._began = loop.time()
        while not self.done:
            now, step = loop.time(), self.step
            limit = self.floor + LEAD
            for device in self.devices:
                device.tick(now, step, limit)
            await asyncio.sleep(TICK_S)

    async def close(self) -> None:
        """Hang up all devices."""
        await asyncio.gather(*(d.close() for d in self.devices))
