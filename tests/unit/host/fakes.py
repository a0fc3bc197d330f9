"""Stand-ins for Kafka and for time, so that every failure can be had at will."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor

from connectors._host.builder import Frame, FrameBuilder
from connectors._host.kafka import Record
from schemas.errors import Retry
from schemas.frame import Header, decode_header
from schemas.kinds import kind

START = 1_793_491_200_000_000
"""2026-11-01T00:00:00Z in microseconds."""


class MemoryKafka:
    """Keeps what is sent, in order; can be away, hang, or accept and then claim failure."""

    def __init__(self) -> None:
        self.log: dict[tuple[str, int], list[Header]] = {}
        self.posts: list[tuple[str, bytes, bytes]] = []
        self.away = False
        self.lying = False
        """Takes the records and says it failed: failed does not mean absent."""
        self.gate = asyncio.Event()
        self.gate.set()
        self.waiting = 0
        self.sends = 0

    async def send(self, topic: str, partition: int, records: Sequence[Record]) -> None:
        self.sends += 1
        if self.away:
            raise Retry("away")
        self.waiting += 1
        await self.gate.wait()
        self.waiting -= 1
        if self.away:
            raise Retry("away")
        self.log.setdefault((topic, partition), []).extend(decode_header(h) for _, h in records)
        if self.lying:
            raise Retry("claims to have failed")

    async def post(self, topic: str, key: bytes, value: bytes) -> None:
        if self.away:
            raise Retry("away")
        self.posts.append((topic, key, value))

    def seen(self) -> dict[tuple[str, str, str, int], list[int]]:
        """What a consumer that skips numbers not above its last takes, by stream."""
        taken: dict[tuple[str, str, str, int], list[int]] = {}
        for (topic, _), headers in self.log.items():
            for header in headers:
                numbers = taken.setdefault((header.connector, header.run, topic, header.bucket), [])
                if header.seq > (numbers[-1] if numbers else 0):
                    numbers.append(header.seq)
        return taken


class FakeTime:
    """A clock that moves when told to; ``sleep`` returns when it has."""

    def __init__(self, *threads: Executor) -> None:
        self.now = START
        self.threads: tuple[Executor, ...] = threads
        self._sleepers: list[tuple[int, asyncio.Future[None]]] = []

    def clock(self) -> int:
        return self.now

    async def sleep(self, seconds: float) -> None:
        future = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.now + int(seconds * 1e6), future))
        await future

    async def advance(self, seconds: float, step: float = 0.25) -> None:
        """Let time pass in small steps, and everything that waits for it run."""
        end = self.now + int(seconds * 1e6)
        while self.now < end:
            self.now = min(self.now + int(step * 1e6), end)
            due = [f for at, f in self._sleepers if at <= self.now and not f.done()]
            self._sleepers = [(at, f) for at, f in self._sleepers if at > self.now and not f.done()]
            for future in due:
                future.set_result(None)
            await turn(*self.threads)


async def turn(*threads: Executor) -> None:
    """Let the loop and these threads do what they can do now."""
    for _ in range(4):
        for _ in range(12):
            await asyncio.sleep(0)
        for thread in threads:
            await asyncio.get_running_loop().run_in_executor(thread, lambda: None)


def bus(source: str = "B1", ts: int = START, **fields: object) -> object:
    return kind("bus_position")(source=source, ts=ts, seen_at=ts, **fields)


def frames(builder: FrameBuilder, rows: int = 1, sources: Sequence[str] = ("B1",)) -> list[Frame]:
    """Close one frame with so many rows of these sources."""
    for source in sources:
        builder.add([bus(source) for _ in range(rows)], "live", START)
    return builder.flush()
