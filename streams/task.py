"""What an agent does on one partition, apart from Kafka, faust and the database."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from schemas.frame import Headers
from storage.checkpoints import Checkpoint

Stream = tuple[str, str, int]
"""The part of a frame's identity that numbers frames within a topic: connector, run, bucket."""
TP = tuple[str, int]
"""Topic and partition."""


@dataclass(frozen=True, slots=True)
class Record:
    """One Kafka record, its bytes untouched."""

    topic: str
    partition: int
    offset: int
    value: bytes
    headers: Headers
    produced_at: int = 0
    """When it was produced, in microseconds UTC."""


@dataclass(frozen=True, slots=True)
class Output:
    """One record to produce; the partition is always explicit."""

    topic: str
    partition: int
    value: bytes
    headers: Headers = field(default_factory=list)
    key: bytes | None = None


@dataclass(slots=True)
class Outcome:
    """What follows from a batch: records to produce, then, in one transaction, rows, state and offset.

    ``replay_from`` is the offset a restart must read from to rebuild what is open; absent means the
    offset after the batch.
    """

    outputs: list[Output] = field(default_factory=list)
    marks: dict[Stream, int] = field(default_factory=dict)
    state: dict[str, bytes | None] = field(default_factory=dict)
    replay_from: int | None = None
    write: Callable[[Any], Awaitable[None]] | None = None
    """Further writes of the same transaction, given its connection; may be repeated after a fault."""
    committed: Callable[[], None] | None = None
    """Called once, after the transaction."""


class Task(Protocol):
    """One agent's work on one partition; every method is pure computation."""

    def restore(self, checkpoint: Checkpoint) -> None:
        """Take up the state of a checkpoint, before anything else."""
        ...

    def remember(self, records: Sequence[Record]) -> None:
        """Rebuild what is open from records already processed; nothing may come of it."""
        ...

    def process(self, records: Sequence[Record]) -> Outcome:
        """Process new records, in order."""
        ...

    def set_aside(self, record: Record) -> Outcome:
        """Give what becomes of a record whose processing failed again and again: it is kept, and the rest goes on."""
        ...

    def tick(self, now: int) -> Outcome | None:
        """Give what follows from time passing on an idle partition, or nothing."""
        ...


class Marks:
    """The last frame number seen of every stream: tells repetitions and holes."""

    def __init__(self) -> None:
        self._last: dict[Stream, int] = {}
        self._changed: dict[Stream, int] = {}
        self.gaps = 0
        self.skipped = 0
        self._holes: list[tuple[Stream, int, int]] = []

    def restore(self, marks: dict[Stream, int]) -> None:
        """Take up the numbers of a checkpoint."""
        self._last = dict(marks)

    def is_new(self, stream: Stream, seq: int) -> bool:
        """Tell whether this frame is new, and remember it; numbers that are skipped count as gaps."""
        last = self._last.get(stream, 0)
        if seq <= last:
            self.skipped += 1
            return False
        if seq > last + 1:
            self.gaps += seq - last - 1
            self._holes.append((stream, last + 1, seq - 1))
        self._last[stream] = self._changed[stream] = seq
        return True

    def holes(self) -> list[tuple[Stream, int, int]]:
        """Give the holes found since last asked: stream, first and last number missing."""
        found, self._holes = self._holes, []
        return found

    def changes(self) -> dict[Stream, int]:
        """Give the numbers that grew since last asked."""
        changed, self._changed = self._changed, {}
        return changed
