"""Frames to Kafka, by way of the disk spool while Kafka is away; order and identity hold throughout.

Consumers skip a frame whose number is not above the last they saw of its stream (connector, run, topic,
bucket). So a frame must reach Kafka before any later one of its stream does, whatever fails:

* direct: a stream has one group of frames under way at a time, a group is one Kafka batch (all or none),
  and the next group waits for its confirmation;
* when a confirmation takes longer than ``patience``, or sending fails, all unconfirmed frames of all
  streams go to the spool in order, those under way first, and every new frame goes behind them;
* the spool is drained from its oldest record, each stream's groups again one after the other; only when it
  is empty, and nothing waits to be written to it, frames go direct again.

A frame whose fate was unknown may thus be in Kafka twice, never after a later one of its stream.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice

import structlog

from connectors._host.builder import Frame, TotalKey
from connectors._host.kafka import Transport
from connectors._host.spool import Spool, Stored
from schemas.errors import Retry
from schemas.frame import Header, decode_header
from schemas.metrics import FRAME_ROWS, FRAMES_PRODUCED, SPOOL_DROPPED

log = structlog.get_logger()

GROUP_BYTES = 900 * 1024
"""A group of frames stays below Kafka's default message size of 1 MiB."""
DRAIN_BYTES = 8 << 20
StreamKey = tuple[str, str, str, int]
"""Connector, run, topic, bucket: what numbers frames."""


def stream_of(topic: str, header: Header) -> StreamKey:
    """Give the stream a frame belongs to."""
    return (header.connector, header.run, topic, header.bucket)


@dataclass(slots=True, eq=False)
class Stream:
    """Unconfirmed frames of one stream that go direct, oldest first."""

    queue: deque[tuple[int, Frame]] = field(default_factory=deque)
    """When each was submitted, and the frame."""
    pump: asyncio.Task[None] | None = None


class FrameProducer:
    """Sends frames and tells each when it is safe: in Kafka, or in the fsynced spool."""

    def __init__(
        self,
        transport: Transport,
        spool: Spool,
        *,
        clock: Callable[[], int],
        patience_us: int = 5_000_000,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._transport = transport
        self._spool = spool
        self._clock = clock
        self._patience_us = patience_us
        self._sleep = sleep
        self._streams: dict[StreamKey, Stream] = {}
        self._held: deque[Frame] = deque()
        """Frames that wait to be written to the spool."""
        self._refused = 0
        """How many frames at the front of ``_held`` the full spool has refused, and been counted for."""
        self._on_disk: set[tuple[StreamKey, int]] = set()
        """Frames of this run in the spool that are not known to be in Kafka."""
        self._confirmed: dict[StreamKey, int] = {}
        self._produced: Counter[tuple[str, str, TotalKey]] = Counter()
        self._spooled: Counter[tuple[str, str, TotalKey]] = Counter()
        self._direct = spool.empty
        self._untouched = True
        """No write to the spool was begun since it was last read."""
        self._draining = False
        """Whether Kafka took frames from the spool when last asked."""
        self._disk = ThreadPoolExecutor(1, "spool")
        self._writing = asyncio.Lock()
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._calm = asyncio.Event()
        self._away = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._failure: asyncio.Future[None] | None = None
        if not self._direct:
            self._away.set()

    @property
    def spooling(self) -> bool:
        """Whether frames go to the disk because Kafka does not take them, or older ones wait there."""
        return not self._direct

    def produced(self, connector: str, run: str, key: TotalKey) -> int:
        """Give the rows of that kind and bucket which Kafka has confirmed."""
        return self._produced[connector, run, key]

    def spooled(self, connector: str, run: str, key: TotalKey) -> int:
        """Give the rows of that kind and bucket which only the spool has."""
        return self._spooled[connector, run, key]

    def start(self) -> None:
        """Start the watch over slow confirmations, the writer to the spool and its drain."""
        self._failure = asyncio.get_running_loop().create_future()
        for work in (self._watch(), self._write_spool(), self._drain_spool()):
            self._spawn(work)

    async def broken(self) -> None:
        """Wait for ever, or raise the error that ended one of the workers: the process must then stop."""
        assert self._failure is not None, "start() comes first"
        await asyncio.shield(self._failure)

    def submit(self, frames: Iterable[Frame]) -> None:
        """Take over finished frames; those of one stream must come in the order of their numbers."""
        for frame in frames:
            FRAME_ROWS.labels(frame.topic).observe(frame.header.rows)
            if not self._direct:
                self._hold(frame)
                continue
            key = stream_of(frame.topic, frame.header)
            stream = self._streams.setdefault(key, Stream())
            stream.queue.append((self._clock(), frame))
            if stream.pump is None:
                stream.pump = self._spawn(self._pump(key, stream))
        self._settle()

    def check(self, now: int) -> None:
        """Switch to the spool when a frame has waited for its confirmation longer than the patience."""
        oldest = min((s.queue[0][0] for s in self._streams.values() if s.queue), default=now)
        if self._direct and now - oldest > self._patience_us:
            self._switch(f"Kafka has not confirmed a frame for {(now - oldest) / 1e6:.1f} s")

    async def settled(self) -> None:
        """Return when Kafka has everything submitted and the spool is empty."""
        self._settle()
        await self._calm.wait()

    async def close(self, grace_s: float = 10.0) -> int:
        """Wait for confirmations, put the rest on disk, stop; returns how many rows are safe in neither.

        Frames must not be submitted afterwards.
        """
        try:
            await self._bring_home(grace_s)
        finally:
            ending = list(self._tasks)
            for task in ending:
                task.cancel()
            await asyncio.gather(*ending, return_exceptions=True)
            self._disk.shutdown()
            self._spool.close()
        lost = sum(f.header.rows for f in self._held)
        if lost:
            log.error("stopped with rows in neither Kafka nor the full spool; their devices were not acknowledged", rows=lost)
        return lost

    async def _bring_home(self, grace_s: float) -> None:
        """Wait for confirmations, then put what has none on disk."""
        hopeless = not self._direct and not self._draining
        try:
            async with asyncio.timeout(min(grace_s, 1.0) if hopeless else grace_s):
                await self.settled()
        except TimeoutError:
            if self._direct:
                self._switch("stopping")
        while self._held and await self._write_held():
            pass

    def abandoned(self, connector: str, run: str, key: TotalKey) -> int:
        """Give the rows that ``close`` could put nowhere."""
        held = (f for f in self._held if (f.header.connector, f.header.run) == (connector, run))
        return sum(f.header.rows for f in held if (f.topic, f.header.kind, f.header.bucket) == key)

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and self._failure is not None and not self._failure.done():
            self._failure.set_exception(error)

    async def _watch(self) -> None:
        while True:
            await self._sleep(0.5)
            self.check(self._clock())

    async def _pump(self, key: StreamKey, stream: Stream) -> None:
        """Send a stream's frames, one group after the other, until there are none or the spool takes over."""
        try:
            while stream.queue and self._direct:
                group = [f for _, f in islice(stream.queue, _fitting((f.size for _, f in stream.queue), GROUP_BYTES))]
                await self._transport.send(key[2], key[3], [(f.value, f.headers) for f in group])
                for frame in group:
                    self._in_kafka(frame.topic, frame.header)
                    frame.safe()
                    if stream.queue and stream.queue[0][1] is frame:
                        stream.queue.popleft()
        except Retry as error:
            self._switch(str(error))
        finally:
            stream.pump = None
            if not stream.queue:
                self._streams.pop(key, None)
            self._settle()

    def _switch(self, why: str) -> None:
        """Send nothing direct any more: all unconfirmed frames go to the spool, in order."""
        if self._direct:
            log.warning("frames go to the spool", reason=why)
            self._direct = False
            self._away.set()
            for stream in self._streams.values():
                while stream.queue:
                    self._hold(stream.queue.popleft()[1])

    def _hold(self, frame: Frame) -> None:
        self._held.append(frame)
        self._wake.set()

    async def _write_spool(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._held:
                if not await self._write_held():
                    self._room.clear()
                    await _first(self._room.wait(), self._sleep(1.0))

    async def _write_held(self) -> bool:
        """Write what waits as one fsynced group; False when the spool is full."""
        async with self._writing:
            batch = list(islice(self._held, _fitting((f.size for f in self._held), DRAIN_BYTES)))
            now = self._clock()
            records = [Stored(f.topic, f.header.bucket, f.headers, f.value, now) for f in batch]
            self._untouched = False
            written = await asyncio.get_running_loop().run_in_executor(self._disk, self._spool.write, records, now)
            for frame in batch[:written]:
                self._held.popleft()
                self._on_spool(frame)
            self._refused = max(self._refused - written, 0)
            if written < len(batch):
                self._refuse()
            return written == len(batch)

    def _on_spool(self, frame: Frame) -> None:
        key = stream_of(frame.topic, frame.header)
        if frame.header.seq > self._confirmed.get(key, 0):
            self._on_disk.add((key, frame.header.seq))
            self._spooled[_row_key(frame.topic, frame.header)] += frame.header.rows
        frame.safe()

    def _refuse(self) -> None:
        """Count the frames the full spool does not take; they wait in memory and are not acknowledged."""
        if not self._refused:
            log.error("spool is full: devices are not acknowledged until Kafka takes frames again")
        SPOOL_DROPPED.inc(len(self._held) - self._refused)
        self._refused = len(self._held)

    async def _drain_spool(self) -> None:
        loop = asyncio.get_running_loop()
        pause = 0.2
        while True:
            await self._away.wait()
            self._untouched = True
            records = await loop.run_in_executor(self._disk, self._spool.read, DRAIN_BYTES)
            if not records:
                self._resume()
                await self._sleep(0.02)
                continue
            done = await self._send_stored(records)
            await loop.run_in_executor(self._disk, self._spool.drop, done)
            self._room.set()
            self._draining = done > 0
            if done < len(records):
                await self._sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            pause = 0.2 if done else min(pause * 2, 5.0)

    def _resume(self) -> None:
        """Go direct again: the spool was read to its end and nothing was or waits to be written since."""
        if self._untouched and not self._held:
            log.info("frames go to Kafka directly")
            self._direct = True
            self._away.clear()
            self._settle()

    async def _send_stored(self, records: Sequence[Stored]) -> int:
        """Send spooled frames, all streams at once, and return how many from the first are in Kafka."""
        headers = [decode_header(r.headers) for r in records]
        streams: dict[StreamKey, list[int]] = {}
        for index, (record, header) in enumerate(zip(records, headers, strict=True)):
            streams.setdefault(stream_of(record.topic, header), []).append(index)
        done = [False] * len(records)

        async def send(key: StreamKey, indexes: list[int]) -> None:
            while indexes := [i for i in indexes if not done[i]]:
                fresh = [i for i in indexes if headers[i].seq > self._confirmed.get(key, 0)]
                group = fresh[: _fitting((records[i].size for i in fresh), GROUP_BYTES)]
                if group:
                    await self._transport.send(key[2], key[3], [(records[i].value, records[i].headers) for i in group])
                for index in [i for i in indexes if i in group or i not in fresh]:
                    self._in_kafka(records[index].topic, headers[index])
                    done[index] = True

        outcomes = await asyncio.gather(*(send(k, w) for k, w in streams.items()), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException) and not isinstance(outcome, Retry):
                raise outcome
        return done.index(False) if False in done else len(done)

    def _in_kafka(self, topic: str, header: Header) -> None:
        """Note that Kafka has a frame; it is counted once, however often it was sent."""
        key = stream_of(topic, header)
        rows = _row_key(topic, header)
        if (key, header.seq) in self._on_disk:
            self._on_disk.discard((key, header.seq))
            self._spooled[rows] -= header.rows
        if header.seq > self._confirmed.get(key, 0):
            self._confirmed[key] = header.seq
            self._produced[rows] += header.rows
            FRAMES_PRODUCED.labels(topic).inc()

    def _settle(self) -> None:
        if self._direct and not self._held and not any(s.queue for s in self._streams.values()):
            self._calm.set()
        else:
            self._calm.clear()


def _row_key(topic: str, header: Header) -> tuple[str, str, TotalKey]:
    return (header.connector, header.run, (topic, header.kind, header.bucket))


def _fitting(sizes: Iterable[int], limit: int) -> int:
    """Count how many items, at least one where there is one, stay within ``limit`` bytes."""
    count = total = 0
    for size in sizes:
        total += size
        if count and total > limit:
            break
        count += 1
    return count


async def _first(*works: Awaitable[object]) -> None:
    """Return when one of these is done; the others are cancelled."""
    tasks = [asyncio.ensure_future(w) for w in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
