"""Clean frames in Kafka to rows in the database, against raw binary COPY of the same rows into the same table."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg

from schemas import frame
from schemas.config import Stream
from schemas.derive import fields
from storage import zones
from storage.migrate import migrate
from storage.pgcopy import stream
from streams.agents.clean import CleanTask
from streams.task import Record
from tests.bench.bench_stream import fill, frames, settings, through
from tests.bench.result import Result
from tests.integration.stack import running
from tests.integration.workers import workers

COMMAND = "make bench ONLY=store"
ROWS = 500


def clean_frames(number: int) -> list[tuple[bytes, frame.Headers]]:
    """Give the clean frames of as many raw frames."""
    task = CleanTask("raw-transport", 0, zones.load(), Stream())
    raw = [Record("raw-transport", 0, i, value, headers) for i, (value, headers) in enumerate(frames(number, ROWS))]
    return [(o.value, o.headers) for o in task.process(raw).outputs]


def raw_copy(url: str, schema: str, made: list[tuple[bytes, frame.Headers]]) -> float:
    """Give rows per second of COPYing prepared bytes of the same rows, in one transaction each 100,000 rows."""
    per, parts = 200, []
    for start in range(0, len(made), per):
        batch = frame.decode_many([v for v, _ in made[start : start + per]], "bus_position", "clean")
        parts.append((b"".join(stream(batch)), batch.num_rows))
    names = ", ".join(f'"{f.name}"' for f in fields("bus_position", "clean"))
    with psycopg.connect(url, options=f"-c search_path={schema},public", autocommit=True) as connection:
        connection.execute("TRUNCATE bus_position")
        start_at = time.monotonic()
        for content, _ in parts:
            with connection.cursor().copy(f"COPY bus_position ({names}) FROM STDIN (FORMAT binary)") as copy:  # type: ignore[arg-type]
                copy.write(content)
        return sum(n for _, n in parts) / (time.monotonic() - start_at)


def run(seconds: float) -> Iterator[Result]:
    """Measure the store worker, then raw COPY of the very same rows."""
    number = int(max(400, min(4000, seconds * 100)))
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as stack, stack.fresh_database() as database:
        config = settings(stack, database, folder)
        migrate(database, config.database.schema)
        made = clean_frames(number)
        fill(config.kafka.bootstrap, "clean-transport", made)
        with workers(config) as crew:
            name = crew.start("store")
            cpu, wall, count = through(crew, name, "store", "clean-transport", number)
        rate, raw = count * ROWS / wall, raw_copy(database, config.database.schema, made)
    yield Result(
        "store_500", rate, "rows/s", COMMAND, {"raw binary COPY": rate / raw}, rows_per_frame=ROWS,
        note=f"wall time, with ledger, sources and offsets in the same transactions; raw COPY {raw:,.0f}/s; our CPU {count * ROWS / cpu:,.0f} rows/s",
    )  # fmt: skip
