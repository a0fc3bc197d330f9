"""The register map, as data: what to ask of each unit, and which field of which source an answer fills."""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Mapping as Table
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import msgspec

from connectors._api import Mapping, Settings, points
from connectors._api.mapping import read as read_mapping
from connectors._api.points import Convert, Point
from schemas.errors import Fatal, Reject
from schemas.reading import Reading

Kept = Literal["holding", "input", "coil", "discrete"]
FUNCTION: Final[Table[Kept, int]] = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}
"""Function code that reads each table."""
TABLE: Final[Table[int, Kept]] = {code: table for table, code in FUNCTION.items()}
BITS: Final = (1, 2)
"""Function codes that read bits."""
FORMS: Final = {"u16": "H", "i16": "h", "u32": "I", "i32": "i", "f32": "f", "u64": "Q", "i64": "q", "f64": "d"}
SIZES: Final = {**{name: struct.calcsize(">" + form) // 2 for name, form in FORMS.items()}, "bit": 1, "bcd": 1, "bcd32": 2}
"""Registers that a value of each type takes."""


class Register(Point, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A value in a device: where it is, how it is written, and what it is.

    ``address`` counts from 0 as on the wire. ``order`` tells where the octets ABCD of a value stand: CDAB has its
    registers exchanged, BADC the octets of each, DCBA both. ``bit`` is the bit of a register of type ``bit``.
    """

    address: int
    unit: int = 1
    table: Kept = "holding"
    type: Literal["u16", "i16", "u32", "i32", "f32", "u64", "i64", "f64", "bit", "bcd", "bcd32"] = "u16"
    order: Literal["ABCD", "CDAB", "BADC", "DCBA"] = "ABCD"
    bit: int = 0


class Ask(NamedTuple):
    """A request that reads registers: of which unit, with which function, from where, how many."""

    unit: int
    code: int
    address: int
    quantity: int


class Bound(msgspec.Struct, frozen=True):
    """A register, what turns its number into its field, and what to call it."""

    name: str
    register: Register
    convert: Convert

    @property
    def end(self) -> int:
        """The address behind it."""
        return self.register.address + (1 if self.register.table in ("coil", "discrete") else SIZES[self.register.type])


Values = dict[tuple[str, str], tuple[int, dict[str, Any]]]
"""Fields by source and kind, with the place of the first."""


class Registers:
    """The registers of one instance, from the setting ``registers`` and the file ``registers_file``."""

    def __init__(self, settings: Settings, where: str) -> None:
        self._mapping: Mapping = read_mapping(Path(__file__).parent / "mapping.toml")
        filed = points.from_file(settings["registers_file"], f"{where}: setting 'registers_file'")
        self._by_table: dict[tuple[int, int], list[Bound]] = {}
        for name, row in {**filed, **settings["registers"]}.items():
            bound = _bound(name, row, f"{where}: register {name!r}", self._mapping)
            self._by_table.setdefault((bound.register.unit, FUNCTION[bound.register.table]), []).append(bound)
        for bounds in self._by_table.values():
            bounds.sort(key=_address)

    def plan(self, *, gap: int, max_registers: int, max_bits: int) -> dict[int, list[Ask]]:
        """Give the fewest requests that read everything, by unit: none longer than allowed or across a wider gap."""
        asks: dict[int, list[Ask]] = {}
        for (unit, code), bounds in sorted(self._by_table.items()):
            most = max_bits if code in BITS else max_registers
            start, end = bounds[0].register.address, bounds[0].end
            for bound in bounds[1:]:
                if bound.register.address > end + gap or bound.end > start + most:
                    asks.setdefault(unit, []).append(Ask(unit, code, start, end - start))
                    start, end = bound.register.address, bound.end
                end = max(end, bound.end)
            asks.setdefault(unit, []).append(Ask(unit, code, start, end - start))
        return asks

    def take(self, ask: Ask, numbers: Sequence[int], values: Values) -> list[Reject]:
        """Add to ``values`` what an answer says (registers or bits, in order); gives a reject for each that cannot be read."""
        rejects = []
        bounds = self._by_table.get((ask.unit, ask.code), [])
        end = ask.address + len(numbers)
        first = bisect_left(bounds, ask.address, key=_address)
        for bound in bounds[first : bisect_left(bounds, end, lo=first, key=_address)]:
            if bound.end > end:
                continue
            start = bound.register.address - ask.address
            try:
                number = _number(bound.register, numbers[start : start + bound.end - bound.register.address])
                value = bound.convert(number)
            except Reject as reject:
                rejects.append(Reject(reject.reason, f"register {bound.name}: {reject.detail}"))
                continue
            if value is not None:
                place = ask.unit << 24 | ask.code << 16 | bound.register.address
                register = bound.register
                values.setdefault((register.source, register.kind), (place, {}))[1][register.field] = value
        return rejects

    def readings(self, values: Values, seen_at: int) -> list[Reading]:
        """Give a reading of each source and kind, measured when its last answer came."""
        return [
            self._mapping.reading(kind, fields, source=source, ts=seen_at, seen_at=seen_at, serial=place)
            for (source, kind), (place, fields) in values.items()
        ]


def _address(bound: Bound) -> int:
    return bound.register.address


def _bound(name: str, row: Any, where: str, mapping: Mapping) -> Bound:
    try:
        register = msgspec.convert(row, Register)
    except msgspec.ValidationError as error:
        msg = f"{where}: {error}"
        raise Fatal(msg) from error
    bound = Bound(name, register, points.converter(register, mapping, where))
    if not 0 <= register.unit <= 255 or not 0 <= register.address < bound.end <= 1 << 16 or not 0 <= register.bit <= 15:
        msg = f"{where}: unit 0-255, address 0-65535 and bit 0-15, not {register.unit}, {register.address}, {register.bit}"
        raise Fatal(msg)
    return bound


def _number(register: Register, numbers: Sequence[int]) -> int | float:
    """Give the number that registers, or a bit, stand for."""
    if register.table in ("coil", "discrete"):
        return numbers[0]
    if register.type == "bit":
        return numbers[0] >> register.bit & 1
    ordered = numbers[::-1] if register.order in ("CDAB", "DCBA") else numbers
    swaps = register.order in ("BADC", "DCBA")
    octets = b"".join(number.to_bytes(2, "little" if swaps else "big") for number in ordered)
    if register.type in ("bcd", "bcd32"):
        digits = octets.hex()
        if not digits.isdecimal():
            raise Reject("bad_field", f"{digits} are no decimal digits")
        return int(digits)
    (number,) = struct.unpack(">" + FORMS[register.type], octets)
    return number  # type: ignore[no-any-return] # a number by its form
