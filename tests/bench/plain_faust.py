"""A plain faust agent as its users would write it: JSON records, a tumbling windowed table of aggregates.

Run by the stream benchmark: ``python -m tests.bench.plain_faust BROKER RECORDS``; prints CPU seconds per record.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from typing import Any

import faust

BROKER, RECORDS = sys.argv[1], int(sys.argv[2])
METRICS = ("speed", "occupancy")

app = faust.App(
    "bench-plain-faust",
    datadir=tempfile.mkdtemp(prefix="bench-plain-faust-"),
    broker=f"kafka://{BROKER}",
    store="memory://",
    web_enabled=False,
    topic_partitions=1,
)
readings = app.topic("bench-readings", value_serializer="json", partitions=1)
table: Any = app.Table("bench-aggregates", default=dict, partitions=1).tumbling(60.0, expires=120.0)
seen = 0
started = 0.0


@app.agent(readings)
async def aggregate(stream: Any) -> None:
    """Keep count, sum, minimum, maximum and last of each metric per source and minute."""
    global seen, started  # noqa: PLW0603 - a benchmark's counter
    async for reading in stream:
        if seen == 0:
            started = time.process_time()
        state = table[reading["source"]].value() or {}
        for metric in METRICS:
            value = reading[metric]
            have = state.get(metric)
            state[metric] = (
                [have[0] + 1, have[1] + value, min(have[2], value), max(have[3], value), value]
                if have
                else [1, value, value, value, value]
            )
        table[reading["source"]] = state
        seen += 1
        if seen == RECORDS:
            os.write(1, f"\ncpu_per_record {(time.process_time() - started) / (RECORDS - 1)}\n".encode())
            os._exit(0)


if __name__ == "__main__":
    faust.Worker(app, loglevel="ERROR").execute_from_commandline()
