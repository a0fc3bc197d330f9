"""The road network vehicles drive on: built once per seed, a pure function of the seed and the city's outline."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import LineString
from shapely.geometry.base import BaseGeometry

from cityops.simulator.places import ACROSS, ALONG, SEATS, TOWNS, TRUNKS, Town
from schemas.errors import Fatal
from storage import zones

Floats = NDArray[np.float64]
Ints = NDArray[np.integer[Any]]
Bools = NDArray[np.bool_]
M_PER_DEGREE = 111_195.0
"""Metres in one degree of latitude on a sphere of 6,371 km."""
MARGIN = 0.004
"""Degrees every road keeps from the city's outline: a displaced position is still inside."""
POINT_EVERY = 150.0
"""Metres between the points of a trunk road."""


@dataclass(frozen=True, slots=True)
class Road:
    """One undirected stretch between two nodes: its points (n, 2) in degrees, class and names."""

    a: int
    b: int
    points: Floats
    trunk: bool
    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Roads:
    """The network as flat arrays; edges are directed, edge ``i ^ 1`` is edge ``i`` the other way."""

    nodes: Floats
    """(N, 2) longitude, latitude."""
    town: Ints
    """(N,) index into ``TOWNS``."""
    roads: tuple[Road, ...]
    edge_from: Ints
    edge_to: Ints
    trunk: Bools
    length: Floats
    """(E,) metres."""
    next_edge: Ints
    """(N, N) the edge to take at a node towards a destination; -1 where they are the same."""
    distance: Floats
    """(N, N) metres along the network."""
    points: Floats
    along: Floats
    """(P,) running metres of ``points`` over all edges, rising; edge ``i`` begins at ``start[i]``."""
    start: Floats
    first: Ints
    """(E + 1,) index into ``points`` where an edge begins."""

    def locate(self, edge: Ints, offset: Floats) -> tuple[Floats, Floats, Floats]:
        """Give longitude, latitude (degrees) and heading (degrees from north) at metres along edges."""
        at = self.start[edge] + np.clip(offset, 0.0, self.length[edge])
        i = np.clip(np.searchsorted(self.along, at, "right") - 1, self.first[edge], self.first[edge + 1] - 2)
        share = np.clip((at - self.along[i]) / (self.along[i + 1] - self.along[i]), 0.0, 1.0)[:, None]
        a, b = self.points[i], self.points[i + 1]
        here = a + (b - a) * share
        east = (b[:, 0] - a[:, 0]) * np.cos(np.radians(a[:, 1]))
        heading = np.degrees(np.arctan2(east, b[:, 1] - a[:, 1])) % 360.0
        return here[:, 0], here[:, 1], heading

    def path(self, a: int, b: int) -> list[int]:
        """Give the edges of the shortest way from node ``a`` to node ``b``."""
        edges = []
        while a != b:
            edge = int(self.next_edge[a, b])
            edges.append(edge)
            a = int(self.edge_to[edge])
        return edges

    def seat_nodes(self, seat: int) -> Ints:
        """Give the street nodes of a county seat."""
        return np.flatnonzero(self.town == seat).astype(np.int32)


@lru_cache(maxsize=4)
def build(seed: int = 1405) -> Roads:
    """Build the network of that seed; a road that cannot stay inside the city raises ``Fatal``."""
    rng = np.random.default_rng([seed, 1])
    city = shapely.union_all([z.geometry for z in zones.load()])
    inner = city.buffer(-MARGIN)
    shapely.prepare(inner)
    nodes: list[tuple[float, float]] = []
    town: list[int] = []
    roads: list[Road] = []
    for index, place in enumerate(TOWNS):
        base = len(nodes)
        nodes.extend(_grid_nodes(place, rng, inner))
        town.extend([index] * (len(nodes) - base))
        roads.extend(_streets(place, base, nodes, rng))
    where, towns = np.array(nodes), np.array(town, dtype=np.int32)
    by_name = {t.zh: i for i, t in enumerate(TOWNS)}
    for zh, en, via in TRUNKS:
        for one, two in pairwise(via):
            a, b = _facing(where, towns, by_name[one], by_name[two])
            roads.append(Road(a, b, _curve(where[a], where[b], rng, inner, en), True, zh, en))
    return _assemble(where, towns, tuple(roads))


def _grid_nodes(place: Town, rng: np.random.Generator, city: BaseGeometry) -> list[tuple[float, float]]:
    wobble = rng.normal(0.0, 0.06, (place.rows, place.columns, 2))
    wide = np.cumsum(rng.uniform(0.8, 1.2, place.columns))
    tall = np.cumsum(rng.uniform(0.8, 1.2, place.rows))
    x = (wide - wide.mean())[None, :] + wobble[..., 0]
    y = (tall - tall.mean())[:, None] + wobble[..., 1]
    if place.columns == 1:
        x, y = x * 0.0, y * 0.0
    turn = np.radians(place.turn)
    east = (x * np.cos(turn) - y * np.sin(turn)) * place.spacing
    north = (x * np.sin(turn) + y * np.cos(turn)) * place.spacing
    lon = place.lon + east / (M_PER_DEGREE * np.cos(np.radians(place.lat)))
    lat = place.lat + north / M_PER_DEGREE
    if not shapely.contains_xy(city, lon, lat).all():
        msg = f"simulator: the streets of {place.en} leave the city's outline; check stream.boundaries"
        raise Fatal(msg)
    return list(zip(lon.ravel().tolist(), lat.ravel().tolist(), strict=True))


def _streets(place: Town, base: int, nodes: list[tuple[float, float]], rng: np.random.Generator) -> list[Road]:
    """Join a seat's nodes; some inner stretches are left out, as in a grown town.

    Only every second node may lack its stretches to the east and north, so all stay joined to the rim.
    """
    roads = []
    across, along = rng.permutation(len(ACROSS)), rng.permutation(len(ALONG))
    for row in range(place.rows):
        for column in range(place.columns):
            here = base + row * place.columns + column
            inner = 0 < row < place.rows - 1 and 0 < column < place.columns - 1 and (row + column) % 2 == 0
            if column + 1 < place.columns and not (inner and rng.random() < 0.24):
                roads.append(_street(here, here + 1, nodes, ACROSS[across[row % len(ACROSS)]]))
            if row + 1 < place.rows and not (inner and rng.random() < 0.24):
                roads.append(_street(here, here + place.columns, nodes, ALONG[along[column % len(ALONG)]]))
    return roads


def _street(a: int, b: int, nodes: list[tuple[float, float]], name: tuple[str, str]) -> Road:
    return Road(a, b, np.array([nodes[a], nodes[b]]), False, *name)


def _facing(where: Floats, towns: Ints, one: int, two: int) -> tuple[int, int]:
    """Give the nodes of two towns that lie nearest to the other's middle."""
    first, second = np.flatnonzero(towns == one), np.flatnonzero(towns == two)
    a = first[np.argmin(metres(where[first], where[second].mean(axis=0)))]
    b = second[np.argmin(metres(where[second], where[first].mean(axis=0)))]
    return int(a), int(b)


def metres(a: Floats, b: Floats) -> Floats:
    """Give the distance between points (..., 2) in degrees, on a local plane."""
    mean = np.radians((a[..., 1] + b[..., 1]) / 2.0)
    return np.asarray(np.hypot((a[..., 0] - b[..., 0]) * np.cos(mean), a[..., 1] - b[..., 1]) * M_PER_DEGREE)


def _curve(a: Floats, b: Floats, rng: np.random.Generator, city: BaseGeometry, name: str) -> Floats:
    """Give a winding line from a to b: damped sine waves across the straight line, flattened until it stays inside."""
    span = float(metres(a, b))
    t = np.linspace(0.0, 1.0, max(int(span / POINT_EVERY), 8))
    sway = sum(rng.normal(0.0, 1.0) / k**1.25 * np.sin(k * np.pi * t) for k in range(1, max(6, int(span / 900.0))))
    squeeze = np.cos(np.radians((a[1] + b[1]) / 2.0))
    across = np.array([-(b[1] - a[1]) / squeeze, (b[0] - a[0]) * squeeze])
    for scale in (0.055, 0.03, 0.015, 0.0):
        points = a + (b - a) * t[:, None] + across * (np.asarray(sway) * scale)[:, None]
        points[0], points[-1] = a, b
        if city.contains(LineString(points)):
            return np.asarray(points)
    msg = f"simulator: {name} cannot stay inside the city's outline; check stream.boundaries"
    raise Fatal(msg)


def _assemble(nodes: Floats, town: Ints, roads: tuple[Road, ...]) -> Roads:
    lines = [line for road in roads for line in (road.points, road.points[::-1])]
    edge_from = np.array([n for r in roads for n in (r.a, r.b)], dtype=np.int32)
    edge_to = np.array([n for r in roads for n in (r.b, r.a)], dtype=np.int32)
    steps = [np.concatenate(([0.0], np.cumsum(metres(line[:-1], line[1:])))) for line in lines]
    length = np.array([s[-1] for s in steps])
    start = np.concatenate(([0.0], np.cumsum(length + 1.0)[:-1]))
    first = np.concatenate(([0], np.cumsum([len(s) for s in steps]))).astype(np.int32)
    next_edge, distance = _shortest(len(nodes), edge_from, edge_to, length)
    return Roads(
        nodes=nodes,
        town=town,
        roads=roads,
        edge_from=edge_from,
        edge_to=edge_to,
        trunk=np.repeat([r.trunk for r in roads], 2),
        length=length,
        next_edge=next_edge,
        distance=distance,
        points=np.concatenate(lines),
        along=np.concatenate([s + at for s, at in zip(steps, start, strict=True)]),
        start=start,
        first=first,
    )


def _shortest(count: int, edge_from: Ints, edge_to: Ints, length: Floats) -> tuple[Ints, Floats]:
    """Give next edge and distance between all nodes (Floyd and Warshall); an unreachable node raises ``Fatal``."""
    distance = np.full((count, count), np.inf)
    following = np.full((count, count), -1, dtype=np.int32)
    distance[edge_from, edge_to] = length
    following[edge_from, edge_to] = np.arange(len(edge_from))
    np.fill_diagonal(distance, 0.0)
    for k in range(count):
        rows = np.flatnonzero(np.isfinite(distance[:, k]))
        through = distance[rows, k][:, None] + distance[k]
        better = through < distance[rows]
        block, order = distance[rows], following[rows]
        block[better] = through[better]
        order[better] = np.broadcast_to(following[rows, k][:, None], order.shape)[better]
        distance[rows], following[rows] = block, order
    if not np.isfinite(distance).all():
        msg = "simulator: a road node cannot be reached from another"
        raise Fatal(msg)
    return following, distance


def roads_geojson(seed: int = 1405) -> dict[str, Any]:
    """Give the network as GeoJSON lines with properties ``class`` (trunk or street), ``zh``, ``en``.

    Stretches of one street are merged into one feature; coordinates are rounded to about 1 m.
    """
    lines: dict[tuple[bool, str, str, int], list[Any]] = {}
    network = build(seed)
    for road in network.roads:
        key = (road.trunk, road.zh, road.en, -1 if road.trunk else int(network.town[road.a]))
        lines.setdefault(key, []).append(np.round(road.points, 5).tolist())
    return {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "properties": {"class": "trunk" if trunk else "street", "zh": zh, "en": en},
                "geometry": {"type": "MultiLineString", "coordinates": parts},
            }
            for (trunk, zh, en, _), parts in lines.items()
        ],
    }


def seats() -> range:
    """Give the indices of the county seats in ``TOWNS``."""
    return range(SEATS)
