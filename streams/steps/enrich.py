"""Quality bits and the zone of each row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray

from schemas import quality
from schemas.derive import arrow_schema
from storage.zones import Zone
from streams.steps.sources import floats, integers, times

FIXED = 1 << 1
"""JT/T 808 status bit 1: the position has a satellite fix."""


def clean_batch(batch: pa.RecordBatch, kind: str, zones: Sequence[Zone], late: NDArray[np.bool_]) -> pa.RecordBatch:
    """Give the raw batch with columns ``quality`` and ``zone`` in the clean schema of its kind."""
    names = set(batch.schema.names)
    bits = np.where(late, quality.LATE, 0).astype(np.int32)
    zone: pa.Array = pa.nulls(batch.num_rows, pa.int32())
    if {"lon", "lat"} <= names:
        lon, lat = floats(batch, "lon"), floats(batch, "lat")
        placed = ~(np.isnan(lon) | np.isnan(lat))
        no_fix = placed & (lon == 0) & (lat == 0)
        if "status" in names:
            no_fix |= (integers(batch, "status", FIXED) & FIXED) == 0
        bits[no_fix] |= quality.NO_FIX
        codes = zone_codes(lon, lat, placed & ~no_fix, zones)
        bits[placed & ~no_fix & (codes == 0)] |= quality.OUTSIDE
        zone = pa.array(codes, pa.int32(), mask=codes == 0)
    if {"bikes", "docks", "capacity"} <= names:
        bits[_contradictory(batch)] |= quality.CONTRADICTION
    if "flag" in names:
        flag = batch.column("flag").fill_null("N").to_numpy(zero_copy_only=False)
        bits[flag != "N"] |= quality.DEVICE_FLAG
    columns = [*batch.columns, pa.array(bits, pa.int32()), zone]
    return pa.RecordBatch.from_arrays(columns, schema=arrow_schema(kind, "clean"))


def zone_codes(
    lon: NDArray[np.float64], lat: NDArray[np.float64], placed: NDArray[np.bool_], zones: Sequence[Zone]
) -> NDArray[np.int32]:
    """Give the code of the zone each placed point lies in, 0 where none."""
    codes = np.zeros(len(lon), dtype=np.int32)
    for zone in zones:
        west, south, east, north = zone.geometry.bounds
        near = np.flatnonzero(placed & (codes == 0) & (lon >= west) & (lon <= east) & (lat >= south) & (lat <= north))
        if len(near):
            inside = shapely.contains_xy(zone.geometry, lon[near], lat[near])
            codes[near[inside]] = zone.code
    return codes


def _contradictory(batch: pa.RecordBatch) -> NDArray[np.bool_]:
    total = sum(np.nan_to_num(floats(batch, n)) for n in ("bikes", "bikes_disabled", "docks", "docks_disabled"))
    capacity = floats(batch, "capacity")
    with np.errstate(invalid="ignore"):
        wrong: NDArray[np.bool_] = np.asarray(total > capacity, dtype=np.bool_)
    return wrong


class Lateness:
    """The watermark of one kind in one partition: newest event time minus the allowed lateness."""

    def __init__(self, lateness_s: float, newest: int = 0) -> None:
        self._allowed = int(lateness_s * 1e6)
        self.newest = newest

    def late(self, batch: pa.RecordBatch, frame_of: NDArray[np.int64], frames: int) -> NDArray[np.bool_]:
        """Give the mask of rows late against the frames before theirs, then move the watermark on.

        ``frame_of`` numbers each row's frame, ascending. A value that stands for a period is as old as the
        period's end.
        """
        ts = times(batch, "ts")
        if len(ts) == 0:
            return np.zeros(0, np.bool_)
        if "period" in batch.schema.names:
            ts = ts + integers(batch, "period") * 1_000_000
        newest = np.full(frames, np.iinfo(np.int64).min)
        np.maximum.at(newest, frame_of, ts)
        before = np.maximum.accumulate(np.concatenate([[self.newest], newest[:-1]]))
        mask: NDArray[np.bool_] = ts < before[frame_of] - self._allowed
        self.newest = max(self.newest, int(newest.max()))
        return mask
