"""Numbers, dates, texts and bits as DL/T 645 writes their formats, low byte first; both ways."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import cache
from typing import Final, NamedTuple

from schemas.errors import Reject

NUMBER: Final = re.compile(r"([XN]+)(?:\.([XN]+))?")
SIZED: Final = re.compile(r"([NAB])(\d+)")
DATES: Final = {
    "YYMMDDWW": "20{0}-{1}-{2} {3}",
    "YYMMDDWWhhmmss": "20{0}-{1}-{2} {3} {4}:{5}:{6}",
    "YYMMDDhhmm": "20{0}-{1}-{2} {3}:{4}",
    "YYMMDDhhmmss": "20{0}-{1}-{2} {3}:{4}:{5}",
    "hhmmss": "{0}:{1}:{2}",
    "MMDDhhmm": "{0}-{1} {2}:{3}",
    "DDhh": "{0} {1}",
}
"""How the digits of a date or time are shown; WW counts from 0, Sunday."""
FULL: Final = re.compile(r"20\d\d-\d\d-\d\d \d\d:\d\d(:\d\d)?")

Value = float | int | str


class Format(NamedTuple):
    """One compiled format: its size in bytes, and what the bytes are."""

    kind: str
    size: int
    divisor: int
    signed: bool
    pattern: str


@cache
def compiled(text: str, signed: bool = False) -> Format:
    """Compile a format as ``items.toml`` writes it; an unknown one raises ``ValueError``."""
    if text in DATES:
        return Format("date", len(text) // 2, 1, False, DATES[text])
    if sized := SIZED.fullmatch(text):
        count = int(sized[2])
        return Format(sized[1], count // 2 if sized[1] == "N" else count, 1, False, "")
    number = NUMBER.fullmatch(text)
    if number is None:
        msg = f"unknown format {text!r}"
        raise ValueError(msg)
    digits, decimals = len(number[1]) + len(number[2] or ""), len(number[2] or "")
    return Format("number", digits // 2, 10**decimals, signed, "")


def read(form: Format, raw: bytes) -> Value | None:
    """Give the value of ``raw``; all FFH is no value, digits that are none raise ``Reject``."""
    if form.kind == "number":
        return _number(form, raw)
    if form.kind == "B":
        return raw[::-1].hex().upper()
    if form.kind == "A":
        return raw[::-1].decode("gb18030", "replace").strip("\x00 ")
    digits = raw[::-1].hex().upper()
    if form.kind == "N":
        return digits
    if not digits.isdigit():
        _check_absent(raw)
        return None
    shown = form.pattern.format(*(digits[i : i + 2] for i in range(0, len(digits), 2)))
    if FULL.fullmatch(shown) and not _is_date(shown):
        raise Reject("bad_field", f"{shown} is no date")
    return shown


def _number(form: Format, raw: bytes) -> Value | None:
    negative = form.signed and raw[-1] >= 0x80
    digits = (raw[:-1] + bytes((raw[-1] & 0x7F,)))[::-1].hex() if negative else raw[::-1].hex()
    if not digits.isdigit():
        _check_absent(raw)
        return None
    value = int(digits) / form.divisor if form.divisor > 1 else int(digits)
    return -value if negative else value


def _check_absent(raw: bytes) -> None:
    """Refuse bytes that are no digits, unless all of them are FFH: no value."""
    if raw.count(0xFF) < len(raw):
        raise Reject("bad_field", f"{raw.hex().upper()} has digits no BCD number or date has")


def _is_date(shown: str) -> bool:
    if shown.startswith("2000-00-00"):
        return True  # nothing has happened yet
    try:
        datetime.strptime(shown[:16], "%Y-%m-%d %H:%M").replace(tzinfo=UTC)
    except ValueError:
        return False
    return True


def write(form: Format, value: Value) -> bytes:
    """Give the bytes of a value, the inverse of ``read``; one that does not fit raises ``ValueError``."""
    if form.kind == "B":
        return bytes.fromhex(str(value))[::-1]
    if form.kind == "A":
        return str(value).encode("gb18030").ljust(form.size, b"\x00")[: form.size][::-1]
    if form.kind == "number":
        number = round(float(value) * form.divisor)
        digits = f"{abs(number):0{form.size * 2}d}"
        sign = 0x80 if number < 0 else 0
    else:
        digits, sign = "".join(c for c in str(value) if c.isdigit())[-form.size * 2 :].zfill(form.size * 2), 0
    if len(digits) > form.size * 2 or (sign and not form.signed):
        msg = f"{value!r} does not fit {form.size} bytes"
        raise ValueError(msg)
    raw = bytearray(bytes.fromhex(digits)[::-1])
    raw[-1] |= sign
    return bytes(raw)
