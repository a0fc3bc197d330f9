"""The table of measurement sites: which lane, vehicles and period an index stands for, and where a site is."""

from __future__ import annotations

import re
from functools import lru_cache
from math import isfinite
from typing import Any, Final, NamedTuple

from connectors.datex2.document import Shown, get, many, number
from schemas.errors import Reject

MOST: Final = 200_000
"""Sites whose table is remembered."""
INDEXES: Final = 512
"""Indexes one site may have."""
ANY: Final = "anyVehicle"
WHOLE: Final = frozenset({"", "allLanesCompleteCarriageway", "allLanes"})
LANE: Final = re.compile(r"lane([1-9]\d?)")
HIGHEST: Final = 32


class Index(NamedTuple):
    """What one index measures: ``lane`` 0 is the whole section, ``None`` a lane without a number (hard shoulder, bus lane)."""

    lane: int | None
    named: str
    any_vehicle: bool
    period: int | None
    type: str


class Site(NamedTuple):
    """One measurement site; coordinates are WGS-84 degrees, ``length`` is in metres."""

    indexes: dict[int, Index]
    lon: float | None
    lat: float | None
    length: float | None
    road: str | None


def site_of(record: Shown) -> tuple[str, Site]:
    """Give id and site of a ``measurementSiteRecord`` (version 2) or ``measurementSite`` (version 3)."""
    name = get(record, "id")
    if not isinstance(name, str) or not name:
        raise Reject("missing_field", "a measurement site has no id")
    indexes = {}
    for row in many(record.get("measurement_specific_characteristics"))[:INDEXES]:
        key = number(get(row, "index"))
        if key is not None:
            indexes[int(key)] = index_of(get(row, "measurement_specific_characteristics") or row)
    location = get(record, "measurement_site_location")
    lon, lat = place_of(location)
    length = first(location, ("length_affected",))
    road = first(location, ("road_number", "road_name"))
    return name, Site(indexes, lon, lat, metres(length), road[:128] if isinstance(road, str) and road else None)


def index_of(fields: Shown) -> Index:
    """Give what an index measures, from its characteristics."""
    lane, named = lane_of(get(fields, "specific_lane"))
    period = number(get(fields, "period"))
    kind = get(fields, "specific_measurement_value_type")
    return _same(
        lane,
        named,
        is_any(get(fields, "specific_vehicle_characteristics")),
        int(period) if period is not None and 0 <= period <= 86_400 else None,
        str(kind)[:64] if kind is not None else "",
    )


def lane_of(shown: Shown) -> tuple[int | None, str]:
    """Give number and name of a lane: ``lane2`` is 2; version 3 has ``laneNumber`` and ``laneUsage`` instead."""
    if isinstance(shown, list):
        return (lane_of(shown[0])) if len(shown) == 1 else (None, "several lanes")
    if isinstance(shown, dict):
        numbered = number(shown.get("lane_number"))
        if numbered is not None and 0 <= numbered <= HIGHEST:
            return int(numbered), ""
        shown = shown.get("lane_usage")
    text = "" if shown is None else str(shown)
    if text in WHOLE:
        return 0, ""
    found = LANE.fullmatch(text)
    return (int(found[1]), "") if found and int(found[1]) <= HIGHEST else (None, text[:64])


def is_any(vehicles: Shown) -> bool:
    """Tell whether vehicle characteristics, or their absence, mean every vehicle."""
    if isinstance(vehicles, list):
        return all(map(is_any, vehicles))
    if isinstance(vehicles, dict):
        return all(key == "vehicle_type" and is_any(value) for key, value in vehicles.items())
    return vehicles in (None, "", ANY)


def place_of(location: Shown) -> tuple[float | None, float | None]:
    """Give longitude and latitude: those for display, else the first there are."""
    for inside in ("location_for_display", "coordinates_for_display"):
        point = first(location, (inside,))
        if point is not None:
            location = point
            break
    lon, lat = number(first(location, ("longitude",))), number(first(location, ("latitude",)))
    if lon is None or lat is None or not (-180 <= lon <= 180 and -90 <= lat <= 90) or (lon, lat) == (0, 0):
        return None, None
    return lon, lat


def first(shown: Shown, names: tuple[str, ...]) -> Any:
    """Give the first element of one of these names, at any depth; ``None`` where there is none."""
    waiting = [shown]
    while waiting:
        here = waiting.pop()
        if isinstance(here, dict):
            for name in names:
                if name in here:
                    return here[name]
            waiting += reversed(here.values())
        elif isinstance(here, list):
            waiting += reversed(here)
    return None


def metres(value: Any) -> float | None:
    """Give a length that can be one."""
    found = number(value)
    return found if found is not None and isfinite(found) and 0 < found <= 1e6 else None


@lru_cache(8192)
def _same(lane: int | None, named: str, any_vehicle: bool, period: int | None, type: str) -> Index:
    """Give one object for equal indexes: a city's table has a million of them."""
    return Index(lane, named, any_vehicle, period, type)
