"""Quality bits of a clean reading; 0 is good, a set bit lowers trust but keeps the row."""

from __future__ import annotations

from typing import Final

LATE: Final = 1 << 0
"""Arrived beyond the kind's allowed lateness: never pages, recomputes closed windows."""
NO_FIX: Final = 1 << 1
"""The position has no satellite fix, or is 0/0."""
JUMP: Final = 1 << 2
"""Implied speed from the fix before is impossible."""
OUTSIDE: Final = 1 << 3
"""The position lies outside the city's coverage."""
CONTRADICTION: Final = 1 << 4
"""Fields of the row contradict each other (bikes + docks > capacity)."""
DEVICE_FLAG: Final = 1 << 5
"""The device itself marks the value as not normal."""

LABELS: Final[dict[int, tuple[str, str]]] = {
    LATE: ("迟到", "late"),
    NO_FIX: ("无定位", "no fix"),
    JUMP: ("位置跳变", "position jump"),
    OUTSIDE: ("超出范围", "outside the city"),
    CONTRADICTION: ("数据矛盾", "contradiction"),
    DEVICE_FLAG: ("设备标记异常", "flagged by the device"),
}
