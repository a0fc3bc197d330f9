"""Replaying a recording: its bytes through the real connector, over a real loopback transport, into Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connectors._api import registry
from connectors._api.registry import Connector
from connectors._api.session import Received
from connectors._api.version import version_of
from connectors._host.builder import TotalKey
from connectors._host.door import decode, open_session
from connectors._host.files import FileReader, listing, messages, recorded
from connectors._host.host import make_intake
from connectors._host.intake import Intake
from connectors._host.kafka import KafkaTransport, Transport
from connectors._host.options import FileOptions, HttpPollOptions, TcpOptions, split
from connectors._host.poll import Fetched, Fetcher, Poller
from connectors._host.producer import FrameProducer
from connectors._host.run import POST_S, open_spool
from connectors._host.shelf import Shelf, last_part
from connectors._host.tcp import TcpServer
from schemas import events, topics
from schemas.config import Config
from schemas.errors import Retry
from schemas.events import ConnectorState
from schemas.reading import Lane

SECOND = 1_000_000
PAST_US = 3600 * SECOND
"""Readings of a recording older than this are late by nature; younger ones may still page."""
Parcel = tuple[Received, bytes, str]
"""What a packet was decoded to, the packet, and where it came from."""
Progress = Callable[[int, int], None]
"""Called with the packets sent so far and their number in all."""


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """What a replay sent, and what came of it; ``received`` has the rows by topic, kind and bucket."""

    connector: str
    run: str
    packets: int
    received: dict[TotalKey, int]
    rejects: int


async def replay(
    config: Config,
    path: Path,
    connector: str,
    *,
    speed: float,
    clock: Callable[[], int],
    progress: Progress,
    run_id: str,
    lane: Lane | None = None,
    transport: Transport | None = None,
) -> ReplayResult:
    """Send a recording through a connector and return when Kafka has all its frames.

    Settings come from the first configured instance of that connector, else its defaults; frames carry the
    instance name ``replay-<connector>``. ``speed`` scales the pauses a polled feed asks for (0 or infinity:
    none); recordings of other transports carry no times and go as fast as the host takes them. Without ``lane``
    each packet takes its session's, and readings from more than an hour ago the late one.
    """
    loaded = registry.load(connector)
    table = _table(config, connector)

    async def play(intake: Intake) -> int:
        return await _play(loaded, table, path, intake, clock, speed, progress)

    return await through(config, loaded, play, clock=clock, run_id=run_id, lane=lane, transport=transport)


async def resend(
    config: Config,
    connector: Connector,
    parcels: Sequence[Parcel],
    *,
    clock: Callable[[], int],
    progress: Progress,
    run_id: str,
    lane: Lane | None = None,
    transport: Transport | None = None,
) -> ReplayResult:
    """Send what packets were decoded to, as ``replay`` sends a recording: the same instance name, lanes and totals."""

    async def play(intake: Intake) -> int:
        for number, (received, packet, origin) in enumerate(parcels, 1):
            await intake.room()
            intake.take(received, packet, clock(), origin)
            progress(number, len(parcels))
            await asyncio.sleep(0)
        return len(parcels)

    return await through(config, connector, play, clock=clock, run_id=run_id, lane=lane, transport=transport)


async def through(
    config: Config,
    connector: Connector,
    play: Callable[[Intake], Coroutine[Any, Any, int]],
    *,
    clock: Callable[[], int],
    run_id: str,
    lane: Lane | None,
    transport: Transport | None,
) -> ReplayResult:
    """Have ``play`` fill the intake of instance ``replay-<connector>``, and return when Kafka has all its frames."""
    spool = open_spool(config, f"{config.connect.spool_dir}-replay")
    kafka = transport or KafkaTransport(config.kafka.bootstrap)
    producer = FrameProducer(kafka, spool, clock=clock)
    try:
        if isinstance(kafka, KafkaTransport):
            await kafka.open()
        producer.start()
        intake = make_intake(config, f"replay-{connector.type}", run_id, producer, clock, lane=lane, past_us=PAST_US)
        intake.builder.made_by = (connector.type, version_of(connector.path))
        packets = await _unless_broken(producer, _finish(play(intake), intake, producer))
        await _tell(kafka, connector, intake, clock)
        return ReplayResult(intake.name, run_id, packets, intake.builder.totals(), intake.rejects)
    finally:
        await producer.close(0.0)
        if isinstance(kafka, KafkaTransport):
            await kafka.close()


async def _play(
    connector: Connector,
    table: dict[str, Any],
    path: Path,
    intake: Intake,
    clock: Callable[[], int],
    speed: float,
    progress: Progress,
) -> int:
    listing(path)
    if connector.manifest.transport == "tcp":
        return await _play_tcp(connector, table, path, intake, clock, progress)
    if connector.manifest.transport == "http_poll":
        return await _play_http(connector, table, path, intake, clock, speed, progress)
    if connector.manifest.transport == "file":
        return await _play_files(connector, table, path, intake, clock, progress)
    return await _play_messages(connector, table, path, intake, clock, progress)


async def _finish(play: Any, intake: Intake, producer: FrameProducer) -> int:
    packets: int = await play
    intake.flush()
    await producer.settled()
    return packets


async def _unless_broken(producer: FrameProducer, work: Any) -> int:
    task = asyncio.ensure_future(work)
    broken = asyncio.ensure_future(producer.broken())
    try:
        await asyncio.wait((task, broken), return_when=asyncio.FIRST_COMPLETED)
        if broken.done():
            broken.result()
        return int(await task)
    finally:
        for future in (task, broken):
            future.cancel()
        await asyncio.gather(task, broken, return_exceptions=True)


async def _play_tcp(
    connector: Connector, table: dict[str, Any], path: Path, intake: Intake, clock: Callable[[], int], progress: Progress
) -> int:
    """Send all packets over one connection to a server of our own, and wait until it has answered them all."""
    _, settings = split(connector, table, f"connectors.{connector.type}")
    free = TcpOptions(
        listen="127.0.0.1:0", max_per_ip=0, packets_per_s=0, bytes_per_s=0, first_packet_s=3600.0, idle_timeout_s=3600.0
    )
    server = TcpServer(connector, settings, free, intake, clock, keep=True)
    opened = asyncio.Event()
    serving = asyncio.create_task(server.serve(opened.set))
    packets = [p for file in listing(path) for p in recorded(file)]
    try:
        await asyncio.wait((serving, asyncio.create_task(_set(opened))), return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            serving.result()
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        replies = asyncio.create_task(_discard(reader))
        for sent, packet in enumerate(packets, 1):
            if replies.done():
                break
            writer.write(packet)
            await writer.drain()
            progress(sent, len(packets))
        with suppress(OSError):
            writer.write_eof()
        while not replies.done():
            intake.flush()
            await asyncio.wait((replies,), timeout=0.2)
        writer.close()
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        await server.close()
    return len(packets)


async def _set(event: asyncio.Event) -> None:
    await event.wait()


async def _discard(reader: asyncio.StreamReader) -> None:
    """Read the server's replies until it has sent them all and closed."""
    with suppress(ConnectionError):
        while await reader.read(65536):
            pass


async def _play_http(
    connector: Connector,
    table: dict[str, Any],
    path: Path,
    intake: Intake,
    clock: Callable[[], int],
    speed: float,
    progress: Progress,
) -> int:
    """Serve the recording on the loopback and have the poller ask there whatever its session wants.

    Documents of the settings' ``feeds`` that lie in the folder, and that its discovery file does not name, follow.
    """
    shelf = Shelf(listing(path))
    if "url" in connector.manifest.settings:
        table = {**table, "url": shelf.origin}
    options, settings = split(connector, table, f"connectors.{connector.type}")
    assert isinstance(options, HttpPollOptions)
    async with shelf.serve() as base:
        fetcher = Fetcher(options, ["127.0.0.1"])

        async def fetch(url: str, validators: dict[str, str]) -> Fetched:
            return await fetcher.fetch(f"{base}/{last_part(url)}", validators)

        poller = Poller(connector, settings, options, intake, clock, fetch=fetch)
        try:
            await _poll_through(poller, shelf, intake, clock, speed, progress)
            for name in [n for n in settings.get("feeds", ()) if shelf.named and shelf.left(n)]:
                await intake.room()
                await poller.poll(shelf.origin.replace("/gbfs.json", f"/{name}.json"))
            progress(shelf.served, shelf.served)
        finally:
            await fetcher.close()
    return shelf.served


async def _poll_through(
    poller: Poller, shelf: Shelf, intake: Intake, clock: Callable[[], int], speed: float, progress: Progress
) -> None:
    """Poll until the recording is used up: every file once, or every document once that the feed asks for."""
    poller.begin()
    asked: set[str] = set()
    while shelf.more and poller.pending:
        wanted = {u: at for u, at in poller.pending.items() if not shelf.named or (u not in asked and shelf.pick(last_part(u)))}
        if not wanted:
            return
        url = min(wanted, key=wanted.__getitem__)
        if 0 < speed < float("inf") and wanted[url] > clock():
            await asyncio.sleep((wanted[url] - clock()) / SECOND / speed)
        await intake.room()
        await poller.poll(url)
        asked.add(url)
        progress(shelf.served, max(shelf.count, shelf.served))


async def _play_files(
    connector: Connector, table: dict[str, Any], path: Path, intake: Intake, clock: Callable[[], int], progress: Progress
) -> int:
    options, settings = split(connector, {**table, "path": str(path)}, f"connectors.{connector.type}")
    assert isinstance(options, FileOptions)
    reader = FileReader(connector, settings, options, intake, clock)
    files = listing(path)
    for done, file in enumerate(files, 1):
        await reader.read(file)
        progress(done, len(files))
    return intake.packets


async def _play_messages(
    connector: Connector, table: dict[str, Any], path: Path, intake: Intake, clock: Callable[[], int], progress: Progress
) -> int:
    """Hand all messages to one session as its door would; nobody is there to be answered."""
    given = {"listen": "127.0.0.1:0"} if connector.manifest.transport != "client" and "broker" not in table else {}
    _, settings = split(connector, {**given, **table}, f"connectors.{connector.type}")
    session = open_session(connector, settings, intake)
    found = [message for file in listing(path) for message in messages(file)]
    for sent, (packet, origin) in enumerate(found, 1):
        await intake.room()
        intake.take(decode(connector, settings, session, packet, clock(), origin), packet, clock(), origin)
        progress(sent, len(found))
        await asyncio.sleep(0)
    return len(found)


def _table(config: Config, connector: str) -> dict[str, Any]:
    """Give the table of the first configured instance of a connector, or none."""
    for name, table in config.connectors.items():
        if str(table.get("type", name)) == connector:
            return dict(table)
    return {}


async def _tell(transport: Transport, connector: Connector, intake: Intake, clock: Callable[[], int]) -> None:
    """Publish the replay's totals, as an instance does at its end: Kafka has every row."""
    now = clock()
    state = ConnectorState(
        connector=intake.name,
        type=connector.type,
        run=intake.builder.run,
        health="down",
        detail="replayed",
        at=now,
        since=now,
        kinds=list(connector.manifest.kinds),
        packets=intake.packets,
        readings=intake.readings,
        rejects=intake.rejects,
        last_reading=intake.last_reading,
        totals=[
            events.StreamTotal(topic=topic, kind=kind, bucket=bucket, received=rows, produced=rows)
            for (topic, kind, bucket), rows in sorted(intake.builder.totals().items())
        ],
    )
    with suppress(TimeoutError, Retry):
        async with asyncio.timeout(POST_S):
            await transport.post(topics.CONNECTOR_STATES, intake.name.encode(), events.encode(state))
