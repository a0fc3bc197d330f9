"""Showing a topic's records as lines of JSON."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Generator, Iterator
from datetime import datetime
from typing import Any

from schemas import frame
from schemas.config import Config
from schemas.errors import Fatal, Reject
from schemas.topics import Topic, all_topics

POLL_MS = 500


def run(config: Config, topic: str, *, count: int, from_beginning: bool, compact: bool) -> None:
    """Print ``count`` rows of a topic (0: until Ctrl-C), newest records first seen first; an unknown topic raises ``Fatal``."""
    known = all_topics().get(topic)
    if known is None:
        msg = f"no topic {topic!r}; there are: {', '.join(all_topics())}"
        raise Fatal(msg)
    printed = 0
    with contextlib.closing(records(config.kafka.bootstrap, topic, None if from_beginning else max(count, 1))) as stream:
        for record in stream:
            for line in lines(known, record.value, record.headers):
                sys.stdout.write(_text(line, compact=compact) + "\n")
                printed += 1
                if printed == count:
                    return
            sys.stdout.flush()


def lines(topic: Topic, value: bytes, headers: list[tuple[str, bytes]]) -> Iterator[dict[str, Any]]:
    """Give a record's rows, each with what its frame says of it; an unreadable one is told as an error."""
    if topic.carries == "json":
        yield json.loads(value)
        return
    try:
        header = frame.decode_header(headers)
        batch = frame.decode(value, header)
    except Reject as error:
        yield {"error": str(error)}
        return
    about = {"kind": header.kind, "connector": header.connector, "bucket": header.bucket, "seq": header.seq, "lane": header.lane}
    for row in batch.to_pylist():
        yield about | row


def records(bootstrap: str, topic: str, newest: int | None) -> Generator[Any, None, None]:
    """Give the records of all partitions for ever, from the ``newest`` so many of each, or all; no broker raises ``Fatal``."""
    from kafka import TopicPartition

    from cityops.topics import open_consumer

    consumer = open_consumer(bootstrap)
    try:
        spots = [TopicPartition(topic, p) for p in sorted(consumer.partitions_for_topic(topic) or ())]
        if not spots:
            msg = f"topic {topic} does not exist at {bootstrap}; run `cityops migrate`"
            raise Fatal(msg)
        consumer.assign(spots)
        starts, ends = consumer.beginning_offsets(spots), consumer.end_offsets(spots)
        for spot in spots:
            consumer.seek(spot, starts[spot] if newest is None else max(starts[spot], ends[spot] - newest))
        while True:
            for batch in consumer.poll(POLL_MS).values():
                yield from batch
    finally:
        consumer.close()


def _text(line: dict[str, Any], *, compact: bool) -> str:
    return json.dumps(line, ensure_ascii=False, default=_plain, separators=(",", ":") if compact else None)


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(type(value).__name__)
