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
    """A rule's hold and clear times, in microseconds, for a kind that reports every ``sampling`` / 3.

    A time longer than ``sampling`` runs by itself while the source is quiet (a bike station reports only
    changes); a shorter one needs a reading to confirm it (two fast fixes of a bus prove nothing about the
    half minute between them).
    """

    hold: int
    clear: int
    sampling: int
    update: int = 60_000_000

    def wait(self, phase: Phase) -> int | None:
        """Give how long a phase must last before the condition speaks."""
        return {"pending": self.hold, "clearing": self.clear}.get(phase)


def begin(ts: int, value: float, timing: Timing) -> tuple[Condition, list[tuple[Step, int]]]:
    """Start a condition at its first bad reading; it raises at once where nothing must be held."""
    active = timing.hold <= 0
    condition = Condition(phase="active" if active else "pending", started=ts, since=ts, at=ts, value=value, spoken=ts)
    return condition, [("raise", ts)] if active else []


Spoken = tuple[Step, int]
"""What a condition says, and the event time it says it of."""


def observe(
    condition: Condition, ts: int, value: float, verdict: Literal["bad", "between", "good"], timing: Timing
) -> tuple[Condition | None, list[Spoken]]:
    """Take in the next reading of the source; older ones than the newest are ignored.

    What time alone made true before this reading is said first, dated when it became true: so neither the
    cutting of batches nor other sources change what is said. ``between`` lies under the limit but not past
    the clear limit: it ends a pending condition and keeps an active one. ``None`` means it is over.
    """
    if ts < condition.at:
        return condition, []
    after, said = mature(condition, ts - 1, timing)
    if after is None:
        if verdict != "bad":
            return None, said
        fresh, more = begin(ts, value, timing)
        return fresh, said + more
    later, more = _apply(after, ts, value, verdict, timing)
    return later, said + more


def _apply(
    condition: Condition, ts: int, value: float, verdict: Literal["bad", "between", "good"], timing: Timing
) -> tuple[Condition | None, list[Spoken]]:
    condition.at, condition.value = ts, value
    if condition.phase == "pending" and verdict != "bad":
        return None, []
    if condition.phase != "pending" and verdict != "good":
        condition.phase = "active"
        if ts - condition.spoken < timing.update:
            return condition, []
        condition.spoken = ts
        return condition, [("update", ts)]
    if condition.phase == "active":
        condition.phase, condition.since = "clearing", ts
    wait = timing.wait(condition.phase)
    return _speak(condition, ts) if wait is not None and ts - condition.since >= wait else (condition, [])


def mature(condition: Condition, now: int, timing: Timing) -> tuple[Condition | None, list[Spoken]]:
    """Let time pass up to ``now``: a long hold raises, a long clear time ends, each dated at its moment."""
    wait = timing.wait(condition.phase)
    if wait is None or wait <= timing.sampling or now < condition.since + wait:
        return condition, []
    return _speak(condition, condition.since + wait)


def _speak(condition: Condition, moment: int) -> tuple[Condition | None, list[Spoken]]:
    if condition.phase == "clearing":
        return None, [("clear", moment)]
    condition.phase, condition.since, condition.spoken = "active", moment, moment
    return condition, [("raise", moment)]
