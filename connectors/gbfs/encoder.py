"""GBFS 2.3 and 3.0 documents built from stations and vehicles, for tests and the simulator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

Version = Literal["2.3", "3.0"]
Document = dict[str, Any]
"""One GBFS document, ready for a JSON encoder."""

FEEDS: Mapping[str, tuple[str, ...]] = {
    "2.3": ("system_information", "vehicle_types", "station_information", "station_status", "free_bike_status"),
    "3.0": ("system_information", "vehicle_types", "station_information", "station_status", "vehicle_status"),
}
"""Feeds a discovery document lists unless told otherwise."""
BICYCLE = "bicycle"
"""The one vehicle type of these documents."""


class Station(msgspec.Struct, frozen=True, kw_only=True):
    """A docking station as both its feeds describe it; ``reported`` is in microseconds UTC."""

    station_id: str
    name: str
    lon: float
    lat: float
    capacity: int
    bikes: int
    docks: int
    reported: int
    bikes_disabled: int = 0
    docks_disabled: int = 0
    is_renting: bool = True
    is_returning: bool = True


class Vehicle(msgspec.Struct, frozen=True, kw_only=True):
    """A vehicle outside a trip; ``reported`` is in microseconds UTC, ``range`` in metres."""

    vehicle_id: str
    reported: int
    lon: float | None = None
    lat: float | None = None
    station: str | None = None
    range: float | None = None
    is_reserved: bool = False
    is_disabled: bool = False


def discovery(
    base_url: str,
    version: Version = "2.3",
    ttl: int = 60,
    *,
    updated: int = 0,
    language: str = "zh",
    feeds: Sequence[str] | None = None,
) -> Document:
    """Give ``gbfs.json``: each feed lies at ``<base_url>/<feed>.json``; ``updated`` is in microseconds UTC."""
    listed = [{"name": name, "url": f"{base_url.rstrip('/')}/{name}.json"} for name in feeds or FEEDS[version]]
    body: Document = {"feeds": listed} if version == "3.0" else {language: {"feeds": listed}}
    return _document(version, updated, ttl, body)


def station_information(
    stations: Sequence[Station], version: Version = "2.3", ttl: int = 3600, *, updated: int = 0, language: str = "zh"
) -> Document:
    """Give what does not change about stations: name, place, capacity."""
    rows = [
        {
            "station_id": s.station_id,
            "name": _text(s.name, version, language),
            "lat": s.lat,
            "lon": s.lon,
            "capacity": s.capacity,
        }
        for s in stations
    ]
    return _document(version, updated, ttl, {"stations": rows})


def station_status(stations: Sequence[Station], version: Version = "2.3", ttl: int = 10, *, updated: int = 0) -> Document:
    """Give what stations hold now."""
    noun = "vehicles" if version == "3.0" else "bikes"
    rows = [
        {
            "station_id": s.station_id,
            f"num_{noun}_available": s.bikes,
            f"num_{noun}_disabled": s.bikes_disabled,
            "num_docks_available": s.docks,
            "num_docks_disabled": s.docks_disabled,
            "is_installed": True,
            "is_renting": s.is_renting,
            "is_returning": s.is_returning,
            "last_reported": _time(s.reported, version),
            "vehicle_types_available": [{"vehicle_type_id": BICYCLE, "count": s.bikes}],
        }
        for s in stations
    ]
    return _document(version, updated, ttl, {"stations": rows})


def vehicle_status(vehicles: Sequence[Vehicle], version: Version = "2.3", ttl: int = 10, *, updated: int = 0) -> Document:
    """Give ``vehicle_status`` of 3.0, which 2.3 calls ``free_bike_status``."""
    return _document(
        version,
        updated,
        ttl,
        {"vehicles" if version == "3.0" else "bikes": [_vehicle(v, version) for v in vehicles]},
    )


def vehicle_types(version: Version = "2.3", ttl: int = 86_400, *, updated: int = 0) -> Document:
    """Give the vehicle types: plain bicycles."""
    row = {"vehicle_type_id": BICYCLE, "form_factor": "bicycle", "propulsion_type": "human"}
    return _document(version, updated, ttl, {"vehicle_types": [row]})


def system_information(
    system_id: str, name: str, version: Version = "2.3", ttl: int = 86_400, *, updated: int = 0, language: str = "zh"
) -> Document:
    """Give who runs the system."""
    body: Document = {"system_id": system_id, "name": _text(name, version, language), "timezone": "Asia/Shanghai"}
    if version == "3.0":
        contact = {"opening_hours": "24/7", "feed_contact_email": f"feeds@{system_id}.example"}
        return _document(version, updated, ttl, {**body, **contact, "languages": [language]})
    return _document(version, updated, ttl, {**body, "language": language})


def _vehicle(vehicle: Vehicle, version: Version) -> Document:
    row: Document = {
        "vehicle_id" if version == "3.0" else "bike_id": vehicle.vehicle_id,
        "lat": vehicle.lat,
        "lon": vehicle.lon,
        "station_id": vehicle.station,
        "is_reserved": vehicle.is_reserved,
        "is_disabled": vehicle.is_disabled,
        "vehicle_type_id": BICYCLE,
        "current_range_meters": vehicle.range,
        "last_reported": _time(vehicle.reported, version),
    }
    return {key: value for key, value in row.items() if value is not None}


def _document(version: Version, updated: int, ttl: int, body: Document) -> Document:
    return {"last_updated": _time(updated, version), "ttl": ttl, "version": version, "data": body}


def _time(ts: int, version: Version) -> int | str:
    """Give microseconds UTC as POSIX seconds (2.3) or RFC 3339 (3.0)."""
    seconds = ts // 1_000_000
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if version == "3.0" else seconds


def _text(text: str, version: Version, language: str) -> str | list[dict[str, str]]:
    return [{"text": text, "language": language}] if version == "3.0" else text
