"""The broker's side of the ledger: frames that no checkpoint of a snapshot covers, each counted once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from cityops.ledger_snapshot import Snapshot, StreamKey, TotalKey
from schemas import topics
from schemas.errors import Fatal, Reject
from schemas.frame import Header, decode_header
from storage.balance import Place

SILENT_S = 30.0


@dataclass(slots=True)
class Scan:
    """What is under way in Kafka."""

    rows: dict[Place, int] = field(default_factory=dict)
    totals: dict[TotalKey, int] = field(default_factory=dict)
    """Highest running total that a frame carried."""
    states_behind: int = 0
    counted: set[tuple[StreamKey, int]] = field(default_factory=set)

    def see(self, snapshot: Snapshot, topic: str, partition: int, header: Header, since: int | None = None) -> None:
        """Count a frame found beyond its reader's checkpoint, unless another copy of it was stored or counted."""
        if header.stage == "raw" and header.run.endswith(".clean"):
            return  # rows that clean refused: the clean frame counts them
        key = (header.connector, header.run, topics.frame_topic(header.kind, "raw"), header.kind, header.bucket)
        self.totals[key] = max(self.totals.get(key, 0), header.total)
        reader_topic = topics.frame_topic(header.kind, "clean")
        stream: StreamKey = (reader_topic, header.connector, header.run, header.bucket)
        identity = (stream, header.seq)
        done = header.seq <= snapshot.marks.get(("store", *stream), 0)
        if done or identity in self.counted or (since is not None and header.seen_at < since):
            return
        self.counted.add(identity)
        place = (header.connector, header.kind, partition)
        self.rows[place] = self.rows.get(place, 0) + header.received


def scan(bootstrap: str, snapshot: Snapshot, since: int | None = None) -> Scan:
    """Read the headers of all frames beyond the snapshot's checkpoints; no broker raises ``Fatal``."""
    from kafka.errors import KafkaError

    from cityops.topics import open_consumer

    found = Scan()
    consumer = open_consumer(bootstrap)
    try:
        for record in _beyond(consumer, snapshot, found):
            try:
                header = decode_header(record.headers)
            except Reject:
                continue  # not a frame: its readers set it aside as well
            found.see(snapshot, record.topic, record.partition, header, since)
    except KafkaError as error:
        msg = f"{bootstrap}: reading frames under way failed: {error!r}"
        raise Fatal(msg) from error
    finally:
        consumer.close()
    return found


def readers() -> dict[str, str]:
    """Give which agent brings a topic's frames forward: clean the raw ones, store all others."""
    domains = topics.reading_domains()
    return {topics.raw(d): "clean" for d in domains} | {topics.clean(d): "store" for d in domains} | {topics.REJECTS: "store"}


def _beyond(consumer: Any, snapshot: Snapshot, found: Scan) -> Iterator[Any]:
    """Give the records between the snapshot's checkpoints and the ends as they are now."""
    from kafka import TopicPartition

    agents = readers()
    states = [TopicPartition(topics.CONNECTOR_STATES, p) for p in consumer.partitions_for_topic(topics.CONNECTOR_STATES) or ()]
    spots = [TopicPartition(t, p) for t in agents for p in consumer.partitions_for_topic(t) or ()]
    if not spots:
        raise Fatal("the broker has no topics of CityOps; run `cityops migrate`")
    starts, ends = consumer.beginning_offsets(spots + states), consumer.end_offsets(spots + states)
    for s in states:
        found.states_behind += max(0, ends[s] - max(starts[s], snapshot.offsets.get(("store", s.topic, s.partition), 0)))
    todo = {}
    for s in spots:
        start = max(starts[s], snapshot.offsets.get((agents[s.topic], s.topic, s.partition), 0))
        if start < ends[s]:
            todo[s] = start
    consumer.assign(list(todo))
    for s, start in todo.items():
        consumer.seek(s, start)
    heard = time.monotonic()
    while any(consumer.position(s) < ends[s] for s in todo):
        batches = consumer.poll(500)
        if batches:
            heard = time.monotonic()
        elif time.monotonic() - heard > SILENT_S:
            raise Fatal(f"the broker gave no frames for {SILENT_S:.0f} s")
        for batch in batches.values():
            yield from batch
