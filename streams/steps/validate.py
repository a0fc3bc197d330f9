"""Which rows of a raw frame may pass: bounds of the kind and sanity of the event time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from schemas.derive import Field, fields, violations
from schemas.kinds import kind as kind_by_name
from schemas.reading import Lane
from streams.steps.sources import Columns, Mask

FUTURE_US = 60_000_000
"""How far ahead of its arrival an event may be dated (gtfs-rt-validator E050)."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why one row was refused; the first reason found counts."""

    row: int
    reason: str
    detail: str


def check(rows: Columns, kind: str, lane: Lane) -> tuple[Mask, list[Refusal]]:
    """Give the mask of rows that pass, and the refusals of the others in row order.

    Time is judged against each row's own arrival, never against a clock, so that a replay judges alike.
    """
    found: dict[int, Refusal] = {}
    for name, mask in violations(rows.table, kind).items():
        field = next(f for f in fields(kind) if f.name == name)
        column = rows.table.column(name)
        for row in np.flatnonzero(mask).tolist():
            found.setdefault(row, Refusal(row, "out_of_bounds", _bounds_text(field, column[row].as_py())))
    for row, reason, detail in _untimely(rows, kind, lane):
        found.setdefault(row, Refusal(row, reason, detail))
    keep = np.ones(len(rows), dtype=np.bool_)
    keep[list(found)] = False
    return keep, [found[row] for row in sorted(found)]


def _untimely(rows: Columns, kind: str, lane: Lane) -> Iterator[tuple[int, str, str]]:
    """Give (row, reason, detail) of every row whose event time cannot be."""
    ts, seen = rows.times("ts"), rows.times("seen_at")
    ahead = ts - seen
    for row in np.flatnonzero(ahead > FUTURE_US):
        yield int(row), "future_time", f"{int(ahead[row]) / 1e6:.0f} s ahead of arrival"
    if lane == "live":
        for row in np.flatnonzero(-ahead > int(kind_by_name(kind).retention_s * 1e6)):
            yield int(row), "expired_time", f"{-int(ahead[row]) / 86_400e6:.0f} days before arrival"
    for row in np.flatnonzero(ts <= 0):
        yield int(row), "expired_time", "not after 1970-01-01"


def _bounds_text(field: Field, value: object) -> str:
    if isinstance(value, str):
        return f"{field.name} is longer than {field.max_length} characters"
    low = "-∞" if field.ge is None else f"{field.ge:g}"
    high = "∞" if field.le is None else f"{field.le:g}"
    return f"{field.name} = {value} not within {low} .. {high} {field.unit}".rstrip()
