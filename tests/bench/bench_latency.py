"""From the sensor to the websocket: how old what the page is told is, at 10,000, 50,000 and 100,000 readings a second."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cityops.place import free_port
from schemas.config import Config, Database, Gateway, Kafka
from storage.migrate import migrate
from tests.bench.chain import Shares, feeding, listen, pids, start_gateway
from tests.bench.result import Result
from tests.integration.stack import Stack, running
from tests.integration.workers import query, until, workers

COMMAND = "make bench ONLY=latency"
RATES = (10_000, 50_000, 100_000)
INTERVAL_S = 10
"""How often each vehicle reports: the city has as many as ``rate`` times this."""
PARTITIONS = 4
LEAST_S = 60.0
"""A minute holds the closing of every vehicle's window."""


def settings(stack: Stack, database: str, folder: str) -> Config:
    """Give settings as a city has them."""
    return Config(
        data_dir=folder,
        kafka=Kafka(bootstrap=stack.fresh_topics(PARTITIONS), partitions=PARTITIONS),
        database=Database(url=database),
        gateway=Gateway(port=free_port()),
    )


def run(seconds: float) -> Iterator[Result]:
    """Measure each rate on a fresh stack."""
    for rate in RATES:
        with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as stack, stack.fresh_database() as database:
            yield one(settings(stack, database, folder), stack, rate, max(LEAST_S, seconds))


def one(config: Config, stack: Stack, rate: int, seconds: float) -> Result:
    """Measure one rate: until every vehicle has been named to the page, nothing counts."""
    migrate(config.database.url, config.database.schema)
    with workers(config) as crew:
        crew.start("clean,watch,alerts")
        crew.start("store")
        start_gateway(crew)
        warm = INTERVAL_S + 5.0
        with feeding(config, rate, rate * INTERVAL_S, warm + seconds + 30.0) as feeder:
            until("first rows in the database", lambda: bool(query(config, "SELECT 1 FROM bus_position LIMIT 1")), crew, 60)
            shares = Shares(pids(stack, crew, feeder=feeder.pid))
            ages = asyncio.run(listen(config, warm, seconds))
            crew.check()
            spent = str(shares)
            feeder.terminate()
    if not len(ages):
        raise RuntimeError(f"the page was told nothing at {rate} readings/s; cores: {spent}")
    p50, p95, p99 = np.percentile(ages, [50, 95, 99]).tolist()
    return Result(
        f"latency_{rate // 1000}k", p99, "ms", COMMAND, {"one second": p99 / 1000}, cores=2.0,
        note=f"p99 from arrival to websocket (p50 {p50:,.0f}, p95 {p95:,.0f} ms), {len(ages):,} values ({len(ages) / seconds:,.0f}/s), {rate * INTERVAL_S:,} vehicles; page asks "
        f"every 250 ms for the whole city; frames made from columns, sent by the connectors' own producer; cores used: {spent}",
    )  # fmt: skip
