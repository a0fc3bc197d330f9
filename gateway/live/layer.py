"""The newest value of every source of one kind, as flat arrays that pack straight into frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gateway.masking import is_tracked, mask_plate
from schemas.messages import BUSY, LAYERS, NO_U16, NORMAL, UNKNOWN, VALUE
from schemas.quality import JUMP, NO_FIX

Slots = NDArray[np.int64]
COLUMNS: Final[dict[str, str]] = {
    "lon_e6": "i4",
    "lat_e6": "i4",
    "heading_cdeg": "u2",
    "value": "u2",
    "ts": "i8",  # event time of what is shown
    "heard": "i8",  # newest event time heard, shown or not
    "seen_at": "i8",  # arrival of the newest reading
    "total": "f8",  # what value is a part of: docks of a station
    "base": "u1",  # state without alerts
    "overlay": "u1",  # state that open alerts impose; 0 is none
    "changed": "i8",  # version at which what is shown last changed
    "named": "i8",  # version at which the slot was given its name
    "alive": "?",  # heard from within the time to live
    "placed": "?",  # has had a valid position
}
BUSY_BY: Final[dict[str, tuple[str, bool | str]]] = {
    "taxi_position": ("occupied", True),
    "bike_vehicle": ("is_reserved", True),
    "ride_hailing_position": ("business", "carrying"),
}
"""Field that says the source is in use, and its value then."""
PIECEMEAL: Final = frozenset({"streetlight", "water_node", "gas_node", "heat_substation", "power_load"})
"""Kinds whose sources may tell their fields one by one (telecontrol): what a reading leaves out is as it was."""
TOTAL_BY: Final = {"bike_station": "capacity"}
LABELS: Final = ("line", "name", "plate")
"""Fields that, where present, tell people which source it is."""
NAMELESS: Final = (None,) * len(LABELS)
NOT_A_PLACE: Final = NO_FIX | JUMP


class Layer:
    """Slots of one kind: a source keeps its slot while it is heard from; freed slots are given out again."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.kind = LAYERS[number]
        self.moves = is_tracked(self.kind) or self.kind == "bike_vehicle"
        self.slot_of: dict[str, int] = {}
        self.sources: list[str] = []
        self.labels: list[str] = []
        self.masked: list[str] = []
        self.size = 0
        self.skipped = 0
        """Rows whose coordinates were no place."""
        self._parts: list[tuple[str | None, ...]] = []
        self._free: list[int] = []
        self._column = {name: np.zeros(64, dtype) for name, dtype in COLUMNS.items()}

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Give a column, one value per slot handed out."""
        return self._column[name][: self.size]

    def shown(self) -> NDArray[np.bool_]:
        """Give the mask of slots that are on the map."""
        mask: NDArray[np.bool_] = self["alive"] & self["placed"]
        return mask

    def state(self) -> NDArray[np.uint8]:
        """Give the state code of each slot, alerts taken into account."""
        code: NDArray[np.uint8] = np.where(self["overlay"] > 0, self["overlay"], self["base"])
        return code

    def apply(self, batch: pa.RecordBatch, version: int, overlays: dict[tuple[str, str], int]) -> None:
        """Take in clean readings of the kind: per source the newest event time wins, never an older one."""
        names = set(batch.schema.names)
        slots = self._slots(batch.column("source").to_pylist(), version, overlays)
        ts = _integers(batch, "ts")
        if self.kind in PIECEMEAL:
            self._recall(batch, slots, ts, version)
        rows = _newest(slots, ts)
        rows = rows[ts[rows] > self["heard"][slots[rows]]]
        if not len(rows):
            return
        at = slots[rows]
        lon, lat = _floats(batch, "lon")[rows], _floats(batch, "lat")[rows]
        valid = _is_place(lon, lat)
        if "quality" in names:
            valid &= (_integers(batch, "quality")[rows] & NOT_A_PLACE) == 0
        self.skipped += int((~valid & ~(np.isnan(lon) & np.isnan(lat))).sum())
        self._hear(at, ts[rows], _integers(batch, "seen_at")[rows], version)
        taken = valid if self.moves else np.ones(len(rows), dtype=bool)
        self._place(at[valid], lon[valid], lat[valid])
        self._show(batch, rows[taken], at[taken], ts, version)
        self._label(batch, rows, at, version)

    def _recall(self, batch: pa.RecordBatch, slots: Slots, ts: Slots, version: int) -> None:
        """Take the newest value of each source also from a reading beside which a newer one tells something else."""
        field, factor, _ = VALUE[self.kind]
        value = _floats(batch, field)
        told = np.flatnonzero(~np.isnan(value))
        rows = told[_newest(slots[told], ts[told])]
        rows = rows[ts[rows] >= self["heard"][slots[rows]]]
        self["value"][slots[rows]] = _u16(value[rows] * factor)
        self["changed"][slots[rows]] = version

    def _hear(self, at: Slots, ts: Slots, seen_at: Slots, version: int) -> None:
        self["heard"][at] = ts
        self["seen_at"][at] = np.maximum(self["seen_at"][at], seen_at)
        risen = at[~self["alive"][at]]
        self["alive"][risen] = True
        self["changed"][risen] = version

    def _place(self, at: Slots, lon: NDArray[np.float64], lat: NDArray[np.float64]) -> None:
        self["lon_e6"][at] = np.rint(lon * 1e6)
        self["lat_e6"][at] = np.rint(lat * 1e6)
        self["placed"][at] = True

    def _show(self, batch: pa.RecordBatch, rows: Slots, at: Slots, ts: Slots, version: int) -> None:
        field, factor, _ = VALUE[self.kind]
        value = _floats(batch, field)[rows]
        whole = self.kind not in PIECEMEAL
        with np.errstate(invalid="ignore"):
            if whole:
                self["value"][at] = _u16(value * factor)
            self["heading_cdeg"][at] = _u16((_floats(batch, "heading")[rows] % 360.0) * 100)
        self["ts"][at] = ts[rows]
        base = np.full(len(rows), NORMAL, np.uint8)
        if whole and not self.moves:
            base[np.isnan(value)] = UNKNOWN
        if self.kind in BUSY_BY:
            base[_equals(batch, *BUSY_BY[self.kind])[rows]] = BUSY
        self["base"][at] = base
        if self.kind in TOTAL_BY:
            self["total"][at] = _floats(batch, TOTAL_BY[self.kind])[rows]
        self["changed"][at] = version

    def _label(self, batch: pa.RecordBatch, rows: Slots, at: Slots, version: int) -> None:
        picked = pa.array(rows)
        columns = [
            batch.column(name).take(picked).to_pylist() if name in batch.schema.names else [None] * len(rows) for name in LABELS
        ]
        for slot, parts in zip(at.tolist(), zip(*columns, strict=True), strict=True):
            if parts == self._parts[slot]:
                continue
            known = tuple(new or old for new, old in zip(parts, self._parts[slot], strict=True))
            if known != self._parts[slot]:
                self._parts[slot] = known
                self._name(slot, version)

    def _name(self, slot: int, version: int) -> None:
        line, name, plate = self._parts[slot]
        self.labels[slot] = _join(line, name, plate) or self.sources[slot]
        self.masked[slot] = _join(line, name, plate and mask_plate(plate)) or self.sources[slot]
        self["named"][slot] = version

    def _slots(self, sources: Sequence[str], version: int, overlays: dict[tuple[str, str], int]) -> Slots:
        get = self.slot_of.get
        found = [get(s, -1) for s in sources]
        if -1 in found:
            self._admit(list(dict.fromkeys(s for s, slot in zip(sources, found, strict=True) if slot < 0)), version, overlays)
            found = [self.slot_of[s] for s in sources]
        return np.array(found, np.int64)

    def _admit(self, sources: list[str], version: int, overlays: dict[tuple[str, str], int]) -> None:
        slots = [self._free.pop() for _ in range(min(len(self._free), len(sources)))]
        more = range(self.size, self.size + len(sources) - len(slots))
        slots += more
        self._reserve(self.size + len(more))
        for values in (self.sources, self.labels, self.masked):
            values.extend([""] * len(more))
        self._parts.extend([NAMELESS] * len(more))
        for name in COLUMNS:
            self[name][slots] = 0
        self["heard"][slots] = np.iinfo(np.int64).min
        self["value"][slots] = NO_U16
        self["heading_cdeg"][slots] = NO_U16
        self["changed"][slots] = version
        self["named"][slots] = version
        self["overlay"][slots] = [overlays.get((self.kind, source), 0) for source in sources]
        for slot, source in zip(slots, sources, strict=True):
            self.slot_of[source] = slot
            self.sources[slot] = self.labels[slot] = self.masked[slot] = source
            self._parts[slot] = NAMELESS

    def _reserve(self, size: int) -> None:
        while size > len(self._column["ts"]):
            for name, old in self._column.items():
                self._column[name] = np.concatenate([old, np.zeros(len(old), old.dtype)])
        self.size = size

    def impose(self, source: str, overlay: int, version: int) -> None:
        """Set what open alerts make of a source's state."""
        slot = self.slot_of.get(source)
        if slot is not None and self["overlay"][slot] != overlay:
            self["overlay"][slot] = overlay
            self["changed"][slot] = version

    def expire(self, heard_since: int, version: int) -> None:
        """Take sources off the map whose newest reading arrived before that moment; their slots become free."""
        for slot in np.flatnonzero(self["alive"] & (self["seen_at"] < heard_since)).tolist():
            self["alive"][slot] = False
            self["changed"][slot] = version
            del self.slot_of[self.sources[slot]]
            self._free.append(slot)


def _join(*parts: str | None) -> str:
    return " · ".join(p for p in parts if p)


def _newest(slots: Slots, ts: Slots) -> Slots:
    """Give, for each slot in the batch, the row with its newest event time, the last of equals."""
    order = np.lexsort((ts, slots))
    ordered = slots[order]
    last = np.ones(len(order), dtype=bool)
    last[:-1] = ordered[1:] != ordered[:-1]
    rows: Slots = order[last]
    return rows


def _is_place(lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.bool_]:
    with np.errstate(invalid="ignore"):
        inside: NDArray[np.bool_] = (np.abs(lon) <= 180) & (np.abs(lat) <= 90) & ((lon != 0) | (lat != 0))
    return inside


def _integers(batch: pa.RecordBatch, name: str) -> Slots:
    values: Slots = batch.column(name).cast(pa.int64()).to_numpy(zero_copy_only=False)
    return values


def _floats(batch: pa.RecordBatch, name: str) -> NDArray[np.float64]:
    """Give a column as floats, NaN where absent; a column the kind does not have is absent throughout."""
    if name not in batch.schema.names:
        return np.full(batch.num_rows, np.nan)
    column = batch.column(name)
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    values: NDArray[np.float64] = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return values


def _equals(batch: pa.RecordBatch, name: str, value: bool | str) -> NDArray[np.bool_]:
    """Say where a column has a value; a column that is absent has it nowhere."""
    if name not in batch.schema.names:
        return np.zeros(batch.num_rows, dtype=bool)
    equal = pc.fill_null(pc.equal(batch.column(name), value), fill_value=False)
    mask: NDArray[np.bool_] = equal.to_numpy(zero_copy_only=False)
    return mask


def _u16(values: NDArray[np.float64]) -> NDArray[np.uint16]:
    clipped = np.clip(np.nan_to_num(np.rint(values), nan=NO_U16, posinf=NO_U16 - 1, neginf=0), 0, NO_U16)
    clipped[(clipped == NO_U16) & ~np.isnan(values)] = NO_U16 - 1
    codes: NDArray[np.uint16] = clipped.astype(np.uint16)
    return codes
