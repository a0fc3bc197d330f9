"""Stand-ins for Kafka and for time, so that every failure can be had at will."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from connectors._host.builder import Frame, FrameBuilder
from connectors._host.door import Door
from connectors._host.intake import Intake
from connectors._host.kafka import Record
from schemas.config import Config, Connect
from schemas.errors import Retry
from schemas.events import ConnectorState
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


class Bench:
    """An intake whose frames are safe when the test says so, and a door that stands on it."""

    def __init__(self, clock: Callable[[], int] = lambda: START, **options: Any) -> None:
        self.submitted: list[Frame] = []
        builder = FrameBuilder("c1", "run1", partitions=4, frame_rows=1000, flush_us=200_000)
        self.intake = Intake("c1", builder, self.submitted.extend, clock, flush_s=60, **options)
        self.clock = clock

    def confirm(self) -> None:
        """Everything taken in so far is safe."""
        self.intake.flush()
        frames, self.submitted[:] = list(self.submitted), []
        for frame in frames:
            frame.safe()

    @asynccontextmanager
    async def opened(self, door: Door) -> AsyncIterator[None]:
        """Serve while the context is open."""
        ready = asyncio.Event()
        task = asyncio.create_task(door.serve(ready.set))
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait((task, waiting), return_when=asyncio.FIRST_COMPLETED, timeout=10)
        waiting.cancel()
        if task.done():
            task.result()
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await door.close()


async def until(met: Callable[[], object]) -> None:
    """Return when it is so; a test that never comes to it fails after a while."""
    async with asyncio.timeout(15):
        while not met():
            await asyncio.sleep(0.005)


def certificate(folder: Path, name: str = "localhost") -> tuple[str, str]:
    """Make a certificate that signs itself and its key; gives their files."""
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"]
    names = ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name},IP:127.0.0.1"]
    subprocess.run([*argv, *names, "-keyout", key, "-out", cert], check=True, capture_output=True)
    return str(cert), str(key)


def config(folder: Path, **tables: dict[str, Any]) -> Config:
    return Config(data_dir=str(folder), connectors=tables, connect=Connect(state_interval_s=0.05, flush_ms=20))


def clock() -> int:
    return START + time.monotonic_ns() // 1000


def states(kafka: MemoryKafka, name: str) -> list[ConnectorState]:
    return [
        msgspec.json.decode(v, type=ConnectorState) for t, k, v in kafka.posts if (t, k) == ("connector-states", name.encode())
    ]
