"""What road transport reports beside positions: orders, trips, stop events, alarm episodes, duty, waybills, batteries."""

from __future__ import annotations

from typing import Annotated, ClassVar

from schemas.kinds.transport import Crs, Latitude, Longitude, Mileage, Plate, RawDegrees, Speed, VehiclePosition
from schemas.reading import Grade, Reading, meta

Hashed = Annotated[str, meta("驾驶员", "Driver: keyed hash of the licence number", max_length=64, grade=Grade.RESTRICTED)]
Company = Annotated[str, meta("企业", "Company code", max_length=64)]
Order = Annotated[str, meta("订单", "Order number", max_length=64, grade=Grade.SENSITIVE)]
Money = Annotated[int, meta("金额", "Amount of money", "fen", ge=-(10**12), le=10**12, grade=Grade.SENSITIVE)]
Length = Annotated[float, meta("距离", "Distance driven", "m", ge=0, le=1e7)]
Line = Annotated[str, meta("线路", "Line or route", max_length=64, grade=Grade.PUBLIC)]
Moment = Annotated[int, meta("时刻", "Point in time, since 1970 UTC", "µs", ge=0)]


class RideHailingPosition(VehiclePosition, frozen=True, kw_only=True, tag="ride_hailing_position"):
    """A ride-hailing vehicle: position, business state and the order it serves (网约车监管信息交互平台)."""

    domain: ClassVar[str] = "transport"
    labels: ClassVar[tuple[str, str]] = ("网约车位置", "Ride-hailing position")
    metrics: ClassVar[tuple[str, ...]] = ("speed",)
    parts: ClassVar[tuple[str, ...]] = ("company", "driver")
    interval_s: ClassVar[float] = 30.0

    company: Company | None = None
    order: Order | None = None
    business: (
        Annotated[str, meta("营运状态", "carrying, accepted, empty or stopped", max_length=16, grade=Grade.INTERNAL)] | None
    ) = None
    driver: Hashed | None = None


class RideHailingOrder(Reading, frozen=True, kw_only=True, tag="ride_hailing_order"):
    """One step in the life of a ride-hailing order or shift; ``source`` is the vehicle, or the company before a match."""

    domain: ClassVar[str] = "transport"
    labels: ClassVar[tuple[str, str]] = ("网约车订单", "Ride-hailing order")
    parts: ClassVar[tuple[str, ...]] = ("order", "event")
    lateness_s: ClassVar[float] = 300.0
    interval_s: ClassVar[float] = 3600.0
    retention_s: ClassVar[float] = 2 * 366 * 86_400.0

    lon: Longitude | None = None
    lat: Latitude | None = None
    raw_lon: RawDegrees | None = None
    raw_lat: RawDegrees | None = None
    raw_crs: Crs | None = None
    event: Annotated[str, meta("环节", "create, match, cancel, login, logout, depart, arrive or pay", max_length=16)]
    order: Order | None = None
    company: Company | None = None
    driver: Hashed | None = None
    plate: Plate | None = None
    destination_lon: Longitude | None = None
    destination_lat: Latitude | None = None
    distance: Length | None = None
    empty_distance: Annotated[float, meta("空驶里程", "Distance driven without a passenger", "m", ge=0, le=1e7)] | None = None
    duration: Annotated[float, meta("时长", "Duration of the ride", "s", ge=0, le=864000)] | None = None
    fare: Money | None = None
    reason: Annotated[str, meta("原因", "Reason of a cancellation", max_length=256)] | None = None


class TaxiTrip(Reading, frozen=True, kw_only=True, tag="taxi_trip"):
    """One metered taxi trip (JT/T 905 0x0B05); ``ts`` is when the meter was switched off, ``serial`` the operation id."""

    domain: ClassVar[str] = "transport"
    labels: ClassVar[tuple[str, str]] = ("出租车营运", "Taxi trip")
    lateness_s: ClassVar[float] = 600.0
    interval_s: ClassVar[float] = 3600.0
    retention_s: ClassVar[float] = 2 * 366 * 86_400.0

    lon: Longitude | None = None
    lat: Latitude | None = None
    pickup_lon: Longitude | None = None
    pickup_lat: Latitude | None = None
    started_at: Moment | None = None
    distance: Length | None = None
    empty_distance: Annotated[float, meta("空驶里程", "Distance driven empty before", "m", ge=0, le=1e7)] | None = None
    waiting: Annotated[float, meta("等候时间", "Waiting time charged", "s", ge=0, le=86400)] | None = None
    fare: Money | None = None
    surcharge: Annotated[int, meta("附加费", "Surcharge", "fen", ge=0, le=10**9, grade=Grade.SENSITIVE)] | None = None
    payment: Annotated[str, meta("支付方式", "cash, m1_card, cpu_card or other", max_length=16)] | None = None
    trip_number: Annotated[int, meta("车次", "Trip counter of the meter", ge=0, le=2**32)] | None = None
    order: Order | None = None
    driver: Hashed | None = None
    plate: Plate | None = None


class BusEvent(Reading, frozen=True, kw_only=True, tag="bus_event"):
    """Something a bus did at a stop, a door or a signal: arrived, departed, opened, asked for green."""

    domain: ClassVar[str] = "transport"
    labels: ClassVar[tuple[str, str]] = ("公交事件", "Bus event")
    metrics: ClassVar[tuple[str, ...]] = ("delay",)
    parts: ClassVar[tuple[str, ...]] = ("event",)
    interval_s: ClassVar[float] = 120.0

    lon: Longitude | None = None
    lat: Latitude | None = None
    event: Annotated[str, meta("事件", "arriving, arrived, departing, departed, passed, doors_open and so on", max_length=32)]
    line: Line | None = None
    direction: Annotated[int, meta("方向", "Direction of the line, 1 or 2", ge=0, le=2)] | None = None
    trip: Annotated[str, meta("班次", "Trip", max_length=128, grade=Grade.PUBLIC)] | None = None
    stop: Annotated[str, meta("站点", "Stop", max_length=64, grade=Grade.PUBLIC)] | None = None
    speed: Speed | None = None
    delay: Annotated[float, meta("晚点", "Behind schedule (negative: ahead)", "s", ge=-86400, le=86400)] | None = None
    mileage: Mileage | None = None
    doors_open: Annotated[bool, meta("车门开", "A door is open")] | None = None


class VehicleAlarmEpisode(Reading, frozen=True, kw_only=True, tag="vehicle_alarm_episode"):
    """The rise or fall of one alarm or status of a vehicle, never one row per report; ``ts`` is when it changed."""

    domain: ClassVar[str] = "transport"
    labels: ClassVar[tuple[str, str]] = ("车辆报警", "Vehicle alarm episode")
    parts: ClassVar[tuple[str, ...]] = ("code", "phase")
    interval_s: ClassVar[float] = 3600.0

    lon: Longitude | None = None
    lat: Latitude | None = None
    code: Annotated[str, meta("报警代码", "Which alarm, code of the connector's alarm table", max_length=48)]
    phase: Annotated[str, meta("阶段", "rise, fall, or moment where it has no end", max_length=8)]
    started_at: Moment | None = None
    level: Annotated[int, meta("等级", "Level as sent, 1 is lowest", ge=0, le=10)] | None = None
    number: Annotated[int, meta("编号", "Alarm id as sent", ge=0, le=2**32)] | None = None
    speed: Speed | None = None
    detail: Annotated[str, meta("详情", "Alarm content as sent", max_length=1024, grade=Grade.SENSITIVE)] | None = None
    plate: Plate | None = None


class DriverDuty(Reading, frozen=True, kw_only=True, tag="driver_duty"):
    """A driver signs on or off, or a platform says who drives (JT/T 808 0702, JT/T 809 120A and 120C, JT/T 905 0B03 and 0B04)."""

    domain: ClassVar[str] = "transport"
    labels: ClassVar[tuple[str, str]] = ("驾驶员当班", "Driver duty")
    parts: ClassVar[tuple[str, ...]] = ("event",)
    lateness_s: ClassVar[float] = 600.0
    interval_s: ClassVar[float] = 14_400.0

    event: Annotated[str, meta("事件", "on, off, report or failed", max_length=16)]
    driver: Hashed | None = None
    name: Annotated[str, meta("姓名", "Name as sent", max_length=64, grade=Grade.RESTRICTED)] | None = None
    issuer: Annotated[str, meta("发证机构", "Authority that issued the certificate", max_length=128)] | None = None
    valid_until: Moment | None = None
    detail: Annotated[str, meta("结果", "Result of reading the card", max_length=64)] | None = None
    plate: Plate | None = None


class HazmatWaybill(Reading, frozen=True, kw_only=True, tag="hazmat_waybill"):
    """The electronic waybill of a vehicle with dangerous goods, as pushed by its platform."""

    domain: ClassVar[str] = "transport"
    labels: ClassVar[tuple[str, str]] = ("危货电子运单", "Hazmat waybill")
    lateness_s: ClassVar[float] = 600.0
    interval_s: ClassVar[float] = 86_400.0
    retention_s: ClassVar[float] = 2 * 366 * 86_400.0

    content: Annotated[str, meta("运单内容", "Content as sent", max_length=16384, grade=Grade.RESTRICTED)]
    plate: Plate | None = None


class EvBattery(Reading, frozen=True, kw_only=True, tag="ev_battery"):
    """The traction battery and drive of an electric vehicle (GB/T 32960)."""

    domain: ClassVar[str] = "transport"
    labels: ClassVar[tuple[str, str]] = ("新能源车电池", "Traction battery")
    metrics: ClassVar[tuple[str, ...]] = ("soc", "temperature_max", "voltage")
    interval_s: ClassVar[float] = 30.0

    lon: Longitude | None = None
    lat: Latitude | None = None
    speed: Speed | None = None
    mileage: Mileage | None = None
    running: Annotated[str, meta("车辆状态", "started, off or other", max_length=16)] | None = None
    charging: Annotated[str, meta("充电状态", "parked, driving, none, done", max_length=16)] | None = None
    voltage: Annotated[float, meta("总电压", "Voltage of the pack", "V", ge=0, le=2000)] | None = None
    current: Annotated[float, meta("总电流", "Current of the pack, positive discharges", "A", ge=-5000, le=5000)] | None = None
    soc: Annotated[float, meta("荷电状态", "State of charge", "%", ge=0, le=100)] | None = None
    insulation: Annotated[float, meta("绝缘电阻", "Insulation resistance", "Ω", ge=0, le=1e9)] | None = None
    cell_voltage_max: Annotated[float, meta("单体最高电压", "Highest cell voltage", "V", ge=0, le=20)] | None = None
    cell_voltage_min: Annotated[float, meta("单体最低电压", "Lowest cell voltage", "V", ge=0, le=20)] | None = None
    temperature_max: Annotated[float, meta("最高温度", "Highest probe temperature", "°C", ge=-60, le=300)] | None = None
    temperature_min: Annotated[float, meta("最低温度", "Lowest probe temperature", "°C", ge=-60, le=300)] | None = None
    alarm_level: Annotated[int, meta("最高报警等级", "Highest alarm level, 0 none to 3 (2025: 4)", ge=0, le=4)] | None = None
    alarm: Annotated[int, meta("通用报警标志", "General alarm flags of GB/T 32960.3", ge=0, le=2**32 - 1)] | None = None
