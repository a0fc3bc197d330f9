"""The processes of the system, each as the command line runs it until SIGTERM or Ctrl-C."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from cityops import settings
from schemas.config import Config
from schemas.errors import Fatal

STATIC = Path(__file__).resolve().parent.parent / "gateway" / "static"
"""The built page."""


def now() -> int:
    """Give the time in microseconds UTC."""
    return time.time_ns() // 1000


def new_run() -> str:
    """Give the id of a new run of a connector process: sortable by start, different for each."""
    return f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{secrets.token_hex(3)}"


def until_signal(work: Callable[[asyncio.Event], Awaitable[object]], run: Callable[..., object] = uvloop.run) -> None:
    """Run ``work`` with an event that SIGTERM and Ctrl-C set; it ends by itself, in order, after that."""

    async def main() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await work(stop)

    run(main())


def expose(config: Config, name: str) -> None:
    """Serve this process's metrics if the settings give it a port; a taken port raises ``Fatal``."""
    port = config.metrics_ports.get(name)
    if port is None:
        return
    from prometheus_client import start_http_server

    try:
        start_http_server(port, addr=config.metrics_host)
    except OSError as error:
        msg = f"metrics of {name}: port {port} of {config.metrics_host}: {error.strerror}; change metrics_host or [metrics_ports]"
        raise Fatal(msg) from error


def connect(config: Config, only: list[str], path: Path | None = None, reread: Callable[[], Config] | None = None) -> None:
    """Run the connectors of the settings, or those named; with a path, changes of that file are taken up as they come."""
    from connectors._host.follow import Source
    from connectors._host.run import run

    if not config.connectors:
        raise Fatal("no connector is configured; give [connectors.<name>] tables with --config")
    source = Source(path, reread) if path is not None and reread is not None else None
    expose(config, "connect")
    until_signal(lambda stop: run(config, stop=stop, clock=now, run_id=new_run(), only=only, source=source))


def stream(config: Config, worker: int, agents: list[str]) -> None:
    """Run a stream worker: its agents read, check, watch and alert."""
    from streams.worker import STREAM_AGENTS, run

    settings.database_url(config)
    expose(config, "stream" if worker == 0 else f"stream-{worker}")
    run(config, slot=worker, agents=agents or STREAM_AGENTS, clock=now)


def store(config: Config, worker: int) -> None:
    """Run a store worker: it writes frames and their offsets to the database."""
    from streams.worker import run

    settings.database_url(config)
    expose(config, "store" if worker == 0 else f"store-{worker}")
    run(config, slot=worker, agents=["store"], clock=now)


def serve(config: Config) -> None:
    """Run the gateway: page, API, live push."""
    from gateway.run import run

    settings.database_url(config)
    expose(config, "gateway")
    until_signal(lambda stop: run(config, stop=stop, clock=now, static=STATIC, build=build_id(), on_ready=None))


def build_id(static: Path = STATIC) -> str:
    """Give the id of the built page: it changes when the page does; empty when it is not built."""
    index = static / "index.html"
    return hashlib.sha256(index.read_bytes()).hexdigest()[:12] if index.exists() else ""


def simulate(config: Config, seed: int) -> None:
    """Run the simulated city against the connectors of the settings."""
    from cityops import city
    from cityops.simulator.run import run

    found = city.simulator(config, seed=seed)
    until_signal(lambda stop: run(found, stop), asyncio.run)  # its links name asyncio's own transport class


def migrate(config: Config) -> list[str]:
    """Create topics, bring the database up to this release and make the first user; gives what was done."""
    from cityops.topics import ensure_topics
    from storage.migrate import migrate as migrate_database

    url = settings.database_url(config)
    made = ensure_topics(config.kafka.bootstrap, config.kafka.partitions)
    ran = migrate_database(url, config.database.schema)
    password = asyncio.run(first_account(config))
    account = [] if password is None else [f"user admin, password {password} (shown once; change it)"]
    return [*(f"topic {name}" for name in made), *(f"migration {name}" for name in ran), *account]


async def first_account(config: Config) -> str | None:
    """Give the password of the first user, made where there is none yet; None where there is one."""
    from storage.accounts import ensure_admin
    from storage.connect import create_pool

    pool = await create_pool(config.database.url, config.database.schema, size=1)
    try:
        return await ensure_admin(pool, now())
    finally:
        await pool.close()
