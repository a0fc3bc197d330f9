"""The frames behind a difference in the ledger, named by their numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from cityops.in_flight import Scan
from cityops.ledger_snapshot import Snapshot, StreamKey


@dataclass(frozen=True, slots=True)
class Frames:
    """Frames of one stream, numbered from ``first_seq`` to ``last_seq``, and where they are."""

    state: Literal["missing", "in_flight"]
    connector: str
    run: str
    topic: str
    bucket: int
    first_seq: int
    last_seq: int


def missing(snapshot: Snapshot) -> Iterator[Frames]:
    """Give the frames that the store never saw although it saw later ones of their stream."""
    for (topic, connector, run, bucket), first, last in snapshot.gaps:
        yield Frames("missing", connector, run, topic, bucket, first, last)


def under_way(seen: Scan) -> Iterator[Frames]:
    """Give the frames that lie in Kafka and that the store has not read yet."""
    numbers: dict[StreamKey, list[int]] = {}
    for stream, seq in seen.counted:
        numbers.setdefault(stream, []).append(seq)
    for (topic, connector, run, bucket), found in sorted(numbers.items()):
        for first, last in _stretches(sorted(found)):
            yield Frames("in_flight", connector, run, topic, bucket, first, last)


def _stretches(numbers: list[int]) -> Iterator[tuple[int, int]]:
    """Cut ascending numbers into stretches without a hole."""
    first = numbers[0]
    for number, after in pairwise([*numbers, numbers[-1] + 2]):
        if after != number + 1:
            yield first, number
            first = after
