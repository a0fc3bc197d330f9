"""Tumbling windows in event time: count, mean, minimum, maximum and last value per source and metric.

State is dense arrays: one slot per source and metric in each open window. Sums are added row by row in
the order of arrival, so splitting a frame changes no result.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas.derive import arrow_schema
from schemas.frame import concat, empty
from streams.steps.sources import Codes, SourceTable, floats, grown, times

Values = NDArray[np.float64]


@dataclass(slots=True)
class Open:
    """One open window: arrays of shape (metrics, sources)."""

    count: NDArray[np.int64]
    total: Values
    low: Values
    high: Values
    last: Values
    last_ts: NDArray[np.int64]
    seen_at: int = 0
    shown: bool = False
    """Its present values have been given out already, while it stayed open."""

    @classmethod
    def make(cls, metrics: int, sources: int) -> Open:
        """Give a window without readings."""
        shape = (metrics, sources)
        return cls(
            count=np.zeros(shape, np.int64),
            total=np.zeros(shape),
            low=np.full(shape, np.inf),
            high=np.full(shape, -np.inf),
            last=np.full(shape, np.nan),
            last_ts=np.full(shape, np.iinfo(np.int64).min),
        )

    def grow(self, sources: int) -> None:
        """Make room for more sources."""
        self.count = grown(self.count, sources, 0)
        self.total = grown(self.total, sources, 0)
        self.low = grown(self.low, sources, np.inf)
        self.high = grown(self.high, sources, -np.inf)
        self.last = grown(self.last, sources, np.nan)
        self.last_ts = grown(self.last_ts, sources, np.iinfo(np.int64).min)

    def add(self, metric: int, codes: Codes, ts: NDArray[np.int64], values: Values) -> None:
        """Take in values of one metric; rows without a value must be left out before."""
        np.add.at(self.count[metric], codes, 1)
        np.add.at(self.total[metric], codes, values)
        np.minimum.at(self.low[metric], codes, values)
        np.maximum.at(self.high[metric], codes, values)
        order = np.argsort(ts, kind="stable")
        codes, ts, values = codes[order], ts[order], values[order]
        newer = ts >= self.last_ts[metric, codes]
        self.last[metric, codes[newer]] = values[newer]
        self.last_ts[metric, codes[newer]] = ts[newer]


class Windows:
    """All open windows of one kind in one partition."""

    def __init__(self, kind: str, metrics: tuple[str, ...], size_s: int = 60) -> None:
        self._kind = kind
        self._metrics = metrics
        self._size_s = size_s
        self._size = size_s * 1_000_000
        self._sources = SourceTable()
        self._open: dict[int, Open] = {}

    @property
    def oldest(self) -> int | None:
        """Start of the oldest open window, in microseconds."""
        return min(self._open, default=None)

    def add(self, batch: pa.RecordBatch) -> None:
        """Take in rows of a clean batch."""
        if not self._metrics or batch.num_rows == 0:
            return
        codes = self._sources.codes(batch.column("source"))
        ts = times(batch, "ts")
        starts = ts - ts % self._size
        seen_at = int(times(batch, "seen_at").max())
        columns = [floats(batch, name) for name in self._metrics]
        for start in np.unique(starts):
            rows = starts == start
            window = self._open.get(int(start))
            if window is None:
                window = self._open[int(start)] = Open.make(len(self._metrics), max(64, len(self._sources)))
            window.grow(len(self._sources))
            window.seen_at, window.shown = max(window.seen_at, seen_at), False
            for metric, column in enumerate(columns):
                use = rows & ~np.isnan(column)
                if use.any():
                    window.add(metric, codes[use], ts[use], column[use])

    def close(self, watermark: int) -> pa.RecordBatch:
        """Give the rows of every window that ends at or before the watermark, and forget them."""
        due = sorted(start for start in self._open if start + self._size <= watermark)
        return _concat([self._rows(start, self._open.pop(start)) for start in due])

    def show(self, until: int) -> pa.RecordBatch:
        """Give the rows of windows that end by then, but keep them open: later readings may still come.

        A window is given once for each state it is in; its later, fuller rows replace these in the database.
        """
        due = sorted(start for start, w in self._open.items() if start + self._size <= until and not w.shown)
        for start in due:
            self._open[start].shown = True
        return _concat([self._rows(start, self._open[start]) for start in due])

    def _rows(self, start: int, window: Open) -> pa.RecordBatch:
        metric, source = np.nonzero(window.count)
        count = window.count[metric, source]
        n = len(count)
        names = pa.array(self._sources.names, pa.string())
        schema = arrow_schema("window", "raw")
        arrays = {
            "source": names.take(pa.array(source)),
            "ts": pa.array(np.full(n, start)).cast(schema.field("ts").type),
            "sent_at": pa.nulls(n, schema.field("sent_at").type),
            "seen_at": pa.array(np.full(n, window.seen_at)).cast(schema.field("seen_at").type),
            "serial": pa.nulls(n, pa.int64()),
            "kind": pa.array([self._kind] * n, pa.string()),
            "metric": pa.array(self._metrics, pa.string()).take(pa.array(metric)),
            "size": pa.array(np.full(n, self._size_s, np.int64)),
            "count": pa.array(count),
            "mean": pa.array(window.total[metric, source] / count),
            "low": pa.array(window.low[metric, source]),
            "high": pa.array(window.high[metric, source]),
            "last": pa.array(window.last[metric, source]),
        }
        return pa.RecordBatch.from_arrays([arrays[f.name] for f in schema], schema=schema)


def _concat(parts: list[pa.RecordBatch]) -> pa.RecordBatch:
    return concat(parts) if parts else empty("window", "raw")
