"""One figure of a benchmark."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Result:
    """A figure, its ratios to others of the same run (ours divided by theirs), and how it came about."""

    name: str
    value: float
    unit: str
    command: str
    against: dict[str, float] = field(default_factory=dict)
    cores: float = 1.0
    rows_per_frame: int | None = None
    note: str = ""
