"""The fields behind a data identifier of CJ/T 188: amounts with units, BCD numbers, times, status; both ways."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from schemas.errors import Reject

TABLE: Final[dict[str, Any]] = msgspec.toml.decode((Path(__file__).parent / "meters.toml").read_bytes())
UNITS: Final = {int(code, 16): entry for code, entry in TABLE["units"].items()}
CODES: Final = {entry["unit"]: code for code, entry in UNITS.items()}
VALVES: Final = {0: "open", 1: "closed", 3: "fault"}
"""Bits 0-1 of the status; 2 is reserved."""
COMMANDS: Final = {0x55: "open", 0x99: "close"}
BATTERY_LOW: Final = 0x04
BCD: Final = re.compile(r"bcd(\d)\.(\d)")
SIZES: Final = {"time": 7, "status": 2, "byte": 1, "valve": 1, "address": 7, "secret8": 8}


class Field(NamedTuple):
    """One field: its name, its type, bytes and the divisor of a number."""

    name: str
    type: str
    size: int
    divisor: int


@cache
def layout(texts: tuple[str, ...]) -> tuple[Field, ...]:
    """Compile a form of ``meters.toml``."""
    return tuple(_field(*text.split(":")) for text in texts)


def _field(name: str, kind: str) -> Field:
    if kind.startswith("amount."):
        return Field(name, "amount", 5, 10 ** int(kind[-1]))
    if number := BCD.fullmatch(kind):
        return Field(name, "bcd", int(number[1]), 10 ** int(number[2]))
    return Field(name, kind, SIZES[kind], 1)


def fitting(forms: Sequence[Sequence[str]], size: int) -> tuple[Field, ...] | None:
    """Give the form of exactly ``size`` bytes; ``None`` if there is none."""
    for form in forms:
        fields = layout(tuple(form))
        if sum(field.size for field in fields) == size:
            return fields
    return None


def read(fields: Sequence[Field], raw: bytes, *, unit_first: bool | None = None) -> dict[str, Any]:
    """Give the fields of ``raw``; ``unit_first`` says where amounts have their unit, ``None`` goes by their bytes.

    An amount gives its value, ``_unit``, and ``_code`` where no table has the unit. All FFH is no value; digits that are none
    raise ``Reject``.
    """
    swapped = _unit_first(fields, raw) if unit_first is None else unit_first
    found: dict[str, Any] = {}
    at = 0
    for field in fields:
        found |= _one(field, raw[at : at + field.size], swapped)
        at += field.size
    if swapped:
        found["unit_first"] = True
    return found


def _unit_first(fields: Sequence[Field], raw: bytes) -> bool:
    """Tell from the bytes: units last as in the standard wherever that reads, else first if that does."""
    amounts, at = [], 0
    for field in fields:
        if field.type == "amount":
            amounts.append(raw[at : at + field.size])
        at += field.size
    if all(amount[4] in UNITS for amount in amounts):
        return False
    return bool(amounts) and all(amount[0] in UNITS and amount[1:].hex().isdigit() for amount in amounts)


def _one(field: Field, raw: bytes, swapped: bool) -> dict[str, Any]:
    name = field.name
    match field.type:
        case "amount":
            number, code = (raw[1:], raw[0]) if swapped else (raw[:4], raw[4])
            unit = UNITS[code]["unit"] if code in UNITS else f"{code:02X}H"
            found = {name: _number(name, number, field.divisor), f"{name}_unit": unit}
        case "bcd":
            found = {name: _number(name, raw, field.divisor)}
        case "time":
            shown = time_text(raw)
            found = {name: shown} if shown else {name: None, f"{name}_digits": raw[::-1].hex().upper()}
        case "status":
            found = {name: raw.hex().upper(), "valve": VALVES.get(raw[0] & 3), "battery_low": bool(raw[0] & BATTERY_LOW)}
        case "valve":
            found = {name: COMMANDS.get(raw[0], f"{raw[0]:02X}H")}
        case "address":
            found = {name: raw[::-1].hex().upper()}
        case "byte":
            found = {name: raw[0]}
        case _:
            found = {}  # a key is not shown
    return found


def _number(name: str, raw: bytes, divisor: int) -> float | int | None:
    digits = raw[::-1].hex()
    if not digits.isdigit():
        if raw.count(0xFF) == len(raw):
            return None
        raise Reject("bad_field", f"{name}: {raw.hex().upper()} has digits no BCD number has")
    return int(digits) / divisor if divisor > 1 else int(digits)


def time_text(raw: bytes) -> str | None:
    """Give ``YYYY-MM-DD hh:mm:ss`` of seven BCD bytes, seconds first; ``None`` if no calendar has it."""
    digits = raw[::-1].hex()
    text = f"{digits[:4]}-{digits[4:6]}-{digits[6:8]} {digits[8:10]}:{digits[10:12]}:{digits[12:]}"
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return None
    return text


def write(fields: Sequence[Field], values: Mapping[str, Any], *, unit_first: bool = False) -> bytes:
    """Give the bytes of fields, the inverse of ``read``; what is missing or does not fit raises an error."""
    return b"".join(_bytes(field, values, unit_first) for field in fields)


def _bytes(field: Field, values: Mapping[str, Any], swapped: bool) -> bytes:
    value = values[field.name]
    if field.type == "amount":
        number, code = _bcd(value, 4, field.divisor), bytes((CODES[values[f"{field.name}_unit"]],))
        return code + number if swapped else number + code
    if field.type == "bcd":
        return _bcd(value, field.size, field.divisor)
    if field.type in ("time", "address"):
        return bytes.fromhex("".join(c for c in str(value or "") if c.isalnum()).zfill(14))[::-1]
    if field.type == "status":
        return bytes.fromhex(value)
    if field.type == "valve":
        return bytes((next(code for code, name in COMMANDS.items() if name == value),))
    return bytes.fromhex(value) if field.type == "secret8" else bytes((value,))


def _bcd(value: float | None, size: int, divisor: int) -> bytes:
    if value is None:
        return b"\xff" * size
    digits = f"{round(value * divisor):0{2 * size}d}"
    if len(digits) > 2 * size:
        msg = f"{value!r} does not fit {size} bytes of BCD"
        raise ValueError(msg)
    return bytes.fromhex(digits)[::-1]
