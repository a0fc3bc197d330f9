"""From Kafka to the live picture: reads every partition from a little back, without a group, and never gives up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from gateway.live.hub import Hub
from schemas import frame, topics
from schemas.config import Kafka
from schemas.errors import Reject
from schemas.events import Alert, AlertEvent, ConnectorState
from schemas.messages import LAYERS

log = structlog.get_logger(__name__)

BACK_MS: Final = 10 * 60 * 1000
"""How far back reading starts: long enough for every source on the road to have reported."""
WAIT_MS: Final = 200
RETRY_S: Final = (0.5, 10.0)
"""First and longest pause after the broker failed us."""
PASSING: Final = (KafkaError, OSError, TimeoutError)
CHECK_S: Final = 5.0
"""How often the broker is asked where the topics end: it shows that it answers, and that we keep up."""
PATIENCE_S: Final = 15.0
"""How long one question to the broker may take before we connect anew."""
EVENT_TOPICS: Final = (topics.ALERT_EVENTS, topics.ALERTS, topics.CONNECTOR_STATES)
"""Changes before states, so that a change is told with its reason."""


class Feed:
    """Keeps a hub supplied from Kafka."""

    def __init__(self, kafka: Kafka, hub: Hub, clock: Callable[[], int]) -> None:
        self._bootstrap = kafka.bootstrap
        self._partitions = kafka.partitions
        self._hub = hub
        self._clock = clock
        self._goal: dict[TopicPartition, int] = {}
        self._next: dict[TopicPartition, int] = {}
        self._answered_at: int | None = None
        self.on_change: Callable[[AlertEvent], None] = lambda _: None
        """Told of every change of an alert, refusals included."""
        self.topics = (*(topics.clean(d) for d in topics.reading_domains()), *EVENT_TOPICS)

    def trouble(self) -> str | None:
        """Say why the live picture is not complete, or None when it is."""
        if self._answered_at is None:
            return f"no answer yet from Kafka at {self._bootstrap}"
        silent = (self._clock() - self._answered_at) / 1e6
        if silent > 4 * CHECK_S:
            return f"no answer from Kafka at {self._bootstrap} for {silent:.0f} s"
        absent = set(self.topics) - {tp.topic for tp in self._next}
        if absent:
            return f"topics do not exist yet: {', '.join(sorted(absent))}"
        behind = sum(max(0, end - self._next.get(tp, 0)) for tp, end in self._goal.items())
        return f"{behind} frames behind" if behind else None

    async def run(self) -> None:
        """Read until cancelled; a broker that is away is tried again, and reading goes on where it was."""
        pause = RETRY_S[0]
        while True:
            consumer = AIOKafkaConsumer(
                bootstrap_servers=self._bootstrap,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                fetch_max_bytes=16 << 20,
                max_partition_fetch_bytes=4 << 20,
            )
            try:
                await consumer.start()
                pause = RETRY_S[0]
                await self._read(consumer)
            except PASSING as error:
                log.warning("kafka is away", error=str(error) or type(error).__name__, retry_s=pause)
            except asyncio.CancelledError:
                if _is_cancelled():
                    raise
                log.warning("kafka is away", error="connection lost while a request was under way", retry_s=pause)
            finally:
                await _stop(consumer)
            await asyncio.sleep(pause)
            pause = min(pause * 2, RETRY_S[1])

    async def _read(self, consumer: Any) -> None:
        await self._assign(consumer)
        checked = asyncio.get_running_loop().time()
        while True:
            if not consumer.assignment():
                await asyncio.sleep(WAIT_MS / 1000)
            else:
                self.take(await consumer.getmany(timeout_ms=WAIT_MS, max_records=2000))
            if asyncio.get_running_loop().time() - checked > CHECK_S:
                checked = asyncio.get_running_loop().time()
                await self._check(consumer)

    async def _assign(self, consumer: Any) -> None:
        existing = await asyncio.wait_for(consumer.topics(), PATIENCE_S)
        found = [TopicPartition(topic, n) for topic in self.topics if topic in existing for n in range(self._partitions)]
        if not found or set(found) == consumer.assignment():
            return
        consumer.assign(found)
        new = [tp for tp in found if tp not in self._next]
        since = self._clock() // 1000 - BACK_MS
        starts = await asyncio.wait_for(consumer.offsets_for_times(dict.fromkeys(new, since)), PATIENCE_S) if new else {}
        ends = await asyncio.wait_for(consumer.end_offsets(found), PATIENCE_S)
        for tp in new:
            start = starts.get(tp)
            self._next[tp] = ends[tp] if start is None else start.offset
        for tp in found:
            consumer.seek(tp, self._next[tp])
        # The first readiness asks for everything that was there when we came.
        self._goal = dict(ends)
        self._answered_at = self._clock()

    async def _check(self, consumer: Any) -> None:
        await self._assign(consumer)
        if not self._next:
            return
        ends = await asyncio.wait_for(consumer.end_offsets(list(self._next)), PATIENCE_S)
        starts = await asyncio.wait_for(consumer.beginning_offsets(list(self._next)), PATIENCE_S)
        for tp, start in starts.items():
            if self._next[tp] < start or self._next[tp] > ends[tp]:  # retention overtook us while the broker or we were away
                self._next[tp] = start
                consumer.seek(tp, start)
        self._goal = {tp: min(goal, ends[tp]) for tp, goal in self._goal.items()}
        self._answered_at = self._clock()

    def take(self, records: dict[TopicPartition, Iterable[Any]]) -> None:
        """Apply what one poll gave; what cannot be read is skipped and logged."""
        order = {name: rank for rank, name in enumerate(EVENT_TOPICS)}
        for tp in sorted(records, key=lambda tp: (order.get(tp.topic, -1), tp.topic, tp.partition)):
            for record in records[tp]:
                try:
                    self._apply(tp.topic, record)
                except (Reject, msgspec.DecodeError) as error:
                    log.warning("record skipped", topic=tp.topic, partition=tp.partition, offset=record.offset, error=str(error))
                self._next[tp] = record.offset + 1

    def _apply(self, topic: str, record: Any) -> None:
        if topic == topics.ALERT_EVENTS:
            change = msgspec.json.decode(record.value, type=AlertEvent)
            self._hub.on_change(change)
            self.on_change(change)
        elif topic == topics.ALERTS:
            self._hub.on_alert(msgspec.json.decode(record.value, type=Alert))
        elif topic == topics.CONNECTOR_STATES:
            self._hub.on_connector(msgspec.json.decode(record.value, type=ConnectorState))
        else:
            header = frame.decode_header(record.headers)
            if header.kind in LAYERS and header.lane != "backfill":
                self._hub.state.apply(header.kind, frame.decode(record.value, header))


async def _stop(consumer: Any) -> None:
    try:
        await asyncio.wait_for(consumer.stop(), PATIENCE_S)
    except asyncio.CancelledError:
        if _is_cancelled():
            raise
    except PASSING as error:
        log.warning("consumer did not stop in order", error=str(error) or type(error).__name__)


def _is_cancelled() -> bool:
    """Say whether somebody asked this task to end; aiokafka also lets cancelled requests of a lost connection out."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
