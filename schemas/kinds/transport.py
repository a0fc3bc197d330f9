"""Road transport: buses, taxis, coaches and hazardous-freight vehicles (两客一危), trips and service notices."""

from __future__ import annotations

from typing import Annotated, ClassVar

from schemas.reading import Grade, Reading, meta

Longitude = Annotated[float, meta("经度", "Longitude, WGS-84", "°", ge=-180, le=180, grade=Grade.SENSITIVE)]
Latitude = Annotated[float, meta("纬度", "Latitude, WGS-84", "°", ge=-90, le=90, grade=Grade.SENSITIVE)]
RawDegrees = Annotated[
    float, meta("原始坐标", "Coordinate as sent, before conversion", "°", ge=-180, le=180, grade=Grade.SENSITIVE)
]
Crs = Annotated[str, meta("原始坐标系", "Coordinate system as sent", max_length=16)]
Speed = Annotated[float, meta("速度", "Speed over ground", "m/s", ge=0, le=100)]
Heading = Annotated[float, meta("方向", "Heading, clockwise from north", "°", ge=0, le=360)]
Altitude = Annotated[float, meta("海拔", "Altitude", "m", ge=-500, le=9000)]
Mileage = Annotated[float, meta("里程", "Odometer", "m", ge=0, le=1e10)]
Bits = Annotated[int, meta("状态位", "Bit field of JT/T 808 tables 17 and 18", ge=0, le=2**32 - 1)]
Alarm = Annotated[int, meta("报警标志", "Alarm flags, bit numbers of JT/T 808 table 18", ge=0, le=2**32 - 1)]
Plate = Annotated[str, meta("车牌", "Number plate", max_length=16, grade=Grade.SENSITIVE)]
Name = Annotated[str, meta("名称", "Name or code as the operator gives it", max_length=64)]


class VehiclePosition(Reading, frozen=True, kw_only=True):
    """Where a vehicle was and how it moved; the base of every vehicle kind."""

    moves: ClassVar[bool] = True

    lon: Longitude | None = None
    lat: Latitude | None = None
    raw_lon: RawDegrees | None = None
    raw_lat: RawDegrees | None = None
    raw_crs: Crs | None = None
    speed: Speed | None = None
    heading: Heading | None = None
    altitude: Altitude | None = None
    mileage: Mileage | None = None
    alarm: Alarm | None = None
    status: Bits | None = None
    plate: Plate | None = None


class BusPosition(VehiclePosition, frozen=True, kw_only=True, tag="bus_position"):
    """A city bus: position, line, trip and load."""

    domain: ClassVar[str] = "transport"
    labels: ClassVar[tuple[str, str]] = ("公交车位置", "Bus position")
    metrics: ClassVar[tuple[str, ...]] = ("speed", "occupancy")
    interval_s: ClassVar[float] = 15.0

    line: Annotated[str, meta("线路", "Line or route", max_length=64, grade=Grade.PUBLIC)] | None = None
    trip: Annotated[str, meta("班次", "Trip", max_length=128, grade=Grade.PUBLIC)] | None = None
    stop: Annotated[str, meta("站点", "Stop it is at or heads for", max_length=64, grade=Grade.PUBLIC)] | None = None
    occupancy: Annotated[float, meta("满载率", "Share of capacity taken", "%", ge=0, le=300)] | None = None
    delay: Annotated[float, meta("晚点", "Behind schedule (negative: ahead)", "s", ge=-86400, le=86400)] | None = None


class TaxiPosition(VehiclePosition, frozen=True, kw_only=True, tag="taxi_position"):
    """A taxi: position and whether it carries a passenger."""

    domain: ClassVar[str] = "transport"
    labels: ClassVar[tuple[str, str]] = ("出租车位置", "Taxi position")
    metrics: ClassVar[tuple[str, ...]] = ("speed",)
    interval_s: ClassVar[float] = 15.0

    occupied: Annotated[bool, meta("重车", "Carries a passenger")] | None = None


class CoachPosition(VehiclePosition, frozen=True, kw_only=True, tag="coach_position"):
    """A coach on charter or scheduled long-distance service (两客)."""

    domain: ClassVar[str] = "transport"
    labels: ClassVar[tuple[str, str]] = ("客运车辆位置", "Coach position")
    metrics: ClassVar[tuple[str, ...]] = ("speed",)
    interval_s: ClassVar[float] = 15.0

    fuel: Annotated[float, meta("油量", "Fuel", "L", ge=0, le=5000)] | None = None


class HazmatPosition(VehiclePosition, frozen=True, kw_only=True, tag="hazmat_position"):
    """A vehicle carrying dangerous goods (一危)."""

    domain: ClassVar[str] = "transport"
    labels: ClassVar[tuple[str, str]] = ("危货车辆位置", "Hazmat vehicle position")
    metrics: ClassVar[tuple[str, ...]] = ("speed",)
    interval_s: ClassVar[float] = 15.0

    fuel: Annotated[float, meta("油量", "Fuel", "L", ge=0, le=5000)] | None = None
    cargo: Annotated[str, meta("货物", "UN number or name of the goods", max_length=64, grade=Grade.RESTRICTED)] | None = None


class TripUpdate(Reading, frozen=True, kw_only=True, tag="trip_update"):
    """How a scheduled trip runs: its next stop, when it gets there, how late it is."""

    domain: ClassVar[str] = "transport"
    labels: ClassVar[tuple[str, str]] = ("班次运行", "Trip update")
    metrics: ClassVar[tuple[str, ...]] = ("delay",)

    line: Annotated[str, meta("线路", "Line or route", max_length=64, grade=Grade.PUBLIC)] | None = None
    vehicle: Annotated[str, meta("车辆", "Vehicle serving the trip", max_length=64)] | None = None
    stop: Annotated[str, meta("下一站", "Next stop", max_length=64, grade=Grade.PUBLIC)] | None = None
    stop_sequence: Annotated[int, meta("站序", "Order of that stop in the trip", ge=0, le=10000)] | None = None
    arrival_at: Annotated[int, meta("到站时间", "Predicted arrival, since 1970 UTC", "µs", ge=0)] | None = None
    departure_at: Annotated[int, meta("离站时间", "Predicted departure, since 1970 UTC", "µs", ge=0)] | None = None
    delay: Annotated[float, meta("晚点", "Behind schedule (negative: ahead)", "s", ge=-86400, le=86400)] | None = None
    stops_left: Annotated[int, meta("剩余站数", "Stops still ahead", ge=0, le=10000)] | None = None


class ServiceAlert(Reading, frozen=True, kw_only=True, tag="service_alert"):
    """A notice of a transit operator to its passengers."""

    domain: ClassVar[str] = "transport"
    labels: ClassVar[tuple[str, str]] = ("运营通告", "Service notice")
    interval_s: ClassVar[float] = 3600.0

    cause: Annotated[str, meta("原因", "Cause, code of GTFS-Realtime", max_length=32, grade=Grade.PUBLIC)] | None = None
    effect: Annotated[str, meta("影响", "Effect, code of GTFS-Realtime", max_length=32, grade=Grade.PUBLIC)] | None = None
    header: Annotated[str, meta("标题", "Headline", max_length=4096, grade=Grade.PUBLIC)] | None = None
    line: Annotated[str, meta("线路", "First line concerned", max_length=64, grade=Grade.PUBLIC)] | None = None
    starts_at: Annotated[int, meta("开始时间", "Start, since 1970 UTC", "µs", ge=0)] | None = None
    ends_at: Annotated[int, meta("结束时间", "End, since 1970 UTC", "µs", ge=0)] | None = None
