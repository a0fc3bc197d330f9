"""Topics of a benchmark: created, filled as fast as the broker takes records, and read back."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping

import pyarrow as pa
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from kafka import KafkaAdminClient

from schemas import frame, topics
from tests.bench.city import METRICS, Figures

KEEP = {"retention.bytes": "-1", "retention.ms": "-1"}
BATCH_BYTES = 900_000
LIMIT = 4 << 20
Message = tuple[bytes | None, bytes, frame.Headers]
"""Key, value, headers."""


def create(bootstrap: str, *names: str) -> None:
    """Create topics of one partition anew, without any bound on what they keep."""
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        there = {t["name"] for t in admin.describe_topics()}
        if doomed := sorted(there & set(names)):
            admin.delete_topics(doomed)
            while there & set(doomed):
                there = {t["name"] for t in admin.describe_topics()}
        admin.create_topics(
            {n: {"num_partitions": 1, "replication_factor": 1, "configs": KEEP} for n in names}, wait_for_metadata=True
        )
    finally:
        admin.close()


def delete(bootstrap: str, *names: str) -> None:
    """Delete topics, so that a long benchmark does not fill the disk."""
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        admin.delete_topics(list(names))
    finally:
        admin.close()


def keep_all(bootstrap: str, *names: str) -> None:
    """Lift the bound on how much existing topics keep: a benchmark's backlog may not be deleted under it."""
    from kafka.admin import ConfigResource, ConfigResourceType

    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, configs=KEEP) for name in names])
    finally:
        admin.close()


def fill(bootstrap: str, topic: str, messages: Iterable[Message], partition: int = 0) -> int:
    """Put messages into a partition, zstd-compressed as connectors do; give how many."""
    return asyncio.run(_fill(bootstrap, topic, messages, partition))


def fill_frames(bootstrap: str, topic: str, made: Iterable[tuple[bytes, frame.Headers]], partition: int = 0) -> int:
    """Put frames into a partition; give how many."""
    return fill(bootstrap, topic, ((None, value, headers) for value, headers in made), partition)


async def _fill(bootstrap: str, topic: str, messages: Iterable[Message], partition: int) -> int:
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, acks="all", compression_type="zstd", max_batch_size=BATCH_BYTES, max_request_size=LIMIT
    )
    await producer.start()
    total = 0
    try:
        waiting = iter(messages)
        for first in waiting:
            batch, size = producer.create_batch(), 0
            for key, value, headers in itertools.chain([first], waiting):
                batch.append(timestamp=None, key=key, value=value, headers=headers)
                total, size = total + 1, size + len(value) + 200
                if size > BATCH_BYTES - 200_000:
                    break
            batch.close()
            await (await producer.send_batch(batch, topic, partition=partition))
    finally:
        await producer.stop()
    return total


def read(bootstrap: str, topic: str) -> list[tuple[bytes, frame.Headers]]:
    """Give the values and headers in a topic's only partition, from its beginning to its present end."""
    return asyncio.run(_read(bootstrap, topic))


async def _read(bootstrap: str, topic: str) -> list[tuple[bytes, frame.Headers]]:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, max_partition_fetch_bytes=LIMIT)
    await consumer.start()
    found: list[tuple[bytes, frame.Headers]] = []
    try:
        tp = TopicPartition(topic, 0)
        consumer.assign([tp])
        await consumer.seek_to_beginning(tp)
        end = (await consumer.end_offsets([tp]))[tp]
        while await consumer.position(tp) < end:
            for part in (await consumer.getmany(timeout_ms=1000)).values():
                found += [(r.value, list(r.headers)) for r in part if r.value is not None]
    finally:
        await consumer.stop()
    return found


def figures(bootstrap: str, topic: str) -> Figures:
    """Give the windows a peer produced; of a window told more than once the fullest counts."""
    found: Figures = {}
    for value, _ in read(bootstrap, topic):
        for row in _rows(value):
            key = (str(row["source"]), int(row["start"]))
            told = (float(row["count"]), *(float(row[f"{m}_{f}"]) for m in METRICS for f in ("mean", "min", "max")))
            if key not in found or told[0] >= found[key][0]:
                found[key] = told
    return found


def _rows(value: bytes) -> Iterator[Mapping[str, float]]:
    if value.startswith(b"{"):
        yield json.loads(value)
    else:
        with pa.ipc.open_stream(value) as reader:
            yield from reader.read_all().to_pylist()


def our_figures(bootstrap: str) -> Figures:
    """Give the windows CityOps produced, its rows of one metric each put together."""
    parts: dict[tuple[str, int], dict[str, tuple[float, ...]]] = {}
    for value, _ in read(bootstrap, topics.WINDOWS):
        with pa.ipc.open_stream(value) as reader:
            table = reader.read_all()
        columns = [table.column(n).to_pylist() for n in ("source", "metric", "count", "mean", "low", "high", "size")]
        starts = (table.column("ts").cast(pa.int64()).to_numpy() // 1000).tolist()
        for start, source, metric, count, mean, low, high, size in zip(starts, *columns, strict=True):
            window = parts.setdefault((source, start), {})
            if size == 60 and (metric not in window or count >= window[metric][0]):
                window[metric] = (count, mean, low, high)
    return {
        key: (float(w[METRICS[0]][0]), *(figure for m in METRICS for figure in w[m][1:]))
        for key, w in parts.items()
        if len(w) == len(METRICS)
    }
