"""Bus lines: closed courses over the streets of a seat, with stops at fixed distances."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cityops.simulator.places import SEATS, TOWNS
from cityops.simulator.roads import Floats, Ints, Roads

STOP_EVERY = 550.0
"""Metres between stops, before rounding to a whole number per line."""
BUSES_PER_LINE = 10


@dataclass(frozen=True, slots=True)
class Lines:
    """All lines as padded arrays: row = line, column = edge in order of travel."""

    edges: Ints
    count: Ints
    begin: Floats
    """(L, max edges) metres from the line's start to each edge."""
    total: Floats
    spacing: Floats
    """(L,) metres between stops."""


def apportion(total: int) -> list[int]:
    """Share a number among the county seats by their weight; the parts sum to it."""
    weights = np.array([t.weight for t in TOWNS[:SEATS]])
    exact = weights / weights.sum() * total
    parts = np.floor(exact).astype(int)
    parts[np.argsort(parts - exact)[: total - parts.sum()]] += 1
    return [int(p) for p in parts]


def build(roads: Roads, buses: int, rng: np.random.Generator) -> Lines:
    """Give lines for that many buses: loops through three far corners of their seat, some out to the next one."""
    courses: list[list[int]] = []
    for seat, count in enumerate(apportion(max(1, -(-buses // BUSES_PER_LINE)))):
        courses.extend(_course(roads, seat, rng) for _ in range(count))
    width = max(len(c) for c in courses)
    edges = np.zeros((len(courses), width), dtype=np.int32)
    begin = np.full((len(courses), width), np.inf)
    for row, course in enumerate(courses):
        edges[row, : len(course)] = course
        begin[row, : len(course)] = np.concatenate(([0.0], np.cumsum(roads.length[course])[:-1]))
    total = np.array([roads.length[c].sum() for c in courses])
    return Lines(
        edges=edges,
        count=np.array([len(c) for c in courses], dtype=np.int32),
        begin=begin,
        total=total,
        spacing=total / np.maximum(np.round(total / STOP_EVERY), 1.0),
    )


def _course(roads: Roads, seat: int, rng: np.random.Generator) -> list[int]:
    nodes = roads.seat_nodes(seat)
    a = int(rng.choice(nodes))
    far = nodes[np.argsort(roads.distance[a, nodes])[len(nodes) // 2 :]]
    b, c = (int(n) for n in rng.choice(far, 2, replace=False))
    if seat == 0 and rng.random() < 0.2:
        c = int(rng.choice(roads.seat_nodes(1)))
    return roads.path(a, b) + roads.path(b, c) + roads.path(c, a)
