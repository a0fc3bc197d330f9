"""Kinds of readings: declared completely, and in the database as declared."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from schemas.derive import SQL, TIMES, Field
from schemas.reading import Grade

HAN = re.compile(r"[\u4e00-\u9fff]|PM|TSP|pH")
UNITS = {
    *(
        "",
        "µs",
        "s",
        "m",
        "m/s",
        "°",
        "°C",
        "%",
        "Pa",
        "L",
        "dB(A)",
        "µg/m³",
        "1/h",
        "m³",
        "m³/s",
        "J",
        "W",
        "var",
        "V",
        "A",
        "Ω",
    ),
    *("Hz", "lx", "NTU", "g/m³", "fen"),
}
"""SI, and what has no SI unit of daily use."""
INT64 = range(-(2**63), 2**63)
ADDED = re.compile(
    r"ALTER TABLE (?:ONLY )?(\w+)\s+ADD COLUMN (?:IF NOT EXISTS )?\"?(\w+)\"?\s+([a-z ]+?)(?:\s+NOT NULL|\s+DEFAULT|[,;])"
)
COLUMN = re.compile(r"^\s*\"(\w+)\"\s+(double precision|[a-z]+)( NOT NULL)?", re.MULTILINE)


def field_complaints(kind: str, field: Field) -> Iterator[str]:
    """Complain about one field's declaration."""
    where = f"{kind}.{field.name}"
    if not re.fullmatch(r"[a-z][a-z0-9_]*", field.name):
        yield f"{where}: not a plain lower-case name"
    if not HAN.search(field.zh) or not field.en:
        yield f"{where}: labels {field.zh!r}, {field.en!r}"
    if field.unit not in UNITS:
        yield f"{where}: unit {field.unit!r} is not one of ours"
    if field.grade not in set(Grade):
        yield f"{where}: grade {field.grade!r}"
    if field.type not in SQL:
        yield f"{where}: no SQL type for {field.type}"
    yield from bound_complaints(where, field)


def bound_complaints(where: str, field: Field) -> Iterator[str]:
    """Complain about bounds that no value meets, or that its types cannot hold."""
    bounds = [b for b in (field.ge, field.le) if b is not None]
    if any(not math.isfinite(b) for b in bounds) or (len(bounds) == 2 and bounds[0] >= bounds[1]):
        yield f"{where}: bounds {field.ge} .. {field.le}"
    elif pa.types.is_integer(field.type) and any(int(b) not in INT64 or b != int(b) for b in bounds):
        yield f"{where}: bounds {field.ge} .. {field.le} do not fit 64 bits"
    if pa.types.is_string(field.type) and field.name != "source" and not field.max_length:
        yield f"{where}: text without a greatest length"
    if field.max_length is not None and field.max_length < 1:
        yield f"{where}: greatest length {field.max_length}"


def kind_complaints(kind: str, declared: Any, columns: Sequence[Field]) -> Iterator[str]:
    """Complain about a kind as a whole."""
    zh, en = declared.labels
    if not HAN.search(zh) or not en:
        yield f"{kind}: labels {declared.labels}"
    grades = {f.name: f.grade for f in columns}
    if hidden := [m for m in declared.metrics if grades.get(m) not in ("public", "internal")]:
        yield f"{kind}: windows of {hidden} would show what their grade hides"
    if not (declared.__doc__ or "").strip().endswith("."):
        yield f"{kind}: no sentence says what it is"
    if not 0 < declared.interval_s <= declared.retention_s or declared.lateness_s < 0:
        yield f"{kind}: interval {declared.interval_s}, lateness {declared.lateness_s}, retention {declared.retention_s}"
    numeric = {f.name for f in columns if f.name not in TIMES and (pa.types.is_floating(f.type) or pa.types.is_integer(f.type))}
    yield from (f"{kind}: metric {m!r} is no number of it" for m in declared.metrics if m not in numeric)


def tables(migrations: Iterable[str]) -> dict[str, dict[str, tuple[str, bool]]]:
    """Give (SQL type, not null) of every column of every table that migrations make with quoted columns."""
    found: dict[str, dict[str, tuple[str, bool]]] = {}
    for text in migrations:
        for name, body in re.findall(r"CREATE TABLE (\w+) \((.*?)^\)", text, flags=re.DOTALL | re.MULTILINE):
            found[name] = {c: (kind, bool(required)) for c, kind, required in COLUMN.findall(body)}
        for name, column, kind in ADDED.findall(text):
            found.setdefault(name, {})[column] = (kind.strip(), False)
    return found


def table_complaints(table: str, columns: Sequence[Field], made: Mapping[str, Mapping[str, tuple[str, bool]]]) -> list[str]:
    """Complain about columns that migrations make otherwise than the kind declares them."""
    if table not in made:
        return [f"no migration makes table {table}; python -m storage.ddl prints it"]
    wanted = {f.name: (f.sql, not f.nullable) for f in columns}
    found = [
        f"{table}.{c}: migrations say {made[table].get(c)}, the kind {w}" for c, w in wanted.items() if made[table].get(c) != w
    ]
    return found + [f"{table}.{c}: the kind has no such field" for c in made[table] if c not in wanted]
