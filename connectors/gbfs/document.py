"""A GBFS document as JSON: which feed it is, its times, texts and fields, across versions 1.0 to 3.0."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from math import isfinite
from typing import Any, Final

import msgspec

from schemas.errors import Reject

Fields = dict[str, Any]

BY_KEY: Final[Mapping[str, str]] = {
    "feeds": "gbfs",
    "bikes": "free_bike_status",
    "vehicles": "vehicle_status",
    "versions": "gbfs_versions",
    "datasets": "manifest",
    "vehicle_types": "vehicle_types",
    "plans": "system_pricing_plans",
    "regions": "system_regions",
    "alerts": "system_alerts",
    "calendars": "system_calendar",
    "rental_hours": "system_hours",
    "geofencing_zones": "geofencing_zones",
    "system_id": "system_information",
}
"""Feed by a field that only its ``data`` has."""
STATUS: Final = ("num_bikes_available", "num_vehicles_available", "is_renting", "last_reported")
"""Fields of a station that only ``station_status`` has."""
SINCE_3: Final[Mapping[str, str]] = {
    "num_vehicles_available": "num_bikes_available",
    "num_vehicles_disabled": "num_bikes_disabled",
    "vehicle_id": "bike_id",
}
"""Names of version 3.0 and what 2.3 calls the same."""
LAST: Final = 253_402_300_799
"""The last second of the year 9999; greater numbers are milliseconds sent by mistake."""


def read(body: bytes) -> Fields:
    """Give the document; anything but a JSON object with an object ``data`` is refused."""
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Reject("bad_frame", f"not JSON: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("data"), dict):
        raise Reject("bad_frame", "not a GBFS document: it has no object 'data'")
    return document


def feed_of(document: Fields, origin: str) -> str:
    """Name the feed by what the document holds, or by the end of its address where it holds nothing telling."""
    body: Fields = document["data"]
    name = origin.rsplit("/", 1)[-1].split("?", 1)[0].removesuffix(".json")
    if "stations" in body:
        rows = body["stations"]
        first = rows[0] if isinstance(rows, list) and rows else None
        if isinstance(first, dict):
            return "station_status" if any(key in first for key in STATUS) else "station_information"
        return "station_status" if name.startswith("station_status") else "station_information"
    for key, feed in BY_KEY.items():
        if key in body:
            return feed
    if body and all(isinstance(part, dict) and "feeds" in part for part in body.values()):
        return "gbfs"
    return name if name in {*BY_KEY.values(), "station_information", "station_status"} else "other"


def rows_of(document: Fields, key: str) -> list[Any]:
    """Give a list of ``data``; something else in its place is refused."""
    rows = document["data"].get(key)
    if not isinstance(rows, list):
        raise Reject("bad_field", f"data.{key} is no list")
    return rows


def time_of(value: Any) -> int | None:
    """Give POSIX seconds or an RFC 3339 time as microseconds UTC, ``None`` where absent or 0; others are refused."""
    if value is None or value == 0:
        return None
    try:
        if isinstance(value, str) and not value.isdecimal():
            moment = datetime.fromisoformat(value)
            if moment.tzinfo is None:
                raise Reject("bad_field", f"time {value!r} has no offset")
            return round(moment.timestamp() * 1_000_000)
        seconds = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else -1.0
        if 0 < seconds <= LAST:
            return round(seconds * 1_000_000)
    except (ValueError, OverflowError) as error:
        raise Reject("bad_field", f"{str(value)[:40]!r} is no time") from error
    raise Reject("bad_field", f"{str(value)[:40]!r} is no time in POSIX seconds or RFC 3339")


def text_of(value: Any, language: str) -> str | None:
    """Give a text: plain before 3.0, one per language since; the preferred language, English, or the first."""
    if isinstance(value, str) or value is None:
        return value
    if not isinstance(value, list):
        raise Reject("bad_field", f"{str(value)[:40]!r} is no text")
    texts = {str(v.get("language", "")): v.get("text") for v in value if isinstance(v, dict)}
    chosen = texts.get(choose(texts, language))
    return chosen if isinstance(chosen, str) else None


def choose(offered: Mapping[str, Any], language: str) -> str:
    """Give which of the offered languages to take; ``zh`` also takes ``zh-CN``, and ``zh-CN`` takes ``zh``."""
    short = language.split("-", maxsplit=1)[0].lower()
    for wanted in (language.lower(), short):
        for name in offered:
            if name.lower() == wanted or name.lower().startswith(f"{wanted}-"):
                return name
    return "en" if "en" in offered else next(iter(offered), "")


def _text(value: Any) -> str:
    """Give an identifier; numbers are taken as text, for feeds that forget the quotes."""
    if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
        return str(value)
    raise TypeError


def _whole(value: Any) -> int:
    if isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value) and value == int(value):
        return int(value)
    raise TypeError


def _real(value: Any) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value):
        return float(value)
    raise TypeError


def _truth(value: Any) -> bool:
    if isinstance(value, bool) or value in (0, 1):
        return bool(value)
    raise TypeError


TYPES: Final[Mapping[str, Callable[[Any], Any]]] = {
    "station_id": _text,
    "bike_id": _text,
    "vehicle_type_id": _text,
    "lon": _real,
    "lat": _real,
    "current_range_meters": _real,
    "capacity": _whole,
    "num_bikes_available": _whole,
    "num_bikes_disabled": _whole,
    "num_docks_available": _whole,
    "num_docks_disabled": _whole,
    "is_renting": _truth,
    "is_returning": _truth,
    "is_reserved": _truth,
    "is_disabled": _truth,
}
"""How each field that is read is checked."""


def fields(row: Any) -> Fields:
    """Give a row's fields that are read here, under their names of 2.3; a field of another type is refused."""
    if not isinstance(row, dict):
        raise Reject("bad_field", f"{str(row)[:40]!r} is no object")
    found: Fields = {}
    for key, value in row.items():
        name = SINCE_3.get(key, key)
        check = TYPES.get(name)
        if check is None or value is None:
            continue
        try:
            found[name] = check(value)
        except (TypeError, ValueError, OverflowError) as error:
            raise Reject("bad_field", f"{key} = {repr(value)[:40]}") from error
    return found
