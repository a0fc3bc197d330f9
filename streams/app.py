"""The one read pattern every agent stands on: batches without implicit acknowledgement, outputs flushed,
state and offset in one transaction, then acknowledged in order.

Kafka's committed offset is only a hint; the checkpoint in the database is the truth. On every new
assignment a partition's state is loaded anew and reading continues where the checkpoint says. An
unexpected exception ends the process (exit status 70): unwinding through faust's generators can lose
records, a restart cannot.
"""

from __future__ import annotations

import asyncio
import os
import time
import zlib
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import faust
import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.codec import zstd_encode
from aiokafka.errors import IllegalStateError, KafkaError, KafkaTimeoutError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP as FAUST_TP

from schemas import metrics
from schemas.config import Config
from schemas.errors import Retry
from storage import checkpoints
from storage.checkpoints import Fenced
from storage.connect import passing_faults
from streams import intake
from streams.assignor import CopartitionAssignor
from streams.attempts import Attempts
from streams.task import TP, Outcome, Output, Record, Task

log = structlog.get_logger()

UNEXPECTED = 70
"""Exit status after an unexpected exception; the supervisor starts the process anew at once."""
SEEK_AGAIN_S = 1.0
"""A seek may be in vain: of a batch fetched before it, faust still delivers the rest and then drops all before that."""
MAX_FRAME = 4 << 20

# faust offers no setting for the assignor of an application without tables
setattr(driver, "RoundRobinPartitionAssignor", CopartitionAssignor)  # noqa: B010 - the module does not export it
# nor aiokafka one for the level: frames of level 1 have half the bytes of these, but a reading costs a fifth more time
zstd_encode.__defaults__ = (-5,)


def make_app(name: str, config: Config, slot: int, topics: Sequence[str]) -> faust.App:
    """Give a faust application whose settings survived our fault runs (see docs/adr).

    The static member's name tells its topics: Kafka gives a member that returns its old partitions whatever it
    subscribes to now, so a release that reads one topic more would never be given it.
    """
    subscription = zlib.crc32(",".join(sorted(topics)).encode())
    return faust.App(
        name,
        datadir=Path(config.data_dir) / "faust",
        broker=[f"kafka://{b}" for b in config.kafka.bootstrap.split(",")],
        store="memory://",
        web_enabled=False,
        table_standby_replicas=0,
        topic_allow_declare=False,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=f"{name}-{slot}-{subscription:08x}",
        consumer_max_fetch_size=MAX_FRAME,
        broker_session_timeout=10,
        broker_heartbeat_interval=1,
        broker_rebalance_timeout=30,
        broker_request_timeout=40,
        broker_max_poll_interval=315_360_000,
        broker_commit_interval=1.0,
        stream_wait_empty=False,
        stream_buffer_maxsize=intake.BUFFERED,
        producer_request_timeout=300,
        producer_max_request_size=MAX_FRAME,
    )


def fatal(where: str, error: BaseException) -> None:
    """End the process at once, telling why; nothing is unwound and nothing acknowledged."""
    log.critical("unexpected", where=where, error=repr(error), exc_info=error)
    os._exit(UNEXPECTED)


class Slot:
    """One partition in the hands of an agent."""

    def __init__(self, task: Task, checkpoint: checkpoints.Checkpoint) -> None:
        self.task = task
        self.stored = checkpoint.next_offset
        self.position = checkpoint.replay_from if checkpoint.replay_from is not None else (checkpoint.next_offset or 0)
        self.sought = 0.0
        self.hole = False
        """What arrived last lay beyond the position: records between the two are still to come."""
        task.restore(checkpoint)


class Agent:
    """A named agent: reads its topics, hands records to a task per partition, commits what comes of it."""

    def __init__(
        self,
        name: str,
        topics: Sequence[str],
        make_task: Callable[[str, int], Task],
        *,
        within_s: float,
        batch: int,
        attempts: Attempts,
        prepare: Callable[[Any], Awaitable[None]] | None = None,
    ) -> None:
        self.name = name
        self.topics = tuple(topics)
        self._make_task = make_task
        self._prepare = prepare
        self._attempts = attempts
        self._within = within_s
        self._batch = batch
        self._slots: dict[TP, Slot] = {}
        self._generation: int | None = None
        self._lock = asyncio.Lock()
        self.busy_since: float | None = None
        self.waits_for = ""
        self.last_batch = time.monotonic()
        self._app: Any = None
        self._pool: Any = None
        self._producer: Any = None

    def attach(self, app: faust.App, parts: Callable[[], Any]) -> None:
        """Register with a faust application; ``parts`` gives, awaited, the database pool and the producer."""
        self._app = app
        topic = app.topic(*self.topics, schema=intake.Untouched())

        async def run(stream: Any) -> None:
            try:
                self._pool, self._producer = await parts()
            except Exception as error:  # noqa: BLE001 - as in the process loop
                fatal(f"{self.name}: start", error)
            begun, clock = 0.0, asyncio.get_running_loop().time
            while not stream.should_stop:
                messages = await intake.messages(stream.channel.queue, self._batch, intake.BATCH_BYTES, begun, self._within)
                begun = clock()
                await self._guarded(messages)

        app.agent(topic, name=f"{app.conf.id}.{self.name}", concurrency=1)(run)

    async def _guarded(self, messages: Sequence[Any]) -> None:
        try:
            async with self._lock:
                self.busy_since = time.monotonic()
                with metrics.STREAM_BATCH_SECONDS.labels(self.name).time():
                    await self._take(messages)
                for message in messages:
                    if message.generation_id == self._generation:
                        message.ack(self._app.consumer)
                self.busy_since, self.last_batch = None, time.monotonic()
        except asyncio.CancelledError as error:
            if self._app.should_stop:
                raise
            fatal(f"{self.name}: cancelled by a rebalance", error)
        except Exception as error:  # noqa: BLE001 - the process loop: whatever it is, restart rather than unwind
            self._attempts.fail()
            fatal(self.name, error)

    async def _start_over(self, generation: int | None) -> None:
        """Forget everything in memory: what a partition needs is loaded again when it is next touched."""
        self._slots.clear()
        if self._prepare is not None:
            prepare = self._prepare
            await self._patiently("database", lambda: prepare(self._pool))
        self._generation = generation

    async def _take(self, messages: Sequence[Any]) -> None:
        generation = self._app.consumer_generation_id
        if generation != self._generation:
            await self._start_over(generation)
        batches: dict[TP, list[Record]] = defaultdict(list)
        for message in messages:
            if message.generation_id == generation:
                batches[(message.topic, message.partition)].append(intake.record(message))
        waiting = {tp: fresh for tp, records in batches.items() if (fresh := await self._contiguous(tp, records))}
        while waiting:
            waiting = await self._round(waiting)

    async def _round(self, waiting: dict[TP, list[Record]]) -> dict[TP, list[Record]]:
        """Process and commit what each partition may take at once; give what is left."""
        taken = {tp: self._attempts.begin(f"{tp[0]}/{tp[1]}", r[0].offset, r[-1].offset + 1) for tp, r in waiting.items()}
        self._attempts.save()
        outcomes: dict[TP, tuple[Outcome, int]] = {}
        left: dict[TP, list[Record]] = {}
        for tp, records in waiting.items():
            reach, aside = taken[tp]
            now = [r for r in records if r.offset < records[0].offset + reach]
            outcomes[tp] = (self._slots[tp].task.process(now) if not aside else self._set_aside(tp, now[0]), now[-1].offset + 1)
            metrics.STREAM_FRAMES.labels(self.name, tp[0]).inc(len(now))
            if len(now) < len(records):
                left[tp] = records[len(now) :]
        self._attempts.wait()
        generation = self._generation
        await self._commit(outcomes)
        return left if generation == self._generation and all(tp in self._slots for tp in left) else {}

    def _set_aside(self, tp: TP, record: Record) -> Outcome:
        log.error("record set aside", agent=self.name, topic=tp[0], partition=tp[1], offset=record.offset)
        return self._slots[tp].task.set_aside(record)

    async def _contiguous(self, tp: TP, records: list[Record]) -> list[Record]:
        """Give the records not yet processed, seeking back over a hole; replayed ones are remembered."""
        slot = await self._slot(tp)
        old: list[Record] = []
        fresh: list[Record] = []
        for record in records:
            if record.offset < slot.position:
                continue
            if record.offset > slot.position:
                if await self._hole_is_real(tp, slot, record.offset):
                    slot.position = record.offset
                else:
                    break
            slot.position, slot.hole = record.offset + 1, False
            (old if slot.stored is not None and record.offset < slot.stored else fresh).append(record)
        if old:
            slot.task.remember(old)
        return fresh

    async def _hole_is_real(self, tp: TP, slot: Slot, offset: int) -> bool:
        """Tell whether the records before ``offset`` are gone from Kafka; if not, seek to them."""
        slot.hole, now = True, time.monotonic()
        if now - slot.sought < SEEK_AGAIN_S:
            return False
        slot.sought = now
        faust_tp = FAUST_TP(*tp)
        try:
            earliest = (await self._app.consumer.earliest_offsets(faust_tp)).get(faust_tp, 0)
        except KafkaError as error:
            log.warning("waiting", agent=self.name, what="kafka", error=repr(error))
            return False
        if earliest >= offset:
            lost = offset - slot.position
            log.warning("records expired before they were read", agent=self.name, topic=tp[0], partition=tp[1], lost=lost)
            return True
        await self._seek(faust_tp, max(slot.position, earliest))
        return False

    async def _seek(self, faust_tp: FAUST_TP, offset: int) -> None:
        """Read on at an offset; in the consumer's own thread, which plain ``seek`` does not wait for and may crash."""
        try:
            await self._app.consumer.seek_wait({faust_tp: offset})
        except IllegalStateError:
            log.info("partition was taken away", agent=self.name, topic=faust_tp.topic, partition=faust_tp.partition)

    async def _slot(self, tp: TP) -> Slot:
        slot = self._slots.get(tp)
        if slot is None:
            checkpoint = await self._patiently("database", lambda: checkpoints.load(self._pool, self.name, *tp))
            slot = self._slots[tp] = Slot(self._make_task(*tp), checkpoint)
        return slot

    async def _commit(self, outcomes: dict[TP, tuple[Outcome, int]]) -> None:
        self.waits_for = "kafka"
        futures = [await self._send(o) for outcome, _ in outcomes.values() for o in outcome.outputs]
        if futures:
            await asyncio.gather(*futures)
        self.waits_for = ""
        try:
            await self._patiently("database", lambda: self._save(outcomes))
        except Fenced as fenced:
            metrics.STREAM_FENCED.labels(self.name).inc()
            log.warning("another owner is ahead; reloading", agent=self.name, detail=str(fenced))
            await self._start_over(self._generation)
            return
        for tp, (outcome, next_offset) in outcomes.items():
            self._slots[tp].stored = next_offset
            if outcome.committed is not None:
                outcome.committed()

    async def _send(self, output: Output) -> Any:
        """Hand a record to the producer, waiting while its buffer is full; a refused record was not taken."""
        while True:
            try:
                return await self._producer.send(
                    output.topic, output.value, key=output.key, partition=output.partition, headers=output.headers
                )
            except KafkaTimeoutError:
                log.warning("waiting", agent=self.name, what="kafka")

    async def _save(self, outcomes: dict[TP, tuple[Outcome, int]]) -> None:
        """Write all partitions of a batch in one transaction, in order, each checkpoint first: it locks its row."""
        with metrics.STORE_SECONDS.labels(self.name).time():
            async with self._pool.acquire() as connection, connection.transaction():
                for tp, (outcome, next_offset) in sorted(outcomes.items(), key=lambda item: item[0]):
                    await self._save_one(connection, tp, outcome, next_offset)

    async def _save_one(self, connection: Any, tp: TP, outcome: Outcome, next_offset: int) -> None:
        await checkpoints.save(
            connection,
            self.name,
            *tp,
            expected=self._slots[tp].stored,
            next_offset=next_offset,
            replay_from=next_offset if outcome.replay_from is None else outcome.replay_from,
            marks=outcome.marks,
            state=outcome.state,
        )
        if outcome.write is not None:
            await outcome.write(connection)

    async def _patiently(self, what: str, attempt: Callable[[], Any]) -> Any:
        """Repeat an attempt for ever while its fault is a passing one, with a growing pause up to 1 s."""
        pause, self.waits_for = 0.1, what
        try:
            while True:
                try:
                    with passing_faults():
                        return await attempt()
                except Retry as error:
                    metrics.STORE_RETRIES.inc()
                    log.warning("waiting", agent=self.name, what=what, error=str(error), pause_s=pause)
                await asyncio.sleep(pause)
                pause = min(1.0, pause * 2)
        finally:
            self.waits_for = ""

    async def finish(self) -> None:
        """Return when the batch in work is committed; nothing is begun after it."""
        await self._lock.acquire()

    async def pass_time(self, now: int) -> None:
        """Adopt idle partitions and let time pass on them, once the batch in work is done; called every second."""
        if self._pool is None:
            return
        try:
            async with self._lock:
                if not self._app.rebalancing:
                    await self._pass_time(now)
        except Exception as error:  # noqa: BLE001 - as in the process loop
            fatal(f"{self.name}: idle work", error)

    async def _pass_time(self, now: int) -> None:
        if self._app.consumer_generation_id != self._generation:
            await self._start_over(self._app.consumer_generation_id)
        for faust_tp in list(self._app.consumer.assignment()):
            tp = (faust_tp.topic, faust_tp.partition)
            if tp[0] in self.topics and tp not in self._slots:
                slot = await self._slot(tp)
                if slot.stored is not None:
                    await self._seek(faust_tp, slot.position)
        await self._fill_holes()
        outcomes: dict[TP, tuple[Outcome, int]] = {}
        for tp, slot in self._slots.items():
            try:
                newest = self._app.consumer.highwater(FAUST_TP(*tp))
            except AssertionError:  # aiokafka's: the partition was taken away
                continue
            metrics.STREAM_LAG.labels(self.name, *tp).set(max(0, (newest or 0) - slot.position))
            outcome = slot.task.tick(now) if slot.stored is not None and slot.position >= slot.stored else None
            if outcome is not None and slot.stored is not None:
                outcomes[tp] = (outcome, slot.stored)
        if outcomes:
            await self._commit(outcomes)

    async def _fill_holes(self) -> None:
        """Seek again where records are missing, although none may ever come that would show it."""
        now = time.monotonic()
        for tp, slot in self._slots.items():
            if slot.hole and now - slot.sought >= SEEK_AGAIN_S:
                slot.sought = now
                await self._seek(FAUST_TP(*tp), slot.position)


async def make_producer(bootstrap: str) -> AIOKafkaProducer:
    """Give a started idempotent producer, waiting for the broker as long as it takes."""
    while True:
        producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap,
            enable_idempotence=True,
            acks="all",
            linger_ms=5,
            request_timeout_ms=40_000,
            max_batch_size=1 << 20,
            max_request_size=MAX_FRAME,
            compression_type="zstd",
        )
        try:
            await producer.start()
        except Exception as error:  # noqa: BLE001 - aiokafka raises many types while the broker is away
            log.warning("waiting", what="kafka", error=repr(error))
            await producer.stop()
            await asyncio.sleep(1.0)
        else:
            return producer
