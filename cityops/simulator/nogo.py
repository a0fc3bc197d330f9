"""Where hazardous freight must not go in the simulated city: two corners of towns that its trips leave out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from cityops.simulator.places import TOWNS
from cityops.simulator.roads import Ints, Roads

REACH = 0.0012
"""Degrees the fence reaches beyond the crossings in it: less than a third of a block."""


@dataclass(frozen=True, slots=True)
class NoGo:
    """A forbidden area: its four crossings, and the one beside it that trips end at instead."""

    id: str
    zh: str
    en: str
    nodes: Ints
    instead: int
    outline: BaseGeometry


def no_go(roads: Roads) -> tuple[NoGo, ...]:
    """Give the forbidden areas; next to no shortest way between other crossings leads through them."""
    return (
        _area(roads, 0, 11, "hazmat-school-district", "城区文教区（危货禁行）", "School district of Chengqu, no hazmat"),
        _area(roads, 3, 0, "hazmat-water-source", "阳城水源保护区（危货禁行）", "Water source of Yangcheng, no hazmat"),
    )


def _area(roads: Roads, seat: int, column: int, name: str, zh: str, en: str) -> NoGo:
    """Give the area of a block in the southernmost row of a county seat."""
    across, first = TOWNS[seat].columns, int(roads.seat_nodes(seat)[0]) + column
    nodes = np.array([first, first + 1, first + across, first + across + 1], np.int32)
    return NoGo(name, zh, en, nodes, first + 3 * across, shapely.MultiPoint(roads.nodes[nodes]).convex_hull.buffer(REACH))


def instead(roads: Roads) -> Ints:
    """Give for every crossing the one that a trip of hazardous freight to it ends at: mostly itself."""
    found = np.arange(len(roads.nodes), dtype=np.int32)
    for area in no_go(roads):
        found[area.nodes] = area.instead
    return found
