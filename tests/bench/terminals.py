"""A process that is many JT/T 808 terminals: each registers, authenticates and reports, as real ones do.

``python -m tests.bench.terminals PORT COUNT INTERVAL_S SECONDS PATIENCE_S`` prints a JSON line when every terminal has been
answered its first report, one when the steady time begins, one with what was measured in it, and then, once it has lost all
connections and the listener is back, one when every terminal's report has been answered again.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from array import array
from typing import Any, cast

import numpy as np
import uvloop

from connectors._host.descriptors import raise_limit
from connectors.jt808 import encoder
from connectors.jt808.decoder import LOCATION
from connectors.jt808.framing import Framing
from schemas.errors import Reject

REGISTER_ACK, GENERAL_ACK = 0x8100, 0x8001
HEAD, CODE_AT = 12, 15
"""Bytes of a packet before its body, and before the code in a registration's reply."""
DIALLED_TOGETHER = 100
STRAGGLERS_S = 10.0
"""How long after the last report its acknowledgement may come before it counts as lost."""
AGAIN_S = 1.0
"""Pause of a terminal that was refused or cut off."""
TURN_S = 0.005
Figures = dict[str, float]


class Terminal(asyncio.Protocol):
    """One terminal; it outlives its connections."""

    __slots__ = ("_code", "_fleet", "_framing", "_sent", "_serial", "_transport", "answered", "number")

    def __init__(self, fleet: Fleet, number: int) -> None:
        self.number = number
        self.answered = False
        """Whether a report of the present connection was acknowledged."""
        self._fleet = fleet
        self._serial = 0
        self._code = ""
        self._sent: dict[int, float] = {}
        self._transport: asyncio.Transport | None = None
        self._framing = Framing({})

    @property
    def phone(self) -> str:
        """Its number."""
        return f"{14_050_000_000 + self.number}"

    @property
    def owed(self) -> int:
        """How many reports have not been acknowledged."""
        return len(self._sent)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register, or log in with the code of the registration."""
        self._transport, self._framing, self.answered = cast("asyncio.Transport", transport), Framing({}), False
        if self._code:
            self._authenticate()
        else:
            self._write(encoder.register(self.phone, self._next(), version="2013", plate=f"晋E{self.number:05d}"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget what was asked of this connection."""
        self._transport = None
        self._fleet.lost(self, len(self._sent))
        self._sent.clear()

    def data_received(self, data: bytes) -> None:
        """Take the platform's answers."""
        now = time.monotonic()
        for packet in self._framing.feed(data):
            if isinstance(packet, Reject):
                raise TypeError(f"the platform sent what is no packet: {packet.detail}")
            kind, body = int.from_bytes(packet[:2]), packet[HEAD:]
            if kind == REGISTER_ACK:
                self._code = packet[CODE_AT:].decode("ascii")
                self._authenticate()
            elif kind == GENERAL_ACK:
                self._acknowledged(int.from_bytes(body[:2]), int.from_bytes(body[2:4]), body[4], now)

    def report(self) -> None:
        """Send a location, if there is a connection and it is logged in."""
        if self._transport is None or not self._code:
            return
        serial, place = self._next(), self.number % 1000 * 1e-4
        fields = {"ts": time.time_ns() // 1000, "lat": 35.4 + place, "lon": 112.8 + place, "speed": 8.0, "direction": 90.0}
        self._sent[serial] = time.monotonic()
        self._write(encoder.location(self.phone, serial, version="2013", **fields))

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.abort()

    def _authenticate(self) -> None:
        self._write(encoder.authenticate(self.phone, self._next(), self._code, version="2013"))

    def _acknowledged(self, serial: int, about: int, result: int, now: float) -> None:
        if result:
            raise ValueError(f"message 0x{about:04X} of terminal {self.phone} was answered with result {result}")
        if about != LOCATION:
            self.report()
        elif (sent := self._sent.pop(serial, None)) is not None:
            self._fleet.acknowledged(now - sent, first=not self.answered)
            self.answered = True

    def _write(self, content: bytes) -> None:
        if self._transport is not None:
            self._transport.write(content)

    def _next(self) -> int:
        self._serial = (self._serial + 1) & 0xFFFF
        return self._serial


class Fleet:
    """All terminals, and what became of their reports."""

    def __init__(self, port: int, count: int, interval_s: float) -> None:
        self._port, self._interval_s = port, interval_s
        self._terminals = [Terminal(self, number) for number in range(count)]
        self._waits = array("d")
        self._missed = self._lost = self._sent = 0
        self._late_s = 0.0
        self._answered = 0
        self._all = asyncio.Event()
        self._away = asyncio.Event()
        self._ending = False
        self._dials: set[asyncio.Task[None]] = set()

    def acknowledged(self, wait_s: float, *, first: bool) -> None:
        """Take note of an acknowledgement, and whether it is its connection's first."""
        self._waits.append(wait_s)
        if first:
            self._answered += 1
            if self._answered == len(self._terminals):
                self._all.set()

    def lost(self, terminal: Terminal, owed: int) -> None:
        """Take note of a connection that ended, and how many reports of it were not acknowledged."""
        self._lost += 1
        self._missed += owed
        if terminal.answered:
            self._answered -= 1
            self._all.clear()
            if not self._answered:
                self._away.set()
        if not self._ending:
            self._dial(terminal, AGAIN_S)

    async def open(self) -> None:
        """Connect all, so many at a time; return when each has been acknowledged a report."""
        gate = asyncio.Semaphore(DIALLED_TOGETHER)

        async def one(terminal: Terminal) -> None:
            async with gate:
                await self._connect(terminal)

        await asyncio.gather(*(one(t) for t in self._terminals))
        await self._all.wait()

    async def steady(self, seconds: float) -> Figures:
        """Report for that long, spread evenly; give waits for acknowledgements in seconds and what went wrong."""
        self._waits, self._missed, self._lost, self._sent, self._late_s = array("d"), 0, 0, 0, 0.0
        await self._report(seconds)
        end = time.monotonic() + STRAGGLERS_S
        while (owed := sum(t.owed for t in self._terminals)) and time.monotonic() < end:
            await asyncio.sleep(0.2)
        waits = np.array(self._waits)
        p50, p99 = np.percentile(waits, [50, 99]).tolist() if len(waits) else (float("nan"), float("nan"))
        return {
            "sent": self._sent, "acknowledged": len(waits), "p50": p50, "p99": p99, "max": float(waits.max(initial=0)),
            "missed": self._missed + owed, "disconnects": self._lost, "late": self._late_s,
        }  # fmt: skip

    async def back(self) -> Figures:
        """Wait until no connection is left and the listener answers, dial all at once; give the seconds until all were answered."""
        self._ending = True
        await self._away.wait()
        for task in self._dials:
            task.cancel()
        await asyncio.gather(*self._dials, return_exceptions=True)
        while not await self._listens():
            await asyncio.sleep(0.02)
        self._ending, self._waits, self._lost = False, array("d"), 0
        begun = time.monotonic()
        for terminal in self._terminals:
            self._dial(terminal)
        await self._all.wait()
        return {"seconds": time.monotonic() - begun, "p99": float(np.percentile(self._waits, 99)), "disconnects": self._lost}

    async def _report(self, seconds: float) -> None:
        count, begun, done = len(self._terminals), time.monotonic(), 0
        rate = count / self._interval_s
        while (passed := time.monotonic() - begun) < seconds:
            due = int(passed * rate)
            self._late_s = max(self._late_s, (due - done) / rate)
            for number in range(done, due):
                self._terminals[number % count].report()
            self._sent, done = due, due
            await asyncio.sleep(TURN_S)

    def _dial(self, terminal: Terminal, pause_s: float = 0.0) -> None:
        task = asyncio.create_task(self._connect(terminal, pause_s))
        self._dials.add(task)
        task.add_done_callback(self._dials.discard)

    async def _connect(self, terminal: Terminal, pause_s: float = 0.0) -> None:
        while True:
            await asyncio.sleep(pause_s)
            try:
                await asyncio.get_running_loop().create_connection(lambda: terminal, "127.0.0.1", self._port)
            except OSError:
                pause_s = AGAIN_S
            else:
                return

    async def _listens(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            return False
        writer.transport.abort()
        return True


async def live(port: int, count: int, interval_s: float, seconds: float, patience_s: float) -> None:
    """Be the terminals for all that is measured; ``TimeoutError`` when it takes longer than the patience."""
    begun, fleet, loop, own = time.monotonic(), Fleet(port, count, interval_s), asyncio.get_running_loop(), asyncio.current_task()

    def fail(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        loop.default_exception_handler(context)
        if own is not None:
            own.cancel()

    loop.set_exception_handler(fail)
    async with asyncio.timeout(patience_s):
        await fleet.open()
        say({"seconds": time.monotonic() - begun})
        await fleet.steady(interval_s)
        say({})
        say(await fleet.steady(seconds))
        say(await fleet.back())


def say(figures: Figures) -> None:
    """Print what was found."""
    print(json.dumps(figures), flush=True)


def main() -> None:
    """Be terminals until all is measured."""
    port, count, interval_s, seconds, patience_s = sys.argv[1:6]
    raise_limit()
    gc.freeze()
    uvloop.run(live(int(port), int(count), float(interval_s), float(seconds), float(patience_s)))


if __name__ == "__main__":
    main()
