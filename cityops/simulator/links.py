"""Sockets of simulated devices: each is connected to its listener, again and again, or listens for who dials it."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Sequence
from typing import Protocol

Clock = Callable[[], int]
"""Gives the time in microseconds UTC."""

SHORTEST_BACKOFF_S = 1.0
LONGEST_BACKOFF_S = 30.0
CONNECT_S = 5.0
RAMP_S = 0.006
"""Between the first connects of two devices: a city does not switch on at one stroke."""


class Device(Protocol):
    """A device without its socket: every call takes the time and gives the bytes to send."""

    def opened(self, now: int) -> bytes:
        """Give what is said first on a new connection."""
        ...

    def received(self, chunk: bytes, now: int) -> bytes:
        """Take bytes from the platform in any split."""
        ...

    def tick(self, now: int) -> bytes:
        """Give what the passing of time makes due; also called while there is no connection."""
        ...

    def closed(self, now: int) -> None:
        """Learn that the connection is gone, with all that was under way."""
        ...

    def wants_link(self, now: int) -> bool:
        """Tell whether the device would be connected now; a device that answers no is disconnected."""
        ...

    @property
    def waiting(self) -> int:
        """How many readings the platform has not acknowledged."""
        ...


class Link(asyncio.Protocol):
    """One device's connection, from first connect over every reconnect to ``close``."""

    def __init__(self, device: Device, address: tuple[str, int], clock: Clock, first_at: float) -> None:
        self.device = device
        self.address = address
        self._clock = clock
        self._next_try = first_at
        self._failures = 0
        self._transport: asyncio.Transport | None = None
        self._connecting: asyncio.Task[None] | None = None

    @property
    def connected(self) -> bool:
        """Whether a connection is open."""
        return self._transport is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet the platform."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._write(self.device.opened(self._clock()))

    def data_received(self, data: bytes) -> None:
        """Pass bytes on and send what follows from them."""
        self._failures = 0
        self._write(self.device.received(data, self._clock()))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the device and plan the next try."""
        self._transport = None
        self._failures += 1
        self._plan()
        self.device.closed(self._clock())

    def _write(self, chunk: bytes) -> None:
        if chunk and self._transport is not None and not self._transport.is_closing():
            self._transport.write(chunk)

    def _plan(self) -> None:
        wait = min(SHORTEST_BACKOFF_S * 2 ** max(self._failures - 1, 0), LONGEST_BACKOFF_S)
        self._next_try = asyncio.get_running_loop().time() + wait * random.uniform(0.8, 1.2)  # noqa: S311 - jitter

    def tick(self, now: int) -> None:
        """Let the device act, and open or drop its connection as it wants."""
        self._write(self.device.tick(now))
        wants = self.device.wants_link(now)
        if self._transport is not None:
            if not wants and not self._transport.is_closing():
                self._failures = 0
                self._transport.close()
        elif wants and self._connecting is None and asyncio.get_running_loop().time() >= self._next_try:
            self._connecting = asyncio.create_task(self._connect())

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await asyncio.wait_for(loop.create_connection(lambda: self, *self.address), CONNECT_S)
        except (OSError, TimeoutError):
            self._failures += 1
            self._plan()
        finally:
            self._connecting = None

    async def close(self) -> None:
        """Close for good."""
        if self._connecting is not None:
            self._connecting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._connecting
        if self._transport is not None:
            self._transport.close()


def links(devices: Sequence[Device], address: tuple[str, int], clock: Clock, after_s: float = 0.0) -> list[Link]:
    """Give a link per device; the first connects are spread out, from ``after_s`` on. Needs a running loop."""
    start = asyncio.get_running_loop().time() + after_s
    return [Link(device, address, clock, start + RAMP_S * i) for i, device in enumerate(devices)]


class Line:
    """A device that the platform dials: it listens, and has the newest connection for itself."""

    def __init__(self, device: Device, address: tuple[str, int], clock: Clock) -> None:
        self.device = device
        self.address = address
        self._clock = clock
        self._server: asyncio.Server | None = None
        self._transport: asyncio.Transport | None = None

    @property
    def connected(self) -> bool:
        """Whether the platform holds the line."""
        return self._transport is not None

    async def listen(self) -> None:
        """Wait for the platform from now on; a port already in use raises ``OSError``."""
        host, port = self.address
        self._server = await asyncio.get_running_loop().create_server(lambda: _End(self), host, port)
        self.address = host, self._server.sockets[0].getsockname()[1]

    def take(self, transport: asyncio.Transport) -> None:
        """Give the line to a new caller; a device without power hangs up."""
        if not self.device.wants_link(self._clock()):
            transport.abort()
            return
        if self._transport is not None:
            self._transport.abort()
            self.device.closed(self._clock())
        self._transport = transport
        self._write(self.device.opened(self._clock()))

    def heard(self, transport: asyncio.Transport, data: bytes) -> None:
        """Pass on what the caller says."""
        if transport is self._transport:
            self._write(self.device.received(data, self._clock()))

    def lost(self, transport: asyncio.Transport) -> None:
        """Learn that a caller hung up."""
        if transport is self._transport:
            self._transport = None
            self.device.closed(self._clock())

    def tick(self, now: int) -> None:
        """Let the device act, and hang up where it has no power."""
        self._write(self.device.tick(now))
        if self._transport is not None and not self.device.wants_link(now):
            self._transport.abort()

    def _write(self, chunk: bytes) -> None:
        if chunk and self._transport is not None and not self._transport.is_closing():
            self._transport.write(chunk)

    async def close(self) -> None:
        """Hang up for good."""
        if self._transport is not None:
            self._transport.close()
        if self._server is not None:
            self._server.close()


class _End(asyncio.Protocol):
    """One caller's connection."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._line.take(transport)

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        self._line.heard(self._transport, data)

    def connection_lost(self, exc: Exception | None) -> None:
        assert self._transport is not None
        self._line.lost(self._transport)
