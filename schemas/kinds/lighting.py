"""Streetlights: lamps and their cabinets."""

from __future__ import annotations

from typing import Annotated, ClassVar

from schemas.kinds.transport import Latitude, Longitude
from schemas.reading import Grade, Reading, meta


class Streetlight(Reading, frozen=True, kw_only=True, tag="streetlight"):
    """A lamp or a cabinet of lamps: commanded and actual light, electrical values, faults."""

    domain: ClassVar[str] = "lighting"
    labels: ClassVar[tuple[str, str]] = ("路灯", "Streetlight")
    metrics: ClassVar[tuple[str, ...]] = ("power", "dimming", "voltage")
    lateness_s: ClassVar[float] = 300.0
    interval_s: ClassVar[float] = 300.0
    retention_s: ClassVar[float] = 366 * 86_400.0

    lon: Longitude | None = None
    lat: Latitude | None = None
    cabinet: Annotated[str, meta("控制柜", "Cabinet that feeds it", max_length=64)] | None = None
    on: Annotated[bool, meta("亮灯", "It is lit", grade=Grade.PUBLIC)] | None = None
    commanded_on: Annotated[bool, meta("应亮", "It is meant to be lit")] | None = None
    dimming: Annotated[float, meta("亮度", "Light output", "%", ge=0, le=100)] | None = None
    power: Annotated[float, meta("功率", "Active power", "W", ge=0, le=1e6)] | None = None
    rated_power: Annotated[float, meta("额定功率", "Rated power", "W", ge=0, le=1e6)] | None = None
    voltage: Annotated[float, meta("电压", "Supply voltage", "V", ge=0, le=1000)] | None = None
    current: Annotated[float, meta("电流", "Supply current", "A", ge=0, le=1000)] | None = None
    power_factor: Annotated[float, meta("功率因数", "Power factor", ge=-1, le=1)] | None = None
    energy: Annotated[float, meta("累计电能", "Energy on the counter", "J", ge=0, le=1e18)] | None = None
    temperature: Annotated[float, meta("温度", "Controller temperature", "°C", ge=-60, le=150)] | None = None
    burning: Annotated[float, meta("累计亮灯时间", "Time lit on the counter", "s", ge=0, le=1e10)] | None = None
    lux: Annotated[float, meta("照度", "Illuminance at the sensor", "lx", ge=0, le=200000)] | None = None
    fault: Annotated[str, meta("故障", "Fault code; absent is sound", max_length=64)] | None = None
    flag: Annotated[str, meta("数据标记", "Quality as sent: empty or good is sound", max_length=32)] | None = None
