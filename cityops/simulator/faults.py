"""Labelled faults: what goes wrong in the simulated city, when, and which rule must notice (``faults.toml``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal

import msgspec

from cityops.simulator.tempo import rest_hours

Effect = Literal[
    # vehicles
    "speed", "alarm", "jump", "silent", "blind", "night", "crawl", "clock", "repeat", "detour", "inflate", "hot", "unlicensed",
    "fake", "trespass",
    # stations
    "dust", "stuck", "crc", "empty", "full", "burst", "suction", "leak", "loss", "voltage", "overload", "lit", "unlit",
    "tripped", "cool", "cold", "reverse", "jam", "blocked", "outage", "refund",
]  # fmt: skip
NO_RULE_YET = "no rule yet"
"""Stands for the rule of a fault that must be found once there is a rule for it."""
CYCLE_S = 1800.0
"""After this many seconds other vehicles misbehave in the same way."""
FOR_GOOD = 1e9
"""Duration, s, of a fault that stays until the simulation ends."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One labelled fault; ``rule`` names the rule that must raise, is empty where none may, or is ``NO_RULE_YET``.

    ``subject`` counts from 0 within the sources of ``kind``; ``value`` is in the unit ``faults.toml`` tells by
    effect; ``finds`` is what an expert would find. Times are seconds after the start.
    """

    id: str
    kind: str
    source: str
    rule: str
    start_s: float
    duration_s: float
    zh: str
    en: str
    effect: Effect
    subject: int
    value: float = 0.0
    finds: str = ""

    def active(self, elapsed: float) -> bool:
        """Tell whether the fault is on, so many seconds after the start."""
        return self.start_s <= elapsed < self.start_s + self.duration_s


class Pattern(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One table of ``faults.toml``; ``first`` and ``subject`` are both the number of the source, from 0."""

    id: str
    kind: str
    rule: str = NO_RULE_YET
    start_s: float
    duration_s: float = 0.0
    effect: Effect
    value: float = 0.0
    zh: str
    en: str
    finds: str = ""
    first: int = 0
    subject: int = 0
    near: str = ""
    """Befalls the source that stands nearest to that of this fault, instead of ``subject``."""

    def fault(self, names: tuple[str, ...], subject: int, cycle: int) -> Fault:
        """Give this fault as it befalls one source in one cycle."""
        return Fault(
            id=f"{self.id}-{cycle + 1}" if cycle else self.id,
            kind=self.kind,
            source=names[subject],
            rule=self.rule,
            start_s=self.start_s + cycle * CYCLE_S,
            duration_s=self.duration_s or FOR_GOOD,
            zh=self.zh,
            en=self.en,
            effect=self.effect,
            subject=subject,
            value=self.value,
            finds=self.finds,
        )


class Patterns(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole of ``faults.toml``."""

    vehicle: list[Pattern]
    station: list[Pattern]


@cache
def patterns() -> Patterns:
    """Read ``faults.toml``."""
    return msgspec.toml.decode(Path(__file__).with_name("faults.toml").read_bytes(), type=Patterns)


Places = Mapping[str, Sequence[tuple[float, float]]]
"""Where the sources of a kind stand, longitude and latitude in their order."""


def plan(names: Mapping[str, tuple[str, ...]], hour: float, cycles: int = 24, places: Places | None = None) -> tuple[Fault, ...]:
    """Give all faults of a run that starts at an hour of the day, in order of start.

    ``names`` holds the sources by kind of reading. Vehicles misbehave once per cycle of ``CYCLE_S``, each
    time others; stations once. Kinds too small to have the source are left out. A coach that speeds in the
    night ban is a fault of that rule as well.
    """
    found = [f for cycle in range(cycles) for f in _vehicles(names, cycle)]
    found += _stations(names, places or {})
    found += [_at_night(f) for f in found if _night_coach(f, hour)]
    return tuple(sorted(found, key=lambda f: (f.start_s, f.id)))


def _vehicles(names: Mapping[str, tuple[str, ...]], cycle: int) -> list[Fault]:
    """Give the vehicles' faults of one cycle; no vehicle has two."""
    found = []
    free = {kind: list(range(len(sources))) for kind, sources in names.items()}
    for pattern in patterns().vehicle:
        left = free.get(pattern.kind, [])
        if left:
            wanted = (pattern.first + 13 * cycle) % len(names[pattern.kind])
            subject = wanted if wanted in left else left[0]
            left.remove(subject)
            found.append(pattern.fault(names[pattern.kind], subject, cycle))
    return found


def _stations(names: Mapping[str, tuple[str, ...]], places: Places) -> list[Fault]:
    found: dict[str, Fault] = {}
    for pattern in patterns().station:
        sources = names.get(pattern.kind, ())
        subject = pattern.subject
        if pattern.near:
            cause = found.get(pattern.near)
            subject = _nearest(places[pattern.kind], places[cause.kind][cause.subject]) if cause and sources else len(sources)
        if subject < len(sources):
            found[pattern.id] = pattern.fault(sources, subject, 0)
    return list(found.values())


def _nearest(places: Sequence[tuple[float, float]], point: tuple[float, float]) -> int:
    return min(range(len(places)), key=lambda n: (places[n][0] - point[0]) ** 2 + (places[n][1] - point[1]) ** 2)


def _night_coach(fault: Fault, hour: float) -> bool:
    moves = fault.kind == "coach_position" and fault.effect == "speed"
    return moves and rest_hours((hour + fault.start_s / 3600.0) % 24.0)


def _at_night(fault: Fault) -> Fault:
    return replace(
        fault,
        id=f"night-{fault.id}",
        rule="coach-night-driving",
        effect="night",
        zh="客车在凌晨禁行时段行驶",
        en="Coach moves during the night ban",
    )


def describe(fault: Fault, started_at: int) -> dict[str, Any]:
    """Give a fault as ground truth, with its absolute times; ``started_at`` is in microseconds UTC."""
    starts = started_at + int(fault.start_s * 1e6)
    lasting = fault.duration_s >= FOR_GOOD
    ends = None if lasting else _iso(starts + int(fault.duration_s * 1e6))
    return {**asdict(fault), "duration_s": None if lasting else fault.duration_s, "starts_at": _iso(starts), "ends_at": ends}


def label(fault: Fault, started_at: int) -> dict[str, Any]:
    """Give a fault as one line of the ground truth for those who judge detection."""
    told = describe(fault, started_at)
    names = {"device": "source", "kind": "kind", "fault": "id", "effect": "effect", "from": "starts_at", "to": "ends_at"}
    return {key: told[name] for key, name in names.items()} | {
        "expected": fault.rule or "none may raise",
        "finds": fault.finds,
        "zh": fault.zh,
        "en": fault.en,
    }


def _iso(ts: int) -> str:
    return datetime.fromtimestamp(ts / 1e6, UTC).isoformat(timespec="seconds")
