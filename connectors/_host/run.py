"""All configured connectors in one process, from start to drained stop."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import structlog

from connectors._api import registry
from connectors._host.builder import FrameBuilder
from connectors._host.instance import Instance
from connectors._host.intake import Intake
from connectors._host.kafka import KafkaTransport, Transport
from connectors._host.options import split
from connectors._host.producer import FrameProducer
from connectors._host.spool import Spool
from schemas import events, topics
from schemas.config import Config
from schemas.errors import Fatal, Retry
from schemas.reading import Lane

log = structlog.get_logger()

DRAIN_S = 10.0
POST_S = 5.0


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


def make_intake(
    config: Config,
    name: str,
    run_id: str,
    producer: FrameProducer,
    clock: Callable[[], int],
    *,
    max_unconfirmed: int = 20_000,
    lane: Lane | None = None,
    past_us: int | None = None,
) -> Intake:
    """Give the way from decoded packets of one instance to the producer.

    ``lane`` overrides the session's; without it, live readings older than ``past_us`` take the late lane.
    """
    connect = config.connect
    builder = FrameBuilder(
        name, run_id, partitions=config.kafka.partitions, frame_rows=connect.frame_rows, flush_us=connect.flush_ms * 1000
    )
    flush_s = connect.flush_ms / 1000
    return Intake(
        name, builder, producer.submit, clock, max_unconfirmed=max_unconfirmed, flush_s=flush_s, lane=lane, past_us=past_us
    )


def make_instances(
    config: Config, producer: FrameProducer, run_id: str, clock: Callable[[], int], only: Sequence[str] = ()
) -> list[Instance]:
    """Check the tables of all instances and make them; the first flaw raises ``Fatal`` and nothing starts."""
    unknown = set(only) - set(config.connectors)
    if unknown:
        msg = f"no connector instance {sorted(unknown)[0]!r}; configured: {', '.join(config.connectors) or 'none'}"
        raise Fatal(msg)
    made = []
    for name, table in config.connectors.items():
        if (only and name not in only) or not table.get("enabled", True):
            continue
        where = f"connectors.{name}"
        if len(name) > 64:
            msg = f"{where}: an instance's name has at most 64 characters"
            raise Fatal(msg)
        connector = registry.load(str(table.get("type", name)))
        options, settings = split(connector, table, where)
        intake = make_intake(config, name, run_id, producer, clock, max_unconfirmed=options.max_unconfirmed)
        made.append(Instance(connector, settings, options, intake, producer, clock))
    return made


async def run(
    config: Config,
    *,
    stop: asyncio.Event,
    clock: Callable[[], int],
    run_id: str = "",
    only: Sequence[str] = (),
    transport: Transport | None = None,
) -> None:
    """Run every configured connector until ``stop``, then drain: nothing acknowledged is left in memory.

    ``clock`` gives microseconds UTC. A broken setting raises ``Fatal`` before anything listens.
    """
    spool = open_spool(config)
    kafka = transport or KafkaTransport(config.kafka.bootstrap)
    producer = FrameProducer(kafka, spool, clock=clock)
    try:
        instances = make_instances(config, producer, run_id or new_run(clock), clock, only)
    except Fatal:
        spool.close()
        raise
    if isinstance(kafka, KafkaTransport):
        await kafka.open()
    producer.start()
    tasks = [asyncio.create_task(i.supervise(), name=f"connector {i.name}") for i in instances]
    tasks.append(asyncio.create_task(_report(instances, kafka, config.connect.state_interval_s, clock)))
    broken = asyncio.create_task(producer.broken())
    stopping = asyncio.create_task(_until(stop))
    try:
        await asyncio.wait((broken, stopping, *tasks), return_when=asyncio.FIRST_COMPLETED)
        for task in (broken, *tasks):
            if task.done():
                task.result()
    finally:
        for instance in instances:
            instance.halt()
        for task in (broken, stopping, *tasks):
            task.cancel()
        await asyncio.gather(broken, stopping, *tasks, return_exceptions=True)
        await _drain(instances, producer, kafka, clock)


async def _drain(instances: Sequence[Instance], producer: FrameProducer, transport: Transport, clock: Callable[[], int]) -> None:
    """Bring what has been taken in to Kafka or the disk, send the replies owed for it, and tell the final totals."""
    for instance in instances:
        instance.intake.flush()
    await producer.close(DRAIN_S)
    await asyncio.sleep(0)
    await tell(instances, transport, clock)
    for instance in instances:
        instance.close()
    if isinstance(transport, KafkaTransport):
        await transport.close()


async def _until(stop: asyncio.Event) -> None:
    await stop.wait()


async def _report(instances: Sequence[Instance], transport: Transport, interval_s: float, clock: Callable[[], int]) -> None:
    """Publish states at the interval, and sooner when a health changes."""
    told = 0
    while True:
        due = clock() - told >= interval_s * 1e6 or clock() < told
        await tell([i for i in instances if due or i.changed], transport, clock)
        if due:
            told = clock()
        await asyncio.sleep(min(interval_s, 0.25))


async def tell(instances: Sequence[Instance], transport: Transport, clock: Callable[[], int]) -> None:
    """Publish the states of these instances; without Kafka they are not kept, the next ones say it all again."""
    states = [i.state(clock()) for i in instances]
    posts = [transport.post(topics.CONNECTOR_STATES, s.connector.encode(), events.encode(s)) for s in states]
    with suppress(TimeoutError):
        async with asyncio.timeout(POST_S):
            for outcome in await asyncio.gather(*posts, return_exceptions=True):
                if isinstance(outcome, BaseException) and not isinstance(outcome, Retry):
                    raise outcome
