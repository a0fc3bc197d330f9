"""Quality bits and the zone of each row."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas import quality
from streams.steps.places import ZoneGrid
from streams.steps.sources import Columns, Mask

FIXED = 1 << 1
"""JT/T 808 status bit 1: the position has a satellite fix."""


def judged(rows: Columns, zones: ZoneGrid, late: Mask) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Give each row's quality bits and the code of its zone (0: none)."""
    bits = np.where(late, np.int32(quality.LATE), np.int32(0))
    codes = np.zeros(len(rows), np.int32)
    if rows.has("lon", "lat"):
        lon, lat = rows.floats("lon"), rows.floats("lat")
        placed = ~(np.isnan(lon) | np.isnan(lat))
        no_fix = placed & (lon == 0) & (lat == 0)
        if rows.has("status"):
            no_fix |= (rows.integers("status", FIXED) & FIXED) == 0
        bits[no_fix] |= quality.NO_FIX
        codes = zones.codes(lon, lat, placed & ~no_fix)
        bits[placed & ~no_fix & (codes == 0)] |= quality.OUTSIDE
    if rows.has("bikes", "docks", "capacity"):
        bits[_contradictory(rows)] |= quality.CONTRADICTION
    if rows.has("flag"):
        bits[_flagged(rows)] |= quality.DEVICE_FLAG
    return bits, codes


def with_judgement(rows: pa.Table, bits: NDArray[np.int32], codes: NDArray[np.int32]) -> pa.Table:
    """Give the rows with columns ``quality`` and ``zone``: the clean form of their kind."""
    judged_rows = rows.append_column(pa.field("quality", pa.int32(), nullable=False), pa.array(bits, pa.int32()))
    return judged_rows.append_column(pa.field("zone", pa.int32()), pa.array(codes, pa.int32(), mask=codes == 0))


def _contradictory(rows: Columns) -> Mask:
    total = sum(np.nan_to_num(rows.floats(n)) for n in ("bikes", "bikes_disabled", "docks", "docks_disabled"))
    with np.errstate(invalid="ignore"):
        wrong: Mask = np.asarray(total > rows.floats("capacity"), dtype=np.bool_)
    return wrong


SOUND = pa.array(["", "N", "good"])
"""Flags that mark a value as sound: HJ 212's N, and what utilities' connectors write."""


def _flagged(rows: Columns) -> Mask:
    flags = rows.texts("flag")
    if flags.null_count == len(flags):
        return np.zeros(len(rows), np.bool_)
    sound: Mask = np.asarray(pc.is_in(flags, SOUND).to_numpy(), np.bool_)
    return rows.present("flag") & ~sound


class Lateness:
    """The watermark of one kind in one partition: newest event time minus the allowed lateness."""

    def __init__(self, lateness_s: float, newest: int = 0) -> None:
        self._allowed = int(lateness_s * 1e6)
        self.newest = newest

    def late(self, rows: Columns, frame_of: NDArray[np.int64], frames: int, fresh: Mask) -> tuple[Mask, NDArray[np.int64]]:
        """Give the mask of fresh rows late against the frames before theirs, and each frame's watermark; then move on.

        ``frame_of`` numbers each row's frame, ascending. A value that stands for a period is as old as the
        period's end.
        """
        ts = rows.times("ts")
        if rows.has("period"):
            ts = ts + rows.integers("period") * 1_000_000
        ts, of = (ts, frame_of) if fresh.all() else (ts[fresh], frame_of[fresh])
        mask = np.zeros(len(rows), np.bool_)
        newest = np.full(frames, np.iinfo(np.int64).min)
        np.maximum.at(newest, of, ts)
        before = np.maximum.accumulate(np.concatenate([[self.newest], newest[:-1]]))
        mask[fresh] = ts < before[of] - self._allowed
        self.newest = max(self.newest, int(newest.max()))
        return mask, before - self._allowed

    @property
    def watermark(self) -> int:
        """Event time below which nothing more is expected."""
        return self.newest - self._allowed
