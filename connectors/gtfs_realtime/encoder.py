"""GTFS-Realtime feeds built from fields, for tests and the simulator; times are microseconds UTC."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

from google.transit import gtfs_realtime_pb2 as proto

Entity = Any
"""A ``FeedEntity`` of gtfs-realtime.proto."""


def feed(ts: int | None, entities: Iterable[Entity] = (), *, version: str = "2.0", differential: bool = False) -> bytes:
    """Give a whole feed as protocol-buffer bytes; without ``ts`` its header has no timestamp."""
    message = proto.FeedMessage()
    message.header.gtfs_realtime_version = version
    message.header.incrementality = proto.FeedHeader.DIFFERENTIAL if differential else proto.FeedHeader.FULL_DATASET
    if ts is not None:
        message.header.timestamp = ts // 1_000_000
    message.entity.extend(entities)
    encoded: bytes = message.SerializeToString(deterministic=True)
    return encoded


def vehicle(
    vehicle_id: str,
    *,
    ts: int | None = None,
    place: tuple[float, float] | None = None,
    route: str = "",
    trip: str = "",
    stop: str = "",
    speed: float | None = None,
    bearing: float | None = None,
    occupancy: int | str | None = None,
) -> Entity:
    """Give a vehicle's position; ``place`` is (lon, lat), ``occupancy`` a percentage or the name of a status."""
    entity = proto.FeedEntity(id=f"v{vehicle_id}")
    told: Any = entity.vehicle
    told.vehicle.id = vehicle_id
    if place is not None:
        told.position.longitude, told.position.latitude = place
        for name, value in (("speed", speed), ("bearing", bearing)):
            if value is not None:
                setattr(told.position, name, value)
    if ts is not None:
        told.timestamp = ts // 1_000_000
    if stop:
        told.stop_id = stop
    _trip(told.trip, trip, route)
    if isinstance(occupancy, str):
        told.occupancy_status = proto.VehiclePosition.OccupancyStatus.Value(occupancy)
    elif occupancy is not None:
        told.occupancy_percentage = occupancy
    return entity


def trip_update(
    trip: str,
    stops: Sequence[tuple[str, int, int | None]],
    *,
    ts: int | None = None,
    route: str = "",
    vehicle_id: str = "",
) -> Entity:
    """Give a trip's predictions; a stop is (stop id, arrival in microseconds UTC, delay in s or ``None``)."""
    entity = proto.FeedEntity(id=f"t{trip}")
    told = entity.trip_update
    _trip(told.trip, trip, route)
    if vehicle_id:
        told.vehicle.id = vehicle_id
    if ts is not None:
        told.timestamp = ts // 1_000_000
    for sequence, (stop, arrival, delay) in enumerate(stops, 1):
        update = told.stop_time_update.add(stop_id=stop, stop_sequence=sequence)
        update.arrival.time = arrival // 1_000_000
        if delay is not None:
            update.arrival.delay = delay
    return entity


def alert(
    alert_id: str,
    header: dict[str, str],
    *,
    cause: str = "UNKNOWN_CAUSE",
    effect: str = "UNKNOWN_EFFECT",
    route: str = "",
    period: tuple[int, int] | None = None,
) -> Entity:
    """Give a notice; ``header`` is text by language, ``period`` start and end in microseconds UTC."""
    entity = proto.FeedEntity(id=alert_id)
    told: Any = entity.alert
    told.cause, told.effect = proto.Alert.Cause.Value(cause), proto.Alert.Effect.Value(effect)
    for language, text in header.items():
        told.header_text.translation.add(text=text, language=language)
    if route:
        told.informed_entity.add(route_id=route)
    if period is not None:
        told.active_period.add(start=period[0] // 1_000_000, end=period[1] // 1_000_000)
    return entity


def removed(entity_id: str, what: Literal["vehicle", "trip_update"] = "vehicle") -> Entity:
    """Give an entity that a differential feed takes back."""
    entity = proto.FeedEntity(id=entity_id, is_deleted=True)
    getattr(entity, what).SetInParent()
    return entity


def _trip(told: Any, trip: str, route: str) -> None:
    if trip:
        told.trip_id = trip
    if route:
        told.route_id = route
