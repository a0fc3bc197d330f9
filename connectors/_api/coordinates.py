"""Coordinates to WGS-84: GCJ-02, BD-09 and CGCS2000, as Chinese feeds send them.

CGCS2000 and WGS-84 differ by centimetres and are taken as equal. GCJ-02 has no published inverse;
the inverse here iterates the known forward offset until it is below 1e-9 degrees. From BD-09 it takes one step,
as every published conversion does: results are then the same as elsewhere, and within a metre of the iterated ones.
"""

from __future__ import annotations

from math import atan2, cos, pi, sin, sqrt
from typing import Literal

Crs = Literal["wgs84", "gcj02", "bd09", "cgcs2000"]
Point = tuple[float, float]
"""Longitude, latitude in degrees."""

AXIS = 6378245.0
"""Semi-major axis of the Krasovsky 1940 ellipsoid, m."""
ECCENTRICITY2 = 0.00669342162296594323
BD_PI = pi * 3000.0 / 180.0


def to_wgs84(lon: float, lat: float, crs: Crs) -> Point:
    """Give a point of the named system in WGS-84."""
    if crs == "gcj02":
        return gcj02_to_wgs84(lon, lat)
    if crs == "bd09":
        return gcj02_to_wgs84(*bd09_to_gcj02(lon, lat), steps=1)
    return lon, lat


def wgs84_to_gcj02(lon: float, lat: float) -> Point:
    """Give a WGS-84 point in GCJ-02; outside mainland China they are the same."""
    if not inside_china(lon, lat):
        return lon, lat
    dlon, dlat = _offset(lon, lat)
    return lon + dlon, lat + dlat


def gcj02_to_wgs84(lon: float, lat: float, steps: int = 10) -> Point:
    """Give a GCJ-02 point in WGS-84, found in at most so many steps."""
    if not inside_china(lon, lat):
        return lon, lat
    wlon, wlat = lon, lat
    for _ in range(steps):
        glon, glat = wgs84_to_gcj02(wlon, wlat)
        dlon, dlat = glon - lon, glat - lat
        wlon, wlat = wlon - dlon, wlat - dlat
        if abs(dlon) < 1e-9 and abs(dlat) < 1e-9:
            break
    return wlon, wlat


def gcj02_to_bd09(lon: float, lat: float) -> Point:
    """Give a GCJ-02 point in BD-09."""
    z = sqrt(lon * lon + lat * lat) + 0.00002 * sin(lat * BD_PI)
    theta = atan2(lat, lon) + 0.000003 * cos(lon * BD_PI)
    return z * cos(theta) + 0.0065, z * sin(theta) + 0.006


def bd09_to_gcj02(lon: float, lat: float) -> Point:
    """Give a BD-09 point in GCJ-02."""
    x, y = lon - 0.0065, lat - 0.006
    z = sqrt(x * x + y * y) - 0.00002 * sin(y * BD_PI)
    theta = atan2(y, x) - 0.000003 * cos(x * BD_PI)
    return z * cos(theta), z * sin(theta)


def inside_china(lon: float, lat: float) -> bool:
    """Tell whether GCJ-02 applies: the rectangle its offset is defined on."""
    return 72.004 < lon < 137.8347 and 0.8293 < lat < 55.8271


def _offset(lon: float, lat: float) -> Point:
    x, y = lon - 105.0, lat - 35.0
    wave = (20.0 * sin(6.0 * x * pi) + 20.0 * sin(2.0 * x * pi)) * 2.0 / 3.0
    dlat = -100.0 + 2.0 * x + 3.0 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * sqrt(abs(x)) + wave
    dlat += (20.0 * sin(y * pi) + 40.0 * sin(y / 3.0 * pi)) * 2.0 / 3.0
    dlat += (160.0 * sin(y / 12.0 * pi) + 320.0 * sin(y * pi / 30.0)) * 2.0 / 3.0
    dlon = 300.0 + x + 2.0 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * sqrt(abs(x)) + wave
    dlon += (20.0 * sin(x * pi) + 40.0 * sin(x / 3.0 * pi)) * 2.0 / 3.0
    dlon += (150.0 * sin(x / 12.0 * pi) + 300.0 * sin(x / 30.0 * pi)) * 2.0 / 3.0
    radians = lat / 180.0 * pi
    magic = 1 - ECCENTRICITY2 * sin(radians) ** 2
    root = sqrt(magic)
    dlat = dlat * 180.0 / (AXIS * (1 - ECCENTRICITY2) / (magic * root) * pi)
    dlon = dlon * 180.0 / (AXIS / root * cos(radians) * pi)
    return dlon, dlat
