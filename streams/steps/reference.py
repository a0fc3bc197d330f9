"""Reference data as one snapshot that never changes, and what it says of many points and sources at once.

Zone by grid; nearest line and fences by tree; what is registered of a source by its number. Everything takes
arrays, and costs next to nothing where its layer is empty.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from numpy.typing import NDArray

from storage.layers import Feature, as_zones
from storage.zones import Zone
from streams.steps.places import ZoneGrid
from streams.steps.sources import Codes, Mask, SourceTable, grown

METRES = 111_320.0
"""Metres of a degree of latitude."""
PIECE = 100_000
"""Points looked up at a time, so that memory stays bounded."""
BLOCK = 256
"""Sources of one row of the checkpoint."""
NONE = -1
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Near:
    """For each point the lines within the limit, point by point and each point's nearest first.

    ``point``, ``line`` and ``distance`` (m) have one entry for each pair; ``first`` tells where a point's pairs
    begin, ``first[n + 1]`` where they end.
    """

    point: Ints
    line: Ints
    distance: Floats
    first: Ints

    @property
    def nearest(self) -> Codes:
        """Number of each point's nearest line, -1 where none is within the limit."""
        found = np.full(len(self.first) - 1, NONE)
        has = self.first[1:] > self.first[:-1]
        found[has] = self.line[self.first[:-1][has]]
        return found

    def alone(self, name: Ints, margin_m: float) -> Near:
        """Give only the points whose nearest line is nearer than any of another name, by so many metres.

        ``name`` is the number of the name of each line.
        """
        count = np.diff(self.first)
        begins = np.repeat(self.first[:-1], count)
        differs = np.zeros(len(count), np.bool_)
        rival = (name[self.line] != name[self.line[begins]]) & (self.distance - self.distance[begins] < margin_m)
        differs[self.point[rival]] = True
        keep = ~differs[self.point]
        first = np.concatenate([[0], np.cumsum(np.where(differs, 0, count))])
        return Near(self.point[keep], self.line[keep], self.distance[keep], first)


class Network:
    """Lines (roads, courses of buses) cut into straight pieces, in a tree."""

    def __init__(self, features: Sequence[Feature] = ()) -> None:
        self.ids = [f.id for f in features]
        self.names = [getattr(f.attributes, "line", "") or f.id for f in features]
        """What readings call them: a bus line has a course for each direction."""
        self.name_numbers = np.unique(self.names, return_inverse=True)[1].astype(np.int64)
        self.features = tuple(features)
        parts, owner = shapely.get_parts([f.geometry for f in features], return_index=True)
        points, part = shapely.get_coordinates(parts, return_index=True)
        joined = np.flatnonzero(part[1:] == part[:-1])
        self._owner = owner[part[joined]].astype(np.int64)
        self._from, self._to = points[joined], points[joined + 1]
        self._tree = shapely.STRtree(shapely.linestrings(np.stack([self._from, self._to], axis=1)) if len(joined) else [])

    def __len__(self) -> int:
        return len(self.ids)

    def numbers(self, column: str) -> Floats:
        """Give a numeric column (``limit_kmh``) by the number of the line, NaN where absent."""
        return np.array([getattr(f.attributes, column) for f in self.features], np.float64)

    def near(self, lon: Floats, lat: Floats, placed: Mask, limit_m: float) -> Near:
        """Give the lines within so many metres of each placed point, each line once, by its nearest piece."""
        rows = np.flatnonzero(placed) if len(self) else np.zeros(0, np.int64)
        found = [self._pairs(lon, lat, rows[first : first + PIECE], limit_m) for first in range(0, len(rows), PIECE)]
        point, line, distance = (np.concatenate(c) for c in zip(*found, strict=True)) if found else _no_pairs()
        return Near(point, line, distance, np.searchsorted(point, np.arange(len(lon) + 1)))

    def _pairs(self, lon: Floats, lat: Floats, rows: Ints, limit_m: float) -> tuple[Ints, Ints, Floats]:
        x, y = lon[rows], lat[rows]
        narrow = np.maximum(np.cos(np.radians(y)), 1e-6)
        high, wide = limit_m / METRES, limit_m / METRES / narrow
        which, piece = self._tree.query(shapely.box(x - wide, y - high, x + wide, y + high))
        scale = np.stack([narrow[which], np.ones(len(which))], axis=1) * METRES
        here = np.stack([x[which], y[which]], axis=1)
        distance = _distance((self._from[piece] - here) * scale, (self._to[piece] - here) * scale)
        close = distance <= limit_m
        point, line, distance = rows[which[close]], self._owner[piece[close]], distance[close]
        order = np.lexsort((distance, line, point))
        point, line, distance = point[order], line[order], distance[order]
        best = np.ones(len(point), np.bool_)  # of several pieces of a line the nearest stays
        best[1:] = (point[1:] != point[:-1]) | (line[1:] != line[:-1])
        point, line, distance = point[best], line[best], distance[best]
        order = np.lexsort((line, distance, point))
        return point[order], line[order], distance[order]


def _no_pairs() -> tuple[Ints, Ints, Floats]:
    return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)


def _distance(a: Floats, b: Floats) -> Floats:
    """Give how far the origin lies from each straight piece from ``a`` to ``b``."""
    along = b - a
    length = (along * along).sum(axis=1)
    share = np.clip(-(a * along).sum(axis=1) / np.where(length > 0, length, 1.0), 0.0, 1.0)
    nearest = a + share[:, None] * along
    found: Floats = np.hypot(nearest[:, 0], nearest[:, 1])
    return found


class Held:
    """The line each source keeps, until another is clearly better for two fixes in a row.

    Arrays by the source's number. ``changes`` and ``restore`` carry it through a restart by the ids of lines
    and sources, so that a new version of the layer or another numbering of sources changes nothing held.
    """

    def __init__(self, sources: SourceTable) -> None:
        self._sources = sources
        self._ids: list[str] = []
        self._state = np.full((2, 0), NONE)
        """Of each source the line held and the rival of its last fix."""
        self._dirty: set[int] = set()

    def take(self, codes: Codes, near: Near, network: Network, switch_m: float) -> Codes:
        """Give the line of each row after its fix, -1 before the first; rows of a source must be in order of time.

        A source without a line takes the nearest. It changes over when for two fixes in a row the same other line
        was nearest, by at least ``switch_m`` metres (a line beyond the limit of ``near`` is infinitely far).
        A fix near no line changes nothing held.
        """
        self._rebase(network.ids)
        self._state = grown(self._state, len(self._sources), NONE)
        who = np.unique(codes[codes >= 0])
        before = self._state[:, who]
        found = step_lines(self._state, codes, near, switch_m)
        changed = who[(self._state[:, who] != before).any(axis=0)]
        self._dirty |= set((changed // BLOCK).tolist())
        return found

    def changes(self) -> dict[str, bytes]:
        """Give the rows that the checkpoint must write: by block of sources, the ids of lines by source."""
        packed = {}
        for block in sorted(self._dirty):
            first = block * BLOCK
            names = self._sources.names[first : first + BLOCK]
            pairs = self._state[:, first : first + len(names)].T.tolist()
            kept = {n: [self._id(line), self._id(rival)] for n, (line, rival) in zip(names, pairs, strict=True) if line != NONE}
            packed[str(block)] = msgspec.msgpack.encode(kept)
        self._dirty = set()
        return packed

    def restore(self, packed: bytes) -> None:
        """Take up one row of the checkpoint."""
        kept = msgspec.msgpack.decode(packed, type=dict[str, tuple[str, str]])
        self._ids = list(self._ids)
        number = {name: n for n, name in enumerate(self._ids)}
        for source, ids in kept.items():
            code = self._sources.code(source)
            self._state = grown(self._state, code + 1, NONE)
            for row, name in enumerate(ids):
                if name and name not in number:
                    number[name] = len(self._ids)
                    self._ids.append(name)
                self._state[row, code] = number[name] if name else NONE
            self._dirty.add(code // BLOCK)

    def _id(self, line: int) -> str:
        return "" if line == NONE else self._ids[line]

    def _rebase(self, ids: list[str]) -> None:
        """Number held lines as the present network does; one that is no more is held no more."""
        if ids is self._ids:
            return
        number = {name: n for n, name in enumerate(ids)}
        moved = np.array([*(number.get(name, NONE) for name in self._ids), NONE], np.int64)
        self._state = moved[self._state]
        self._ids = ids


def step_lines(state: Ints, codes: Codes, near: Near, switch_m: float) -> Codes:
    """Bring the lines held (``state[0]``) and rivals (``state[1]``) of sources forward by these fixes, in place.

    The rows are walked in rounds, each with at most one row of a source: as many rounds as the busiest source
    has rows.
    """
    found = np.full(len(codes), NONE)
    best = near.nearest
    for rows in _rounds(codes):
        who = codes[rows]
        held, rival = state[0, who], state[1, who]
        nearest = best[rows]
        better = (nearest != NONE) & (nearest != held)
        better[better] = _advantage(near, rows[better], held[better]) >= switch_m
        over = better & ((held == NONE) | (rival == nearest))
        state[0, who] = found[rows] = np.where(over, nearest, held)
        state[1, who] = np.where(over | ~better, np.where(nearest == NONE, rival, NONE), nearest)
    return found


def _rounds(codes: Codes) -> Iterator[Ints]:
    """Give the rows that have a source in rounds, in order, each with at most one row of a source."""
    rows = np.flatnonzero(codes >= 0)
    rows = rows[np.argsort(codes[rows], kind="stable")]
    ordered = codes[rows]
    start = np.flatnonzero(np.diff(ordered, prepend=NONE))
    turn = np.arange(len(rows)) - np.repeat(start, np.diff(start, append=len(rows)))
    by_turn = rows[np.argsort(turn, kind="stable")]
    yield from np.split(by_turn, np.cumsum(np.bincount(turn))[:-1])


def _advantage(near: Near, rows: Ints, held: Codes) -> Floats:
    """Give by how many metres each row's nearest line is nearer than the one held."""
    ahead = np.full(len(rows), np.inf)
    first, last = near.first[rows], near.first[rows + 1]
    for step in range(int((last - first).max(initial=0))):
        at = np.minimum(first + step, last - 1)
        same = near.line[at] == held
        ahead[same] = near.distance[at[same]] - near.distance[first[same]]
    return ahead


class Fences:
    """Areas with a restriction, in a tree."""

    def __init__(self, features: Sequence[Feature] = ()) -> None:
        self.features = tuple(features)
        self.ids = [f.id for f in features]
        self._shapes = np.array([f.geometry for f in features], dtype=object)
        shapely.prepare(self._shapes)
        self._tree = shapely.STRtree(self._shapes)

    def __len__(self) -> int:
        return len(self.ids)

    def inside(self, lon: Floats, lat: Floats, placed: Mask) -> tuple[Ints, Ints]:
        """Give (row, fence) for every fence that a placed point lies in or on the edge of, by row, then by fence."""
        rows = np.flatnonzero(placed) if len(self) else np.zeros(0, np.int64)
        if not len(rows):
            return rows, rows
        at, fence = self._tree.query(shapely.points(lon[rows], lat[rows]))
        order = np.argsort(fence, kind="stable")
        at, fence = rows[at[order]], fence[order].astype(np.int64)
        within = np.zeros(len(at), np.bool_)
        numbers, starts = np.unique(fence, return_index=True)
        ends = np.searchsorted(fence, numbers, "right")
        for number, first, last in zip(numbers, starts, ends, strict=True):
            here = at[first:last]
            within[first:last] = shapely.intersects_xy(self._shapes[number], lon[here], lat[here])
        at, fence = at[within], fence[within]
        order = np.lexsort((fence, at))
        return at[order], fence[order]


class Registry:
    """What is registered of sources, as columns."""

    def __init__(self, features: Sequence[Feature] = ()) -> None:
        self.features = tuple(features)
        self.ids = pa.array([f.id for f in features], pa.string())
        self._columns = {
            n: pa.array([getattr(f.attributes, n) or None for f in features], pa.string())
            for n in ("operator", "line", "department", "name")
        }
        self._lon, self._lat = (
            pa.array(of([f.geometry for f in features]), from_pandas=True) for of in (shapely.get_x, shapely.get_y)
        )

    def __len__(self) -> int:
        return len(self.ids)

    def has(self, column: str) -> bool:
        """Tell whether any source has a value in a column: operator, line, department or name."""
        values = self._columns[column]
        return bool(values.null_count < len(values))

    @property
    def placed(self) -> bool:
        """Tell whether any source has a place."""
        return bool(self._lon.null_count < len(self._lon))

    def places(self, sources: pa.Array | pa.ChunkedArray) -> tuple[pa.Array, pa.Array]:
        """Give longitude and latitude of each source, absent where it is not registered with a place."""
        at = pc.index_in(sources, self.ids)
        return self._lon.take(at), self._lat.take(at)

    def texts(self, column: str, sources: pa.Array | pa.ChunkedArray) -> pa.Array:
        """Give a column's value for each source, absent where it is not registered."""
        return self._columns[column].take(pc.index_in(sources, self.ids))


NOBODY = Registry()


def unregistered() -> Registry:
    """Give the registry of an installation that has none."""
    return NOBODY


class Registered:
    """One column of the registry as numbers of a table of texts, dense by the number of the source.

    Sources that appear are looked up once; another registry looks all of them up again.
    """

    def __init__(self, column: str, known: SourceTable) -> None:
        self._column = column
        self._known = known
        self._registry: Registry | None = None
        self._codes: Codes = np.zeros(0, np.int64)

    def codes(self, registry: Registry, sources: SourceTable) -> Codes:
        """Give the number of every source's text, -1 where none is registered."""
        if registry is not self._registry:
            self._registry, self._codes = registry, np.zeros(0, np.int64)
        have = len(self._codes)
        if have < len(sources):
            fresh = registry.texts(self._column, sources.known[have:])
            self._codes = np.concatenate([self._codes, self._known.codes(fresh)])
        return self._codes


@dataclass(frozen=True)
class Reference:
    """The reference data in use: a snapshot, replaced as a whole.

    ``versions`` has the version of each layer it was made of; a layer that is not in it is empty, and the zones
    are then those of the settings.
    """

    zones: ZoneGrid
    versions: Mapping[str, int] = field(default_factory=dict)
    lines: Network = field(default_factory=Network)
    roads: Network = field(default_factory=Network)
    fences: Fences = field(default_factory=Fences)
    registry: Registry = field(default_factory=Registry)

    @classmethod
    def plain(cls, zones: Sequence[Zone]) -> Self:
        """Give the reference data of an installation without layers."""
        return cls(ZoneGrid(zones))

    def updated(self, layers: Mapping[str, tuple[int, Sequence[Feature]]], default: ZoneGrid) -> Self:
        """Give reference data with these layers instead of those it has; version 0 is none: the default."""
        made: dict[str, Any] = {}
        versions = dict(self.versions)
        for name, (version, features) in layers.items():
            versions[name] = version
            if name == "zones":
                made["zones"] = ZoneGrid(as_zones(features)) if version else default
            elif name in MADE:
                attribute, make = MADE[name]
                made[attribute] = make(features)
        return replace(self, versions={n: v for n, v in versions.items() if v}, **made)


MADE: Mapping[str, tuple[str, Any]] = {
    "bus_lines": ("lines", Network),
    "roads": ("roads", Network),
    "geofences": ("fences", Fences),
    "sources": ("registry", Registry),
}
"""What each layer becomes."""
USED = ("zones", *MADE)
"""Layers that workers load."""
