"""The gateway process: connects the parts, serves until told to stop, closes in order."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
import structlog
import uvicorn

from gateway.app import create_app
from gateway.commands import Commander, KafkaOutbox
from gateway.live.feed import Feed
from gateway.live.hub import Hub
from gateway.parts import Parts
from gateway.reads import answer_of
from gateway.sessions import Sessions
from gateway.wire import Wire
from schemas.config import Config
from schemas.errors import Fatal, Retry
from schemas.events import ConnectorState
from storage import accounts, queries
from storage.connect import Pool, create_pool, passing_faults

log = structlog.get_logger(__name__)

PUMP_S: Final = 0.25
PULSE_S: Final = 1.0
STATIC: Final = Path(__file__).parent / "static"
DATABASE_WAIT_S: Final = 60.0


class Server(uvicorn.Server):
    """uvicorn's server, leaving signals to the process it runs in."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


async def run(
    config: Config,
    *,
    stop: asyncio.Event,
    clock: Callable[[], int],
    static: Path | None = None,
    build: str,
    on_ready: Callable[[], None] | None = None,
) -> None:
    """Serve until ``stop`` is set; ``on_ready`` is called once, when /readyz first says yes.

    ``clock`` gives microseconds UTC. A database that stays away for a minute, or a port in use, raises ``Fatal``.
    """
    door = _bind(config)
    pool = await _database(config)
    outbox = KafkaOutbox(config.kafka)
    try:
        parts, feed = await _assemble(config, pool, outbox, clock, static, build)
        server = _server(parts)
        jobs = [
            asyncio.create_task(feed.run(), name="feed"),
            asyncio.create_task(_beat(PULSE_S, lambda: parts.hub.tick(clock())), name="pulse"),
            asyncio.create_task(_beat(PUMP_S, lambda: parts.hub.pump(clock())), name="pump"),
            asyncio.create_task(_announce(server, parts, on_ready), name="announce"),
        ]
        await _serve(server, jobs, stop, door)
    finally:
        await outbox.close()
        await asyncio.wait_for(pool.close(), 10)
        door.close()


def _bind(config: Config) -> socket.socket:
    host, port = config.gateway.host, config.gateway.port
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=1024)
    except OSError as error:
        msg = f"cannot serve at {host}:{port}: {error.strerror}; set gateway.host and gateway.port, or --port"
        raise Fatal(msg) from error


async def _database(config: Config) -> Pool:
    deadline = asyncio.get_running_loop().time() + DATABASE_WAIT_S
    while True:
        try:
            return await create_pool(config.database.url, config.database.schema, size=6)
        except Retry as error:
            if asyncio.get_running_loop().time() > deadline:
                msg = f"{error}; start the database, or set [database] url or CITYOPS_DATABASE"
                raise Fatal(msg) from error
            log.warning("database is away", error=str(error))
            await asyncio.sleep(1.0)


async def _assemble(
    config: Config, pool: Pool, outbox: KafkaOutbox, clock: Callable[[], int], static: Path | None, build: str
) -> tuple[Parts, Feed]:
    hub = Hub(epoch=secrets.token_hex(8))
    feed = Feed(config.kafka, hub, clock)
    with passing_faults():
        key = await accounts.signing_key(pool, clock())
    await _load(pool, hub)
    commander = Commander(outbox, lambda cmd_id: answer_of(pool, cmd_id))
    feed.on_change = commander.on_change
    parts = Parts(
        config=config,
        pool=pool,
        hub=hub,
        sessions=Sessions(pool, key, clock, config.gateway.session_hours),
        commander=commander,
        clock=clock,
        trouble=_trouble(pool, feed),
        build=build,
        static=static or (STATIC if STATIC.is_dir() else None),
    )
    return parts, feed


async def _load(pool: Pool, hub: Hub) -> None:
    """Fill the hub from the database: all alerts not resolved, page by page, and the connectors."""
    before = None
    while True:
        page = await queries.alerts(pool, status=("open", "acknowledged"), before=before, limit=queries.MOST_ROWS)
        hub.load(page, ())
        if len(page) < queries.MOST_ROWS:
            break
        before = (page[-1].opened_at, page[-1].id)
    hub.load((), [msgspec.convert(state, ConnectorState) for state in await queries.connectors(pool)])


def _trouble(pool: Pool, feed: Feed) -> Callable[[], Awaitable[list[str]]]:
    async def reasons() -> list[str]:
        found = []
        try:
            with passing_faults():
                await asyncio.wait_for(pool.fetchval("SELECT 1"), 3.0)
        except Retry as error:
            found.append(str(error))
        if (lag := feed.trouble()) is not None:
            found.append(lag)
        return found

    return reasons


def _server(parts: Parts) -> Server:
    return Server(
        uvicorn.Config(
            create_app(parts),
            ws=Wire,
            ws_max_size=64 * 1024,
            ws_ping_interval=20.0,
            ws_ping_timeout=20.0,
            ws_per_message_deflate=False,
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
            timeout_graceful_shutdown=5,
        )
    )


async def _beat(every_s: float, job: Callable[[], None]) -> None:
    """Do a job again and again, at moments that do not drift; a slow one skips beats instead of piling up."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        job()
        due = max(due + every_s, loop.time())
        await asyncio.sleep(due - loop.time())


async def _announce(server: Server, parts: Parts, on_ready: Callable[[], None] | None) -> None:
    while not server.started or await parts.trouble():
        await asyncio.sleep(0.1)
    log.info("gateway is ready", port=parts.config.gateway.port)
    if on_ready is not None:
        on_ready()
    await asyncio.Event().wait()


async def _serve(server: Server, jobs: list[asyncio.Task[None]], stop: asyncio.Event, door: socket.socket) -> None:
    serving = asyncio.create_task(server.serve(sockets=[door]), name="server")
    stopping: asyncio.Task[object] = asyncio.create_task(stop.wait(), name="stop")
    try:
        await asyncio.wait([serving, stopping, *jobs], return_when=asyncio.FIRST_COMPLETED)
        for job in (*jobs, serving):
            if job.done():
                log.warning("a part of the gateway ended", part=job.get_name())
                job.result()
    finally:
        server.should_exit = True
        for task in (*jobs, stopping):
            task.cancel()
        await asyncio.gather(*jobs, stopping, return_exceptions=True)
        await asyncio.gather(serving, return_exceptions=True)
