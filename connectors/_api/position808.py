"""The location body of JT/T 808-2019 (0x0200) as other standards carry it, and the names of its alarm bits."""

from __future__ import annotations

from collections.abc import Mapping
from struct import Struct
from typing import Any

from connectors._api import bcd
from schemas.errors import Reject

BASE = Struct(">IIiiHHH6s")
"""Alarm, status, latitude, longitude, altitude, speed, direction, time. Coordinates never reach the top bit; some
terminals send two's complement instead of the hemisphere bits, which ``i`` reads."""
SOUTH, WEST = 1 << 2, 1 << 3
"""Status bits of the southern and western hemisphere."""
MILEAGE, FUEL = 0x01, 0x02
ALARMS: Mapping[int, str] = {
    0: "emergency",
    1: "overspeed",
    2: "fatigue",
    3: "danger_warning",
    4: "gnss_fault",
    5: "antenna_open",
    6: "antenna_short",
    7: "low_voltage",
    8: "power_lost",
    9: "display_fault",
    10: "tts_fault",
    11: "camera_fault",
    12: "ic_card_fault",
    13: "overspeed_warning",
    14: "fatigue_warning",
    15: "illegal_driving",
    16: "tyre_pressure",
    17: "right_blind_spot",
    18: "daily_overtime",
    19: "parking_overtime",
    20: "area_in_out",
    21: "route_in_out",
    22: "segment_time",
    23: "off_route",
    24: "vss_fault",
    25: "fuel_abnormal",
    26: "stolen",
    27: "illegal_ignition",
    28: "illegal_displacement",
    29: "collision",
    30: "rollover",
    31: "illegal_door",
}
"""Codes of the alarm bits (JT/T 808 table 18)."""


def read(body: bytes) -> dict[str, Any]:
    """Give the fields: ``lon`` and ``lat`` in degrees, the rest in the units of the wire.

    ``items`` holds the additional items raw by id, ``mileage`` (0.1 km) and ``fuel`` (0.1 L) are read from them;
    a body under 28 bytes is a ``bad_length``, an item that ends after it is kept as ``rest``.
    """
    if len(body) < BASE.size:
        raise Reject("bad_length", f"location needs {BASE.size} bytes, there are {len(body)}")
    alarm, status, lat, lon, altitude, speed, direction, time = BASE.unpack_from(body)
    values: dict[str, Any] = {
        "alarm": alarm,
        "status": status,
        "lat": lat / 1e6,
        "lon": lon / 1e6,
        "altitude": altitude,
        "speed": speed,
        "direction": direction,
        "time": bcd.time_text(time),
    }
    items = read_items(body, BASE.size)
    if (mileage := items.get(f"0x{MILEAGE:02X}")) is not None:
        values["mileage"] = int.from_bytes(mileage)
    if (fuel := items.get(f"0x{FUEL:02X}")) is not None:
        values["fuel"] = int.from_bytes(fuel)
    values["items"] = items
    return values


def read_items(body: bytes, at: int) -> dict[str, bytes]:
    """Give the additional items (id, length, value) raw by id, such as ``0x01``; what is cut off is ``rest``."""
    items: dict[str, bytes] = {}
    while at < len(body):
        stop = at + 2 + body[at + 1] if at + 2 <= len(body) else len(body) + 1
        if stop > len(body):
            items["rest"] = body[at:]
            break
        items[f"0x{body[at]:02X}"] = body[at + 2 : stop]
        at = stop
    return items


def write(values: Mapping[str, Any]) -> bytes:
    """Give the body that ``read`` shows so."""
    base = BASE.pack(
        *(values["alarm"], values["status"], round(values["lat"] * 1e6), round(values["lon"] * 1e6)),
        *(values["altitude"], values["speed"], values["direction"], bcd.time_bytes(values["time"])),
    )
    return base + write_items(values.get("items", {}))


def write_items(items: Mapping[str, bytes]) -> bytes:
    """Give the bytes of the items that ``read_items`` shows so."""
    return b"".join(v if k == "rest" else bytes((int(k, 16), len(v))) + v for k, v in items.items())
