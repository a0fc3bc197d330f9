"""What every kind of reading has in common, and how one of its fields is declared."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar, Literal

import msgspec

Lane = Literal["live", "late", "backfill"]
"""live pages people; late updates findings and never pages; backfill rebuilds."""


class Grade(StrEnum):
    """How freely a field may travel; a join takes the highest grade of its parts (GB/T 43697-2024)."""

    PUBLIC = "public"
    INTERNAL = "internal"
    SENSITIVE = "sensitive"
    RESTRICTED = "restricted"


def meta(
    zh: str,
    en: str,
    unit: str = "",
    *,
    ge: float | None = None,
    le: float | None = None,
    grade: Grade = Grade.INTERNAL,
    max_length: int | None = None,
) -> msgspec.Meta:
    """Declare a field: its labels, unit, bounds (in that unit) and data grade."""
    bounds: dict[str, Any] = {"ge": ge, "le": le, "max_length": max_length}
    extra = {"zh": zh, "en": en, "unit": unit, "grade": grade.value}
    declared: msgspec.Meta = msgspec.Meta(**{k: v for k, v in bounds.items() if v is not None}, description=en, extra=extra)
    return declared


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """One measurement set of one source at one time.

    ``ts``, ``sent_at`` and ``seen_at`` are microseconds since 1970 UTC: when it was measured, when the
    device sent it, when its bytes arrived here. They are never re-stamped.
    """

    domain: ClassVar[str]
    """The department's domain; topics are ``raw-<domain>`` and ``clean-<domain>``."""
    labels: ClassVar[tuple[str, str]]
    """The kind's name for people: zh, en."""
    metrics: ClassVar[tuple[str, ...]] = ()
    """Fields that windows aggregate."""
    parts: ClassVar[tuple[str, ...]] = ()
    """Fields that, beside ``source``, ``ts`` and ``serial``, tell two readings of this kind apart."""
    lateness_s: ClassVar[float] = 60.0
    """How far behind the newest event a reading may arrive and still be live."""
    interval_s: ClassVar[float] = 60.0
    """How often a source of this kind is expected to report."""
    moves: ClassVar[bool] = False
    """A vehicle: its clean frames tell the road it is on and the geofences it is in."""
    retention_s: ClassVar[float] = 30 * 86_400.0
    """Older event times are refused on arrival, except in the backfill lane."""

    source: str
    ts: int
    sent_at: int | None = None
    seen_at: int
    serial: int | None = None
    """The device's own message number, where its protocol has one; part of a reading's identity."""


def kind_of(reading: Reading | type[Reading]) -> str:
    """Name the kind of a reading: the snake_case of its class."""
    cls = reading if isinstance(reading, type) else type(reading)
    return str(cls.__struct_config__.tag)


def as_row(reading: Reading) -> dict[str, Any]:
    """Give the reading's fields as a plain dictionary, in declaration order."""
    return {name: getattr(reading, name) for name in reading.__struct_fields__}
