"""The life of one rule's condition on one source: pending, active, clearing; hold and hysteresis.

Missing readings change nothing: a condition neither raises nor clears by silence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec

Phase = Literal["pending", "active", "clearing"]
Step = Literal["raise", "update", "clear"]


class Condition(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Where a condition stands; times are event times in microseconds."""

    phase: Phase
    started: int
    """When the condition began: part of the finding's identity."""
    since: int
    """When the present phase began."""
    at: int
    """Newest reading taken into account."""
    value: float
    """Newest value, in the rule's unit."""
    spoken: int = 0
    """Event time of the last finding."""
    lon: float | None = None
    lat: float | None = None
    zone: int | None = None


@dataclass(frozen=True, slots=True)
class Timing:
    """A rule's hold and clear times and the pace of its updates, in microseconds."""

    hold: int
    clear: int
    update: int = 60_000_000


def begin(ts: int, value: float, timing: Timing) -> tuple[Condition, Step | None]:
    """Start a condition at its first bad reading; it raises at once where nothing must be held."""
    active = timing.hold <= 0
    condition = Condition(phase="active" if active else "pending", started=ts, since=ts, at=ts, value=value, spoken=ts)
    return condition, "raise" if active else None


def observe(
    condition: Condition, ts: int, value: float, verdict: Literal["bad", "between", "good"], timing: Timing
) -> tuple[Condition | None, Step | None]:
    """Take in the next reading of the source; older ones than the newest are ignored.

    ``between`` lies under the limit but not past the clear limit: it ends a pending condition and keeps
    an active one. ``None`` as condition means it is over.
    """
    if ts < condition.at:
        return condition, None
    condition.at, condition.value = ts, value
    if condition.phase == "pending":
        return (None, None) if verdict != "bad" else due(condition, ts, timing)
    if verdict == "good":
        if condition.phase == "active":
            condition.phase, condition.since = "clearing", ts
        return due(condition, ts, timing)
    condition.phase = "active"
    if ts - condition.spoken >= timing.update:
        condition.spoken = ts
        return condition, "update"
    return condition, None


def due(condition: Condition, now: int, timing: Timing) -> tuple[Condition | None, Step | None]:
    """Let time pass: a held condition raises, a cleared one ends."""
    if condition.phase == "pending" and now - condition.since >= timing.hold:
        condition.phase, condition.since, condition.spoken = "active", now, now
        return condition, "raise"
    if condition.phase == "clearing" and now - condition.since >= timing.clear:
        return None, "clear"
    return condition, None
