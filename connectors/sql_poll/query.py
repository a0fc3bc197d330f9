"""What is read of a table, and its values as JSON can hold them."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from math import isfinite
from typing import Any, NamedTuple

import msgspec

Scalar = str | int | float


class Mark(NamedTuple):
    """How far a table was read: watermark and key of the last row."""

    watermark: Scalar
    key: Scalar


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """A table's rows in order of watermark and key; empty ``columns`` are all. Times without a zone are of ``zone``."""

    table: str
    columns: tuple[str, ...]
    watermark: str
    key: str
    begin: str
    lag_s: float
    page_rows: int
    timeout_s: float
    zone: str


class Rows(NamedTuple):
    """Some rows in order, and the mark of the last; no mark where there are no rows."""

    columns: list[str]
    rows: list[tuple[Any, ...]]
    mark: Mark | None


def marked(names: list[str], rows: list[tuple[Any, ...]]) -> Rows:
    """Give rows whose first two columns are watermark and key, without these."""
    return Rows(names[2:], [row[2:] for row in rows], Mark(rows[-1][0], rows[-1][1]) if rows else None)


def cell(value: Any) -> Any:
    """Give a value as JSON can hold it: times as ISO 8601, decimals as text, bytes in hexadecimal."""
    if value is None or isinstance(value, bool | str | int | dict | list):
        return value
    if isinstance(value, float | Decimal):
        return None if not isfinite(value) else value if isinstance(value, float) else str(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex().upper()
    return value.total_seconds() if isinstance(value, timedelta) else str(value)
