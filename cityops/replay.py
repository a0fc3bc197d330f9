"""Replaying recorded packets through a real connector, until everything of it is stored."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import uvloop
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cityops import settings
from cityops.decode import pairs
from cityops.embedded import Embedded
from cityops.ledger import Book, read, table, wait_until
from cityops.parts import new_run, now
from cityops.place import Place
from cityops.shown import show as print_table
from cityops.supervisor import Supervisor
from schemas.config import Config
from schemas.errors import Fatal

if TYPE_CHECKING:
    from connectors._host.replay import ReplayResult

SETTLE_S = 600.0
LANES = ("live", "late", "backfill")


@dataclass(frozen=True, slots=True)
class Job:
    """What is replayed through which connector, and how."""

    path: Path
    connector: str
    speed: float = 0.0
    lane: str | None = None
    given: Sequence[str] = ()

    @property
    def instance(self) -> str:
        """Name under which its frames and its ledger run."""
        return f"replay-{self.connector}"


def run(job: Job, *, as_json: bool, config: Path | None, data_dir: Path | None) -> int:
    """Replay and print this replay's ledger; 0 if it balances.

    Takes broker and database of the settings, the environment, or the system that runs on the data
    folder; without any, starts embedded ones with a stream and a store worker, and stops them after.
    """
    if job.lane is not None and job.lane not in LANES:
        msg = f"--lane {job.lane!r}: give one of {', '.join(LANES)}"
        raise Fatal(msg)
    found = settings.settle(config, data_dir)
    table_of = tables(found if config else None, job.connector, job.given)
    with system(found, Path(found.data_dir)) as (there, look):
        running = msgspec.structs.replace(there, connectors=table_of)
        before = read(running).of(job.instance)
        result = play(running, job)
        expected = sum(result.received.values())

        def stored(book: Book) -> bool:
            """Whether everything sent has arrived, whatever else the system is busy with."""
            added = book.of(job.instance).minus(before)
            return added.whole.received >= expected and added.whole.in_flight == 0

        mine = wait_until(running, stored, SETTLE_S, look=look).of(job.instance).minus(before)
    show(mine, job, result.packets, as_json=as_json)
    return 0 if mine.balances and mine.whole.received == expected else 1


def tables(given: Config | None, connector: str, options: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Give the connector's table: its defaults, or the instance of an explicit settings file, and ``--set`` on top.

    What a running demo demands of live devices, such as proof of who they are, no recording can give.
    """
    from connectors._api import registry
    from connectors._host.decode import settings_from_text

    manifest = registry.load(connector).manifest
    found: dict[str, Any] = {}
    if given is not None:
        instances = [t for name, t in given.connectors.items() if str(t.get("type", name)) == connector]
        found = dict(instances[0]) if instances else {}
    options_given = pairs(options)
    if options_given:
        complete = settings_from_text(manifest, options_given)
        found |= {key: complete[key] for key in {k.partition(".")[0] for k in options_given}}
    return {connector: {**found, "type": connector}}


def play(config: Config, job: Job) -> ReplayResult:
    """Send every packet, showing how far it is."""
    from connectors._host.replay import replay

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(f"回放 / replay {job.path.name}", total=None)
        return uvloop.run(
            replay(
                config,
                job.path,
                job.connector,
                speed=job.speed,
                clock=now,
                progress=lambda done, total: bar.update(task, completed=done, total=total),
                run_id=new_run(),
                lane=job.lane,  # type: ignore[arg-type] # checked against LANES by the caller
            )
        )


def show(book: Book, job: Job, packets: int, *, as_json: bool) -> None:
    """Print the replay's ledger."""
    if as_json:
        told = {"connector": job.instance, "packets": packets, **book.as_dict()}
        sys.stdout.write(json.dumps(told, ensure_ascii=False) + "\n")
        return
    print_table(table(book))


@contextlib.contextmanager
def system(config: Config, data_dir: Path) -> Iterator[tuple[Config, Callable[[], None]]]:
    """Give settings of a system that reads and stores, and a function that keeps it running."""
    if config.database.url:
        yield config, lambda: None
        return
    from cityops.workers import start_workers

    if os.environ.get(settings.KAFKA):
        raise Fatal(f"{settings.KAFKA} is set but {settings.DATABASE} is not; set both, or neither")
    place = Place(data_dir)
    place.lock()
    supervisor = Supervisor()
    embedded = Embedded(place)
    try:
        embedded.start()
        found = msgspec.structs.replace(
            config,
            data_dir=str(place.root),
            kafka=msgspec.structs.replace(config.kafka, bootstrap=embedded.bootstrap),
            database=msgspec.structs.replace(config.database, url=embedded.database_url),
        )
        start_workers(found, place, embedded, supervisor)
        yield found, supervisor.check
    finally:
        supervisor.stop_all()
        embedded.stop()
        place.runtime_file.unlink(missing_ok=True)
        place.unlock()
