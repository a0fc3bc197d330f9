"""The register of sources: where and when each was last heard.

Its rows are many and change with every reading, so they are gathered in memory and written now and then. Until then
the checkpoint says to replay from the first reading that is not written: a restart gathers the same rows again.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from storage.connect import Connection

PLACE = {"lon": pa.float64(), "lat": pa.float64(), "zone": pa.int32()}
ROWS_EACH = 100
"""Readings per source after which the register is written without waiting for a quiet moment."""
MOST_ROWS = 2_000_000
"""Readings after which it is written in any case: what a restart reads again at most."""
PIECE = 20_000
"""Sources written by one statement, so that none takes long."""

_SAVE = (
    "INSERT INTO sources AS s (kind, source, ts, seen_at, lon, lat, zone)"
    " SELECT $1, * FROM unnest($2::text[], $3::timestamptz[], $4::timestamptz[], $5::float8[], $6::float8[], $7::int[])"
    " ON CONFLICT (kind, source) DO UPDATE SET ts = excluded.ts, seen_at = excluded.seen_at,"
    " lon = coalesce(excluded.lon, s.lon), lat = coalesce(excluded.lat, s.lat), zone = coalesce(excluded.zone, s.zone)"
    " WHERE excluded.ts > s.ts"
)


class Heard:
    """The newest readings of sources that the register may not know yet."""

    def __init__(self) -> None:
        self._newest: dict[str, pa.RecordBatch] = {}
        self._rows = 0
        self._written = 0
        self.since: int | None = None
        """Offset of the first record whose sources are not written yet; None when all are."""

    def begin(self, offset: int, rows: int) -> bool:
        """Count rows that begin at this offset; tell whether the register is to be written with them."""
        if rows and self.since is None:
            self.since = offset
        self._rows += rows
        sources = max(self._written, len(self))
        return rows > 0 and self._rows >= min(MOST_ROWS, ROWS_EACH * sources)

    def note(self, kind: str, batch: pa.RecordBatch) -> None:
        """Take up the newest reading of each source of a batch; to note a batch twice changes nothing."""
        if batch.num_rows == 0:
            return
        absent = {name: pa.nulls(batch.num_rows, type_) for name, type_ in PLACE.items()}
        have = {name: batch.column(name) for name in batch.schema.names}
        rows = pa.RecordBatch.from_pydict({name: (absent | have)[name] for name in ("source", "ts", "seen_at", *PLACE)})
        before = self._newest.get(kind)
        parts = [rows] if before is None else [before, rows]
        self._newest[kind] = newest(pa.Table.from_batches(parts).combine_chunks().to_batches()[0])

    async def save(self, connection: Connection) -> None:
        """Write what is noted, in order of kind and source; an older reading changes nothing, an absent place keeps the last."""
        for kind in sorted(self._newest):
            for start in range(0, self._newest[kind].num_rows, PIECE):
                piece = self._newest[kind].slice(start, PIECE)
                await connection.execute(_SAVE, kind, *(_plain(column) for column in piece.columns))

    def saved(self) -> None:
        """Forget what is noted: it is committed."""
        self._written, self._rows, self.since = len(self), 0, None
        self._newest.clear()

    def __len__(self) -> int:
        return sum(rows.num_rows for rows in self._newest.values())


def newest(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Give the row with the latest event time of each source, the first of several, sorted by source.

    A place that is absent there is the last one the source told.
    """
    codes = batch.column("source").dictionary_encode()
    code, number = codes.indices.to_numpy(), len(codes.dictionary)
    times = batch.column("ts").view(pa.int64()).to_numpy()
    order = len(times) - 1 - np.argsort(times[::-1], kind="stable")  # by time, of equal ones the first last
    rows = _last(code, order, number)
    found = batch.take(pa.array(rows))
    for place in PLACE:
        if place in found.schema.names and found.column(place).null_count:
            told = order[batch.column(place).is_valid().to_numpy(zero_copy_only=False)[order]]
            last = _last(code, told, number)
            held = batch.column(place).take(pa.array(last, mask=last < 0))
            found = found.set_column(found.schema.get_field_index(place), place, held)
    return found.take(pc.sort_indices(found.column("source")))


def _last(code: NDArray[np.int32], order: NDArray[np.int64], number: int) -> NDArray[np.int64]:
    """Give, for each code, the last of the rows in that order which has it, -1 where none has."""
    chosen = np.full(number, -1, np.int64)
    chosen[code[order]] = order  # of several writes to one place the last stays
    return chosen


def _plain(column: pa.Array) -> list[Any]:
    if pa.types.is_timestamp(column.type):
        column = column.view(pa.int64())
    plain: list[Any] = column.to_pylist()
    return plain
