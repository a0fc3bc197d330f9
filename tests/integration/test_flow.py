"""From raw frames on the real broker to rows, windows and alerts in the real database; also under kill -9."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator

import pytest

from schemas.config import Config
from schemas.kinds.transport import BusPosition
from storage.migrate import migrate
from tests.integration.workers import Feeder, Workers, query, until, workers

pytestmark = pytest.mark.stack
S = 1_000_000
STREAM = "clean,watch,alerts"


@pytest.fixture
def feeder(config: Config) -> Iterator[Feeder]:
    with Feeder(config) as found:
        yield found


@pytest.fixture
def crew(config: Config) -> Iterator[Workers]:
    migrate(config.database.url, config.database.schema)
    with workers(config) as found:
        yield found


def positions(minute: int, buses: int = 40, kmh: float = 36.0, start: int = 0) -> list[list[BusPosition]]:
    """One list per 10 s: every bus reports once."""
    batches = []
    for step in range(6):
        ts = start + (minute * 60 + step * 10) * S
        batches.append(
            [
                BusPosition(
                    source=f"bus-{n}",
                    ts=ts + n,
                    seen_at=ts + S,
                    serial=minute * 6 + step,
                    lon=112.85 + step * 1e-4 + n * 1e-5,
                    lat=35.5,
                    speed=(kmh if n else 80.0) / 3.6,
                    status=3,
                    line=f"{n % 5}路",
                )
                for n in range(buses)
            ]
        )
    return batches


def ledger(config: Config) -> tuple[int, int, int, int]:
    sql = "SELECT coalesce(sum(received),0), coalesce(sum(stored),0), coalesce(sum(duplicates),0), coalesce(sum(rejected),0) FROM ledger"
    row = query(config, sql)[0]
    return tuple(int(v) for v in row)  # type: ignore[return-value, call-overload]


def start_of_minute() -> int:
    now = time.time_ns() // 1000 - 1800 * S
    return now - now % (60 * S)


def test_readings_become_rows_windows_and_an_alert(crew: Workers, feeder: Feeder) -> None:
    config, start = crew.config, start_of_minute()
    crew.start(STREAM)
    crew.start("store")
    for minute in range(4):
        for batch in positions(minute, start=start):
            feeder.push(batch)  # type: ignore[arg-type]
    again = positions(0, start=start)[0]
    feeder.push(again)  # type: ignore[arg-type]
    bad = [BusPosition(source="bus-1", ts=start + 230 * S, seen_at=start + 231 * S, speed=-5.0)]
    feeder.push(bad)  # type: ignore[arg-type]
    feeder.flush()
    until("all rows accounted for", lambda: sum(ledger(config)[1:]) == 961 + 40, crew)
    assert ledger(config) == (1001, 960, 40, 1)
    assert query(config, "SELECT count(*), count(DISTINCT (source, ts)) FROM bus_position") == [(960, 960)]
    assert query(config, "SELECT zone, count(*) FROM bus_position GROUP BY 1") == [(140502, 960)]
    assert query(config, "SELECT reason, connector, stage FROM reject") == [("out_of_bounds", "test", "clean")]
    until(
        "windows of two minutes",
        lambda: (
            query(config, "SELECT count(*) FROM windows WHERE metric = 'speed' AND size = 60 AND dimension = 'source'")[0][0]
            >= 80
        ),
        crew,
    )
    sql = "SELECT source, count, mean, low, high, last FROM windows WHERE source = 'bus-7' AND size = 60 AND metric = 'speed' ORDER BY ts LIMIT 1"
    assert query(config, sql) == [
        ("bus-7", 6, pytest.approx(10.0), pytest.approx(10.0), pytest.approx(10.0), pytest.approx(10.0))
    ]
    until("one overspeed alert", lambda: len(query(config, "SELECT 1 FROM alerts WHERE rule = 'bus-overspeed'")) == 1, crew)
    assert query(config, "SELECT source, status FROM alerts WHERE rule = 'bus-overspeed'") == [("bus-0", "open")]


@pytest.mark.parametrize("victim", ["stream", "store"])
def test_killing_a_worker_again_and_again_loses_and_doubles_nothing(crew: Workers, feeder: Feeder, victim: str) -> None:
    config, start, rng = crew.config, start_of_minute(), random.Random(1405)  # noqa: S311 - a schedule, no secret
    names = {"stream": crew.start(STREAM), "store": crew.start("store")}
    expected = 0
    for minute in range(8):
        for batch in positions(minute, start=start):
            feeder.push(batch)  # type: ignore[arg-type]
            expected += len(batch)
            if rng.random() < 0.3:
                feeder.send(*rng.choice(feeder.sent))  # a producer's retry: the same frame once more
            feeder.flush()
            time.sleep(0.1)
        if minute in (1, 3, 5):
            assert crew.kill(names[victim], signal.SIGKILL) == -signal.SIGKILL
            names[victim] = crew.start(STREAM if victim == "stream" else "store")
    feeder.flush()
    until("every row stored", lambda: ledger(config)[1] == expected, crew, 90)
    assert ledger(config) == (expected, expected, 0, 0)
    assert query(config, "SELECT count(*), count(DISTINCT (source, ts, serial)) FROM bus_position") == [(expected, expected)]
    until(
        "windows closed",
        lambda: (
            query(config, "SELECT count(*) FROM windows WHERE metric = 'speed' AND size = 60 AND dimension = 'source'")[0][0]
            >= 240
        ),
        crew,
    )
    wrong = query(
        config,
        "SELECT source, ts, count FROM windows WHERE metric = 'speed' AND size = 60 AND dimension = 'source' AND count <> 6",
    )
    assert wrong == []
    grouped = "SELECT dimension, sum(count) FROM windows WHERE metric = 'speed' AND size = 10 GROUP BY 1 ORDER BY 1"
    closed = query(config, "SELECT sum(count) FROM windows WHERE metric = 'speed' AND size = 60 AND dimension = 'source'")[0][0]
    sums = dict(query(config, grouped))
    assert sums["line"] >= closed
    assert sums["zone"] >= closed
    assert query(config, "SELECT count(*), max(count) FROM alerts WHERE rule = 'bus-overspeed'")[0][0] == 1
