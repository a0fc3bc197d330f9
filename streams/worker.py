"""One worker process: the agents it runs, its lock on its slot, its watchdog."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import importlib.resources
import os
import signal
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import IO, Any

import faust
import structlog
import uvloop
from aiokafka.errors import KafkaError

from schemas import topics
from schemas.config import Config
from schemas.errors import Fatal, Retry
from schemas.rules import Rule
from schemas.rules import load as load_rules
from storage import alerts_store, maintenance, rollup, zones
from storage.connect import create_pool
from streams import allocator, rejudging
from streams.agents.alerts import AlertsTask, Book
from streams.agents.clean import CleanTask
from streams.agents.store import StoreTask
from streams.agents.watch import WatchTask
from streams.app import Agent, fatal, make_app, make_producer
from streams.attempts import Attempts
from streams.layers import Layers
from streams.steps.reference import Registry
from streams.task import Task

log = structlog.get_logger()

STREAM_AGENTS = ("clean", "watch", "alerts")
KEEP_RESOLVED_US = 24 * 3_600_000_000
"""Alerts resolved longer ago cannot be reopened."""
STUCK = 71
"""Exit status of the watchdog."""
STUCK_S = 60.0
MAINTENANCE_S = 3600.0
LAYERS_S = 1.0
ROLLUP_S = 5.0
REJUDGE_S = 5.0
LOOP_LATE_S = 10.0
START_LATE_S = 120.0
"""The heart beats once the group is joined, which waits for the broker."""
FROZEN_S = 5.0
"""A watchdog that wakes this late was itself stopped, with the whole process: nothing hangs because of that."""
KNOCK_S = 0.5
END_S = 10.0


def rules_of(config: Config) -> dict[str, Rule]:
    """Read our rule packs and those of the folders the settings name."""
    packs = sorted(Path(str(importlib.resources.files("streams") / "rules")).glob("*.toml"))
    for folder in config.stream.rules:
        packs += sorted(Path(folder).glob("*.toml"))
    return load_rules(packs)


class Worker:
    """The agents of one process and what they share."""

    def __init__(self, config: Config, slot: int, agents: Sequence[str], clock: Callable[[], int]) -> None:
        self._config = config
        self._clock = clock
        self._rules = rules_of(config)
        self._layers = Layers(zones.load(config.stream.boundaries))
        self._books: dict[int, Book] = {}
        self._slot = slot
        self._parts: tuple[Any, Any] | None = None
        self._opening = asyncio.Lock()
        self.beat = time.monotonic()
        self.beats = False
        """The heart has begun to beat."""
        store = list(agents) == ["store"]
        self.agents = [self._agent(name) for name in agents]
        named = [topic for agent in self.agents for topic in agent.topics]
        self.app = make_app("cityops-store" if store else "cityops-stream", config, slot, named)
        for agent in self.agents:
            agent.attach(self.app, self.parts)
        self.app.timer(1.0)(self._tick)
        self.app.timer(0.5)(self._heartbeat)
        self.app.timer(LAYERS_S)(self._refresh)
        if store and slot == 0:
            self.app.timer(MAINTENANCE_S)(self._maintain)
            self.app.timer(ROLLUP_S)(self._roll_up)
            self.app.timer(REJUDGE_S)(self._rejudge)

    def _agent(self, name: str) -> Agent:
        within, domains = self._config.stream.flush_ms / 1000, topics.reading_domains()
        if name == "clean":
            return self._made(name, [topics.raw(d) for d in domains], self._clean, within)
        if name == "watch":
            return self._made(name, [topics.clean(d) for d in domains], self._watch, within)
        if name == "alerts":
            return self._made(name, [topics.FINDINGS, topics.ALERT_COMMANDS], self._alerts, within, self._open_books)
        if name == "store":
            named = [topics.clean(d) for d in domains] + [topics.WINDOWS, topics.REJECTS, topics.CONNECTOR_STATES]
            return self._made(name, named, self._store, max(within, 0.5))
        msg = f"unknown agent {name!r}; known: {', '.join((*STREAM_AGENTS, 'store'))}"
        raise Fatal(msg)

    def _made(
        self,
        name: str,
        named: Sequence[str],
        make_task: Callable[[str, int], Task],
        within_s: float,
        prepare: Callable[[Any], Awaitable[None]] | None = None,
    ) -> Agent:
        attempts = Attempts(Path(self._config.data_dir) / "run" / f"{name}-{self._slot}.attempts")
        batch = self._config.stream.batch_frames
        return Agent(name, named, make_task, within_s=within_s, batch=batch, attempts=attempts, prepare=prepare)

    def _clean(self, topic: str, partition: int) -> Task:
        return CleanTask(topic, partition, self._layers.present, self._config.stream, Path(self._config.data_dir) / "run")

    def _watch(self, topic: str, partition: int) -> Task:
        return WatchTask(topic, partition, self._rules, self._config.stream, self._registry)

    def _store(self, topic: str, partition: int) -> Task:
        return StoreTask(topic, partition, self._registry)

    def _registry(self) -> Registry:
        return self._layers.present().registry

    def _alerts(self, topic: str, partition: int) -> Task:
        return AlertsTask(topic, partition, self._books[partition])

    async def _open_books(self, pool: Any) -> None:
        """Load every alert that may still change, shared by findings and commands of a partition."""
        number = self._config.kafka.partitions
        recent = await alerts_store.load_alerts(pool, resolved_since=self._clock() - KEEP_RESOLVED_US)
        self._books = {p: Book([a for a in recent if topics.bucket(a.source, number) == p]) for p in range(number)}

    async def parts(self) -> tuple[Any, Any]:
        """Give the database pool and the producer, opened once, waiting as long as it takes."""
        async with self._opening:
            if self._parts is None:
                pool = await _wait_for_pool(self._config)
                await self._layers.refresh(pool)
                if any(a.name == "watch" for a in self.agents):
                    await alerts_store.save_rules(pool, list(self._rules.values()))
                self._parts = pool, await make_producer(self._config.kafka.bootstrap)
        return self._parts

    async def _tick(self, *_: Any) -> None:
        for agent in self.agents:
            await agent.pass_time(self._clock())

    async def _refresh(self, *_: Any) -> None:
        """Take up reference layers put to use since last asked."""
        pool, _producer = await self.parts()
        await self._layers.refresh(pool)

    async def _maintain(self, *_: Any) -> None:
        """Drop what is past its retention and index closed chunks; a fault that passes is left to the next time."""
        pool, _producer = await self.parts()
        try:
            await maintenance.retain(pool, now=self._clock())
            await maintenance.index_closed(pool, now=self._clock())
        except Retry as error:
            log.warning("maintenance postponed", error=str(error))
        except Exception as error:  # noqa: BLE001 - an exception leaving a timer would unwind the worker
            fatal("maintenance", error)

    async def _roll_up(self, *_: Any) -> None:
        """Add up longer windows that became due."""
        pool, _producer = await self.parts()
        try:
            while await rollup.refresh(pool, self._clock()):
                pass
        except Retry as error:
            log.warning("adding up windows postponed", error=str(error))
        except Exception as error:  # noqa: BLE001 - as in maintenance
            fatal("rollup", error)

    async def _rejudge(self, *_: Any) -> None:
        """Judge findings again where readings came out of order."""
        pool, producer = await self.parts()
        try:
            while await rejudging.refresh(pool, producer, self._rules, self._clock()) == rejudging.AT_ONCE:
                pass
        except (Retry, KafkaError) as error:
            log.warning("judging findings again postponed", error=str(error))
        except Exception as error:  # noqa: BLE001 - as in maintenance
            fatal("rejudge", error)

    async def end(self) -> None:
        """End the process once what is being committed is committed; a restart reads on from there.

        What the database or the broker keeps waiting is left as a crash would leave it.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_S):
                for agent in self.agents:
                    await agent.finish()
        os._exit(0)

    async def _heartbeat(self, *_: Any) -> None:
        self.beat, self.beats = time.monotonic(), True

    def watch_over(self) -> None:
        """End the process when its loop hangs or a batch is stuck on nothing; runs in a thread of its own."""
        now = time.monotonic()
        while True:
            time.sleep(1.0)
            before, now = now, time.monotonic()
            if now - before > FROZEN_S:
                log.warning("process was stopped", seconds=round(now - before, 1))
                self.beat = now
            if now - self.beat > (LOOP_LATE_S if self.beats else START_LATE_S) and self.app.started:
                log.critical("event loop hangs", seconds=round(now - self.beat, 1))
                os._exit(STUCK)
            for agent in self.agents:
                if agent.busy_since is not None and not agent.waits_for and now - agent.busy_since > STUCK_S:
                    log.critical("batch is stuck", agent=agent.name, seconds=round(now - agent.busy_since, 1))
                    os._exit(STUCK)


class _Process(faust.Worker):
    """faust's worker process, stopped our way: its own order of shutdown can hang, and unwinds what need not be."""

    on_signal: Callable[[], Awaitable[None]]

    def install_signal_handlers(self) -> None:
        """Let SIGTERM and Ctrl-C end the process in order."""
        for number in (signal.SIGTERM, signal.SIGINT):
            self.loop.add_signal_handler(number, self._end)

    def _end(self) -> None:
        self.ending = asyncio.ensure_future(self.on_signal())


async def _wait_for_pool(config: Config) -> Any:
    while True:
        try:  # what a crash undoes is read from Kafka again: the offsets are undone with it
            return await create_pool(config.database.url, config.database.schema, size=6, repeatable=True)
        except Retry as error:
            log.warning("waiting", what="database", error=str(error))
            await asyncio.sleep(1.0)


def wait_for_broker(bootstrap: str) -> None:
    """Return when a broker takes connections: faust ends where none does, and its supervisor's pauses would grow."""
    said = False
    while not any(_listens(b) for b in bootstrap.split(",")):
        if not said:
            log.warning("waiting", what="kafka", bootstrap=bootstrap)
        said = True
        time.sleep(KNOCK_S)


def _listens(address: str) -> bool:
    host, _, port = address.strip().rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=2.0).close()
    except OSError:
        return False
    return True


def hold_slot(config: Config, name: str) -> IO[bytes]:
    """Lock a worker's slot; a second live process of the same slot raises ``Fatal``.

    Two members with one static id would fence each other for ever.
    """
    folder = Path(config.data_dir) / "run"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.lock"
    handle = path.open("wb")
    for _ in range(50):
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            time.sleep(0.1)
        else:
            return handle
    msg = f"{path} is locked: another live worker holds this slot; give --worker another number"
    raise Fatal(msg)


def run(config: Config, *, slot: int, agents: Sequence[str] = STREAM_AGENTS, clock: Callable[[], int]) -> None:
    """Run a worker until SIGTERM or Ctrl-C; never returns normally on an unexpected fault."""
    lock = hold_slot(config, f"{'-'.join(agents)}-{slot}")
    allocator.give_back()
    uvloop.install()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    worker = Worker(config, slot, agents, clock)
    wait_for_broker(config.kafka.bootstrap)
    worker.beat = time.monotonic()
    threading.Thread(target=worker.watch_over, name="watchdog", daemon=True).start()
    service = _Process(worker.app, loop=loop, loglevel="WARNING", redirect_stdouts=False, quiet=True, override_logging=False)
    service.on_signal = worker.end
    try:
        service.execute_from_commandline()
    except SystemExit:
        raise
    except BaseException as error:  # noqa: BLE001 - the process loop
        fatal("worker", error)
    finally:
        lock.close()
