"""Road state: fixed detectors and road links."""

from __future__ import annotations

from typing import Annotated, ClassVar

from schemas.kinds.transport import Latitude, Longitude, Speed
from schemas.reading import Grade, Reading, meta


class TrafficDetector(Reading, frozen=True, kw_only=True, tag="traffic_detector"):
    """What a loop, radar or camera counted on one cross-section; absent values mean no data, never a jam."""

    domain: ClassVar[str] = "traffic"
    labels: ClassVar[tuple[str, str]] = ("交通检测器", "Traffic detector")
    metrics: ClassVar[tuple[str, ...]] = ("speed", "flow", "occupancy")
    parts: ClassVar[tuple[str, ...]] = ("period", "lane")
    lateness_s: ClassVar[float] = 300.0
    interval_s: ClassVar[float] = 300.0

    lon: Longitude | None = None
    lat: Latitude | None = None
    period: Annotated[int, meta("统计周期", "Length of the counting period", "s", ge=0, le=86400)] | None = None
    lane: Annotated[int, meta("车道", "Lane, from 1 at the kerb; 0 is the whole section", ge=0, le=32)] | None = None
    speed: Speed | None = None
    flow: Annotated[float, meta("流量", "Vehicles per hour", "1/h", ge=0, le=100000, grade=Grade.PUBLIC)] | None = None
    occupancy: Annotated[float, meta("占有率", "Share of time the section is covered", "%", ge=0, le=100)] | None = None


class TrafficLink(Reading, frozen=True, kw_only=True, tag="traffic_link"):
    """The state of one stretch of road as the traffic police or a map provider publishes it."""

    domain: ClassVar[str] = "traffic"
    labels: ClassVar[tuple[str, str]] = ("路段路况", "Traffic link")
    metrics: ClassVar[tuple[str, ...]] = ("speed", "travel_time")
    parts: ClassVar[tuple[str, ...]] = ("period",)
    lateness_s: ClassVar[float] = 300.0
    interval_s: ClassVar[float] = 300.0

    lon: Longitude | None = None
    lat: Latitude | None = None
    period: Annotated[int, meta("统计周期", "Length of the averaging period", "s", ge=0, le=86400)] | None = None
    road: Annotated[str, meta("道路", "Road", max_length=128, grade=Grade.PUBLIC)] | None = None
    speed: Speed | None = None
    free_speed: Annotated[float, meta("自由流速度", "Speed in free flow", "m/s", ge=0, le=100)] | None = None
    travel_time: Annotated[float, meta("行程时间", "Travel time", "s", ge=0, le=86400, grade=Grade.PUBLIC)] | None = None
    free_travel_time: Annotated[float, meta("自由流行程时间", "Travel time in free flow", "s", ge=0, le=86400)] | None = None
    length: Annotated[float, meta("长度", "Length", "m", ge=0, le=1e6, grade=Grade.PUBLIC)] | None = None
    state: (
        Annotated[
            str,
            meta("路况", "free, basic, light, moderate, severe, blocked or unknown", max_length=16, grade=Grade.PUBLIC),
        ]
        | None
    ) = None
