"""Positions: the 25 bytes of table 21, and the additional items behind them."""

from __future__ import annotations

from collections.abc import Mapping
from struct import Struct
from typing import Any

from connectors._api import bcd
from schemas.errors import Reject

FORM = Struct(">IIiiHB6s")
"""Alarm, status, latitude, longitude, speed, direction, time. The standard's unsigned coordinates never reach the top
bit; some terminals send two's complement instead of the hemisphere bits, which ``i`` reads."""
TIME = slice(19, 25)
DEGREE = 600_000
"""Units of a coordinate in a degree: 0.0001 minutes."""
NOT_FIXED, SOUTH, WEST = 1 << 0, 1 << 1, 1 << 2
"""Status bits (table 23). Bit 0 is set where there is no fix, the other way round than in JT/T 808."""
OCCUPIED = 1 << 9
ITEMS: Mapping[int, tuple[str, Struct]] = {
    0x01: ("mileage", Struct(">I")),
    0x02: ("fuel", Struct(">H")),
    0x03: ("altitude", Struct(">h")),
    0x14: ("forbidden_road_id", Struct(">I")),
}
"""Items that are one number: 0.1 km, 0.1 L, m, road id."""
RECORDS: Mapping[int, tuple[str, tuple[str, ...], Struct]] = {
    0x11: ("overspeed_place", ("area_type", "area_id"), Struct(">BI")),
    0x12: ("area_passage", ("area_type", "area_id", "direction"), Struct(">BIB")),
    0x13: ("segment_time", ("segment_id", "seconds", "result"), Struct(">IHB")),
}
"""Items of several fields; 0x11 has only the first where it is no area."""
ALARMS: Mapping[int, str] = {
    0: "emergency",
    1: "danger_warning",
    2: "gnss_fault",
    3: "antenna_open",
    4: "antenna_short",
    5: "low_voltage",
    6: "power_lost",
    7: "display_fault",
    8: "tts_fault",
    9: "camera_fault",
    10: "meter_fault",
    11: "evaluator_fault",
    12: "led_screen_fault",
    13: "lcd_screen_fault",
    14: "security_module_fault",
    15: "roof_light_fault",
    16: "overspeed",
    17: "fatigue",
    18: "daily_overtime",
    19: "parking_overtime",
    20: "area_in_out",
    21: "segment_time",
    22: "forbidden_road",
    23: "vss_fault",
    24: "illegal_ignition",
    25: "illegal_displacement",
    26: "storage_fault",
}
"""Codes of the alarm bits (table 22), those of JT/T 808 where the meaning is the same."""


class Position:
    """The codec of a position without items inside another message."""

    def read(self, body: bytes, at: int) -> tuple[dict[str, Any], int]:
        """Give the fields of 25 bytes."""
        return read_base(body, at), at + FORM.size

    def write(self, value: Mapping[str, Any]) -> bytes:
        """Give the 25 bytes."""
        return write(value)


def read(body: bytes, at: int = 0) -> dict[str, Any]:
    """Give the fields of a position and its items to the end of the body, in the units of the wire."""
    values = read_base(body, at)
    values["items"] = read_items(body, at + FORM.size)
    return values


def read_base(body: bytes, at: int) -> dict[str, Any]:
    """Give the fields of 25 bytes; fewer are a ``bad_length``."""
    if at + FORM.size > len(body):
        raise Reject("bad_length", f"position needs {FORM.size} bytes, there are {max(len(body) - at, 0)}")
    alarm, status, latitude, longitude, speed, direction, time = FORM.unpack_from(body, at)
    return {
        "alarm": alarm,
        "status": status,
        "latitude": latitude,
        "longitude": longitude,
        "speed": speed,
        "direction": direction,
        "time": bcd.time_text(time),
    }


def read_items(body: bytes, at: int) -> dict[str, Any]:
    """Give the items by name; what is unknown (0x0F and other vendors') or does not fit stays raw, as ``0x0F``."""
    items: dict[str, Any] = {}
    while at < len(body):
        stop = at + 2 + body[at + 1] if at + 2 <= len(body) else len(body) + 1
        if stop > len(body):
            items["rest"] = body[at:]
            break
        name, value = _item(body[at], body[at + 2 : stop])
        items[name if name not in items else f"{name}#{len(items)}"] = value
        at = stop
    return items


def _item(item: int, raw: bytes) -> tuple[str, Any]:
    number, record = ITEMS.get(item), RECORDS.get(item)
    if number and len(raw) == number[1].size:
        return number[0], number[1].unpack(raw)[0]
    if record and len(raw) == record[2].size:
        return record[0], dict(zip(record[1], record[2].unpack(raw), strict=True))
    if item == 0x11 and len(raw) == 1:
        return "overspeed_place", {"area_type": raw[0]}
    return f"0x{item:02X}", raw


def write(values: Mapping[str, Any]) -> bytes:
    """Give the body that ``read`` or ``read_base`` shows so."""
    base = [values[name] for name in ("alarm", "status", "latitude", "longitude", "speed", "direction")]
    return FORM.pack(*base, bcd.time_bytes(values["time"])) + write_items(values.get("items", {}))


def write_items(items: Mapping[str, Any]) -> bytes:
    """Give the bytes of the items that ``read_items`` shows so."""
    return b"".join(bytes(v) if name == "rest" else _item_bytes(name.partition("#")[0], v) for name, v in items.items())


def _item_bytes(name: str, value: Any) -> bytes:
    item, raw = int(name, 16) if name.startswith("0x") else 0, value
    for number, (known, form) in ITEMS.items():
        if known == name:
            item, raw = number, form.pack(value)
    for number, (known, fields, form) in RECORDS.items():
        if known == name:
            item, raw = number, form.pack(*map(value.get, fields)) if len(value) > 1 else bytes((value["area_type"],))
    if not item:
        msg = f"no item is called {name!r}"
        raise ValueError(msg)
    return bytes((item, len(raw))) + bytes(raw)


def point(values: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """Give longitude and latitude in degrees as the terminal means them; none without a fix or at 0, 0.

    A hemisphere bit makes its coordinate negative, and so does two's complement.
    """
    lon, lat, status = values["longitude"], values["latitude"], values["status"]
    if status & NOT_FIXED or (not lon and not lat):
        return None, None
    lat = -abs(lat) if status & SOUTH else lat
    lon = -abs(lon) if status & WEST else lon
    return lon / DEGREE, lat / DEGREE
