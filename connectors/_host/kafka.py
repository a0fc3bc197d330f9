"""Kafka as connectors see it: ``Transport``, and the idempotent producer behind it."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, KafkaTimeoutError, UnknownTopicOrPartitionError

from schemas.errors import Retry
from schemas.frame import Headers

log = structlog.get_logger()

Record = tuple[bytes, Headers]
"""Value and headers."""
BATCH_BYTES = 1 << 20
CLOSE_S = 5.0
"""``stop()`` of aiokafka waits for ever without a broker."""


class Transport(Protocol):
    """What a frame producer needs of Kafka."""

    async def send(self, topic: str, partition: int, records: Sequence[Record]) -> None:
        """Return when Kafka has all the records, next to each other and in order.

        Raises ``Retry`` when it may have none of them or all, but never a part. Records given together
        stay below 1 MiB.
        """
        ...

    async def post(self, topic: str, key: bytes, value: bytes) -> None:
        """Return when Kafka has one keyed record; raises ``Retry``."""
        ...


class KafkaTransport:
    """An idempotent producer that starts without a broker, and is replaced when it breaks.

    A future of an idempotent aiokafka producer waits as long as it takes; one that fails leaves a hole in
    the partition's sequence that the broker refuses from then on, hence the replacement.
    """

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._producer: AIOKafkaProducer | None = None
        self._broken: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._connected = asyncio.Event()

    async def open(self, patience_s: float = 3.0) -> None:
        """Begin connecting, go on until ``close``; returns when connected, at the latest after the patience."""
        for name in [n for n in logging.root.manager.loggerDict if n.partition(".")[0] == "aiokafka"]:
            logging.getLogger(name).addFilter(_spare)
        self._task = asyncio.create_task(self._keep_open(), name="kafka producer")
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await self._connected.wait()

    async def close(self) -> None:
        """Disconnect within a few seconds, whatever the broker does."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def send(self, topic: str, partition: int, records: Sequence[Record]) -> None:
        """Return when Kafka has all the records, next to each other and in order."""
        producer, broken = self._current()
        batch = producer.create_batch()
        for value, headers in records:
            if batch.append(timestamp=None, key=None, value=value, headers=headers) is None:
                msg = f"{len(records)} records for {topic} exceed a batch of {BATCH_BYTES} bytes"
                raise ValueError(msg)
        batch.close()
        try:
            future = await producer.send_batch(batch, topic, partition=partition)
        except (KafkaTimeoutError, UnknownTopicOrPartitionError) as error:
            msg = f"topic {topic}: {type(error).__name__}"
            raise Retry(msg) from error
        except AssertionError as error:
            msg = f"topic {topic} has no partition {partition}; create it with kafka.partitions partitions"
            raise Retry(msg) from error
        except KafkaError as error:
            self._break(broken, error)
        await self._outcome(future, broken)

    async def post(self, topic: str, key: bytes, value: bytes) -> None:
        """Return when Kafka has one keyed record."""
        producer, broken = self._current()
        try:
            future = await producer.send(topic, value, key=key)
        except KafkaError as error:
            msg = f"topic {topic}: {type(error).__name__}"
            raise Retry(msg) from error
        await self._outcome(future, broken)

    def _current(self) -> tuple[AIOKafkaProducer, asyncio.Future[None]]:
        if self._producer is None or self._broken is None:
            msg = f"Kafka at {self._bootstrap} is not reachable"
            raise Retry(msg)
        return self._producer, self._broken

    async def _outcome(self, future: asyncio.Future[object], broken: asyncio.Future[None]) -> None:
        await asyncio.wait((future, broken), return_when=asyncio.FIRST_COMPLETED)
        if not future.done():
            future.add_done_callback(_seen)
            msg = "the Kafka producer was replaced"
            raise Retry(msg)
        error = future.exception()
        if error is not None:
            self._break(broken, error)

    def _break(self, broken: asyncio.Future[None], error: BaseException) -> None:
        if not broken.done():
            log.warning("kafka producer broke and is replaced", error=repr(error))
            broken.set_result(None)
        msg = f"Kafka refused a batch: {error!r}"
        raise Retry(msg) from error

    async def _keep_open(self) -> None:
        away, pause = False, 0.2
        while True:
            producer = AIOKafkaProducer(
                bootstrap_servers=self._bootstrap,
                enable_idempotence=True,
                acks="all",
                linger_ms=5,
                request_timeout_ms=40_000,
                max_batch_size=BATCH_BYTES,
                max_request_size=4 << 20,
                compression_type="zstd",
            )
            try:
                async with asyncio.timeout(60):
                    await producer.start()
                log.info("kafka connected", bootstrap=self._bootstrap)
                away, pause = False, 0.2
                self._broken = asyncio.get_running_loop().create_future()
                self._producer = producer
                self._connected.set()
                await self._broken
            except (KafkaError, OSError, TimeoutError) as error:
                if not away:
                    log.warning("kafka is not reachable, frames go to the spool", bootstrap=self._bootstrap, error=str(error))
                away = True
            finally:
                self._producer = None
                self._connected.clear()
                if self._broken is not None and not self._broken.done():
                    self._broken.set_result(None)
                await _stop(producer)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            pause = min(pause * 2, 5.0)


async def _stop(producer: AIOKafkaProducer) -> None:
    """Close a producer that may never finish its batches."""
    stopping = asyncio.ensure_future(producer.stop())
    done, _ = await asyncio.wait((stopping,), timeout=CLOSE_S)
    if done:
        if stopping.exception() is not None:
            log.warning("kafka producer did not close cleanly", error=repr(stopping.exception()))
        return
    stopping.cancel()
    sender = producer._sender.sender_task  # noqa: SLF001 - aiokafka offers no way to give up pending batches
    if sender is not None:
        sender.cancel()
    await producer.client.close()


def _seen(future: asyncio.Future[object]) -> None:
    """Look at an outcome nobody waits for any more, so that asyncio does not report it."""
    if not future.cancelled():
        future.exception()


_last_said: dict[str, float] = {}


def _spare(record: logging.LogRecord) -> bool:
    """Let each of aiokafka's messages through once in 30 s: without a broker it writes hundreds a second."""
    if record.created - _last_said.get(str(record.msg), 0.0) < 30.0:
        return False
    _last_said[str(record.msg)] = record.created
    return True
