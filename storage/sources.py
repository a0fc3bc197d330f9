"""The register of sources: where and when each was last heard."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from storage.connect import Connection

PLACE = ("lon", "lat", "zone")


def newest(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Give the row with the latest event time of each source, sorted by source."""
    codes = batch.column("source").dictionary_encode()
    code = codes.indices.to_numpy()
    times = batch.column("ts").view(pa.int64()).to_numpy()
    order = np.argsort(times, kind="stable")
    chosen = np.zeros(len(codes.dictionary), np.int64)
    chosen[code[order]] = order  # of several writes to one place the last, which is the newest, stays
    rows = batch.take(pa.array(chosen))
    return rows.take(pc.sort_indices(rows.column("source")))


async def save(connection: Connection, kind: str, batch: pa.RecordBatch) -> None:
    """Note the newest reading of each source of a batch; an older one changes nothing, an absent place keeps the last."""
    if batch.num_rows == 0:
        return
    rows = newest(batch)
    statement = (
        "INSERT INTO sources AS s (kind, source, ts, seen_at, lon, lat, zone)"
        " SELECT $1, * FROM unnest($2::text[], $3::timestamptz[], $4::timestamptz[], $5::float8[], $6::float8[], $7::int[])"
        " ON CONFLICT (kind, source) DO UPDATE SET ts = excluded.ts, seen_at = excluded.seen_at,"
        " lon = coalesce(excluded.lon, s.lon), lat = coalesce(excluded.lat, s.lat), zone = coalesce(excluded.zone, s.zone)"
        " WHERE excluded.ts > s.ts"
    )
    absent = [None] * rows.num_rows
    held = [rows.column(name).to_pylist() if name in rows.schema.names else absent for name in PLACE]
    times = [rows.column(name).view(pa.int64()).to_pylist() for name in ("ts", "seen_at")]
    await connection.execute(statement, kind, rows.column("source").to_pylist(), *times, *held)
