"""The instances of one process: started from the settings, and changed one by one when these change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import structlog

from connectors._api import registry
from connectors._api.version import version_of
from connectors._host.builder import FrameBuilder
from connectors._host.instance import Instance, Refused
from connectors._host.intake import Intake
from connectors._host.keeper import Keeper
from connectors._host.options import split
from connectors._host.producer import FrameProducer
from schemas.config import Config
from schemas.errors import Fatal
from schemas.reading import Lane

log = structlog.get_logger()

SETTLE_S = 5.0
"""How long an instance that is replaced or removed may wait for its last readings to be safe, so that it can answer them."""
MEMORY = "memory"
"""Folder, in that of the installation, of what instances remember of their sources."""
Table = Mapping[str, Any]


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
    keeper: Keeper | None = None,
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
        name,
        builder,
        producer.submit,
        clock,
        max_unconfirmed=max_unconfirmed,
        flush_s=flush_s,
        lane=lane,
        past_us=past_us,
        keeper=keeper,
    )


@dataclass(slots=True)
class Place:
    """What stands for one configured instance."""

    table: Table
    instance: Instance | Refused
    task: asyncio.Task[None] | None = None


class Host:
    """Runs the instances that the settings ask for; a flaw in one's table refuses that one only."""

    def __init__(
        self, config: Config, producer: FrameProducer, run_id: str, clock: Callable[[], int], only: Sequence[str] = ()
    ) -> None:
        self._config = config
        self._producer = producer
        self._run_id = run_id
        self._clock = clock
        self._only = only
        self._places: dict[str, Place] = {}
        self._intakes: dict[str, Intake] = {}
        """By name, for the life of the process: frames of a run are numbered without gaps, whatever is restarted."""
        self._leaving: dict[str, Instance] = {}
        """Instances removed from the settings whose totals are not final yet."""
        self._applying = asyncio.Lock()

    @property
    def all(self) -> list[Instance | Refused]:
        """Everything that has a state to tell."""
        return [*(p.instance for p in self._places.values()), *self._leaving.values()]

    @property
    def running(self) -> list[Instance]:
        """The instances that work."""
        return [i for i in self.all if isinstance(i, Instance)]

    def prepare(self) -> None:
        """Make the instances of the settings; an unknown name in ``only``, or no usable instance at all, raises ``Fatal``."""
        unknown = set(self._only) - set(self._config.connectors)
        if unknown:
            names = ", ".join(self._config.connectors) or "none"
            msg = f"no connector instance {sorted(unknown)[0]!r}; configured: {names}"
            raise Fatal(msg)
        flaws: list[Fatal] = []
        for name, table in self._wanted(self._config).items():
            try:
                self._places[name] = Place(table, self._make(name, table))
            except Fatal as error:
                flaws.append(error)
                self._refuse(name, table, error)
        if flaws and not self.running:
            raise flaws[0]

    def start(self) -> None:
        """Start what ``prepare`` made."""
        for place in self._places.values():
            self._launch(place)

    async def apply(self, config: Config) -> None:
        """Bring the instances to new settings; those whose table is the same notice nothing."""
        async with self._applying:
            wanted = self._wanted(config)
            for name in [n for n in self._places if n not in wanted]:
                await self._remove(name)
            for name, table in wanted.items():
                await self._change(name, table)

    def halt(self) -> None:
        """Have all instances take in nothing more."""
        for instance in self.running:
            instance.halt()

    async def cancel(self) -> None:
        """Stop all work; what doors left open for the last replies stays open."""
        tasks = [p.task for p in self._places.values() if p.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def close(self) -> None:
        """Close every door."""
        await asyncio.gather(*(i.close() for i in self.running))

    def final(self) -> list[str]:
        """Name the removed instances whose totals are final: all they took in is in Kafka."""
        return [
            name
            for name, instance in self._leaving.items()
            if not instance.intake.unconfirmed and all(t.produced >= t.received for t in instance.totals())
        ]

    def dismiss(self, names: Sequence[str]) -> None:
        """Forget removed instances whose final state has been told."""
        for name in names:
            self._leaving.pop(name, None)

    def _wanted(self, config: Config) -> dict[str, Table]:
        return {
            name: table
            for name, table in config.connectors.items()
            if (not self._only or name in self._only) and table.get("enabled", True)
        }

    def _make(self, name: str, table: Table) -> Instance:
        where = f"connectors.{name}"
        if len(name) > 64:
            msg = f"{where}: an instance's name has at most 64 characters"
            raise Fatal(msg)
        try:
            connector = registry.load(str(table.get("type", name)))
        except ImportError as error:
            msg = f"{where}: its connector cannot be loaded: {error}; install what it needs"
            raise Fatal(msg) from error
        options, settings = split(connector, table, where)
        intake = self._intakes.get(name)
        if intake is None:
            keeper = Keeper(Path(self._config.data_dir) / MEMORY / f"{quote(name, safe='')}.jsonl")
            intake = make_intake(self._config, name, self._run_id, self._producer, self._clock, keeper=keeper)
            self._intakes[name] = intake
        intake.builder.made_by = (connector.type, version_of(connector.path))
        intake.limit(options.max_unconfirmed)
        return Instance(connector, settings, options, intake, self._producer, self._clock)

    def _refuse(self, name: str, table: Table, error: Fatal) -> None:
        """Note that a table cannot be used; an instance that already runs goes on with its former one."""
        log.error("connector refused", connector=name, detail=str(error))
        place = self._places.get(name)
        if place is not None and isinstance(place.instance, Instance):
            place.instance.complaint = str(error)
            return
        type = str(table.get("type", name))
        self._places[name] = Place(table, Refused(name, type, str(error), self._run_id, self._clock))

    def _launch(self, place: Place) -> None:
        if isinstance(place.instance, Instance):
            place.task = asyncio.create_task(place.instance.supervise(), name=f"connector {place.instance.name}")

    async def _change(self, name: str, table: Table) -> None:
        place = self._places.get(name)
        if place is not None and place.table == table:
            if isinstance(place.instance, Instance):
                place.instance.complaint = ""
            return
        try:
            made = self._make(name, table)
        except Fatal as error:
            self._refuse(name, table, error)
            return
        if place is not None:
            await self._stop(place)
        self._leaving.pop(name, None)
        self._places[name] = Place(table, made)
        self._launch(self._places[name])
        log.info("connector added" if place is None else "connector has new settings", connector=name)

    async def _remove(self, name: str) -> None:
        place = self._places[name]
        await self._stop(place)
        del self._places[name]
        if isinstance(place.instance, Instance):
            self._leaving[name] = place.instance
        log.info("connector removed", connector=name)

    async def _stop(self, place: Place) -> None:
        """Stop one instance: it reads no more, answers what it took in, and lets go of its port."""
        if not isinstance(place.instance, Instance) or place.task is None:
            return
        place.instance.halt()
        place.task.cancel()
        await asyncio.gather(place.task, return_exceptions=True)
        await place.instance.intake.settled(SETTLE_S)
        await place.instance.close()
