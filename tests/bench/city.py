"""Readings of many stations as whole columns: the same ones as Arrow frames, as JSON records, and as the windows they must make."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas import frame
from schemas.derive import arrow_schema

METRICS = ("pm10", "pm25", "tsp", "noise")
KIND = "dust_station"
"""A kind whose windows hold exactly four metrics."""
WINDOW_MS = 60_000
CHUNK = 200_000
CLOSING = "closing"
"""A source whose one reading, five minutes after all others, closes every window."""


@dataclass(frozen=True)
class City:
    """Stations that report in turn, each every ``interval_ms``; reading ``i`` is of station ``i % sources``."""

    sources: int
    readings: int
    start_ms: int
    interval_ms: int = 10_000
    prefix: str = "dust"

    @property
    def closing_ms(self) -> int:
        """The moment of the reading that closes every window."""
        return int(self._times(np.array([self.readings - 1]))[0]) + 300_000

    def _times(self, index: NDArray[np.int64]) -> NDArray[np.int64]:
        return self.start_ms + index // self.sources * self.interval_ms + index % self.sources * self.interval_ms // self.sources

    def columns(self, begin: int, end: int) -> dict[str, NDArray[Any]]:
        """Give readings ``begin`` to ``end``: station number, time in milliseconds, and one column per metric."""
        index = np.arange(begin, end, dtype=np.int64)
        station, step = index % self.sources, index // self.sources
        found: dict[str, NDArray[Any]] = {"station": station, "ts": self._times(index)}
        for number, name in enumerate(METRICS, 1):
            found[name] = 20.0 + (station * (7 + number) + step * (13 * number)) % 1000 / 10
        return found

    def chunks(self) -> Iterator[dict[str, NDArray[Any]]]:
        """Give all readings in parts of CHUNK."""
        for begin in range(0, self.readings, CHUNK):
            yield self.columns(begin, min(self.readings, begin + CHUNK))


def ahead_ms() -> int:
    """Give a full minute about ten minutes from now, where a benchmark's readings begin.

    Windows that the clock has passed are shown again and again while a backlog is worked off, which the windows of
    live readings never are; how late a reading is, is judged against its own arrival, so this changes nothing else. (A broker takes no record dated more than an hour
    ahead, so they must end before that where a peer dates its own records by event time.)
    """
    return (time.time_ns() // 1_000_000 // WINDOW_MS + 10) * WINDOW_MS


def names(city: City, stations: NDArray[np.int64]) -> pa.Array:
    """Give the source names of stations."""
    return pa.array([f"{city.prefix}-{n:07d}" for n in stations.tolist()], pa.string())


def batches(city: City, kind: str = KIND) -> Iterator[pa.RecordBatch]:
    """Give all readings as raw batches of a kind that has the four metrics, without the closing one."""
    known = names(city, np.arange(city.sources))
    for part in city.chunks():
        yield _batch(known.take(pa.array(part["station"])), part, kind)


def _batch(source: pa.Array, part: dict[str, NDArray[Any]], kind: str) -> pa.RecordBatch:
    schema = arrow_schema(kind, "raw")
    ts = part["ts"] * 1000
    rows = len(ts)
    given: dict[str, pa.Array] = {"source": source, "ts": pa.array(ts), "seen_at": pa.array(ts + 500_000)}
    given |= {"period": pa.array(np.zeros(rows, np.int64)), "lon": pa.array(112.6 + ts % 997 * 1e-4)}
    given |= {"lat": pa.array(35.3 + ts % 991 * 1e-4)} | {name: pa.array(part[name]) for name in METRICS}
    arrays = [given[f.name].cast(f.type) if f.name in given else pa.nulls(rows, f.type) for f in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def frames(
    city: City, rows: int, run: str = "r1", *, closing: bool = False, bucket: int = 0
) -> Iterator[tuple[bytes, frame.Headers]]:
    """Give all readings as the frames of one partition a connector would make, ``rows`` in each."""
    seq = total = 0
    for batch in batches(city):
        for begin in range(0, batch.num_rows, rows):
            part = batch.slice(begin, rows)
            seq, total = seq + 1, total + part.num_rows
            yield _frame(part, run, bucket, seq, total)
    for later in (1, 2) if closing else ():  # a frame is judged by the watermark that those before it made
        last = {"station": np.zeros(1, np.int64), "ts": np.array([city.closing_ms + later])} | {
            n: np.array([1.0]) for n in METRICS
        }
        yield _frame(_batch(pa.array([CLOSING]), last, KIND), run, bucket, seq + later, total + later)


def _frame(batch: pa.RecordBatch, run: str, bucket: int, seq: int, total: int) -> tuple[bytes, frame.Headers]:
    seen_at = int(batch.column("seen_at").cast(pa.int64())[-1].as_py())
    return frame.encode(
        batch,
        frame.make_header(batch, KIND, seen_at=seen_at, connector="bench", run=run, bucket=bucket, seq=seq, total=total),
    )


def records(city: City) -> Iterator[tuple[bytes, bytes]]:
    """Give all readings as key and JSON value, times in milliseconds, and last the one that closes every window."""
    encode = msgspec.json.Encoder().encode
    labels = [f"{city.prefix}-{n:07d}" for n in range(city.sources)]
    for part in city.chunks():
        lists = [part[name].tolist() for name in ("station", "ts", *METRICS)]
        for station, ts, *values in zip(*lists, strict=True):
            source = labels[station]
            yield source.encode(), encode({"source": source, "ts": ts, **dict(zip(METRICS, values, strict=True))})
    yield CLOSING.encode(), encode({"source": CLOSING, "ts": city.closing_ms, **dict.fromkeys(METRICS, 1.0)})


Figures = dict[tuple[str, int], tuple[float, ...]]
"""By source and start of the window in milliseconds: count, then mean, minimum and maximum of each metric."""


def expected(city: City) -> Figures:
    """Give every window these readings must make, computed from the columns alone."""
    part = city.columns(0, city.readings)
    start = part["ts"] // WINDOW_MS
    first = int(start.min())
    slot = (start - first) * city.sources + part["station"]
    size = int(slot.max()) + 1
    count = np.bincount(slot, minlength=size)
    used = np.flatnonzero(count)
    figures = [count[used].astype(float)]
    for name in METRICS:
        low, high = np.full(size, np.inf), np.full(size, -np.inf)
        np.minimum.at(low, slot, part[name])
        np.maximum.at(high, slot, part[name])
        figures += [np.bincount(slot, part[name], size)[used] / count[used], low[used], high[used]]
    sources = names(city, used % city.sources).to_pylist()
    starts = ((used // city.sources + first) * WINDOW_MS).tolist()
    return dict(zip(zip(sources, starts, strict=True), zip(*(f.tolist() for f in figures), strict=True), strict=True))


def differences(found: Figures, wanted: Figures) -> str:
    """Say how windows differ from those that must be; empty when they are equal."""
    absent = [k for k in wanted if k not in found]
    extra = [k for k in found if k not in wanted and k[0] != CLOSING]
    if absent or extra:
        return f"{len(absent)} of {len(wanted)} windows are absent {absent[:2]}, {len(extra)} are too many {extra[:2]}"
    ours = np.array([found[k] for k in wanted])
    theirs = np.array(list(wanted.values()))
    wrong = np.flatnonzero(~np.isclose(ours, theirs, rtol=1e-9, atol=0).all(axis=1))
    if len(wrong):
        key = list(wanted)[int(wrong[0])]
        return f"{len(wrong)} of {len(wanted)} windows differ, {key}: {found[key]} instead of {wanted[key]}"
    return ""
