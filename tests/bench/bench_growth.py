"""What a reading costs as the city grows from a thousand sources to a million, and what a second worker adds."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import psutil

from schemas.config import Config, Database, Kafka
from schemas.config import Stream as StreamConfig
from storage.migrate import migrate
from tests.bench import topics
from tests.bench.city import KIND, City, ahead_ms, frames
from tests.bench.result import Result
from tests.integration.stack import Stack, running
from tests.integration.workers import Workers, query, until, workers

COMMAND = "make bench ONLY=growth"
SIZES = (1_000, 10_000, 100_000, 1_000_000)
RATE = 1_000_000 / 30
"""Readings in a second of event time, whatever the number of sources: a million report every 30 s, a thousand every 30 ms.

With one interval for all, a backlog of a thousand sources would open hundreds of windows in one batch, and look dear."""
ROWS = 500
WARM_PASSES, PASSES = 2, 6
"""Passes over all sources before measuring, and in all: three minutes of event time, so that windows close too."""
RAW, CLEAN = "raw-environment", "clean-environment"


def run(seconds: float) -> Iterator[Result]:
    """Measure each number of sources, then one worker against two."""
    least = int(60_000 * max(20.0, seconds))
    costs: dict[int, float] = {}
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as stack:
        for sources in SIZES:
            costs[sources], rate = cost(
                stack, City(sources, max(least, PASSES * sources), ahead_ms(), int(sources / RATE * 1000))
            )
            yield Result(
                f"growth_{sources}", 1 / costs[sources], "readings/s", COMMAND,
                {f"cost per reading at {SIZES[0]:,} sources": costs[sources] / costs[SIZES[0]]}, rows_per_frame=ROWS,
                note=f"clean + watch, {sources:,} sources at {RATE:,.0f} readings a second of event time, per CPU second (wall {rate:,.0f}/s); after {WARM_PASSES} passes over all",
            )  # fmt: skip
        yield scaling(stack, least)


def settings(stack: Stack, database: str, folder: str, partitions: int) -> Config:
    """Give settings whose windows close soon after they end."""
    config = Config(
        data_dir=folder,
        kafka=Kafka(bootstrap=stack.fresh_topics(partitions), partitions=partitions),
        database=Database(url=database),
        stream=StreamConfig(lateness_s={KIND: 5.0}),
    )
    topics.keep_all(stack.kafka, RAW, CLEAN, "windows")
    migrate(database, config.database.schema)
    return config


def committed(config: Config) -> dict[int, int]:
    """Give how many frames watch has committed, by partition."""
    found = query(config, "SELECT partition, next_offset FROM checkpoints WHERE agent = 'watch' AND topic = %s", CLEAN)
    return {int(str(p)): int(str(n)) for p, n in found}


def cost(stack: Stack, city: City) -> tuple[float, float]:
    """Give CPU seconds per reading, and readings a second of the wall clock, after every source was seen."""
    with tempfile.TemporaryDirectory() as folder, stack.fresh_database() as database:
        config = settings(stack, database, folder, 1)
        total = topics.fill_frames(stack.kafka, RAW, frames(city, ROWS))
        warm = max(total // 5, WARM_PASSES * city.sources // ROWS)
        with workers(config) as crew:
            own = psutil.Process(crew.running[crew.start("clean,watch")].pid)
            until("every source seen", lambda: committed(config).get(0, 0) >= warm, crew, 600)
            first, cpu, wall = committed(config)[0], sum(own.cpu_times()[:2]), time.monotonic()
            until("the end", lambda: committed(config)[0] >= total, crew, 900)
            spent, passed = sum(own.cpu_times()[:2]) - cpu, time.monotonic() - wall
    readings = (total - first) * ROWS
    return spent / readings, readings / passed


def scaling(stack: Stack, readings: int) -> Result:
    """Measure one worker with both of two partitions, then two workers with one each."""
    one, one_cpu = together(stack, readings, 1)
    two, two_cpu = together(stack, readings, 2)
    return Result(
        "growth_two_workers", two, "readings/s", COMMAND,
        {"one worker, wall": two / one, "one worker, per CPU second of all workers": two_cpu / one_cpu}, cores=2.0, rows_per_frame=ROWS,
        note=f"wall clock, two partitions; one worker {one:,.0f}/s; on {psutil.cpu_count()} cores that the broker and the database share",
    )  # fmt: skip


def together(stack: Stack, readings: int, number: int) -> tuple[float, float]:
    """Give readings a second, and a CPU second, of that many workers while both partitions have a backlog."""
    with tempfile.TemporaryDirectory() as folder, stack.fresh_database() as database:
        config = settings(stack, database, folder, 2)
        start = ahead_ms()
        halves = [City(5_000, readings, start, prefix=f"part{bucket}") for bucket in range(2)]
        total = [topics.fill_frames(stack.kafka, RAW, frames(h, ROWS, bucket=b), b) for b, h in enumerate(halves)]
        with workers(config) as crew:
            own = [psutil.Process(crew.running[crew.start("clean,watch", slot)].pid) for slot in range(number)]
            busy(crew, [t // 10 for t in total])
            first, wall, cpu = sum(committed(config).values()), time.monotonic(), _cpu(own)
            until("one partition at its end", lambda: any(committed(config)[p] >= t for p, t in enumerate(total)), crew, 900)
            last, passed, spent = sum(committed(config).values()), time.monotonic() - wall, _cpu(own) - cpu
    return (last - first) * ROWS / passed, (last - first) * ROWS / spent


def busy(crew: Workers, least: list[int]) -> None:
    """Wait until every partition has made some progress, so that all workers are at work."""
    until(
        "all workers at work",
        lambda: all(committed(crew.config).get(partition, 0) >= some for partition, some in enumerate(least)),
        crew,
        300,
    )


def _cpu(processes: list[psutil.Process]) -> float:
    return float(sum(chain.from_iterable(p.cpu_times()[:2] for p in processes)))
