"""What CityOps itself produces as frames: closed windows and refused input."""

from __future__ import annotations

from typing import Annotated, ClassVar

from schemas.reading import Grade, Reading, meta

LATE_PART = 32_768
"""Added to the part of a window that holds what came after it had closed."""


class Window(Reading, frozen=True, kw_only=True, tag="window"):
    """The closed aggregate of one metric of one subject; ``ts`` is the window's start.

    The subject, in ``source``, is a source, or by ``dimension`` a zone, line or operator. A window may come in
    parts that add up: of groups one per partition, and one more (from ``LATE_PART`` on) with the readings that
    arrived after the window had closed.
    """

    domain: ClassVar[str] = "derived"
    labels: ClassVar[tuple[str, str]] = ("时间窗口统计", "Window")

    kind: Annotated[str, meta("数据类别", "Kind of the readings", max_length=64)]
    metric: Annotated[str, meta("指标", "Field that was aggregated", max_length=64)]
    size: Annotated[int, meta("窗口长度", "Length of the window", "s", ge=1, le=86400)]
    dimension: Annotated[str, meta("维度", "What the subject is: source, zone, line or operator", max_length=16)]
    part: Annotated[
        int, meta("分片", "Partition of a group's readings, 0 of a source's; late ones have 32768 more", ge=0, le=65535)
    ]
    count: Annotated[int, meta("个数", "Readings that had a value", ge=0)]
    total: Annotated[float, meta("合计", "Sum, in the metric's unit")]
    mean: Annotated[float, meta("均值", "Mean, in the metric's unit")]
    low: Annotated[float, meta("最小值", "Minimum, in the metric's unit")]
    high: Annotated[float, meta("最大值", "Maximum, in the metric's unit")]
    last: Annotated[float, meta("末值", "Value of the newest reading, in the metric's unit")]
    last_at: Annotated[int, meta("末值时间", "Event time of that reading, since 1970 UTC", "µs", ge=0)]
    p50: Annotated[float, meta("中位数", "Median within 1 %, in the metric's unit; groups only")] | None = None
    p95: Annotated[float, meta("第 95 百分位数", "95th percentile within 1 %, in the metric's unit; groups only")] | None = None
    sketch: Annotated[bytes, meta("分布", "Counts by bucket, as storage/sketch.py packs them")] | None = None


class RejectRow(Reading, frozen=True, kw_only=True, tag="reject"):
    """Refused input, kept for inspection and replay; ``source`` is the device or the peer it came from."""

    domain: ClassVar[str] = "rejects"
    labels: ClassVar[tuple[str, str]] = ("拒收数据", "Reject")

    connector: Annotated[str, meta("接入", "Connector instance", max_length=64)]
    stage: Annotated[str, meta("环节", "Where it was refused: decode or clean", max_length=16)]
    reason: Annotated[str, meta("原因", "Reason code", max_length=32)]
    detail: Annotated[str, meta("详情", "What exactly was wrong", max_length=1024)] | None = None
    raw: Annotated[bytes, meta("原始报文", "The refused bytes, or the refused row as JSON", grade=Grade.SENSITIVE)] | None = None
    refused_kind: Annotated[str, meta("数据类别", "Kind of a refused row", max_length=64)] | None = None
    connector_type: Annotated[str, meta("接入类型", "Connector that refused it", max_length=64)] | None = None
    connector_version: Annotated[str, meta("接入版本", "Its version at that time", max_length=64)] | None = None
