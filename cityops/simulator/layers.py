"""The simulated city as reference layers: its roads, bus lines and stops, forbidden areas, and where fixed devices stand."""

from __future__ import annotations

import numpy as np
import shapely

from cityops.simulator.estate import Estate, estate
from cityops.simulator.fleet import Fleet
from cityops.simulator.lines import Lines
from cityops.simulator.nogo import no_go
from cityops.simulator.places import TOWNS
from cityops.simulator.roads import Floats, Roads, build
from cityops.simulator.world import Size
from schemas.kinds import all_kinds
from storage.layers import BusLineAttributes, BusStopAttributes, Feature, FenceAttributes, RoadAttributes, SourceAttributes


def layers(size: Size, seed: int) -> dict[str, list[Feature]]:
    """Give the features of each layer; a pure function of the city's size and seed."""
    roads = build(seed)
    lines = Fleet(roads, size.vehicles, seed, 0).lines
    return {
        "roads": _roads(roads),
        "bus_lines": [_line(roads, lines, n) for n in range(len(lines.total))],
        "bus_stops": [stop for n in range(len(lines.total)) for stop in _stops(roads, lines, n)],
        "geofences": [
            Feature(a.id, FenceAttributes(zh=a.zh, en=a.en, restriction="no_entry", kinds="hazmat_position"), a.outline)
            for a in no_go(roads)
        ],
        "sources": _sources(estate(size.fixed, seed)),
    }


def _roads(roads: Roads) -> list[Feature]:
    """Give a feature for each trunk road and for each street of a town."""
    parts: dict[tuple[str, str, bool], list[Floats]] = {}
    for road in roads.roads:
        town = TOWNS[int(roads.town[road.a])]
        name = (road.zh, road.en) if road.trunk else (f"{town.zh}{road.zh}", f"{road.en}, {town.en}")
        parts.setdefault((*name, road.trunk), []).append(road.points)
    return [
        Feature(
            zh,
            RoadAttributes(zh=zh, en=en, grade="class_2" if trunk else "arterial", limit_kmh=80 if trunk else 60),
            shapely.MultiLineString(courses),
        )
        for (zh, en, trunk), courses in parts.items()
    ]


def _line(roads: Roads, lines: Lines, number: int) -> Feature:
    edges = lines.edges[number, : lines.count[number]]
    course = np.concatenate([roads.points[roads.first[e] : roads.first[e + 1]] for e in edges])
    name = str(number + 1)
    return Feature(name, BusLineAttributes(zh=f"{name}路", en=f"Line {name}", line=name), shapely.LineString(course))


def _stops(roads: Roads, lines: Lines, number: int) -> list[Feature]:
    """Give the stops of a line, numbered as its buses tell them."""
    along = np.arange(round(lines.total[number] / lines.spacing[number])) * lines.spacing[number]
    place = np.searchsorted(lines.begin[number, : lines.count[number]], along, "right") - 1
    lon, lat, _ = roads.locate(lines.edges[number, place], along - lines.begin[number, place])
    name = str(number + 1)
    return [
        Feature(
            f"{number + 1:03d}{n:03d}",
            BusStopAttributes(zh=f"{name}路{n + 1}站", en=f"Stop {n + 1} of line {name}", lines=name),
            shapely.Point(x, y),
        )
        for n, (x, y) in enumerate(zip(lon.tolist(), lat.tolist(), strict=True))
    ]


def _sources(fixed: Estate) -> list[Feature]:
    """Give the fixed devices, each once: a stretch of road is the source of two kinds."""
    found: dict[str, Feature] = {}
    for kind, sites in (*fixed.sites.items(), ("water_node", (*fixed.hydrants, *fixed.pumps))):
        zh, en = all_kinds()[kind].labels if kind in all_kinds() else ("路灯控制柜", "Streetlight cabinet")
        for site in sites:
            registered = SourceAttributes(zh=f"{zh} {site.id}", en=f"{en} {site.id}")
            found.setdefault(site.id, Feature(site.id, registered, shapely.Point(site.lon, site.lat)))
    return list(found.values())
