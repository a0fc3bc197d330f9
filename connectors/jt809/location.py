"""Vehicle locations (GNSS_DATA): 36 bytes of their own in 2011, a JT/T 808-2019 location body in 2019."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from struct import Struct
from typing import Any

from connectors._api import bcd, position808
from connectors._api.layouts import Stretch, from_text, padded_text
from schemas.errors import Reject

FORM_2011 = Struct(">BBBHBBBiiHHIHHII")
"""Encrypt, day, month, year, hour, minute, second, longitude, latitude, VEC1, VEC2, VEC3, direction, altitude, state, alarm."""
NAMES_2011 = (
    "encrypt",
    "day",
    "month",
    "year",
    "hour",
    "minute",
    "second",
    "lon",
    "lat",
    "vec1",
    "vec2",
    "vec3",
    "direction",
    "altitude",
    "state",
    "alarm",
)
HEAD_2019 = Struct(">BI")
ALARMS_2019 = Struct(">11sI11sI11sI")
HOURS_KEPT = 4096

_hours: dict[tuple[int, int, int, int], int] = {}


@lru_cache(maxsize=4096)
def platform_text(raw: bytes) -> str:
    """Give a platform's number, which some send as text and some as one binary integer."""
    shown = raw.strip(b"\0")
    if all(0x20 <= b < 0x7F for b in shown):
        return padded_text(raw)
    return str(int.from_bytes(raw))


def platform_bytes(value: str) -> bytes:
    """Give the eleven bytes of a platform's number as text."""
    return from_text(value)


PLATFORM = Stretch(11, None, platform_text, platform_bytes)


class Gnss2011:
    """The codec of the 36 bytes of 2011."""

    def read(self, body: bytes, at: int) -> tuple[dict[str, Any], int]:
        """Give the fields: ``lon`` and ``lat`` in degrees, the rest in the units of the wire."""
        end = at + FORM_2011.size
        if end > len(body):
            raise Reject("bad_length", f"location needs {FORM_2011.size} bytes, there are {len(body) - at}")
        values: dict[str, Any] = dict(zip(NAMES_2011, FORM_2011.unpack_from(body, at), strict=True))
        values["lon"] /= 1e6
        values["lat"] /= 1e6
        return values, end

    def write(self, value: Mapping[str, Any]) -> bytes:
        """Give the 36 bytes."""
        raw = {**value, "lon": round(value["lon"] * 1e6), "lat": round(value["lat"] * 1e6)}
        return FORM_2011.pack(*(raw[name] for name in NAMES_2011))


class Gnss2019:
    """The codec of the form of 2019: a location body with its length, then the alarms of up to three platforms."""

    def read(self, body: bytes, at: int) -> tuple[dict[str, Any], int]:
        """Give the fields; the three platforms may be missing where the body ends before them."""
        start = at + HEAD_2019.size
        if start > len(body):
            raise Reject("bad_length", f"location needs {HEAD_2019.size} bytes, there are {len(body) - at}")
        encrypt, length = HEAD_2019.unpack_from(body, at)
        stop = start + length
        if stop > len(body):
            raise Reject("bad_length", f"location of {length} bytes ends after the body")
        values = {"encrypt": encrypt, "gnss_data_length": length, **position808.read(body[start:stop])}
        if stop == len(body):
            return values, stop
        if stop + ALARMS_2019.size > len(body):
            raise Reject("bad_length", f"the platforms' alarms need {ALARMS_2019.size} bytes, there are {len(body) - stop}")
        id1, alarm1, id2, alarm2, id3, alarm3 = ALARMS_2019.unpack_from(body, stop)
        values["platform_id1"], values["alarm1"] = platform_text(id1), alarm1
        values["platform_id2"], values["alarm2"] = platform_text(id2), alarm2
        values["platform_id3"], values["alarm3"] = platform_text(id3), alarm3
        return values, stop + ALARMS_2019.size

    def write(self, value: Mapping[str, Any]) -> bytes:
        """Give the bytes."""
        inner = position808.write(value)
        platforms = b"".join(
            PLATFORM.write(value.get(f"platform_id{n}", "")) + int(value.get(f"alarm{n}", 0)).to_bytes(4) for n in (1, 2, 3)
        )
        return HEAD_2019.pack(value["encrypt"], len(inner)) + inner + platforms


GNSS_2011, GNSS_2019 = Gnss2011(), Gnss2019()


def read(data: bytes) -> dict[str, Any]:
    """Give the one location that ``data`` holds; its length tells the edition. Bytes behind it stay raw as ``rest``."""
    codec = GNSS_2011 if len(data) == FORM_2011.size else GNSS_2019
    values, end = codec.read(data, 0)
    if end < len(data):
        values["rest"] = data[end:]
    return values


def write(values: Mapping[str, Any]) -> bytes:
    """Give the bytes that ``read`` shows so."""
    codec = GNSS_2011 if "vec1" in values else GNSS_2019
    return codec.write(values) + bytes(values.get("rest", b""))


def instant(values: Mapping[str, Any], offset_us: int) -> int:
    """Give the µs UTC of a location's local time; a time no calendar has is a ``bad_field``."""
    if "time" in values:
        return bcd.text_instant(values["time"], offset_us)
    key = values["year"], values["month"], values["day"], values["hour"]
    hour = _hours.get(key)
    if hour is None:
        hour = _hour(*key)
    minute, second = values["minute"], values["second"]
    if minute > 59 or second > 59:
        raise Reject("bad_field", f"time {minute}:{second} is none")
    ts: int = hour + (minute * 60 + second) * 1_000_000 - offset_us
    return ts


def _hour(year: int, month: int, day: int, hour: int) -> int:
    try:
        start = datetime(year, month, day, hour, tzinfo=UTC)
    except ValueError as error:
        raise Reject("bad_field", f"date {year}-{month}-{day} {hour} h is none") from error
    if len(_hours) >= HOURS_KEPT:
        _hours.clear()
    return _hours.setdefault((year, month, day, hour), (start - bcd.EPOCH) // timedelta(microseconds=1))


def motion(values: Mapping[str, Any]) -> dict[str, Any]:
    """Give what a location says in the terms of the mapping, equal for both editions: km/h, km, L, 808's status bits."""
    if "vec1" in values:
        return {
            "speed": values["vec1"],
            "direction": values["direction"],
            "altitude": values["altitude"],
            "mileage": values["vec3"],
            "alarm": values["alarm"],
            "status": values["state"],
        }
    mileage, fuel = values.get("mileage"), values.get("fuel")
    return {
        "speed": values["speed"] / 10,
        "direction": values["direction"],
        "altitude": values["altitude"],
        "mileage": None if mileage is None else mileage / 10,
        "fuel": None if fuel is None else fuel / 10,
        "alarm": values["alarm"],
        "status": values["status"],
    }


def point(values: Mapping[str, Any], status: int) -> tuple[float | None, float | None]:
    """Give longitude and latitude in degrees as sent; the point 0, 0 means there is none.

    A hemisphere bit of the status makes its coordinate negative, and so does two's complement.
    """
    lon, lat = values["lon"], values["lat"]
    if not lon and not lat:
        return None, None
    if status & position808.SOUTH:
        lat = -abs(lat)
    if status & position808.WEST:
        lon = -abs(lon)
    return lon, lat
