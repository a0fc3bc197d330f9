"""Block layouts as data: a field is one line of text, compiled into a codec that reads and writes it.

A line is ``name:type`` with, in this order, any of ``/10`` (the value is the number divided by it), ``-40`` (less that much,
in the field's unit), ``!`` (every number counts) and ``*u8`` (a list with its count in front). Types are ``u8 u16 u32``.
Without ``!`` the highest number means invalid and the one below it abnormal (6.4): the field is then absent and named
under ``invalid`` or ``abnormal`` of its block, an element of a list is ``None``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from struct import Struct, error, unpack_from
from typing import Any, Final, NamedTuple

from schemas.errors import Fatal, Reject

LINE: Final = re.compile(r"(\w+):(u8|u16|u32)(?:/(\d+))?(?:-(\d+))?(!)?(?:\*(u8|u16))?")
CODES: Final = {"u8": "B", "u16": "H", "u32": "I"}
SIZES: Final = {"u8": 1, "u16": 2, "u32": 4}
NEVER: Final = 1 << 32
"""No number of a field reaches this."""

Values = dict[str, Any]


class Scale(NamedTuple):
    """From a number of the wire to a value: less ``offset``, divided by ``divisor``; from ``top`` on it is none."""

    divisor: int
    offset: int
    top: int

    def value(self, number: int) -> float | None:
        """Give the value of a number."""
        if number >= self.top:
            return None
        return number - self.offset if self.divisor == 1 else (number - self.offset) / self.divisor

    def number(self, value: float | None) -> int:
        """Give the number of a value; none is invalid, or 0 where every number counts."""
        if value is None:
            return 0 if self.top == NEVER else self.top + 1
        return round(value * self.divisor) + self.offset


PLAIN: Final = Scale(1, 0, NEVER)
"""Every number is its own value."""


class Run(NamedTuple):
    """Numbers one after the other."""

    form: Struct
    fields: tuple[tuple[str, int, int, int], ...]
    """Name, divisor, offset and top of each."""

    def read(self, body: bytes, at: int, values: Values) -> int:
        """Add the fields and give where the next one begins."""
        if at + self.form.size > len(body):
            raise _short(self.fields[0][0], self.form.size, len(body) - at)
        for (name, divisor, offset, top), number in zip(self.fields, self.form.unpack_from(body, at), strict=True):
            if number >= top:
                values.setdefault("invalid" if number > top else "abnormal", []).append(name)
            else:
                values[name] = number - offset if divisor == 1 else (number - offset) / divisor
        return at + self.form.size

    def write(self, values: Mapping[str, Any]) -> bytes:
        """Give the bytes; an absent field is abnormal where the values say so, else invalid."""
        abnormal = values.get("abnormal", ())
        numbers = [
            top if name in abnormal else Scale(divisor, offset, top).number(values.get(name))
            for name, divisor, offset, top in self.fields
        ]
        return self.form.pack(*numbers)


class Series(NamedTuple):
    """A list of numbers with its count in front."""

    name: str
    prefix: Struct
    code: str
    size: int
    scale: Scale

    def read(self, body: bytes, at: int, values: Values) -> int:
        """Add the list and give where the next field begins; a count that is invalid or abnormal is followed by none."""
        wide = self.prefix.size
        if at + wide > len(body):
            raise _short(self.name, wide, len(body) - at)
        count, at = body[at] if wide == 1 else body[at] << 8 | body[at + 1], at + wide
        if not count:
            values[self.name] = []
            return at
        if count >= _top(wide):
            values.setdefault("invalid" if count > _top(wide) else "abnormal", []).append(self.name)
            return at
        end = at + count * self.size
        if end > len(body):
            raise _short(self.name, count * self.size, len(body) - at)
        numbers = body[at:end] if self.size == 1 else unpack_from(f">{count}{self.code}", body, at)
        values[self.name] = list(numbers if self.scale == PLAIN else map(_values(self.scale, self.size).__getitem__, numbers))
        return end

    def write(self, values: Mapping[str, Any]) -> bytes:
        """Give the count and the numbers."""
        if self.name not in values:
            top = _top(self.prefix.size)
            return self.prefix.pack(top if self.name in values.get("abnormal", ()) else top + 1)
        numbers = [self.scale.number(v) for v in values[self.name]]
        return self.prefix.pack(len(numbers)) + b"".join(number.to_bytes(self.size) for number in numbers)


class Layout(NamedTuple):
    """Fields one after the other."""

    parts: tuple[Run | Series, ...]

    def read(self, body: bytes, at: int) -> tuple[Values, int]:
        """Give the fields by name and where they end; a body that ends too early is a ``bad_length``."""
        values: Values = {}
        for part in self.parts:
            at = part.read(body, at, values)
        return values, at

    def write(self, values: Mapping[str, Any]) -> bytes:
        """Give the bytes that ``read`` shows so; a value that does not fit raises ``ValueError``."""
        try:
            return b"".join(part.write(values) for part in self.parts)
        except (error, OverflowError) as fault:
            msg = f"a field cannot hold its value: {fault}"
            raise ValueError(msg) from fault


def layout(lines: Sequence[str]) -> Layout:
    """Compile lines; one of another form raises ``Fatal``."""
    parts: list[Run | Series] = []
    run: list[tuple[str, str, Scale]] = []
    for line in lines:
        m = LINE.fullmatch(line)
        if m is None:
            msg = f"field {line!r} is not of the form name:type[/divisor][-offset][!][*count]"
            raise Fatal(msg)
        name, kind, divisor, offset, counts_all, count = m.groups()
        by = int(divisor or 1)
        scale = Scale(by, int(offset or 0) * by, NEVER if counts_all else _top(SIZES[kind]))
        if not count:
            run.append((name, CODES[kind], scale))
            continue
        if kind == "u32" and scale != PLAIN:
            msg = f"field {line!r}: a list of u32 has no scale and needs !"
            raise Fatal(msg)
        parts += _joined(run)
        run = []
        parts.append(Series(name, Struct(f">{CODES[count]}"), CODES[kind], SIZES[kind], scale))
    return Layout((*parts, *_joined(run)))


@lru_cache
def _values(scale: Scale, size: int) -> tuple[float | None, ...]:
    """Give the values of all numbers of one or two bytes: a list of cells is looked up, not computed."""
    return tuple(map(scale.value, range(256**size)))


def _joined(run: list[tuple[str, str, Scale]]) -> list[Run]:
    if not run:
        return []
    return [Run(Struct(">" + "".join(code for _, code, _ in run)), tuple((name, *scale) for name, _, scale in run))]


def _top(size: int) -> int:
    """Give the lowest number that is no value of a field of so many bytes: abnormal; the next one is invalid."""
    return (1 << 8 * size) - 2


def _short(name: str, need: int, left: int) -> Reject:
    return Reject("bad_length", f"{name} needs {need} bytes, {max(left, 0)} are left")
