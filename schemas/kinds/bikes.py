"""Shared bikes: docking stations and single vehicles (GBFS 2.3 and 3.0)."""

from __future__ import annotations

from typing import Annotated, ClassVar

from schemas.kinds.transport import Crs, Latitude, Longitude, RawDegrees
from schemas.reading import Grade, Reading, meta


class BikeStation(Reading, frozen=True, kw_only=True, tag="bike_station"):
    """A docking station: what can be rented and returned there."""

    domain: ClassVar[str] = "bikes"
    labels: ClassVar[tuple[str, str]] = ("共享单车站点", "Bike station")
    metrics: ClassVar[tuple[str, ...]] = ("bikes", "docks")
    lateness_s: ClassVar[float] = 300.0
    interval_s: ClassVar[float] = 60.0

    lon: Longitude | None = None
    lat: Latitude | None = None
    name: Annotated[str, meta("站名", "Station name", max_length=128, grade=Grade.PUBLIC)] | None = None
    capacity: Annotated[int, meta("车位数", "Docks in all", ge=0, le=10000, grade=Grade.PUBLIC)] | None = None
    bikes: Annotated[int, meta("可借车辆", "Bikes to rent", ge=0, le=10000, grade=Grade.PUBLIC)] | None = None
    bikes_disabled: Annotated[int, meta("故障车辆", "Bikes out of service", ge=0, le=10000)] | None = None
    docks: Annotated[int, meta("可还车位", "Docks to return to", ge=0, le=10000, grade=Grade.PUBLIC)] | None = None
    docks_disabled: Annotated[int, meta("故障车位", "Docks out of service", ge=0, le=10000)] | None = None
    is_renting: Annotated[bool, meta("可借", "Rents bikes now", grade=Grade.PUBLIC)] | None = None
    is_returning: Annotated[bool, meta("可还", "Takes bikes back now", grade=Grade.PUBLIC)] | None = None


class BikeVehicle(Reading, frozen=True, kw_only=True, tag="bike_vehicle"):
    """One rentable vehicle outside a trip; its id rotates, so it is no track of a person."""

    domain: ClassVar[str] = "bikes"
    labels: ClassVar[tuple[str, str]] = ("共享单车车辆", "Rental vehicle")
    lateness_s: ClassVar[float] = 300.0
    interval_s: ClassVar[float] = 60.0

    lon: Longitude | None = None
    lat: Latitude | None = None
    station: Annotated[str, meta("所在站点", "Station it stands at", max_length=64)] | None = None
    vehicle_type: Annotated[str, meta("车型", "Vehicle type id", max_length=64)] | None = None
    is_reserved: Annotated[bool, meta("已预约", "Reserved")] | None = None
    is_disabled: Annotated[bool, meta("停用", "Out of service")] | None = None
    range: Annotated[float, meta("续航", "Range left", "m", ge=0, le=1e6)] | None = None


class BikeEvent(Reading, frozen=True, kw_only=True, tag="bike_event"):
    """One lock or unlock of a shared bike, as its operator pushes it."""

    domain: ClassVar[str] = "bikes"
    labels: ClassVar[tuple[str, str]] = ("共享单车开关锁", "Bike lock event")
    parts: ClassVar[tuple[str, ...]] = ("event",)
    lateness_s: ClassVar[float] = 300.0
    interval_s: ClassVar[float] = 3600.0

    lon: Longitude | None = None
    lat: Latitude | None = None
    raw_lon: RawDegrees | None = None
    raw_lat: RawDegrees | None = None
    raw_crs: Crs | None = None
    event: Annotated[str, meta("事件", "lock or unlock", max_length=16)]
    operator: Annotated[str, meta("运营企业", "Operator", max_length=64)] | None = None
