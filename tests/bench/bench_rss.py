"""Memory of stream and store over time at 50,000 readings a second: ``make bench ONLY=rss SECONDS=1200`` for the 20 minutes."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import psycopg

from schemas.config import Config
from storage.migrate import migrate
from tests.bench.bench_latency import settings
from tests.bench.chain import Shares, feeding, pids
from tests.bench.result import Result
from tests.integration.stack import Stack, running
from tests.integration.workers import query, until, workers

COMMAND = "make bench ONLY=rss SECONDS=1200"
RATE, INTERVAL_S = 50_000, 2
EMPTY_S = 60.0
"""How often the table is emptied: sixty million rows would only fill the disk."""


def run(seconds: float) -> Iterator[Result]:
    """Feed for that long, and as long again as every vehicle needs to report twice."""
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as stack, stack.fresh_database() as database:
        yield from grown(settings(stack, database, folder), stack, max(20.0, seconds))


def grown(config: Config, stack: Stack, seconds: float) -> Iterator[Result]:
    """Look at the memory every ten seconds (oftener in a short run)."""
    migrate(config.database.url, config.database.schema)
    step = min(10.0, seconds / 20)
    with workers(config) as crew, feeding(config, RATE, RATE * INTERVAL_S, seconds + 120) as feeder:
        names = {"stream": crew.start("clean,watch,alerts"), "store": crew.start("store")}
        own = {what: psutil.Process(crew.running[name].pid) for what, name in names.items()}
        until("first rows in the database", lambda: bool(query(config, "SELECT 1 FROM bus_position LIMIT 1")), crew, 60)
        shares = Shares(pids(stack, crew, feeder=feeder.pid))
        times: list[float] = []
        sizes: dict[str, list[float]] = {what: [] for what in own}
        begun = emptied = time.monotonic()
        stored = 0
        while (now := time.monotonic()) - begun < seconds:
            crew.check()
            times.append(now - begun)
            for what, process in own.items():
                sizes[what].append(process.memory_info().rss / 2**20)
            if now - emptied >= EMPTY_S:
                stored, emptied = stored + empty(config), now
            time.sleep(max(0.0, step - (time.monotonic() - now)))
        stored += empty(config)
        rate, spent = stored / (time.monotonic() - begun), str(shares)
    for what, found in sizes.items():
        yield judged(what, np.array(times), np.array(found), rate, spent)


def empty(config: Config) -> int:
    """Empty the table; give how many rows it had."""
    with psycopg.connect(config.database.url, options=f"-c search_path={config.database.schema},public") as connection:
        row = connection.execute("SELECT count(*) FROM bus_position").fetchone()
        connection.execute("TRUNCATE bus_position")
    return int(row[0]) if row else 0


def judged(what: str, times: np.ndarray, sizes: np.ndarray, rate: float, spent: str) -> Result:
    """Give the figure of one process: its mean size at the end against that after the first quarter, and its swing and slope."""
    late = times >= times[-1] / 4
    last, second = times >= times[-1] * 3 / 4, late & (times < times[-1] / 2)
    slope = float(np.polyfit(times[late], sizes[late], 1)[0]) * 3600 if late.sum() > 2 else float("nan")
    low, high = float(sizes[late].min()), float(sizes[late].max())
    grown = float(sizes[last].mean() / sizes[second].mean())
    return Result(
        f"rss_{what}", float(sizes[-1]), "MiB", COMMAND, {"mean of the second quarter, that of the last": grown}, cores=2.0,
        note=f"{times[-1]:.0f} s at {RATE:,} readings/s of {RATE * INTERVAL_S:,} vehicles (stored {rate:,.0f}/s); after the first quarter "
        f"{low:.0f} to {high:.0f} MiB, slope {slope:+.0f} MiB/h; cores used: {spent}",
    )  # fmt: skip
