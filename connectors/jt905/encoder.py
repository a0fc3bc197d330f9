"""Messages built from their fields: what the centre replies and orders, and all that a terminal sends.

Every function gives a complete frame, escaped and flagged. A value a field cannot hold raises ``ValueError``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from connectors._api import bcd
from connectors._api.flagged import frame
from connectors.jt905 import messages, position
from connectors.jt905.header import Header, build

FEN, METRES = 10, 100
"""In 0.1 yuan, in 0.1 km."""


def message(message_id: int, isu: str, serial: int, fields: Mapping[str, Any] | None = None) -> bytes:
    """Give the frame of a message with the fields ``decode`` shows."""
    return frame(build(message_id, bcd.from_digits(isu, 6), serial, messages.write(message_id, fields or {})))


def general_ack(to: Header, serial: int, result: int) -> bytes:
    """General reply of the centre, 0x8001: 0 done, 1 failed, 2 message wrong."""
    body = to.serial.to_bytes(2) + to.message_id.to_bytes(2) + bytes((result,))
    return frame(build(0x8001, to.isu_bcd, serial, body))


def heartbeat(isu: str, serial: int) -> bytes:
    """Heartbeat, 0x0002."""
    return message(0x0002, isu, serial)


def location(isu: str, serial: int, *, mileage: float | None = None, **fields: Any) -> bytes:
    """Location report, 0x0200; ``fields`` as in ``position_fields``, ``mileage`` m."""
    items = {} if mileage is None else {"mileage": round(mileage / METRES)}
    return message(0x0200, isu, serial, {**position_fields(**fields), "items": items})


def position_fields(
    *,
    ts: int,
    lat: float,
    lon: float,
    occupied: bool = False,
    alarm: int = 0,
    status: int = 1 << 8,
    speed: float = 0.0,
    direction: float = 0.0,
) -> dict[str, Any]:
    """Give a position's fields from SI values: ``ts`` µs UTC, degrees WGS-84, m/s, degrees.

    ``status`` (default: ACC on) gets its hemisphere bits from the signs and its bit 9 from ``occupied``.
    """
    status &= ~(position.SOUTH | position.WEST | position.OCCUPIED)
    status |= (position.SOUTH if lat < 0 else 0) | (position.WEST if lon < 0 else 0) | (position.OCCUPIED if occupied else 0)
    return {
        "alarm": alarm,
        "status": status,
        "latitude": round(abs(lat) * position.DEGREE),
        "longitude": round(abs(lon) * position.DEGREE),
        "speed": round(speed * 36),
        "direction": round(direction % 360 / 2) % 180,
        "time": bcd.time_text(bcd.from_instant(ts)),
    }


def sign_in(isu: str, serial: int, place: Mapping[str, Any], *, company: str, certificate: str, plate: str) -> bytes:
    """Sign-in of a driver, 0x0B03; ``place`` from ``position_fields``, ``plate`` without the province's character."""
    fields = {"business_license_number": company, "qualification_code": certificate, "plate_no": plate}
    return message(0x0B03, isu, serial, {"position": place, **fields, "up_time": place["time"][:16]})


def sign_out(isu: str, serial: int, place: Mapping[str, Any], *, company: str, certificate: str, plate: str, began: str) -> bytes:
    """Sign-out of a driver, 0x0B04; ``began`` is ``YYYY-MM-DD hh:mm``, the shift's sums are zero."""
    fields = {"business_license_number": company, "qualification_code": certificate, "plate_no": plate}
    sums = dict.fromkeys(
        ("k_value", "mileage", "operating_mileage", "trips", "total_amount", "card_amount", "card_trips", "between_mileage"), 0
    )
    totals = {"timed": "0", **dict.fromkeys(("total_mileage", "total_operating_mileage", "unit_price", "total_trips"), 0)}
    shift = {"up_time": began, "down_time": place["time"][:16]}
    return message(0x0B04, isu, serial, {"position": place, **fields, **shift, **sums, **totals})


class Meter(msgspec.Struct, frozen=True, kw_only=True):
    """What the meter recorded of a trip: money in fen, distances in m."""

    plate: str
    """Without the province's character."""
    fare: int
    distance: float
    certificate: str = ""
    company: str = ""
    empty_distance: float = 0.0
    surcharge: int = 0
    waiting_minutes: int = 0
    pay_type: int = 0
    trip_no: int = 0


def trip(
    isu: str, serial: int, up: Mapping[str, Any], down: Mapping[str, Any], operation_id: int, meter: Meter, order_id: int = 0
) -> bytes:
    """Metered trip, 0x0B05: ``up`` and ``down`` from ``position_fields``."""
    began, ended = (bcd.time_bytes(place["time"]).hex() for place in (up, down))
    record = {
        "plate_no": meter.plate,
        "business_license_number": meter.company,
        "qualification_code": meter.certificate,
        "up_time": began[:10],
        "down_time": ended[6:10],
        "mileage": round(meter.distance / METRES),
        "empty_mileage": round(meter.empty_distance / METRES),
        "surcharge": round(meter.surcharge / FEN),
        "waiting_time": f"{meter.waiting_minutes // 60:02}{meter.waiting_minutes % 60:02}",
        "amount": round(meter.fare / FEN),
        "trip_no": meter.trip_no,
        "pay_type": meter.pay_type,
    }
    ids = {"operation_id": operation_id, "evaluation_id": 0, "evaluation": 0, "evaluation_extension": 0, "order_id": order_id}
    return message(0x0B05, isu, serial, {"up_position": up, "down_position": down, **ids, "meter": record})
