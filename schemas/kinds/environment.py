"""Environment: construction dust stations and any other factor an HJ 212 device reports."""

from __future__ import annotations

from typing import Annotated, ClassVar

from schemas.kinds.transport import Latitude, Longitude
from schemas.reading import Grade, Reading, meta

Dust = Annotated[float, meta("颗粒物浓度", "Mass concentration", "µg/m³", ge=0, le=20000, grade=Grade.PUBLIC)]
Gas = Annotated[float, meta("气体浓度", "Mass concentration", "µg/m³", ge=0, le=200000, grade=Grade.PUBLIC)]
Period = Annotated[int, meta("统计周期", "Length of the averaging period; 0 is a momentary value", "s", ge=0, le=86400)]
Flag = Annotated[str, meta("数据标记", "Flag of HJ 212-2017 table 8 (N is normal)", max_length=8)]


class DustStation(Reading, frozen=True, kw_only=True, tag="dust_station"):
    """A dust or ambient-air station; ``ts`` is the moment measured or the start of ``period``."""

    domain: ClassVar[str] = "environment"
    labels: ClassVar[tuple[str, str]] = ("扬尘监测站", "Dust station")
    metrics: ClassVar[tuple[str, ...]] = ("pm10", "pm25", "tsp", "noise")
    parts: ClassVar[tuple[str, ...]] = ("period",)
    lateness_s: ClassVar[float] = 120.0
    interval_s: ClassVar[float] = 60.0
    retention_s: ClassVar[float] = 20 * 366 * 86_400.0

    lon: Longitude | None = None
    lat: Latitude | None = None
    period: Period = 0
    pm10: Dust | None = None
    pm25: Dust | None = None
    tsp: Dust | None = None
    noise: Annotated[float, meta("噪声", "Equivalent sound level LAeq", "dB(A)", ge=0, le=194, grade=Grade.PUBLIC)] | None = None
    temperature: Annotated[float, meta("气温", "Air temperature", "°C", ge=-60, le=70, grade=Grade.PUBLIC)] | None = None
    humidity: Annotated[float, meta("相对湿度", "Relative humidity", "%", ge=0, le=100, grade=Grade.PUBLIC)] | None = None
    pressure: Annotated[float, meta("气压", "Air pressure", "Pa", ge=30000, le=120000, grade=Grade.PUBLIC)] | None = None
    wind_speed: Annotated[float, meta("风速", "Wind speed", "m/s", ge=0, le=90, grade=Grade.PUBLIC)] | None = None
    wind_direction: (
        Annotated[float, meta("风向", "Direction the wind comes from", "°", ge=0, le=360, grade=Grade.PUBLIC)] | None
    ) = None
    so2: Gas | None = None
    no2: Gas | None = None
    co: Gas | None = None
    o3: Gas | None = None
    flag: Flag | None = None


class EnvFactor(Reading, frozen=True, kw_only=True, tag="env_factor"):
    """One factor of any other HJ 212 device (water, emission, noise), under the standard's own code."""

    domain: ClassVar[str] = "environment"
    labels: ClassVar[tuple[str, str]] = ("环境监测因子", "Environmental factor")
    parts: ClassVar[tuple[str, ...]] = ("factor", "system", "period")
    lateness_s: ClassVar[float] = 120.0
    retention_s: ClassVar[float] = 20 * 366 * 86_400.0

    factor: Annotated[str, meta("因子编码", "Factor code of HJ 212 annex B", max_length=32)]
    system: Annotated[str, meta("系统类型", "System type ST of HJ 212 table 5", max_length=8)] | None = None
    period: Period = 0
    value: Annotated[float, meta("数值", "Momentary or mean value, in the factor's own unit")] | None = None
    low: Annotated[float, meta("最小值", "Minimum of the period, in the factor's own unit")] | None = None
    high: Annotated[float, meta("最大值", "Maximum of the period, in the factor's own unit")] | None = None
    total: Annotated[float, meta("累计值", "Total of the period, in the factor's own unit")] | None = None
    flag: Flag | None = None
