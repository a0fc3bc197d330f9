"""Which rows of a raw frame may pass: bounds of the kind and sanity of the event time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas.derive import Field, fields, violations
from schemas.kinds import kind as kind_by_name
from schemas.reading import Lane
from streams.steps.sources import times

FUTURE_US = 60_000_000
"""How far ahead of its arrival an event may be dated (gtfs-rt-validator E050)."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why one row was refused; the first reason found counts."""

    row: int
    reason: str
    detail: str


def check(batch: pa.RecordBatch, kind: str, lane: Lane) -> tuple[NDArray[np.bool_], list[Refusal]]:
    """Give the mask of rows that pass, and the refusals of the others in row order.

    Time is judged against each row's own arrival, never against a clock, so that a replay judges alike.
    """
    found: dict[int, Refusal] = {}
    for name, mask in violations(batch, kind).items():
        field = next(f for f in fields(kind) if f.name == name)
        column = batch.column(name)
        for row in np.flatnonzero(mask):
            found.setdefault(int(row), Refusal(int(row), "out_of_bounds", _bounds_text(field, column[int(row)].as_py())))
    ts, seen = times(batch, "ts"), times(batch, "seen_at")
    for row in np.flatnonzero(ts > seen + FUTURE_US):
        ahead = (int(ts[row]) - int(seen[row])) / 1e6
        found.setdefault(int(row), Refusal(int(row), "future_time", f"{ahead:.0f} s ahead of arrival"))
    if lane == "live":
        oldest = seen - int(kind_by_name(kind).retention_s * 1e6)
        for row in np.flatnonzero(ts < oldest):
            days = (int(seen[row]) - int(ts[row])) / 86_400e6
            found.setdefault(int(row), Refusal(int(row), "expired_time", f"{days:.0f} days before arrival"))
    for row in np.flatnonzero(ts <= 0):
        found.setdefault(int(row), Refusal(int(row), "expired_time", "not after 1970-01-01"))
    keep = np.ones(batch.num_rows, dtype=np.bool_)
    keep[list(found)] = False
    return keep, [found[row] for row in sorted(found)]


def _bounds_text(field: Field, value: object) -> str:
    if isinstance(value, str):
        return f"{field.name} is longer than {field.max_length} characters"
    low = "-∞" if field.ge is None else f"{field.ge:g}"
    high = "∞" if field.le is None else f"{field.le:g}"
    return f"{field.name} = {value} not within {low} .. {high} {field.unit}".rstrip()
