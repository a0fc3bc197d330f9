"""A zones layer put to use while readings flow: rows get the new zones without a restart, and none is lost."""

from __future__ import annotations

import asyncio
import time

import pytest
import shapely

from schemas.config import Config
from schemas.kinds.transport import BusPosition
from storage import layers
from storage.connect import create_pool
from storage.layers import Attributes, Feature, SourceAttributes
from storage.migrate import migrate
from tests.integration.workers import Feeder, Workers, query, until, workers

pytestmark = pytest.mark.stack
S = 1_000_000
BUSES = 40
PARK = Feature("999001", Attributes(zh="园区"), shapely.box(112.8, 35.4, 112.9, 35.6))
COUNTY, PARKED = 140502, 999001


def put(config: Config, layer: str, *features: Feature) -> None:
    """Import features and put them to use, as ``cityops layers import`` does."""

    async def work() -> None:
        pool = await create_pool(config.database.url, config.database.schema, size=1)
        now = time.time_ns() // 1000
        version, _ = await layers.save(pool, layer, features, title="t", note="", at=now)
        await layers.activate(pool, layer, version, at=now)
        await pool.close()

    asyncio.run(work())


def stored(config: Config) -> dict[int, int]:
    """Rows stored, by zone."""
    return dict(query(config, "SELECT zone, count(*) FROM bus_position GROUP BY 1"))  # type: ignore[arg-type]


class Flow:
    """Buses that report once at each step."""

    def __init__(self, config: Config, crew: Workers, feeder: Feeder) -> None:
        self._config, self._crew, self._feeder = config, crew, feeder
        self._start = time.time_ns() // 1000 - 1800 * S
        self.sent = 0

    def step(self) -> None:
        ts = self._start + self.sent * S
        told = {"seen_at": ts + S, "serial": self.sent, "lon": 112.85, "lat": 35.5, "speed": 8.0, "status": 3}
        self._feeder.push([BusPosition(source=f"bus-{n}", ts=ts + n, **told) for n in range(BUSES)])
        self._feeder.flush()
        self.sent += 1

    def until(self, zone: int, rows: int) -> None:
        def there() -> bool:
            self.step()
            return stored(self._config).get(zone, 0) >= rows

        until(f"{rows} rows of zone {zone}", there, self._crew)


CHANGED = (
    "SELECT count(*) FROM (SELECT max(serial) FILTER (WHERE zone = %s) AS last, min(serial) FILTER (WHERE zone = %s) AS first"
    " FROM bus_position GROUP BY source) AS s WHERE last + 1 = first"
)
TOTALS = "SELECT sum(received), sum(stored), sum(duplicates), sum(rejected) FROM ledger"


def test_a_new_layer_is_taken_up_while_readings_flow(config: Config) -> None:
    migrate(config.database.url, config.database.schema)
    put(config, "sources", *(Feature(f"bus-{n}", SourceAttributes(operator="市公交")) for n in range(BUSES)))
    with workers(config) as crew, Feeder(config) as feeder:
        crew.start("clean,watch,alerts")
        crew.start("store")
        flow = Flow(config, crew, feeder)
        flow.until(COUNTY, 5 * BUSES)
        put(config, "zones", PARK)
        flow.until(PARKED, 20 * BUSES)
        sent = flow.sent * BUSES
        until("every row stored", lambda: sum(stored(config).values()) == sent, crew)
        assert set(stored(config)) == {COUNTY, PARKED}
        assert query(config, CHANGED, COUNTY, PARKED) == [(BUSES,)], "every bus changes over once"
        assert query(config, "SELECT count(*), count(DISTINCT (source, ts, serial)) FROM bus_position") == [(sent, sent)]
        assert query(config, TOTALS) == [(sent, sent, 0, 0)]

        def grouped() -> bool:
            flow.step()
            return query(config, "SELECT DISTINCT source FROM windows WHERE dimension = 'operator'") == [("市公交",)]

        until("windows of the registered operator", grouped, crew)
        assert {n: p.poll() for n, p in crew.running.items()} == dict.fromkeys(crew.running), "nothing was started anew"
