"""How records come from faust to an agent: many at once, with as little per record as its guarantees allow.

faust's own way (a stream's events, its passive drainer, a decoded event and four tasks a record) costs more than all we
do with a frame of 500 readings. Its consumer, conductor, flow control and offsets are used as they are.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator
from contextlib import suppress
from typing import Any

import faust
from faust.transport.drivers import aiokafka as driver
from mode.services import WaitResults

from streams.task import Record

FETCH_WAIT_MS = 100
BATCH_BYTES = 8 << 20
"""Values worked on at once; what is made of them takes several times as much memory."""
BUFFERED = 256
"""Messages that wait for an agent: about the next batch."""
LEAST_WAIT = 0.25
"""Part of a batch's time that is waited for more records even when its time has passed."""


class Untouched(faust.Schema[Any, Any]):
    """Hands on Kafka's message itself, undecoded."""

    def compile(self, app: Any, **_: Any) -> Callable[..., Coroutine[Any, Any, Any]]:
        """Give the function that faust decodes with."""
        del app

        async def decode(message: Any, *, propagate: bool = False) -> Any:
            del propagate
            return message

        return decode


class PromptThread(driver.AIOKafkaConsumerThread):
    """faust's reading thread, whose requests the broker answers soon even when it has nothing to tell.

    There is one request under way at a time: a partition that was left out of it, its last records being taken in
    just then, waits for its end.
    """

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer: Any = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS  # noqa: SLF001 - faust gives it 1.5 s and offers no setting
        return consumer


class EagerConsumer(driver.Consumer):
    """faust's consumer, which takes the first step of a delivery at once.

    Only where a delivery has to wait (the flow is suspended, the agent's queue is full) are the tasks made that faust
    makes for every record; Python 3.12's eager tasks do the same.
    """

    def _new_consumer_thread(self) -> PromptThread:
        return PromptThread(self, loop=self.loop, beacon=self.beacon)

    async def wait_first(self, *coros: Any, timeout: Any = None) -> WaitResults:
        """Wait for the first of these to end; the first given is begun at once."""
        delivery, *others = coros
        if not isinstance(delivery, types.CoroutineType):
            return await super().wait_first(*coros, timeout=timeout)
        try:
            waits_for = delivery.send(None)
        except StopIteration as end:
            for other in others:
                other.close()
            return WaitResults([delivery], [end.value], False)
        return await super().wait_first(_rest(delivery, waits_for), *others, timeout=timeout)


driver.Transport.Consumer = EagerConsumer
"""faust offers no setting for it."""


async def _rest(begun: Any, waits_for: Any) -> Any:
    """Go on with a coroutine that began to wait for a future."""
    return await _steps(begun, waits_for)


@types.coroutine
def _steps(begun: Any, waits_for: Any) -> Generator[Any, Any, Any]:
    try:
        yield waits_for
    except BaseException as error:
        begun.throw(error)
        raise
    return (yield from begun)


async def messages(queue: Any, most: int, most_bytes: int, begun: float, within_s: float) -> list[Any]:
    """Give what comes until ``within_s`` after the last batch was ``begun`` (loop time), in order.

    A batch ends at ``most`` records, or with the one that brings it to ``most_bytes`` of values: what is worked on at
    once bounds the memory of a worker that has much to catch up. Batches are paced, not delayed: one that took its
    time is followed at once, but for a short wait in which the records of its time can arrive together.
    """
    found = [await queue.get()]
    size = _size(found[0])
    now = asyncio.get_running_loop().time()
    with suppress(TimeoutError):
        async with asyncio.timeout_at(max(begun + within_s, now + within_s * LEAST_WAIT)):
            while len(found) < most and size < most_bytes:
                found.append(await queue.get() if queue.empty() else queue.get_nowait())
                size += _size(found[-1])
    return found


def _size(message: Any) -> int:
    """Give the bytes of a message's value; a tombstone has none."""
    return len(message.value or b"")


def record(message: Any) -> Record:
    """Give one of faust's messages as our record."""
    headers = message.headers
    pairs = list(headers.items()) if isinstance(headers, dict) else list(headers or ())
    return Record(message.topic, message.partition, message.offset, message.value, pairs, int(message.timestamp * 1e6))
