"""One-minute windows over Arrow frames with numpy: what a good user of any framework would write.

Runs in the peers' own environments and imports nothing of CityOps.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

METRICS = ("pm10", "pm25", "tsp", "noise")
SIZE_MS = 60_000
LATENESS_MS = 60_000


def decode(frames):
    """Give the rows of many frames, only the columns that are needed."""
    tables = [pa.ipc.open_stream(f).read_all().select(["source", "ts", *METRICS]) for f in frames]
    return pa.concat_tables(tables).combine_chunks()


class Open:
    """An open window: dense arrays, one slot per source."""

    def __init__(self, slots):
        self.count = np.zeros(slots, np.int64)
        self.total = np.zeros((len(METRICS), slots))
        self.low = np.full((len(METRICS), slots), np.inf)
        self.high = np.full((len(METRICS), slots), -np.inf)

    def grow(self, slots):
        """Make room for more sources."""
        more = slots - len(self.count)
        if more > 0:
            self.count = np.pad(self.count, (0, more))
            self.total = np.pad(self.total, ((0, 0), (0, more)))
            self.low = np.pad(self.low, ((0, 0), (0, more)), constant_values=np.inf)
            self.high = np.pad(self.high, ((0, 0), (0, more)), constant_values=-np.inf)

    def add(self, codes, columns):
        """Take in rows."""
        np.add.at(self.count, codes, 1)
        for number, values in enumerate(columns):
            np.add.at(self.total[number], codes, values)
            np.minimum.at(self.low[number], codes, values)
            np.maximum.at(self.high[number], codes, values)


class Windows:
    """All open windows of one partition."""

    def __init__(self):
        self.sources = pa.array([], pa.string())
        self.open = {}
        self.newest = 0
        self.rows = 0

    def add(self, table):
        """Take in rows; give the windows these closed as a table, or None."""
        source = table.column("source")
        codes = self._codes(source.combine_chunks() if isinstance(source, pa.ChunkedArray) else source)
        ts = table.column("ts").cast(pa.int64()).to_numpy() // 1000
        columns = [table.column(name).to_numpy() for name in METRICS]
        start = ts // SIZE_MS
        for number in range(int(start.min()), int(start.max()) + 1):
            rows = np.flatnonzero(start == number)
            if len(rows):
                window = self.open.setdefault(number * SIZE_MS, Open(len(self.sources)))
                window.grow(len(self.sources))
                every = len(rows) == len(start)
                window.add(codes if every else codes[rows], columns if every else [c[rows] for c in columns])
        self.newest = max(self.newest, int(ts.max()))
        self.rows += len(ts)
        return self._close(self.newest - LATENESS_MS)

    def _codes(self, source):
        codes = pc.index_in(source, value_set=self.sources)
        if codes.null_count:
            fresh = pc.unique(source.filter(codes.is_null()))
            self.sources = pa.concat_arrays([self.sources, fresh])
            codes = pc.index_in(source, value_set=self.sources)
        return codes.to_numpy()

    def _close(self, watermark):
        due = sorted(s for s in self.open if s + SIZE_MS <= watermark)
        return pa.concat_tables([self._table(s, self.open.pop(s)) for s in due]) if due else None

    def _table(self, start, window):
        used = np.flatnonzero(window.count)
        found = {
            "source": self.sources.take(pa.array(used)),
            "start": np.full(len(used), start),
            "count": window.count[used],
        }
        for number, name in enumerate(METRICS):
            found[f"{name}_mean"] = window.total[number, used] / window.count[used]
            found[f"{name}_min"] = window.low[number, used]
            found[f"{name}_max"] = window.high[number, used]
        return pa.table(found)


def encode(table):
    """Give the windows as record values, a few thousand rows in each."""
    made = []
    for batch in table.combine_chunks().to_batches(max_chunksize=5000):
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
        made.append(sink.getvalue().to_pybytes())
    return made
