"""Readings beside positions: alarm episodes, duty, trips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from connectors._api import bcd
from connectors._api.episodes import Edge
from connectors._api.pseudonym import pseudonym
from schemas.errors import Reject
from schemas.kinds.services import DriverDuty, TaxiTrip, VehicleAlarmEpisode
from schemas.kinds.transport import TaxiPosition

S = 1_000_000
MINUTE, DAY = 60 * S, 86_400 * S
FEN, METRES = 10, 100
"""In 0.1 yuan, in 0.1 km."""
PAYMENTS: Mapping[int, str] = {0x00: "cash", 0x01: "m1_card", 0x03: "cpu_card"}
"""Payment types of the meter; others are ``other``."""


class Source(NamedTuple):
    """Which terminal sent a message, under which serial, and when it came."""

    isu: str
    """Number without leading zeros."""
    serial: int
    seen_at: int
    plate: str | None


def edge(edge: Edge, at: TaxiPosition) -> VehicleAlarmEpisode:
    """Give the alarm that began or ended with a position."""
    return VehicleAlarmEpisode(
        source=at.source,
        ts=at.ts,
        seen_at=at.seen_at,
        serial=at.serial,
        lon=at.lon,
        lat=at.lat,
        code=edge.code,
        phase=edge.phase,
        started_at=edge.started_at,
        speed=at.speed,
        plate=at.plate,
    )


def duty(message: Mapping[str, Any], source: Source, plate: str | None, event: str, ts: int, key: str) -> DriverDuty:
    """Give who signed on or off (0x0B03, 0x0B04); without a key the certificate's number is left out."""
    return DriverDuty(
        source=source.isu,
        ts=ts,
        seen_at=source.seen_at,
        serial=source.serial,
        event=event,
        driver=pseudonym(message["qualification_code"], key) if key else None,
        plate=plate,
    )


def trip(
    message: Mapping[str, Any],
    source: Source,
    plate: str | None,
    places: Sequence[tuple[float | None, float | None]],
    offset_us: int,
    key: str,
) -> TaxiTrip:
    """Give a metered trip (0x0B05); ``places`` are where it began and ended.

    One whose meter record is missing or of another length has places and times only.
    """
    meter = message.get("meter", {})
    began, ended = times(message, meter, offset_us)
    return TaxiTrip(
        source=source.isu,
        ts=ended,
        seen_at=source.seen_at,
        serial=message["operation_id"],
        pickup_lon=places[0][0],
        pickup_lat=places[0][1],
        lon=places[1][0],
        lat=places[1][1],
        started_at=began,
        distance=_scaled(meter.get("mileage"), METRES),
        empty_distance=_scaled(meter.get("empty_mileage"), METRES),
        waiting=_seconds(meter.get("waiting_time", "")),
        fare=_scaled(meter.get("amount"), FEN),
        surcharge=_scaled(meter.get("surcharge"), FEN),
        payment=PAYMENTS.get(meter["pay_type"], "other") if meter else None,
        trip_number=meter.get("trip_no"),
        order=str(message["order_id"]) if message["order_id"] else None,
        driver=pseudonym(meter.get("qualification_code", ""), key) if key else None,
        plate=plate,
    )


def times(message: Mapping[str, Any], meter: Mapping[str, Any], offset_us: int) -> tuple[int | None, int]:
    """Give when a trip began and ended, µs UTC.

    The meter knows minutes; the position taken when it was switched knows seconds, and is believed where it lies
    within the same two minutes. Without a meter record it alone tells. A trip without an end is a ``bad_field``.
    """
    up, down = _positioned(message["up_position"], offset_us), _positioned(message["down_position"], offset_us)
    on = _instant(meter.get("up_time", "") + "00", offset_us)
    off = _instant(meter.get("up_time", "")[:6] + meter.get("down_time", "") + "00", offset_us)
    if on is not None and off is not None and off < on:
        off += DAY
    ended = _finer(off, down)
    if ended is None:
        raise Reject("bad_field", "trip without a drop-off time, neither the meter's nor a position's")
    return _finer(on, up), ended


def instant(fields: Mapping[str, Any], offset_us: int) -> int:
    """Give the µs UTC of a position's local time; a time no calendar has is a ``bad_field``."""
    return bcd.text_instant(fields["time"], offset_us)


def _finer(minute: int | None, second: int | None) -> int | None:
    if minute is None or second is None:
        return second if minute is None else minute
    return second if abs(second - minute) < 2 * MINUTE else minute


def _positioned(fields: Mapping[str, Any], offset_us: int) -> int | None:
    try:
        return instant(fields, offset_us)
    except Reject:
        return None


def _instant(digits: str, offset_us: int) -> int | None:
    """Give the instant of YYMMDDhhmmss; ``None`` where it is none."""
    try:
        return bcd.instant(bytes.fromhex(digits), offset_us) if len(digits) == 12 else None
    except Reject:
        return None


def _scaled(value: Any, by: int) -> int | None:
    return value * by if isinstance(value, int) else None


def _seconds(digits: str) -> int | None:
    """Give the seconds of hhmm."""
    return (int(digits[:2]) * 60 + int(digits[2:])) * 60 if digits.isdigit() else None
