"""An example report of a kind: which fields, with which values, and how each form of packet carries them."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import pyarrow as pa

from schemas.derive import Field, fields
from schemas.kinds import kind as kind_by_name
from schemas.reading import Reading

AT: Final = 1_793_491_200_000_000
"""2026-11-01 08:00:00 in Beijing."""
SERIAL: Final = 7
DEVICE: Final = 1001
MOST: Final = 3
"""Measured fields of the example, besides those that the kind demands."""
ELSEWHERE: Final = ("source", "ts", "sent_at", "seen_at", "serial", "lon", "lat", "raw_lon", "raw_lat", "raw_crs")
"""Fields that are no measurement."""


def chosen(kind: str) -> dict[str, Any]:
    """Give the fields of an example with a value each, within the kind's bounds."""
    cls = kind_by_name(kind)
    made = set(needed(cls))
    usable = [f for f in fields(kind) if f.name not in ELSEWHERE and not f.name.endswith("_at") and f.type != pa.binary()]
    wanted = [f for f in usable if f.name in made]
    measured = [f for f in usable if f.name in cls.metrics] or [f for f in usable if f not in wanted]
    return {f.name: value_of(f) for f in [*wanted, *measured[:MOST]]}


def needed(cls: type[Reading]) -> list[str]:
    """Name the fields a reading of the kind cannot be without."""
    return [f.name for f in msgspec.structs.fields(cls) if f.required]


def value_of(field: Field) -> Any:
    """Give a plausible value of a field."""
    if field.type == pa.bool_():
        return True
    if field.type == pa.string():
        return "A1"
    low = field.ge if field.ge is not None else -1e9
    high = field.le if field.le is not None else 1e9
    value = next((v for v in (12.5, 1.5, 0.5) if low <= v <= high), (low + high) / 2)
    return value if field.type == pa.float64() else int(value)


def limits(field: Field) -> str:
    """Say what a field may hold: its bounds and unit, or how long a text may be."""
    if field.max_length is not None:
        return f"at most {field.max_length} characters"
    ends = [f"{end:g}" for end in (field.ge, field.le) if end is not None]
    return " ".join(part for part in (" to ".join(ends), field.unit) if part)


def reading(kind: str, values: dict[str, Any], source: str) -> dict[str, Any]:
    """Give the reading that a golden case expects."""
    return {"kind": kind, "source": source, "ts": "2026-11-01T00:00:00Z", "serial": SERIAL, **values}


def whole(values: dict[str, Any]) -> dict[str, int]:
    """Give the values as the integers a binary frame carries: tenths of a fraction, 1 for texts and truths."""
    return {name: round(v * 10) if isinstance(v, float) else v if type(v) is int else 1 for name, v in values.items()}


def rule(form: str, name: str, value: Any) -> str:
    """Give the line of ``mapping.toml`` that fills a field."""
    if form == "documents":
        return f'{name} = {{ from = "values.{name}" }}'
    if form == "frames" and isinstance(value, float):
        return f'{name} = {{ from = "{name}", scale = 0.1 }}'
    if form == "frames" and isinstance(value, str):
        return f'{name} = {{ from = "{name}", values = {{ 1 = "{value}" }} }}'
    if form == "frames" and isinstance(value, bool):
        return f'{name} = {{ from = "{name}", bit = 0 }}'
    return f'{name} = {{ from = "{name}" }}'
