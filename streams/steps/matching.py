"""What the layers say of vehicles on the move: the road and bus line they follow, the geofences they are in or break.

Roads and lines are held from fix to fix, in the order of the log; everything else is a function of the row alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas import breach, quality
from schemas.derive import fields
from schemas.kinds import kind as kind_by_name
from streams.steps.reference import NONE, Fences, Held, Ints, Network, Reference, Registry
from streams.steps.sources import Codes, Columns, Mask, SourceTable
from streams.steps.verdict import local_between

ROAD_M, LINE_M = 50.0, 60.0
"""How far from a road or from the course of its line a vehicle may be."""
SWITCH_M = 10.0
"""By how much another road or line must be nearer."""
STANDS = 1.0
"""A vehicle slower than this stands, m/s: what a receiver's noise makes of one that does."""
WITHIN = {"no_entry": breach.NO_ENTRY, "no_stop": breach.NO_STOP, "no_parking": breach.NO_PARKING, "speed": breach.SPEED}
OUTSIDE = {"no_exit": breach.NO_EXIT, "corridor": breach.CORRIDOR}
STANDING = breach.NO_STOP | breach.NO_PARKING
Given = dict[str, pa.Array]
"""Columns of a batch by name."""


class Matcher:
    """What the layers say of the vehicles of one kind in one partition; without layers it costs nothing."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._moves = kind_by_name(kind).moves
        self._lined = self._moves and "line" in {f.name for f in fields(kind)}
        self._sources = SourceTable()
        self._held = {"road": Held(self._sources), "line": Held(self._sources)}
        self._stale: set[str] = set()
        """Rows of the checkpoint that were taken up: of sources numbered otherwise than now."""
        self._restrictions = Restrictions(Fences(), kind)
        self._fenced = self._told = False
        """Geofences were in use: what they began must end when they are used no more."""

    def restore(self, key: str, value: bytes) -> None:
        """Take up one row of the checkpoint."""
        what, _, _ = key.partition("/")
        if what in self._held:
            self._held[what].restore(value)
            self._stale.add(key)
        else:
            self._fenced = self._told = True

    def changes(self) -> dict[str, bytes | None]:
        """Give the rows of the checkpoint that changed; those of before the restart go."""
        found: dict[str, bytes | None] = dict.fromkeys(self._stale)
        for what, held in self._held.items():
            found |= {f"{what}/{block}": packed for block, packed in held.changes().items()}
        if self._fenced and not self._told:
            found["fenced"] = b""
        self._stale, self._told = set(), self._fenced
        return found

    def columns(self, rows: Columns, reference: Reference, bits: NDArray[np.int32], fresh: Mask, steady: Mask) -> Given:
        """Give the columns the layers in use add to or fill in these rows.

        Only fresh rows with a fix are matched, and only steady ones of those, neither late nor sent again, move
        what is held.
        """
        if not self._moves or not (reference.roads or reference.lines or reference.fences or self._fenced):
            return {}
        lon, lat = rows.floats("lon"), rows.floats("lat")
        placed = fresh & ~(np.isnan(lon) | np.isnan(lat)) & ((bits & quality.NO_FIX) == 0)
        found: Given = {}
        if reference.roads:
            road = self._follow("road", rows, reference.roads, placed, placed & steady, ROAD_M)
            found["road"] = _named(road, reference.roads.names)
        if reference.lines and self._lined:
            found |= self._lines(rows, reference, placed, placed & steady)
        return found | self._fences(rows, reference.fences, placed)

    def _follow(self, what: str, rows: Columns, network: Network, placed: Mask, steady: Mask, limit_m: float) -> Codes:
        """Give each placed row's road or line: the one its source holds, of a row that is not steady the nearest.

        Where several bus lines share a street a fix tells nothing of the line; a road is always the nearest.
        """
        near = network.near(rows.floats("lon"), rows.floats("lat"), placed, limit_m)
        if what == "line":
            near = near.alone(network.name_numbers, SWITCH_M)
        codes = np.where(steady, rows.codes("source", self._sources), NONE)
        held = self._held[what].take(codes, near, network, SWITCH_M)
        return np.where(steady, held, near.nearest)

    def _lines(self, rows: Columns, reference: Reference, placed: Mask, steady: Mask) -> Given:
        """Give the column ``line``, filled in where neither the row nor the register names one."""
        named = rows.texts("line")
        unnamed = ~rows.present("line")
        if reference.registry.has("line"):
            unnamed &= reference.registry.texts("line", rows.texts("source")).is_null().to_numpy(zero_copy_only=False)
        if not (unnamed & placed).any():
            return {}
        code = self._follow("line", rows, reference.lines, placed & unnamed, steady & unnamed, LINE_M)
        matched = _named(np.where(unnamed, code, NONE), reference.lines.names)
        return {"line": pc.coalesce(named, matched).combine_chunks()}

    def _fences(self, rows: Columns, fences: Fences, placed: Mask) -> Given:
        if self._restrictions.fences is not fences:
            self._restrictions = Restrictions(fences, self._kind)
        self._fenced |= len(self._restrictions) > 0
        return self._restrictions.columns(rows, placed) if self._fenced else {}


@dataclass(frozen=True, slots=True)
class Inside:
    """Which rows lie in which fences: pairs, by row, then by fence."""

    row: Ints
    fence: Ints


class Restrictions:
    """What geofences ask of one kind."""

    def __init__(self, fences: Fences, kind: str) -> None:
        self.fences = fences
        attributes: list[Any] = [f.attributes for f in fences.features]
        asked = [[k.strip() for k in a.kinds.split(",") if k.strip()] for a in attributes]
        self._mine = np.array([not kinds or kind in kinds for kinds in asked], np.bool_)
        self._within = np.array([WITHIN.get(a.restriction, 0) for a in attributes], np.int64)
        self._outside = np.array([OUTSIDE.get(a.restriction, 0) for a in attributes], np.int64)
        self._limit = np.array([np.inf if a.limit_kmh is None else a.limit_kmh / 3.6 for a in attributes])
        self._hours = [a.hours for a in attributes]

    def __len__(self) -> int:
        return int(self._mine.sum())

    def columns(self, rows: Columns, placed: Mask) -> Given:
        """Give the fence each placed row is in, the restrictions it breaks and by how much it is too fast."""
        inside, speed = self._inside(rows, placed), rows.floats("speed")
        bits, over = self._outside_of(rows, inside), np.zeros(len(rows))
        ask, excess = self._within[inside.fence], speed[inside.row] - self._limit[inside.fence]
        with np.errstate(invalid="ignore"):
            stands, fast = speed[inside.row] < STANDS, (ask == breach.SPEED) & (excess > 0)
        ask = np.where((ask & STANDING) != 0, np.where(stands, ask, 0), ask)
        np.bitwise_or.at(bits, inside.row, np.where((ask == breach.SPEED) & ~fast, 0, ask))
        np.maximum.at(over, inside.row[fast], excess[fast])
        fence = np.full(len(rows), NONE)
        fence[inside.row[::-1]] = inside.fence[::-1]  # of several writes the last stays: the first fence
        return {
            "fence": _named(fence, self.fences.ids),
            "breach": pa.array(bits, pa.int64(), mask=~placed),
            "over_limit": pa.array(over, pa.float64(), mask=~placed | np.isnan(speed)),
        }

    def _inside(self, rows: Columns, placed: Mask) -> Inside:
        """Give the fences for this kind that hold at the time of each row it is in."""
        row, fence = self.fences.inside(rows.floats("lon"), rows.floats("lat"), placed)
        holds = self._mine[fence]
        for number, hours in self._timed():
            here = fence == number
            holds[here] &= local_between(rows.times("ts")[row[here]], *hours)
        return Inside(row[holds], fence[holds])

    def _outside_of(self, rows: Columns, inside: Inside) -> Ints:
        """Give the bits of restrictions that are broken outside: one is kept by being in any fence that asks for it."""
        bits = np.zeros(len(rows), np.int64)
        timed = dict(self._timed())
        for bit in OUTSIDE.values():
            asking = np.flatnonzero(self._mine & (self._outside == bit))
            asked = np.zeros(len(rows), np.bool_)
            for number in asking.tolist():
                asked |= local_between(rows.times("ts"), *timed[number]) if number in timed else True
            asked[inside.row[self._outside[inside.fence] == bit]] = False
            bits[asked] |= bit
        return bits

    def _timed(self) -> Iterator[tuple[int, tuple[str, str]]]:
        for number in np.flatnonzero(self._mine):
            start, _, end = self._hours[number].partition("-")
            if end:
                yield int(number), (start, end)


def _named(codes: Codes, names: Sequence[str]) -> pa.Array:
    """Give the names of numbers, absent where there is none."""
    return pa.array(names, pa.string()).take(pa.array(codes, pa.int64(), mask=codes == NONE))


def settled(rows: Columns, kind: str, registry: Registry) -> Columns:
    """Give the rows with the registered place of sources that stand still and told none."""
    if not registry.placed or kind_by_name(kind).moves or not {"lon", "lat"} <= {f.name for f in fields(kind)}:
        return rows
    told = rows.present("lon") & rows.present("lat")
    if told.all():
        return rows
    table = rows.table
    for name, place in zip(("lon", "lat"), registry.places(rows.texts("source")), strict=True):
        filled = pc.if_else(pa.array(told), table.column(name), place) if rows.has(name) else place
        table = _put(table, kind, name, filled)
    return Columns(table)


def with_columns(rows: pa.Table, kind: str, given: Given) -> pa.Table:
    """Give the rows with further columns of their kind, in its order, each chunk as long as before."""
    for name, values in given.items():
        rows = _put(rows, kind, name, values)
    return rows


def _put(rows: pa.Table, kind: str, name: str, values: pa.Array | pa.ChunkedArray) -> pa.Table:
    """Give the rows with this column, at its place among those of its kind."""
    order = [f.name for f in fields(kind, "clean")]
    if name in rows.schema.names:
        return rows.set_column(rows.schema.names.index(name), name, values)
    at = sum(order.index(n) < order.index(name) for n in rows.schema.names)
    return rows.add_column(at, name, values)
