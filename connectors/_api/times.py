"""Points in time as vendors write them, to and from microseconds UTC."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import cache
from math import isfinite
from typing import Any, Final, Literal, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from schemas.errors import Fatal

Format = Literal["auto", "s", "ms", "us", "iso", "text", "compact"]
"""``s``, ``ms``, ``us`` count since 1970 UTC; ``iso`` is ISO 8601; ``text`` is ``2026-11-01 8:05:00`` and ``compact`` is
``20261101080500``, both in the zone; ``auto`` tells them apart: numbers by their digits, texts by their shape."""
FORMATS: Final[tuple[Format, ...]] = get_args(Format)
PER_SECOND: Final = {"s": 1_000_000, "ms": 1_000, "us": 1}
"""Microseconds in one unit of a count."""
LAST: Final = 253_402_300_799_999_999
"""The last microsecond of the year 9999."""
DIGITS: Final = {10: "s", 13: "ms", 16: "us"}
"""Format of a count of today by its number of digits; 14 digits are ``compact``."""
TEXT: Final = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})[ T](\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,6}))?)?")
COMPACT: Final = re.compile(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)")


def reader(format: str = "auto", zone: str = "Asia/Shanghai") -> Callable[[Any], int]:
    """Give a function from a value to microseconds UTC; it raises ``ValueError`` where the value is no such time.

    An hour that happens twice when clocks go back is taken as the first.
    """
    place = zone_of(zone)
    if format in PER_SECOND:
        unit = PER_SECOND[format]
        return lambda value: _count(value, unit)
    if format in ("text", "compact"):
        pattern = TEXT if format == "text" else COMPACT
        return lambda value: _matched(pattern.fullmatch(str(value).strip()), place)
    if format == "iso":
        return lambda value: _iso(value, place)
    if format == "auto":
        return lambda value: _auto(value, place)
    msg = f"time format {format!r} is none of {', '.join(FORMATS)}"
    raise Fatal(msg)


def write(ts: int, format: str = "iso", zone: str = "Asia/Shanghai") -> int | str:
    """Give microseconds UTC in a format; ``auto`` is written as ``ms``."""
    unit = PER_SECOND.get("ms" if format == "auto" else format)
    if unit:
        return ts // unit
    moment = datetime.fromtimestamp(ts // 1_000_000, zone_of(zone)).replace(microsecond=ts % 1_000_000)
    if format == "iso":
        return moment.isoformat()
    if format == "compact":
        return moment.strftime("%Y%m%d%H%M%S")
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f" if moment.microsecond else "%Y-%m-%d %H:%M:%S")


@cache
def zone_of(name: str) -> tzinfo:
    """Give the zone of that IANA name, or of a fixed offset such as ``+08:00``; ``Fatal`` if there is none."""
    if name in ("UTC", "Z"):
        return UTC
    try:
        if name[:1] in ("+", "-"):
            hours, _, minutes = name[1:].partition(":")
            offset = timedelta(hours=int(hours), minutes=int(minutes or 0))
            return timezone(offset if name[0] == "+" else -offset)
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        msg = f"no time zone {name!r}; give an IANA name such as Asia/Shanghai, or an offset such as +08:00"
        raise Fatal(msg) from error


def _count(value: Any, unit: int) -> int:
    if isinstance(value, str):
        value = int(value) if value.strip().isdecimal() else float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise ValueError(value)
    return _within(value * unit if isinstance(value, int) else round(value * unit))


def _iso(value: Any, zone: tzinfo) -> int:
    moment = datetime.fromisoformat(str(value).strip())
    return _micros(moment if moment.tzinfo else moment.replace(tzinfo=zone))


def _auto(value: Any, zone: tzinfo) -> int:
    text = str(value).strip()
    whole, dot, fraction = text.partition(".")
    if whole.isdecimal() and (not dot or fraction.isdecimal()):
        if len(whole) == 14:
            return _matched(COMPACT.fullmatch(whole), zone)
        return _count(text, PER_SECOND[DIGITS[len(whole)]]) if len(whole) in DIGITS else _count(text, 0)
    found = TEXT.fullmatch(text)
    return _matched(found, zone) if found else _iso(text, zone)


def _matched(found: re.Match[str] | None, zone: tzinfo) -> int:
    if found is None:
        raise ValueError(found)
    year, month, day, hour, minute, second, *fraction = found.groups()
    micros = int(fraction[0].ljust(6, "0")) if fraction and fraction[0] else 0
    at = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second or 0), micros, zone)
    return _micros(at)


def _micros(moment: datetime) -> int:
    since = moment - EPOCH
    return _within((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds)


def _within(ts: int) -> int:
    if not 0 < ts <= LAST:
        raise ValueError(ts)
    return ts


EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
