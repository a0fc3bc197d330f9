"""clean + watch on the real broker, per second of one core, at 50, 500 and 1,000 rows a frame; and plain faust."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from schemas import frame
from schemas.config import Config, Connect, Database, Kafka
from schemas.kinds.transport import BusPosition
from storage.migrate import migrate
from tests.bench import topics
from tests.bench.city import ahead_ms
from tests.bench.peer import PEERS, peer
from tests.bench.result import Result
from tests.integration.stack import Stack, running
from tests.integration.workers import Workers, query, until, workers

COMMAND = "make bench ONLY=stream"
SOURCES = 10_000
S = 1_000_000


def readings(number: int, start: int) -> Iterator[BusPosition]:
    """Give readings of SOURCES buses reporting every 10 s, in order of time."""
    for i in range(number):
        bus, step = i % SOURCES, i // SOURCES
        ts = start + step * 10 * S + bus * 900
        yield BusPosition(
            source=f"bus-{bus:06d}", ts=ts, seen_at=ts + S // 2, serial=step, lon=112.8 + (bus % 100) * 1e-3, lat=35.4 + step * 1e-5,
            speed=5.0 + bus % 10, heading=90.0, status=3, occupancy=float(bus % 100), line=f"{bus % 60}路",
        )  # fmt: skip


def frames(number: int, rows: int) -> list[tuple[bytes, frame.Headers]]:
    """Give that many frames of one partition as a connector would make them."""
    start = time.time_ns() // 1000 - 600 * S
    source = readings(number * rows, start - start % (60 * S))
    made = []
    for seq in range(1, number + 1):
        part = [next(source) for _ in range(rows)]
        batch = frame.from_readings(part, "bus_position")
        header = frame.make_header(
            batch,
            "bus_position",
            seen_at=part[-1].seen_at,
            connector="bench",
            run=f"r{rows}",
            bucket=0,
            seq=seq,
            total=seq * rows,
        )
        made.append(frame.encode(frame.lean(batch), header))
    return made


def settings(stack: Stack, database: str, folder: str) -> Config:
    """Give settings with a single partition, so that one core does all the work."""
    return Config(
        data_dir=folder,
        kafka=Kafka(bootstrap=stack.fresh_topics(1), partitions=1),
        database=Database(url=database),
        connect=Connect(),
    )


def done(config: Config, agent: str, topic: str) -> int:
    """Give how many records an agent has committed."""
    found = query(config, "SELECT next_offset FROM checkpoints WHERE agent = %s AND topic = %s", agent, topic)
    return int(str(found[0][0])) if found else 0


def through(crew: Workers, name: str, agent: str, topic: str, total: int) -> tuple[float, float, int]:
    """Let a worker run to the end of a topic: CPU seconds, wall seconds and records between its first commit and its last."""
    config = crew.config
    process = psutil.Process(crew.running[name].pid)
    until("first commit", lambda: done(config, agent, topic) > 0, crew, 120)
    first, cpu, wall = done(config, agent, topic), sum(process.cpu_times()[:2]), time.monotonic()
    until("last commit", lambda: done(config, agent, topic) >= total, crew, 300)
    return sum(process.cpu_times()[:2]) - cpu, time.monotonic() - wall, total - first


def run(seconds: float) -> Iterator[Result]:
    """Measure ours at three frame sizes, then plain faust on the same readings."""
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as stack:
        plain = faust_rate(stack, int(max(5_000, 1_000 * seconds)), Path(folder))
        yield Result(
            "plain_faust_windowed",
            plain,
            "readings/s",
            COMMAND,
            note="per CPU second; one JSON record a reading, tumbling table in event time, one process",
        )
        for rows in (50, 500, 1000):
            number = int(max(200, min(4000, seconds * 100)))
            yield one(stack, rows, number, plain)


def one(stack: Stack, rows: int, number: int, plain: float) -> Result:
    """Measure one frame size."""
    with tempfile.TemporaryDirectory() as folder, stack.fresh_database() as database:
        config = settings(stack, database, folder)
        migrate(database, config.database.schema)
        topics.fill_frames(config.kafka.bootstrap, "raw-transport", frames(number, rows))
        with workers(config) as crew:
            name = crew.start("clean,watch")
            cpu, wall, count = through(crew, name, "watch", "clean-transport", number)
    return Result(
        f"stream_{rows}", count * rows / cpu, "readings/s", COMMAND, {"plain faust, windowed table": count * rows / cpu / plain}, rows_per_frame=rows,
        note=f"clean + watch with checkpoints, per CPU second (wall {count * rows / wall:,.0f}/s); Arrow frames against JSON records",
    )  # fmt: skip


def faust_rate(stack: Stack, records: int, folder: Path) -> float:
    """Give readings per CPU second of the plain faust agent of the peers, on these readings."""
    given, told = "bench-in-faust-bus", "bench-out-faust-bus"
    topics.create(stack.kafka, given, told)
    values = (
        (r.source.encode(), {"source": r.source, "ts": r.ts // 1000, "speed": r.speed, "occupancy": r.occupancy})
        for r in readings(records, ahead_ms() * 1000)
    )
    topics.fill(stack.kafka, given, ((key, json.dumps(value).encode(), []) for key, value in values))
    state = str(folder / "faust-bus-state")
    command = [sys.executable, str(PEERS / "faust_json.py"), stack.kafka, given, told, str(records), state, "speed,occupancy"]
    with peer("faust-bus", command, folder) as at_work:
        at_work.until("last reading", lambda: "end" in at_work.marks, 300)
        return records / at_work.spent[1]
