"""Body layouts as data: a field is one line of text, compiled once into a codec that reads and writes it.

A line is ``name:type`` with, in this order, any of

``*`` ``*u8`` ``*u16`` ``*u32``
    a list: to the end of the body, or with its count in front;
``?`` ``?status.0`` ``?type=248``
    absent when the body has ended; when bit 0 of the named field is clear; unless the named field is 248;
``@2013,2019``
    only in these editions.

Types: ``u8 u16 u32 u64 i8 i16 i32``, ``time`` (BCD YYMMDDhhmmss), ``date`` (BCD YYYYMMDD), ``bcd10`` (digits),
``str`` ``str20`` ``str.u8`` (GBK text: to the end, of 20 bytes, with its length in front), ``bytes`` likewise,
and any named type already declared.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from struct import Struct
from typing import Any, NamedTuple, Protocol

from connectors._api import bcd
from schemas.errors import Fatal, Reject

LINE = re.compile(
    r"(?P<name>\w+):(?P<type>[a-z]\w*(?:\.u\d+)?)(?P<many>\*(?:u8|u16|u32)?)?"
    r"(?P<maybe>\?(?:\w+\.\d+|\w+=\d+)?)?(?:@(?P<editions>[\d,]+))?"
)
SIZED = re.compile(r"(str|bytes|bcd)(\d+)?(?:\.(u8|u16|u32))?")
NUMBERS = {n: Struct(f">{c}") for n, c in zip(("u8", "u16", "u32", "u64", "i8", "i16", "i32"), "BHIQbhi", strict=True)}


class Codec(Protocol):
    """Reads a value at a place of a body, and writes it back."""

    def read(self, body: bytes, at: int) -> tuple[Any, int]:
        """Give the value and where the next one begins; a body that ends too early is a ``bad_length``."""
        ...

    def write(self, value: Any) -> bytes:
        """Give the value's bytes."""
        ...


class Number(NamedTuple):
    """An integer of fixed width, big-endian."""

    form: Struct

    def read(self, body: bytes, at: int) -> tuple[int, int]:
        """Give the integer."""
        end = at + self.form.size
        if end > len(body):
            raise _short(body, end)
        return self.form.unpack_from(body, at)[0], end

    def write(self, value: int) -> bytes:
        """Give its bytes."""
        return self.form.pack(value)


class Stretch(NamedTuple):
    """Bytes of a fixed length, of a length written in front, or to the end; shown by ``show``."""

    length: int | None
    prefix: Struct | None
    show: Callable[[bytes], Any]
    hide: Callable[[Any], bytes]

    def read(self, body: bytes, at: int) -> tuple[Any, int]:
        """Give what the bytes show."""
        if self.prefix:
            length, at = Number(self.prefix).read(body, at)
            end = at + length
        else:
            end = len(body) if self.length is None else at + self.length
        if end > len(body):
            raise _short(body, end)
        return self.show(body[at:end]), end

    def write(self, value: Any) -> bytes:
        """Give the bytes, padded with zeros where the length is fixed."""
        raw = self.hide(value)
        if self.prefix:
            return self.prefix.pack(len(raw)) + raw
        if self.length is not None and len(raw) > self.length:
            msg = f"{value!r} is longer than {self.length} bytes"
            raise ValueError(msg)
        return raw.ljust(self.length or 0, b"\0")


class Many(NamedTuple):
    """A list of equal elements, to the end of the body or with its count in front."""

    element: Codec
    prefix: Struct | None

    def read(self, body: bytes, at: int) -> tuple[list[Any], int]:
        """Give the elements; each takes at least a byte, so a lying count ends with the body."""
        count = len(body)
        if self.prefix:
            count, at = Number(self.prefix).read(body, at)
        values: list[Any] = []
        while len(values) < count and (self.prefix or at < len(body)):
            value, end = self.element.read(body, at)
            if end == at:
                raise _short(body, end + 1)
            values.append(value)
            at = end
        return values, at

    def write(self, value: Sequence[Any]) -> bytes:
        """Give the count, where there is one, and the elements."""
        head = self.prefix.pack(len(value)) if self.prefix else b""
        return head + b"".join(map(self.element.write, value))


class Field(NamedTuple):
    """A named field of a layout; ``maybe`` tells from the fields read so far whether it is there."""

    name: str
    codec: Codec
    maybe: Callable[[Mapping[str, Any]], bool] | None
    ends: bool
    """It is absent when the body has ended."""


class Layout(NamedTuple):
    """Named fields, one after the other."""

    fields: tuple[Field, ...]

    def read(self, body: bytes, at: int) -> tuple[dict[str, Any], int]:
        """Give the fields by name."""
        values: dict[str, Any] = {}
        for name, codec, maybe, ends in self.fields:
            if (ends and at >= len(body)) or (maybe and not maybe(values)):
                continue
            try:
                values[name], at = codec.read(body, at)
            except Reject as reject:
                raise Reject(reject.reason, f"{name}: {reject.detail}") from None
        return values, at

    def write(self, value: Mapping[str, Any]) -> bytes:
        """Give the bytes; a field that may be absent is left out where ``value`` has none."""
        return b"".join(
            f.codec.write(value[f.name])
            for f in self.fields
            if f.name in value or not (f.ends or (f.maybe and not f.maybe(value)))
        )


def layout(lines: Sequence[str], types: Mapping[str, Codec], edition: str = "") -> Layout:
    """Compile the lines that hold in an edition; a line of another form raises ``Fatal``."""
    fields: list[Field] = []
    for line in lines:
        m = LINE.fullmatch(line)
        if m is None:
            msg = f"field {line!r} is not of the form name:type[*count][?condition][@editions]"
            raise Fatal(msg)
        if m["editions"] and edition not in m["editions"].split(","):
            continue
        codec = types[m["type"]] if m["type"] in types else scalar(m["type"], line)
        if m["many"]:
            codec = Many(codec, NUMBERS.get(m["many"][1:]))
        fields.append(Field(m["name"], codec, _condition(m["maybe"] or "", fields, line), m["maybe"] == "?"))
    return Layout(tuple(fields))


def scalar(name: str, where: str) -> Codec:
    """Give the codec of a built-in type; an unknown one raises ``Fatal``."""
    if name in NUMBERS:
        return Number(NUMBERS[name])
    if name in PLAIN:
        return PLAIN[name]
    m = SIZED.fullmatch(name)
    if m is None or (m[2] and m[3]):
        msg = f"field {where!r}: unknown type {name!r}"
        raise Fatal(msg)
    length, prefix = (int(m[2]) if m[2] else None), (NUMBERS[m[3]] if m[3] else None)
    if m[1] == "bcd":
        return Stretch(length, prefix, bcd.digits, lambda v: bcd.from_digits(v, length or 0))
    show, hide = (text, from_text) if m[1] == "str" else (bytes, bytes)
    return Stretch(length, prefix, show, hide)


def text(raw: bytes) -> str:
    """Give GBK text without its padding; bytes that are no GBK stay visible as escapes."""
    return raw.strip(b"\0").decode("gb18030", "backslashreplace").strip(" ")


def from_text(value: str) -> bytes:
    """Give the bytes of a text."""
    return value.encode("gb18030")


def _condition(maybe: str, before: Sequence[Field], where: str) -> Callable[[Mapping[str, Any]], bool] | None:
    if len(maybe) < 2:
        return None
    name, sign, digits = re.split(r"([.=])", maybe[1:])
    if not any(f.name == name and isinstance(f.codec, Number) for f in before):
        msg = f"field {where!r}: its condition names no integer field before it"
        raise Fatal(msg)
    number = int(digits)
    if sign == ".":
        return lambda values: bool(values.get(name, 0) >> number & 1)
    return lambda values: values.get(name) == number


def _short(body: bytes, end: int) -> Reject:
    return Reject("bad_length", f"needs {end} bytes of body, there are {len(body)}")


PLAIN: dict[str, Codec] = {
    "time": Stretch(6, None, bcd.time_text, bcd.time_bytes),
    "date": Stretch(4, None, bcd.date_text, bcd.date_bytes),
}
