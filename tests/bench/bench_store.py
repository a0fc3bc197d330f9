"""Clean frames in Kafka to rows in the database, against raw binary COPY of the same rows into the same table."""

from __future__ import annotations

import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg

from schemas import frame
from schemas.derive import fields
from storage.migrate import migrate
from storage.pgcopy import stream
from tests.bench import topics
from tests.bench.bench_stream import done, frames, settings, through
from tests.bench.result import Result
from tests.integration.stack import running
from tests.integration.workers import until, workers

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
        return float(sum(n for _, n in parts) / (time.monotonic() - start_at))


def run(seconds: float) -> Iterator[Result]:
    """Measure the store worker, then raw COPY of the very same rows."""
    number = int(max(400, min(4000, seconds * 100)))
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as stack, stack.fresh_database() as database:
        config = settings(stack, database, folder)
        migrate(database, config.database.schema)
        topics.fill_frames(config.kafka.bootstrap, "raw-transport", frames(number, ROWS))
        with workers(config) as crew:
            cleaner = crew.start("clean")
            until("all frames clean", lambda: done(config, "clean", "raw-transport") >= number, crew, 300)
            crew.kill(cleaner, signal.SIGTERM)
            made = topics.read(config.kafka.bootstrap, "clean-transport")
            name = crew.start("store")
            cpu, wall, count = through(crew, name, "store", "clean-transport", number)
        rate, raw = count * ROWS / wall, raw_copy(database, config.database.schema, made)
    yield Result(
        "store_500", rate, "rows/s", COMMAND, {"raw binary COPY": rate / raw}, rows_per_frame=ROWS,
        note=f"wall time, with ledger, sources and offsets in the same transactions; raw COPY {raw:,.0f}/s; our CPU {count * ROWS / cpu:,.0f} rows/s",
    )  # fmt: skip
