"""Layers put to use while readings flow: rows get zones, roads, lines and fences without a restart, and none is lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
import shapely

from schemas.config import Config
from schemas.kinds.transport import BusPosition, HazmatPosition
from storage import layers
from storage.connect import create_pool
from storage.layers import Attributes, BusLineAttributes, Feature, FenceAttributes, RoadAttributes, SourceAttributes
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


STREET = shapely.LineString([(112.84, 35.5), (112.86, 35.5)])
FORBIDDEN = FenceAttributes(restriction="no_entry", kinds="hazmat_position")
MATCHED = "SELECT count(*) FROM {} WHERE road = 'street' AND fence IS NOT DISTINCT FROM %s AND breach IS NOT DISTINCT FROM %s"
UNMATCHED = "SELECT count(*) FROM bus_position WHERE road IS NULL AND line IS NULL AND fence IS NULL"
RAISED = "SELECT DISTINCT source FROM alerts WHERE rule = 'hazmat-no-entry'"


def test_roads_lines_and_fences_reach_the_database_and_rules(config: Config) -> None:
    migrate(config.database.url, config.database.schema)
    with workers(config) as crew, Feeder(config) as feeder:
        crew.start("clean,watch,alerts")
        crew.start("store")
        start, sent = time.time_ns() // 1000 - 1800 * S, 0

        def step() -> None:
            nonlocal sent
            ts = start + sent * S
            told: dict[str, Any] = {"ts": ts, "seen_at": ts + S, "serial": sent, "speed": 8.0, "status": 3}
            for kind in (BusPosition, HazmatPosition):
                feeder.push([kind(source=kind.__name__, lon=112.85, lat=35.5, **told)])
            feeder.flush()
            sent += 1

        def meets(found: Callable[[list[tuple[object, ...]]], bool], statement: str, *values: object) -> bool:
            step()
            return found(query(config, statement, *values))

        def counted(statement: str, *values: object) -> bool:
            return meets(lambda rows: int(str(rows[0][0])) >= 5, statement, *values)

        until("rows before the layers", lambda: counted(UNMATCHED), crew)
        put(config, "roads", Feature("street", RoadAttributes(), STREET))
        put(config, "bus_lines", Feature("12-up", BusLineAttributes(line="12"), STREET))
        put(config, "geofences", Feature("school", FORBIDDEN, STREET.buffer(0.001)))
        until("a bus on its road", lambda: counted(MATCHED.format("bus_position"), None, None), crew)
        until("hazmat in the fence", lambda: counted(MATCHED.format("hazmat_position"), "school", 1), crew)
        until("the matched line", lambda: counted("SELECT count(*) FROM bus_position WHERE line = '12'"), crew)
        windows = "SELECT DISTINCT source FROM windows WHERE dimension = 'line'"
        until("windows of the line", lambda: meets(lambda rows: rows == [("12",)], windows), crew)
        until("the alert", lambda: meets(lambda rows: rows == [("HazmatPosition",)], RAISED), crew)
        until("every row stored", lambda: query(config, "SELECT count(*) FROM hazmat_position") == [(sent,)], crew)
        assert {n: p.poll() for n, p in crew.running.items()} == dict.fromkeys(crew.running), "nothing was started anew"
