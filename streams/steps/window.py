"""Tumbling windows in event time: count, mean, minimum, maximum, last value, and quantiles of groups.

State is dense arrays: one slot per subject (a source, or a group such as a zone) and metric in each open
window. Everything kept is independent of the order of arrival: sums are whole numbers of a fixed fraction
of the metric's unit, so neither cutting frames nor shuffling rows changes a closed window by one bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas.derive import arrow_schema, fields
from schemas.frame import concat, empty
from storage import sketch
from streams.steps.sources import Codes, Columns, Mask, grown, in_order

Values = NDArray[np.float64]
Rows = NDArray[np.int64] | Mask | slice
MOST_ROWS = 22
"""Binary logarithm of the rows of one subject and window whose sum surely fits, even at the metric's bounds."""
LONG_AGO = np.iinfo(np.int64).min


@dataclass(slots=True)
class Open:
    """One open window: arrays of shape (metrics, subjects), and for each metric sketches (subjects, buckets)."""

    count: NDArray[np.int64]
    total: NDArray[np.int64]
    low: Values
    high: Values
    last: Values
    last_ts: NDArray[np.int64]
    sketches: list[sketch.Counts]
    seen_at: int = 0
    shown: bool = False
    """Its present values have been given out already, while it stayed open."""

    @classmethod
    def make(cls, metrics: int, subjects: int, buckets: Sequence[int]) -> Open:
        """Give a window without readings; ``buckets`` of each metric's sketches, or none."""
        shape = (metrics, subjects)
        return cls(
            count=np.zeros(shape, np.int64),
            total=np.zeros(shape, np.int64),
            low=np.full(shape, np.inf),
            high=np.full(shape, -np.inf),
            last=np.full(shape, -np.inf),
            last_ts=np.full(shape, LONG_AGO),
            sketches=[np.zeros((subjects, n), np.int32) for n in buckets],
        )

    def grow(self, subjects: int) -> None:
        """Make room for more subjects."""
        self.count, self.total = grown(self.count, subjects, 0), grown(self.total, subjects, 0)
        self.low, self.high = grown(self.low, subjects, np.inf), grown(self.high, subjects, -np.inf)
        self.last, self.last_ts = grown(self.last, subjects, -np.inf), grown(self.last_ts, subjects, LONG_AGO)
        self.sketches = [grown(s.T, self.count.shape[1], 0).T.copy() if len(s) < subjects else s for s in self.sketches]

    def add(self, metric: int, codes: Codes, ts: NDArray[np.int64], values: Values, units: NDArray[np.int64]) -> None:
        """Take in values of one metric, ``units`` being them as whole numbers of its fraction; none may be absent.

        Of several values at the newest time the greatest is the last one.
        """
        np.add.at(self.count[metric], codes, 1)
        np.add.at(self.total[metric], codes, units)
        np.minimum.at(self.low[metric], codes, values)
        np.maximum.at(self.high[metric], codes, values)
        last, last_ts = self.last[metric], self.last_ts[metric]
        before = last_ts.copy()
        np.maximum.at(last_ts, codes, ts)
        last[last_ts > before] = -np.inf
        newest = ts == last_ts[codes]
        np.maximum.at(last, codes[newest], values[newest])

    def take(self, metric: int, codes: Codes, ts: NDArray[np.int64], found: Prepared) -> None:
        """Take in the values of one metric that are present."""
        if found.present is not None:
            codes, ts, found = codes[found.present], ts[found.present], found.at(found.present)
        if len(codes):
            self.add(metric, codes, ts, found.values, found.units)
            self.count_in(metric, codes, found.buckets)

    def count_in(self, metric: int, codes: Codes, buckets: NDArray[np.int64]) -> None:
        """Count values of one metric in the subjects' sketches, where this window keeps any."""
        if self.sketches:
            counts = self.sketches[metric]
            np.add.at(counts.reshape(-1), codes * counts.shape[1] + buckets, np.int32(1))


@dataclass(slots=True)
class Prepared:
    """The values of one metric, ready for any number of windows; absent ones hold no meaning."""

    present: Mask | None
    """Which rows have a value; ``None`` is all of them."""
    values: Values
    units: NDArray[np.int64]
    buckets: NDArray[np.int64]

    def at(self, rows: Rows) -> Prepared:
        """Give those of some rows."""
        present = None if self.present is None else self.present[rows]
        return Prepared(present, self.values[rows], self.units[rows], self.buckets[rows])


@dataclass(slots=True)
class Share:
    """The rows of a batch that fall into one window: which they are, their times, and the values of each metric sent."""

    number: int
    rows: Rows
    ts: NDArray[np.int64]
    values: list[Prepared | None]

    def at(self, rows: Mask) -> Share:
        """Give those of some of these rows; their places in the batch are no longer told."""
        return Share(self.number, rows, self.ts[rows], [v and v.at(rows) for v in self.values])


def shares(ts: NDArray[np.int64], values: list[Prepared | None], use: Mask, size: int) -> list[Share]:
    """Give the masked rows window by window, in order of time; ``size`` is the windows' length in microseconds."""
    return [Share(n, rows, ts[rows], [v and v.at(rows) for v in values]) for n, rows in _by_window(use, ts // size)]


def fraction(kind: str, metric: str) -> float:
    """Give how many whole numbers stand for one unit of a metric: a power of two, as large as sums allow."""
    declared = next(f for f in fields(kind) if f.name == metric)
    reach = max((abs(b) for b in (declared.ge, declared.le) if b is not None), default=1e6)
    return float(2.0 ** np.floor(62 - MOST_ROWS - np.log2(max(reach, 1e-6))))


def prepared(kind: str, metric: str, rows: Columns) -> Prepared:
    """Give a metric's values as windows take them."""
    values = rows.floats(metric)
    absent = np.isnan(values)
    present = None
    if absent.any():
        present, values = ~absent, np.where(absent, 0.0, values)
    units = np.rint(values * fraction(kind, metric)).astype(np.int64)
    return Prepared(present, values, units, sketch.scale(kind, metric).of(values))


class Tumbling:
    """The open windows of one length over one sort of subject."""

    def __init__(self, kind: str, metrics: tuple[str, ...], size_s: int, dimension: str = "source", part: int = 0) -> None:
        self._kind = kind
        self._metrics = metrics
        self._fractions = np.array([fraction(kind, m) for m in metrics])
        self._size_s = size_s
        self._size = size_s * 1_000_000
        self._dimension = dimension
        self._part = part
        self._scales = [sketch.scale(kind, m) for m in metrics] if dimension != "source" else []
        self._open: dict[int, Open] = {}

    @property
    def oldest(self) -> int | None:
        """Start of the oldest open window, in microseconds."""
        return min(self._open, default=None)

    def add(self, codes: Codes, subjects: int, parts: Sequence[Share], seen_at: int) -> None:
        """Take in a batch cut into windows; ``codes`` are the numbers of its rows' subjects, -1 for none."""
        for whole in parts:
            of = codes[whole.rows]
            known = of >= 0
            if not known.any():
                continue
            part, of = (whole, of) if known.all() else (whole.at(known), of[known])
            window = self._window(part.number * self._size, subjects)
            window.seen_at, window.shown = max(window.seen_at, seen_at), False
            for metric, found in enumerate(part.values):
                if found is not None:
                    window.take(metric, of, part.ts, found)

    def _window(self, start: int, subjects: int) -> Open:
        window = self._open.get(start)
        if window is None:
            window = self._open[start] = Open.make(len(self._metrics), max(16, subjects), [s.buckets for s in self._scales])
        window.grow(subjects)
        return window

    def close(self, watermark: int, names: pa.Array) -> list[pa.RecordBatch]:
        """Give the rows of every window that ends at or before the watermark, and forget them."""
        due = sorted(start for start in self._open if start + self._size <= watermark)
        return [self._rows(start, self._open.pop(start), names) for start in due]

    def show(self, until: int, names: pa.Array) -> list[pa.RecordBatch]:
        """Give the rows of windows that end by then, but keep them open: later readings may still come.

        A window is given once for each state it is in; its later, fuller rows replace these in the database.
        """
        due = sorted(start for start, w in self._open.items() if start + self._size <= until and not w.shown)
        for start in due:
            self._open[start].shown = True
        return [self._rows(start, self._open[start], names) for start in due]

    def _rows(self, start: int, window: Open, names: pa.Array) -> pa.RecordBatch:
        found = np.flatnonzero(window.count.reshape(-1) != 0)
        of_metric = np.count_nonzero(window.count, axis=1)
        metric = np.repeat(np.arange(len(self._metrics)), of_metric)
        subject = found - metric * window.count.shape[1]
        count, total, low, high, last, last_ts = (
            a.reshape(-1)[found] for a in (window.count, window.total, window.low, window.high, window.last, window.last_ts)
        )
        total = total / self._fractions[metric]
        n = len(count)
        schema = arrow_schema("window", "raw")
        arrays: dict[str, Any] = {
            "source": names.take(pa.array(subject)),
            "ts": pa.repeat(pa.scalar(start, schema.field("ts").type), n),
            "seen_at": pa.repeat(pa.scalar(window.seen_at, schema.field("seen_at").type), n),
            "kind": pa.repeat(self._kind, n),
            "metric": pa.concat_arrays([pa.repeat(m, k) for m, k in zip(self._metrics, of_metric, strict=True)]),
            "size": pa.repeat(self._size_s, n),
            "dimension": pa.repeat(self._dimension, n),
            "part": pa.repeat(self._part, n),
            "count": pa.array(count),
            "total": pa.array(total),
            "mean": pa.array(total / count),
            "low": pa.array(low),
            "high": pa.array(high),
            "last": pa.array(last),
            "last_at": pa.array(last_ts),
        }
        if self._scales:
            arrays |= self._packed(window, metric, subject)
        columns = [arrays[f.name] if f.name in arrays else pa.nulls(n, f.type) for f in schema]
        return pa.RecordBatch.from_arrays(columns, schema=schema)

    def _packed(self, window: Open, metric: NDArray[np.int64], subject: NDArray[np.int64]) -> dict[str, pa.Array]:
        """Give the packed sketches of rows that come metric by metric; their quantiles are read off once parts are added up."""
        parts = [window.sketches[m][subject[metric == m]] for m in range(len(self._scales))]
        return {"sketch": pa.concat_arrays([sketch.pack(counts) for counts in parts])}


def _by_window(use: Mask, numbers: NDArray[np.int64]) -> Iterator[tuple[int, Rows]]:
    """Give each window's number and its masked rows, in order; rows that come in order of time are not moved."""
    rows = None if use.all() else np.flatnonzero(use)
    if rows is not None:
        numbers = numbers[rows]
    if len(numbers) == 0:
        return
    if not (numbers[1:] >= numbers[:-1]).all():
        order = in_order(numbers - numbers.min())
        rows, numbers = order if rows is None else rows[order], numbers[order]
    starts = np.flatnonzero(np.diff(numbers, prepend=numbers[0] - 1))
    for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(numbers)], strict=True):
        yield int(numbers[start]), slice(start, end) if rows is None else rows[start:end]


def joined(parts: list[pa.RecordBatch]) -> pa.RecordBatch:
    """Give rows of windows as one batch."""
    return concat(parts) if parts else empty("window", "raw")
