"""All configured connectors in one process, from start to drained stop."""

from __future__ import annotations

import asyncio
import gc
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from connectors._host.descriptors import raise_limit
from connectors._host.follow import Source, follow
from connectors._host.host import Host
from connectors._host.instance import Instance, Refused
from connectors._host.kafka import KafkaTransport, Transport
from connectors._host.producer import FrameProducer
from connectors._host.spool import Spool
from schemas import events, topics
from schemas.config import Config
from schemas.errors import Fatal, Retry

DRAIN_S = 10.0
POST_S = 5.0
COLLECT_AFTER = 20_000
"""Objects made before rubbish is looked for: with Python's 700, the sessions of 20,000 devices are gone through for nothing."""


def new_run(clock: Callable[[], int]) -> str:
    """Give a name for this run of the process: unique, and later ones sort behind earlier ones."""
    return f"{clock():014x}-{secrets.token_hex(3)}"


def open_spool(config: Config, folder: str = "") -> Spool:
    """Open the spool of the settings, or one beside it."""
    connect = config.connect
    return Spool(
        Path(config.data_dir) / (folder or connect.spool_dir),
        max_bytes=connect.spool_max_mb << 20,
        max_age_us=int(connect.spool_max_h * 3600e6),
    )


async def run(
    config: Config,
    *,
    stop: asyncio.Event,
    clock: Callable[[], int],
    run_id: str = "",
    only: Sequence[str] = (),
    transport: Transport | None = None,
    source: Source | None = None,
) -> None:
    """Run every configured connector until ``stop``, then drain: nothing acknowledged is left in memory.

    ``clock`` gives microseconds UTC. Where every instance's settings are broken the first flaw raises ``Fatal``;
    where some are, those are refused and the others run. With ``source`` its changes are applied as they come.
    """
    _prepare_process()
    spool = open_spool(config)
    kafka = transport or KafkaTransport(config.kafka.bootstrap)
    producer = FrameProducer(kafka, spool, clock=clock)
    host = Host(config, producer, run_id or new_run(clock), clock, only)
    with _closed_on_error(spool):
        host.prepare()
    if isinstance(kafka, KafkaTransport):
        await kafka.open()
    producer.start()
    host.start()
    works = [producer.broken(), _until(stop), _report(host, kafka, config.connect.state_interval_s, clock)]
    works += [follow(source, config, host.apply)] if source is not None else []
    tasks = [asyncio.create_task(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done():
                task.result()
    finally:
        host.halt()
        await _cancelled(tasks)
        await host.cancel()
        await _drain(host, producer, kafka, clock)


def _prepare_process() -> None:
    raise_limit()
    gc.set_threshold(COLLECT_AFTER)


async def _cancelled(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@contextmanager
def _closed_on_error(spool: Spool) -> Iterator[None]:
    try:
        yield
    except Fatal:
        spool.close()
        raise


async def _drain(host: Host, producer: FrameProducer, transport: Transport, clock: Callable[[], int]) -> None:
    """Bring what has been taken in to Kafka or the disk, send the replies owed for it, and tell the final totals."""
    for instance in host.running:
        instance.intake.flush()
    await producer.close(DRAIN_S)
    await asyncio.gather(*(i.intake.keeper.settled() for i in host.running))
    await asyncio.sleep(0)
    await tell(host.all, transport, clock)
    await host.close()
    if isinstance(transport, KafkaTransport):
        await transport.close()


async def _until(stop: asyncio.Event) -> None:
    await stop.wait()


async def _report(host: Host, transport: Transport, interval_s: float, clock: Callable[[], int]) -> None:
    """Publish states at the interval, and sooner when a health changes."""
    told = 0
    while True:
        due = clock() - told >= interval_s * 1e6 or clock() < told
        final = host.final() if due else []
        if await tell([i for i in host.all if due or i.changed], transport, clock):
            host.dismiss(final)
        if due:
            told = clock()
        await asyncio.sleep(min(interval_s, 0.25))


async def tell(instances: Sequence[Instance | Refused], transport: Transport, clock: Callable[[], int]) -> bool:
    """Publish the states of these instances; gives whether Kafka has them all. If not, the next ones say it all again."""
    states = [i.state(clock()) for i in instances]
    posts = [transport.post(topics.CONNECTOR_STATES, s.connector.encode(), events.encode(s)) for s in states]
    try:
        async with asyncio.timeout(POST_S):
            outcomes = await asyncio.gather(*posts, return_exceptions=True)
    except TimeoutError:
        return False
    for outcome in outcomes:
        if isinstance(outcome, BaseException) and not isinstance(outcome, Retry):
            raise outcome
    return not any(outcomes)
