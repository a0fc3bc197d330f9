"""The city's fixed devices: who they are and where they stand; a pure function of the roads, the numbers and the seed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from cityops.simulator.lines import apportion
from cityops.simulator.places import SEATS, TOWNS
from cityops.simulator.roads import M_PER_DEGREE, Roads, build

LAMPS_PER_CABINET = 20
LAMP_EVERY_M = 35.0
DLT645, DLT698 = "dlt645", "dlt698"
WATER_TYPE, HEAT_TYPE, GAS_TYPE = 0x10, 0x20, 0x30
"""Meter types of CJ/T 188 table 2."""


class Site(NamedTuple):
    """A device: its name, where it stands in WGS-84, the county."""

    id: str
    lon: float
    lat: float
    county: int


class Meter(NamedTuple):
    """A customer's meter: its address on the wire, what it measures (CJ/T 188 type; 0 electricity), where it is."""

    address: str
    type: int
    site: Site


class Link(NamedTuple):
    """A stretch of road with detectors at its end: the directed edge of the network it is."""

    site: Site
    edge: int
    road: str
    length: float
    trunk: bool


@dataclass(frozen=True, slots=True)
class Counts:
    """How many fixed devices the utilities and the traffic police have."""

    links: int = 60
    water: int = 30
    gas: int = 20
    heat: int = 15
    feeders: int = 12
    cabinets: int = 10
    meters: int = 150
    hydrants: int = 8
    pumps: int = 3


@dataclass(frozen=True, slots=True)
class Estate:
    """All of them."""

    links: tuple[Link, ...]
    water: tuple[Site, ...]
    gas: tuple[Site, ...]
    heat: tuple[Site, ...]
    feeders: tuple[Site, ...]
    cabinets: tuple[Site, ...]
    lamps: tuple[Site, ...]
    """``LAMPS_PER_CABINET`` of each cabinet, in order."""
    power_meters: tuple[Meter, ...]
    """Read over DL/T 645 or, by their turn, over DL/T 698.45."""
    pipe_meters: tuple[Meter, ...]
    hydrants: tuple[Site, ...]
    pumps: tuple[Site, ...]

    @property
    def sites(self) -> dict[str, tuple[Site, ...]]:
        """Who stands where, by kind of reading."""
        links = tuple(link.site for link in self.links)
        return {
            "traffic_link": links,
            "traffic_detector": links,
            "water_node": self.water,
            "gas_node": self.gas,
            "heat_substation": self.heat,
            "power_load": self.feeders,
            "streetlight": self.lamps,
            "cabinet": self.cabinets,
            "meter_reading": tuple(m.site for m in (*self.power_meters, *self.pipe_meters)),
        }


@lru_cache(maxsize=4)
def estate(counts: Counts, seed: int) -> Estate:
    """Give the fixed devices of a city."""
    roads = build(seed)
    cabinets = spread(roads, counts.cabinets, seed, 14, "LC")
    electric = counts.meters * 3 // 5
    return Estate(
        links=_links(roads, counts.links, seed),
        water=spread(roads, counts.water, seed, 11, "WN"),
        gas=spread(roads, counts.gas, seed, 12, "GN"),
        heat=spread(roads, counts.heat, seed, 13, "HS"),
        feeders=spread(roads, counts.feeders, seed, 15, "PF"),
        cabinets=cabinets,
        lamps=tuple(lamp for cabinet in cabinets for lamp in _lamps(cabinet)),
        power_meters=_power_meters(spread(roads, electric, seed, 16, "EM")),
        pipe_meters=_pipe_meters(spread(roads, counts.meters - electric, seed, 17, "CM")),
        hydrants=spread(roads, counts.hydrants, seed, 19, "FH"),
        pumps=spread(roads, counts.pumps, seed, 20, "PS"),
    )


def spread(roads: Roads, count: int, seed: int, salt: int, prefix: str) -> tuple[Site, ...]:
    """Give places near crossings of the county seats, by the seats' weight, numbered from 1 through the city."""
    rng = np.random.default_rng([seed, salt])
    found: list[Site] = []
    for seat, number in zip(range(SEATS), apportion(count), strict=True):
        nodes = roads.seat_nodes(seat)
        for node in rng.choice(nodes, number, replace=number > len(nodes)):
            lon, lat = roads.nodes[node] + rng.uniform(-120.0, 120.0, 2) / M_PER_DEGREE
            county = TOWNS[seat].code
            name = f"{prefix}{county}{len(found) + 1:03d}"
            found.append(Site(name, round(float(lon), 6), round(float(lat), 6), county))
    return tuple(found)


def _lamps(cabinet: Site) -> list[Site]:
    step = LAMP_EVERY_M / M_PER_DEGREE
    return [
        Site(f"{cabinet.id}-{n:03d}", round(cabinet.lon + n * step, 6), cabinet.lat, cabinet.county)
        for n in range(1, LAMPS_PER_CABINET + 1)
    ]


def _power_meters(sites: tuple[Site, ...]) -> tuple[Meter, ...]:
    return tuple(Meter(f"1405{n:08d}", 0, site) for n, site in enumerate(sites, 1))


def _pipe_meters(sites: tuple[Site, ...]) -> tuple[Meter, ...]:
    """Two of three measure water, the others heat and gas in turn."""
    types = (WATER_TYPE, WATER_TYPE, HEAT_TYPE, WATER_TYPE, WATER_TYPE, GAS_TYPE)
    return tuple(Meter(f"1405{n:010d}", types[n % len(types)], site) for n, site in enumerate(sites, 1))


def spoken_by(protocol: str, meters: tuple[Meter, ...]) -> tuple[Meter, ...]:
    """Give the electricity meters that speak a protocol: every third DL/T 698.45, the others DL/T 645."""
    return tuple(m for n, m in enumerate(meters) if (n % 3 == 2) == (protocol == DLT698))


def _links(roads: Roads, count: int, seed: int) -> tuple[Link, ...]:
    """Give stretches of road, a quarter of them trunk roads; in a small network fewer than asked for."""
    rng = np.random.default_rng([seed, 18])
    trunk = np.flatnonzero(roads.trunk)
    street = np.flatnonzero(~roads.trunk & (roads.town[roads.edge_from] == 0))
    chosen = [
        *rng.choice(trunk, min(count // 4, len(trunk)), replace=False),
        *rng.choice(street, min(count - count // 4, len(street)), replace=False),
    ]
    found = []
    for number, edge in enumerate(sorted(int(e) for e in chosen), 1):
        lon, lat, _ = roads.locate(np.array([edge]), roads.length[[edge]] * 0.8)
        county = TOWNS[int(roads.town[roads.edge_from[edge]])].code
        site = Site(f"TL{county}{number:03d}", round(float(lon[0]), 6), round(float(lat[0]), 6), county)
        found.append(Link(site, edge, roads.roads[edge // 2].zh, float(roads.length[edge]), bool(roads.trunk[edge])))
    return tuple(found)
