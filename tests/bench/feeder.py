"""A process that makes readings at a steady rate and sends them as connectors do: same frames, same producer, same spool.

``python -m tests.bench.feeder BROKER FOLDER PARTITIONS RATE SOURCES SECONDS``; prints one JSON line at the end. Frames are
made from columns, as a vectorised decoder would: one reading after the other costs 12 us, more than a core at 100,000 a
second. Each reading tells its arrival in its own position and speed, so that whoever sees it on the map knows its age to
the millisecond.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from connectors._host.builder import Frame
from connectors._host.kafka import KafkaTransport
from connectors._host.producer import FrameProducer
from connectors._host.spool import Spool
from schemas import frame, topics
from schemas.derive import arrow_schema

KIND = "bus_position"
TURN_S = 0.02
FRAME_ROWS, FLUSH_US = 1000, 200_000
"""When a frame closes: the defaults of connectors."""
WEST, SOUTH = 112.6, 35.2
WRAP_MS = 3_000_000
"""Arrival times are told modulo this: 50 minutes."""
Values = NDArray[np.float64]
Numbers = NDArray[np.int64]


def clock() -> int:
    """Give microseconds UTC."""
    return time.time_ns() // 1000


def arrived_ms(lat_e6: Values, value: Values) -> Values:
    """Give back the arrival, in milliseconds modulo WRAP_MS, from what the map shows of a reading."""
    return (lat_e6 - round(SOUTH * 1e6)) * 10 + value


class Fleet:
    """Buses that report in turn; their readings gather by bucket until they make a frame."""

    def __init__(self, sources: int, partitions: int) -> None:
        names = [f"bus-{n:07d}" for n in range(sources)]
        self._names = pa.array(names, pa.string())
        self._bucket = np.array([topics.bucket(name, partitions) for name in names])
        self._run = f"r{clock()}"
        self._waiting: list[list[tuple[Numbers, Numbers]]] = [[] for _ in range(partitions)]
        self._seq = [0] * partitions
        self._total = [0] * partitions

    def report(self, begin: int, end: int, now: int) -> None:
        """Take readings ``begin`` to ``end`` as they arrive ``now``."""
        numbers = np.arange(begin, end)
        buckets = self._bucket[numbers % len(self._names)]
        for bucket, waiting in enumerate(self._waiting):
            mine = numbers[buckets == bucket]
            if len(mine):
                waiting.append((mine, np.full(len(mine), now)))

    def due(self, now: int) -> Iterator[Frame]:
        """Give the frames that are full, or whose first reading is old enough."""
        for bucket, waiting in enumerate(self._waiting):
            while waiting and (sum(len(n) for n, _ in waiting) >= FRAME_ROWS or now - waiting[0][1][0] >= FLUSH_US):
                numbers, arrived = (np.concatenate(parts) for parts in zip(*waiting, strict=True))
                waiting[:] = [(numbers[FRAME_ROWS:], arrived[FRAME_ROWS:])] if len(numbers) > FRAME_ROWS else []
                yield self._frame(bucket, numbers[:FRAME_ROWS], arrived[:FRAME_ROWS])

    def _frame(self, bucket: int, numbers: Numbers, arrived: Numbers) -> Frame:
        batch = self._batch(numbers, arrived)
        self._seq[bucket] += 1
        self._total[bucket] += len(numbers)
        header = frame.make_header(
            batch, KIND, seen_at=int(arrived[0]), connector="bench", run=self._run, bucket=bucket,
            seq=self._seq[bucket], total=self._total[bucket],
        )  # fmt: skip
        return Frame(topics.frame_topic(KIND, "raw"), header, *frame.encode(batch, header))

    def _batch(self, numbers: Numbers, arrived: Numbers) -> pa.RecordBatch:
        rows, bus, told = len(numbers), numbers % len(self._names), arrived // 1000 % WRAP_MS
        given: dict[str, Any] = {
            "source": self._names.take(pa.array(bus)), "ts": arrived, "seen_at": arrived, "serial": numbers // len(self._names),
            "lon": WEST + bus % 300 * 1e-3, "lat": SOUTH + told // 10 * 1e-6, "speed": told % 10 / 10, "heading": np.zeros(rows),
            "status": np.full(rows, 3), "occupancy": np.full(rows, 40.0), "line": pa.array(["1"] * rows),
        }  # fmt: skip
        schema = arrow_schema(KIND, "raw")
        arrays = [pa.array(given[f.name]).cast(f.type) if f.name in given else pa.nulls(rows, f.type) for f in schema]
        return pa.RecordBatch.from_arrays(arrays, schema=schema)


async def feed(bootstrap: str, folder: Path, partitions: int, rate: float, sources: int, seconds: float) -> dict[str, float]:
    """Send readings at the rate for that long; give how many, how late the feeder itself ran, and its CPU seconds."""
    fleet = Fleet(sources, partitions)
    transport = KafkaTransport(bootstrap)
    await transport.open(30)
    producer = FrameProducer(transport, Spool(folder / "spool", max_bytes=256 << 20, max_age_us=3_600_000_000), clock=clock)
    producer.start()
    begun, sent, latest = time.monotonic(), 0, 0.0
    while (passed := time.monotonic() - begun) < seconds:
        due = int(passed * rate)
        latest = max(latest, (due - sent) / rate)
        fleet.report(sent, due, clock())
        sent = due
        producer.submit(fleet.due(clock()))
        await asyncio.sleep(max(0.001, TURN_S - (time.monotonic() - begun - passed)))
    producer.submit(fleet.due(clock() + FLUSH_US))
    lost = await producer.close()
    await transport.close()
    return {"sent": sent, "lost": lost, "seconds": time.monotonic() - begun, "latest_s": latest, "cpu_s": time.process_time()}


def main() -> None:
    """Feed and print."""
    bootstrap, folder, partitions, rate, sources, seconds = sys.argv[1:7]
    done = asyncio.run(feed(bootstrap, Path(folder), int(partitions), float(rate), int(sources), float(seconds)))
    print(json.dumps(done))


if __name__ == "__main__":
    main()
