"""A person's command on an alert: sent to Kafka, answered by the one writer of alert state."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, Protocol

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas import events, metrics, topics
from schemas.config import Kafka
from schemas.errors import Retry
from schemas.events import AlertCommand, AlertEvent
from schemas.messages import Result

log = structlog.get_logger(__name__)

ANSWER_S: Final = 5.0
"""How long the answer to a command is waited for."""
REMEMBERED: Final = 2000


class Outbox(Protocol):
    """Where commands go; it has the command safely, or raises ``Retry``."""

    async def send(self, command: AlertCommand) -> None:
        """Hand over one command."""


class KafkaOutbox:
    """Sends commands to their topic with an idempotent producer, connected at first use and again after a fault."""

    def __init__(self, kafka: Kafka) -> None:
        self._kafka = kafka
        self._producer: Any = None
        self._lock = asyncio.Lock()

    async def send(self, command: AlertCommand) -> None:
        """Hand over one command; a broker that does not take it in time raises ``Retry``."""
        try:
            producer = await self._connected()
            await asyncio.wait_for(
                producer.send_and_wait(
                    topics.ALERT_COMMANDS,
                    events.encode(command),
                    key=command.alert_id.encode(),
                    partition=topics.bucket(command.source, self._kafka.partitions),
                ),
                ANSWER_S,
            )
        except (KafkaError, OSError, TimeoutError) as error:
            await self.close()  # a producer that met a fault may stay broken; the next command makes a new one
            msg = f"Kafka did not take the command: {str(error) or type(error).__name__}"
            raise Retry(msg) from error
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # aiokafka lets the cancelled requests of a lost connection out.
            msg = "Kafka did not take the command: connection lost"
            raise Retry(msg) from error

    async def _connected(self) -> Any:
        async with self._lock:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    bootstrap_servers=self._kafka.bootstrap, enable_idempotence=True, acks="all", request_timeout_ms=5000
                )
                try:
                    await asyncio.wait_for(producer.start(), ANSWER_S)
                except BaseException:
                    await producer.stop()
                    raise
                self._producer = producer
            return self._producer

    async def close(self) -> None:
        """Flush for a moment and disconnect."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with suppress(KafkaError, OSError, TimeoutError):
                await asyncio.wait_for(producer.stop(), 2.0)


class Commander:
    """Sends commands and pairs them with their answers; repeating a ``cmd_id`` gives the first answer again."""

    def __init__(self, outbox: Outbox, recall: Callable[[str], Awaitable[AlertEvent | None]], answer_s: float = ANSWER_S) -> None:
        self._outbox = outbox
        self._recall = recall
        self._answer_s = answer_s
        self._pending: dict[str, asyncio.Future[AlertEvent]] = {}
        self._answered: OrderedDict[str, AlertEvent] = OrderedDict()

    def on_change(self, change: AlertEvent) -> None:
        """Take in a change; the one that answers a command ends its wait."""
        if change.cmd_id is None:
            return
        self._answered[change.cmd_id] = change
        if len(self._answered) > REMEMBERED:
            self._answered.popitem(last=False)
        waiting = self._pending.get(change.cmd_id)
        if waiting is not None and not waiting.done():
            waiting.set_result(change)

    async def earlier(self, command: AlertCommand) -> Result | None:
        """Give the answer this ``cmd_id`` got before, if any; the database is asked for answers of long ago."""
        change = self._answered.get(command.cmd_id) or await self._recall(command.cmd_id)
        return None if change is None else _result(command, change)

    async def act(self, command: AlertCommand) -> Result:
        """Send a command and give its outcome; ``timeout`` means it is on its way and its effect will show later.

        A broker that does not take it raises ``Retry``.
        """
        waiting = self._pending.get(command.cmd_id)
        first = waiting is None
        if waiting is None:
            waiting = self._pending[command.cmd_id] = asyncio.get_running_loop().create_future()
        try:
            if first:
                await self._outbox.send(command)
            change = await asyncio.wait_for(asyncio.shield(waiting), self._answer_s)
        except TimeoutError:
            result = Result(cmd_id=command.cmd_id, outcome="timeout", detail="no answer from the alert agent yet")
        else:
            result = _result(command, change)
        finally:
            if first:
                self._pending.pop(command.cmd_id, None)
        metrics.GATEWAY_COMMANDS.labels(command.action, result.outcome).inc()
        return result


def _result(command: AlertCommand, change: AlertEvent) -> Result:
    if change.alert_id != command.alert_id:
        return Result(cmd_id=command.cmd_id, outcome="refused", detail="cmd_id was used for another alert; use a new one")
    if change.change == "conflict":
        return Result(cmd_id=command.cmd_id, outcome="conflict", alert=change.alert, detail=change.note or "")
    if change.change == "refused":
        return Result(cmd_id=command.cmd_id, outcome="refused", alert=change.alert, detail=change.note or "")
    return Result(cmd_id=command.cmd_id, outcome="ok", alert=change.alert)
