"""Readings gather here by (kind, lane, bucket) until they make a frame; pure, times are passed in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import msgspec
import pyarrow as pa

from schemas import topics
from schemas.derive import arrow_schema
from schemas.errors import Reject
from schemas.frame import Header, Headers, encode, from_readings, lean, make_header
from schemas.kinds.derived import RejectRow
from schemas.reading import Lane, Reading, as_row, kind_of

RAW_LIMIT = 4096
"""Bytes of refused input that are kept."""
FRAME_BYTES = 768 * 1024
"""A frame's rows stay below this, so that its record fits Kafka's default message size of 1 MiB."""
SOURCES_REMEMBERED = 200_000

TotalKey = tuple[str, str, int]
"""Topic, kind, bucket."""


class Delivery:
    """Tells when every row of one packet is safe: confirmed by Kafka, or in the fsynced spool."""

    __slots__ = ("_held", "_sealed", "_then")

    def __init__(self) -> None:
        self._held = 0
        self._sealed = False
        self._then: list[Callable[[], None]] = []

    @property
    def safe(self) -> bool:
        """Whether nothing of the packet is still on its way."""
        return self._sealed and self._held == 0

    def hold(self) -> None:
        """One more frame holds rows of this packet."""
        self._held += 1

    def release(self) -> None:
        """One frame with rows of this packet is safe."""
        self._held -= 1
        self._settle()

    def seal(self) -> None:
        """All rows of the packet have been handed over."""
        self._sealed = True
        self._settle()

    def then(self, callback: Callable[[], None]) -> None:
        """Call back once, at once if all is safe already."""
        self._then.append(callback)
        self._settle()

    def _settle(self) -> None:
        if self.safe:
            waiting, self._then = self._then, []
            for callback in waiting:
                callback()


@dataclass(slots=True, eq=False)
class Frame:
    """One finished frame with its identity, and the packets that wait for it."""

    topic: str
    header: Header
    value: bytes
    headers: Headers
    deliveries: Sequence[Delivery] = ()

    @property
    def size(self) -> int:
        """Bytes of the record's value and headers."""
        return len(self.value) + sum(len(v) for _, v in self.headers)

    def safe(self) -> None:
        """Tell the packets with rows in here that these are safe; saying so again changes nothing."""
        waiting, self.deliveries = self.deliveries, ()
        for delivery in waiting:
            delivery.release()


@dataclass(slots=True, eq=False)
class Gathering:
    """Readings of one (kind, lane, bucket) on their way into a frame."""

    seen_at: int
    rows: list[Reading] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)


class FrameBuilder:
    """Makes the frames of one connector instance and numbers them without gaps per (topic, bucket).

    A frame closes at ``frame_rows`` rows or ``flush_us`` after its first reading. Rows that no frame can
    hold (a text that is not Unicode, an integer beyond 64 bits, a row larger than a frame) become rejects.
    """

    def __init__(self, connector: str, run: str, *, partitions: int, frame_rows: int, flush_us: int) -> None:
        self.connector = connector
        self.run = run
        self.made_by: tuple[str, str] | None = None
        """Type and version of the connector, told with every reject."""
        self._partitions = partitions
        self._frame_rows = frame_rows
        self._flush_us = flush_us
        self._open: dict[tuple[str, Lane, int], Gathering] = {}
        self._ready: list[Frame] = []
        self._seq: dict[tuple[str, int], int] = {}
        self._total: dict[TotalKey, int] = {}
        self._buckets: dict[str, int] = {}

    def totals(self) -> dict[TotalKey, int]:
        """Give the rows handed to frames so far, by topic, kind and bucket."""
        return dict(self._total)

    @property
    def next_due(self) -> int | None:
        """When the oldest gathering must close, microseconds UTC; None while nothing gathers."""
        return min((g.seen_at for g in self._open.values()), default=None)

    def add(self, readings: Iterable[Reading], lane: Lane, seen_at: int, delivery: Delivery | None = None) -> None:
        """Take in readings of one packet; ``due`` gives the frames this filled."""
        for reading in readings:
            bucket = self._bucket(reading.source)
            if bucket is None:
                self.add([self._refused(reading, "bad_encoding", "source is not Unicode text", seen_at)], lane, seen_at, delivery)
                continue
            self._put((kind_of(reading), lane, bucket), reading, seen_at, delivery)

    def refuse(self, rejects: Iterable[Reject], source: str, packet: bytes, lane: Lane, seen_at: int, delivery: Delivery) -> None:
        """Take in rejects of one packet as rows of kind ``reject``."""
        self.add([self._reject(r, source or self.connector, packet, seen_at) for r in rejects], lane, seen_at, delivery)

    def due(self, now: int) -> list[Frame]:
        """Give frames that are full, or whose first reading is older than the flush time.

        A clock that was set back closes them too.
        """
        for key, gathering in list(self._open.items()):
            if not 0 <= now - gathering.seen_at < self._flush_us:
                self._close(key)
        return self._take()

    def flush(self) -> list[Frame]:
        """Give everything gathered, whatever its age."""
        while self._open:
            self._close(next(iter(self._open)))
        return self._take()

    def _take(self) -> list[Frame]:
        ready, self._ready = self._ready, []
        return ready

    def _bucket(self, source: str) -> int | None:
        """Give the partition of a source; None for a name that is no Unicode text."""
        try:
            bucket = self._buckets.get(source)
            if bucket is None:
                bucket = topics.bucket(source, self._partitions)
                if len(self._buckets) >= SOURCES_REMEMBERED:
                    self._buckets.clear()
                self._buckets[source] = bucket
        except (UnicodeEncodeError, AttributeError, TypeError):
            return None
        return bucket

    def _put(self, key: tuple[str, Lane, int], reading: Reading, seen_at: int, *deliveries: Delivery | None) -> None:
        gathering = self._open.get(key)
        if gathering is None:
            gathering = self._open[key] = Gathering(seen_at)
        gathering.rows.append(reading)
        for delivery in deliveries:
            if delivery is not None and delivery not in gathering.deliveries[-1:]:
                delivery.hold()
                gathering.deliveries.append(delivery)
        if len(gathering.rows) >= self._frame_rows:
            self._close(key)

    def _close(self, key: tuple[str, Lane, int]) -> None:
        kind, lane, bucket = key
        gathering = self._open.pop(key)
        for batch in self._batches(gathering, kind, lane):
            topic = topics.frame_topic(kind, "raw")
            header = make_header(
                batch,
                kind,
                seen_at=gathering.seen_at,
                connector=self.connector,
                run=self.run,
                bucket=bucket,
                seq=self._seq.get((topic, bucket), 0) + 1,
                total=self._total.get((topic, kind, bucket), 0) + batch.num_rows,
                lane=lane,
            )
            self._seq[topic, bucket] = header.seq
            self._total[topic, kind, bucket] = header.total
            for delivery in gathering.deliveries:
                delivery.hold()
            self._ready.append(Frame(topic, header, *encode(lean(batch), header), deliveries=tuple(gathering.deliveries)))
        for delivery in gathering.deliveries:
            delivery.release()

    def _batches(self, gathering: Gathering, kind: str, lane: Lane) -> Iterator[pa.RecordBatch]:
        """Give the gathered rows as batches that fit a record; rows that fit none are refused."""
        stack = [gathering.rows]
        while stack:
            rows = stack.pop()
            batch, flaw = _batch(rows, kind)
            if batch is not None and batch.nbytes <= FRAME_BYTES:
                yield batch
            elif len(rows) > 1:
                middle = len(rows) // 2
                stack += [rows[middle:], rows[:middle]]
            else:
                size = f"the row has {batch.nbytes} bytes, a frame holds {FRAME_BYTES}" if batch is not None else flaw
                row = self._refused(rows[0], "too_large" if batch is not None else "bad_field", size, gathering.seen_at)
                bucket = topics.bucket(row.source, self._partitions)
                self._put(("reject", lane, bucket), row, gathering.seen_at, *gathering.deliveries)

    def _refused(self, reading: Reading, reason: str, detail: str, seen_at: int) -> RejectRow:
        raw = repr(as_row(reading)).encode("utf-8", "backslashreplace")
        refused = self._reject(Reject(reason, detail, raw), str(reading.source), b"", seen_at)
        return msgspec.structs.replace(refused, refused_kind=kind_of(reading))

    def _reject(self, reject: Reject, source: str, packet: bytes, seen_at: int) -> RejectRow:
        row = reject_row(reject, source, self.connector, packet, seen_at)
        if self.made_by is None:
            return row
        kind, version = self.made_by
        return msgspec.structs.replace(row, connector_type=kind, connector_version=version)


def reject_row(reject: Reject, source: str, connector: str, packet: bytes, seen_at: int) -> RejectRow:
    """Give a reject as the row that is stored; raw bytes are capped at 4096."""
    return RejectRow(
        source=unicode(source)[:256],
        ts=seen_at,
        seen_at=seen_at,
        connector=connector,
        stage="decode",
        reason=reject.reason,
        detail=unicode(reject.detail)[:1024] or None,
        raw=bytes((reject.raw or packet)[:RAW_LIMIT]),
    )


def unicode(text: str) -> str:
    """Give text that UTF-8 can hold: lone surrogates become escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


def _batch(rows: list[Reading], kind: str) -> tuple[pa.RecordBatch | None, str]:
    """Give the rows as a batch, or what keeps them from being one."""
    try:
        batch = from_readings(rows, kind)
    except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
        return None, f"{kind}: {error}"
    for column in arrow_schema(kind, "raw"):
        if not column.nullable and batch.column(column.name).null_count:
            return None, f"{kind}: {column.name} is absent"
    return batch, ""
