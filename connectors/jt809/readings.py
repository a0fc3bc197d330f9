"""Readings of the messages that are no locations: alarms, drivers, waybills."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from connectors._api.episodes import Edge
from connectors._api.layouts import local_seconds
from connectors._api.pseudonym import pseudonym
from connectors.jt809.header import CENTURY, Header
from connectors.jt809.vehicles import Vehicle
from schemas.errors import Reject
from schemas.kinds.services import DriverDuty, HazmatWaybill, VehicleAlarmEpisode
from schemas.kinds.transport import VehiclePosition

S = 1_000_000
WARNINGS: Mapping[int, str] = {
    0x01: "overspeed",
    0x02: "fatigue",
    0x03: "emergency",
    0x04: "area_in",
    0x05: "area_out",
    0x06: "congestion",
    0x07: "dangerous_road",
    0x08: "cross_border",
    0x09: "stolen",
    0x0A: "robbed",
    0x0B: "off_route",
    0x0C: "illegal_displacement",
    0x0D: "daily_overtime",
    0xFF: "other",
}
"""Alarm types of 0x1402 (table 75); others show their number."""


class Source(NamedTuple):
    """Of which vehicle a message tells, in which packet it came, and when."""

    vehicle: Vehicle
    header: Header
    seen_at: int

    @property
    def sent(self) -> int:
        """When a message without a time of its own was sent: as its header says (2019), else when it arrived."""
        return self.header.time * S if self.header.time in CENTURY else self.seen_at


def edge(edge: Edge, at: VehiclePosition) -> VehicleAlarmEpisode:
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


def warning(message: Mapping[str, Any], source: Source) -> VehicleAlarmEpisode:
    """Give the alarm a platform reports (0x1402); one without a time is a ``bad_field``."""
    ts = moment(message["warn_time"])
    if ts is None:
        raise Reject("bad_field", f"alarm time {message['warn_time']!r} is none")
    kind = message["warn_type"]
    return VehicleAlarmEpisode(
        source=source.vehicle.source,
        ts=ts,
        seen_at=source.seen_at,
        serial=source.header.msg_sn,
        code=WARNINGS.get(kind, f"type_0x{kind:04X}"),
        phase="moment",
        started_at=moment(message.get("start_time")),
        number=message.get("info_id"),
        detail=message["info_content"] or None,
        plate=source.vehicle.plate,
    )


def driver(message: Mapping[str, Any], source: Source, key: str) -> DriverDuty:
    """Give who drives (0x120A, 0x120C); without a key the certificate's number is left out."""
    number = message["licence"] or message["driver_id"]
    return DriverDuty(
        source=source.vehicle.source,
        ts=source.sent,
        seen_at=source.seen_at,
        serial=source.header.msg_sn,
        event="report",
        driver=pseudonym(number, key) if key else None,
        name=message["driver_name"] or None,
        issuer=message["org_name"] or None,
        valid_until=moment(message.get("valid_date")),
        plate=source.vehicle.plate,
    )


def waybill(message: Mapping[str, Any], source: Source) -> HazmatWaybill:
    """Give the waybill a vehicle goes by (0x120B, 0x120D)."""
    return HazmatWaybill(
        source=source.vehicle.source,
        ts=source.sent,
        seen_at=source.seen_at,
        serial=source.header.msg_sn,
        content=message["ewaybill_info"],
        plate=source.vehicle.plate,
    )


def moment(text: Any) -> int | None:
    """Give the µs UTC of a time field; the epoch itself, and a number beyond the calendar, are no time."""
    return (local_seconds(text) * S or None) if isinstance(text, str) else None
