"""The entities of a GTFS-Realtime feed as readings (reference of gtfs-realtime.proto 2.0)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
from google.transit import gtfs_realtime_pb2 as proto

from connectors._api import mapping
from schemas.errors import Reject
from schemas.kinds.transport import ServiceAlert, TripUpdate
from schemas.reading import Reading, as_row

HERE: Final = Path(__file__).resolve().parent
SECOND: Final = 1_000_000
AHEAD: Final = 60 * SECOND
"""How far clocks of vehicle and feed may differ."""
LAST: Final = 253_402_300_799
"""The last second of the year 9999; greater times are milliseconds sent by mistake."""
SERVED: Final = proto.TripUpdate.StopTimeUpdate.SCHEDULED
"""Relationship of a stop that will be served as a time says; others give no time."""


R = TypeVar("R", bound=Reading)


class Times(NamedTuple):
    """When the feed was made, as its header says, and when it arrived; microseconds UTC."""

    made: int | None
    seen: int

    def of(self, seconds: int) -> int:
        """Give an entity's own time; without one the feed's, without that its arrival."""
        return _time(seconds) or self.made or self.seen


@cache
def loads() -> Mapping[int, float]:
    """Give the share of capacity, in %, by occupancy status."""
    table = msgspec.toml.decode((HERE / "occupancy.toml").read_bytes(), type=dict[str, float])
    return {proto.VehiclePosition.OccupancyStatus.Value(name): load for name, load in table.items()}


def is_upcoming(entity: Any, times: Times) -> bool:
    """Tell whether the time of a position lies after the feed was made: the trip is planned and has not begun."""
    return times.made is not None and _time(entity.vehicle.timestamp) > times.made + AHEAD


def position(entity: Any, times: Times) -> Reading:
    """Give a vehicle's position; without a time of its own it has that of the feed's header.

    Its source is the vehicle's id, label or plate; a feed that names no vehicle is told apart by trip, and
    at last by entity.
    """
    told = entity.vehicle
    fields = {**_present(told), **_present(told.trip), **_present(told.position), **_present(told.vehicle)}
    if "occupancy_percentage" not in fields and told.HasField("occupancy_status"):
        fields["occupancy_percentage"] = loads().get(told.occupancy_status)
    if not 0 <= fields.get("bearing", 0) <= 360:
        del fields["bearing"]  # MBTA sends -1 for a vehicle whose heading it does not know
    return mapping.read(HERE / "mapping.toml").reading(
        "bus_position",
        fields,
        source=_name(told.vehicle) or told.trip.trip_id or entity.id,
        ts=times.of(told.timestamp),
        sent_at=times.made,
        seen_at=times.seen,
    )


def trip(entity: Any, times: Times) -> TripUpdate:
    """Give how a trip runs: its next stop is the first one it is still to leave at the feed's time, or else its last."""
    told = entity.trip_update
    now = times.of(0)
    stops = [s for s in told.stop_time_update if s.schedule_relationship == SERVED]
    ahead = next((i for i, s in enumerate(stops) if _leaves(s) > now), len(stops))
    stop = stops[min(ahead, len(stops) - 1)] if stops else None
    return TripUpdate(
        source=told.trip.trip_id or _name(told.vehicle) or entity.id,
        ts=times.of(told.timestamp),
        sent_at=times.made,
        seen_at=times.seen,
        line=told.trip.route_id or None,
        vehicle=_name(told.vehicle) or None,
        stop=(stop.stop_id or None) if stop else None,
        stop_sequence=stop.stop_sequence if stop and stop.HasField("stop_sequence") else None,
        arrival_at=(_time(stop.arrival.time) or None) if stop else None,
        departure_at=(_time(stop.departure.time) or None) if stop else None,
        delay=_delay(told, stop),
        stops_left=len(stops) - ahead if stops else None,
    )


def notice(entity: Any, language: str, times: Times) -> ServiceAlert:
    """Give a notice to riders: headline in the preferred language, first period, first line."""
    told = entity.alert
    period = told.active_period[0] if told.active_period else None
    line = next((name for e in told.informed_entity if (name := e.route_id or e.trip.route_id)), None)
    return ServiceAlert(
        source=entity.id,
        ts=times.of(0),
        sent_at=times.made,
        seen_at=times.seen,
        cause=proto.Alert.Cause.Name(told.cause),
        effect=proto.Alert.Effect.Name(told.effect),
        header=_text(told.header_text, language),
        line=line,
        starts_at=(_time(period.start) or None) if period else None,
        ends_at=(_time(period.end) or None) if period else None,
    )


def legible(reading: R) -> R:
    """Give the reading back; text that is not UTF-8, which protobuf hands over as bytes, is refused."""
    for name, value in as_row(reading).items():
        if isinstance(value, bytes):
            raise Reject("bad_encoding", f"{name} is not UTF-8: {value[:40]!r}")
    return reading


def _present(message: Any) -> dict[str, Any]:
    """Give the fields that were sent and are plain values."""
    return {
        field.name: value for field, value in message.ListFields() if isinstance(value, str | bytes | int | float) and value != ""
    }


def _name(vehicle: Any) -> str:
    name: str = vehicle.id or vehicle.label or vehicle.license_plate
    return name


def _time(seconds: int) -> int:
    if not 0 <= seconds <= LAST:
        raise Reject("bad_field", f"{seconds} is no time in POSIX seconds")
    return seconds * SECOND


def _leaves(stop: Any) -> int:
    return max(_time(stop.arrival.time), _time(stop.departure.time))


def _delay(told: Any, stop: Any) -> float | None:
    """Give the seconds behind schedule: of the next stop, where it says so, else of the whole trip."""
    for event in () if stop is None else (stop.arrival, stop.departure):
        if event.HasField("delay"):
            return float(event.delay)
    return float(told.delay) if told.HasField("delay") else None


def _text(text: Any, language: str) -> Any:
    offered = [t for t in text.translation if isinstance(t.language, str)]
    short = language.split("-", maxsplit=1)[0].lower()
    for wanted in (language.lower(), short, "en"):
        for one in offered:
            if one.language.lower() == wanted or one.language.lower().startswith(f"{wanted}-"):
                return one.text or None
    return (offered[0].text or None) if offered else None
