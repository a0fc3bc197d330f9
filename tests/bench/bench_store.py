"""Clean frames in Kafka to rows in the database, against raw binary COPY of the same rows into the same table."""

from __future__ import annotations

import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg

from schemas import frame
from schemas.derive import fields
from storage.migrate import migrate
from storage.pgcopy import stream
from tests.bench import topics
from tests.bench.bench_stream import done, frames, settings
from tests.bench.result import Result
from tests.integration.stack import running
from tests.integration.workers import Workers, until, workers

COMMAND = "make bench ONLY=store"
ROWS = 500


def raw_copy(url: str, schema: str, made: list[tuple[bytes, frame.Headers]]) -> float:
    """Give rows per second of COPYing prepared bytes of the same rows, in one transaction each 100,000 rows."""
    per, parts = 200, []
    for start in range(0, len(made), per):
        batch = frame.concat([frame.decode(v, frame.decode_header(h)) for v, h in made[start : start + per]])
        parts.append((b"".join(stream(batch)), batch.num_rows))
    names = ", ".join(f'"{f.name}"' for f in fields("bus_position", "clean"))
    with psycopg.connect(url, options=f"-c search_path={schema},public", autocommit=True) as connection:
        connection.execute("TRUNCATE bus_position")
        start_at = time.monotonic()
        for content, _ in parts:
            with connection.cursor().copy(f"COPY bus_position ({names}) FROM STDIN (FORMAT binary)") as copy:
                copy.write(content)
        rate: float = sum(n for _, n in parts) / (time.monotonic() - start_at)
        connection.execute("TRUNCATE bus_position")
    return rate


def steady(crew: Workers, name: str, number: int) -> tuple[float, float, int]:
    """Let a worker store that many frames: CPU seconds, wall seconds and frames between its first commit and its last full batch."""
    process = psutil.Process(crew.running[name].pid)

    def reached(least: int) -> tuple[int, float, float]:
        while (stored := done(crew.config, "store", "clean-transport")) < least:
            crew.check()
            time.sleep(0.01)
        return stored, sum(process.cpu_times()[:2]), time.monotonic()

    first, cpu, wall = reached(1)
    last, cpu_then, wall_then = reached(number - crew.config.stream.batch_frames + 1)
    reached(number)
    return cpu_then - cpu, wall_then - wall, last - first


def run(seconds: float) -> Iterator[Result]:
    """Measure the store worker, and raw COPY of the very same rows before and after it."""
    number = int(max(1500, min(8000, seconds * 200)))
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as stack, stack.fresh_database() as database:
        config = settings(stack, database, folder)
        migrate(database, config.database.schema)
        topics.fill_frames(config.kafka.bootstrap, "raw-transport", frames(number, ROWS))
        with workers(config) as crew:
            cleaner = crew.start("clean")
            until("all frames clean", lambda: done(config, "clean", "raw-transport") >= number, crew, 300)
            crew.kill(cleaner, signal.SIGTERM)
            made = topics.read(config.kafka.bootstrap, "clean-transport")
            before = raw_copy(database, config.database.schema, made)
            cpu, wall, count = steady(crew, crew.start("store"), number)
        after = raw_copy(database, config.database.schema, made)
    rate, raw = count * ROWS / wall, (before + after) / 2
    yield Result(
        "store_500", rate, "rows/s", COMMAND, {"raw binary COPY": rate / raw}, rows_per_frame=ROWS,
        note=f"wall time, with ledger, sources and offsets in the same transactions; raw COPY {before:,.0f}/s before, {after:,.0f}/s after; our CPU {count * ROWS / cpu:,.0f} rows/s",
    )  # fmt: skip
