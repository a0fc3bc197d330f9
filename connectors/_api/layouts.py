"""Message bodies as data: a field is one line of text, compiled once into a codec that reads and writes it.

A line is ``name:type`` with, in this order, any of

``*`` ``*u8`` ``*u16`` ``*u32``
    a list: to the end of the body, or with its count in front;
``#length``
    as many bytes (of a text) or elements (of a list) as the named field before it says;
``?`` ``?status.0`` ``?type=248``
    absent when the body has ended; when bit 0 of the named field is clear; unless the named field is 248;
``@2013,2019``
    only in these editions.

Types: ``u8 u16 u32 u64 i8 i16 i32``, ``time`` (BCD YYMMDDhhmmss), ``date`` (BCD YYYYMMDD), ``utc`` (seconds since 1970
in eight bytes, shown as local time), ``bcd10`` (digits), ``dec3`` (a number in BCD), ``str`` ``str20`` ``str.u8`` ``cstr``
(GBK text: to the end, of 20 bytes, with its length in front, up to a zero byte), ``bytes`` likewise, and any named
type declared.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from struct import Struct
from typing import Any, NamedTuple, Protocol

from connectors._api import bcd
from schemas.errors import Fatal, Reject

LINE = re.compile(
    r"(?P<name>\w+):(?P<type>[a-z]\w*(?:\.u\d+)?)(?P<many>\*(?:u8|u16|u32)?)?(?:#(?P<by>\w+))?"
    r"(?P<maybe>\?(?:\w+\.\d+|\w+=\d+)?)?(?:@(?P<editions>[\d,]+))?"
)
SIZED = re.compile(r"(str|bytes|bcd|dec)(\d+)?(?:\.(u8|u16|u32))?")
NUMBERS = {n: Struct(f">{c}") for n, c in zip(("u8", "u16", "u32", "u64", "i8", "i16", "i32"), "BHIQbhi", strict=True)}
CODE_PAGE = "gb18030"
"""Superset of the GBK the standards prescribe."""
LAST_SECOND = 253_402_271_999
"""End of the year 9999 in Beijing: later seconds stay numbers."""


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
            return self.read_sized(body, at, length)
        return self.read_sized(body, at, len(body) - at if self.length is None else self.length)

    def read_sized(self, body: bytes, at: int, length: int) -> tuple[Any, int]:
        """Give what so many bytes show."""
        end = at + length
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


class Ended:
    """Text up to a zero byte, or to the end of the body where there is none."""

    def read(self, body: bytes, at: int) -> tuple[str, int]:
        """Give the text; the zero byte is passed over."""
        if at > len(body):
            raise _short(body, at)
        end = body.find(b"\0", at)
        return (text(body[at:]), len(body)) if end < 0 else (text(body[at:end]), end + 1)

    def write(self, value: str) -> bytes:
        """Give the text's bytes and the zero byte."""
        return from_text(value) + b"\0"


class Many(NamedTuple):
    """A list of equal elements, to the end of the body or with its count in front."""

    element: Codec
    prefix: Struct | None

    def read(self, body: bytes, at: int) -> tuple[list[Any], int]:
        """Give the elements; each takes at least a byte, so a lying count ends with the body."""
        if self.prefix:
            count, at = Number(self.prefix).read(body, at)
            return self.read_sized(body, at, count)
        values: list[Any] = []
        while at < len(body):
            value, at = self._one(body, at)
            values.append(value)
        return values, at

    def read_sized(self, body: bytes, at: int, count: int) -> tuple[list[Any], int]:
        """Give so many elements."""
        values: list[Any] = []
        for _ in range(count):
            value, at = self._one(body, at)
            values.append(value)
        return values, at

    def _one(self, body: bytes, at: int) -> tuple[Any, int]:
        value, end = self.element.read(body, at)
        if end == at:
            raise _short(body, end + 1)
        return value, end

    def write(self, value: Sequence[Any]) -> bytes:
        """Give the count, where there is one, and the elements."""
        head = self.prefix.pack(len(value)) if self.prefix else b""
        return head + b"".join(map(self.element.write, value))


class Field(NamedTuple):
    """A named field of a layout; ``maybe`` tells from the fields read so far whether it is there."""

    name: str
    codec: Codec
    by: str
    """Field that says its length or count; empty where it says so itself."""
    maybe: Callable[[Mapping[str, Any]], bool] | None
    ends: bool
    """It is absent when the body has ended."""


class Layout(NamedTuple):
    """Named fields, one after the other."""

    fields: tuple[Field, ...]

    def read(self, body: bytes, at: int) -> tuple[dict[str, Any], int]:
        """Give the fields by name."""
        values: dict[str, Any] = {}
        for name, codec, by, maybe, ends in self.fields:
            if (ends and at >= len(body)) or (maybe and not maybe(values)):
                continue
            try:
                if by and isinstance(codec, Stretch | Many):
                    values[name], at = codec.read_sized(body, at, values.get(by, 0))
                else:
                    values[name], at = codec.read(body, at)
            except Reject as reject:
                raise Reject(reject.reason, f"{name}: {reject.detail}") from None
        return values, at

    def write(self, value: Mapping[str, Any]) -> bytes:
        """Give the bytes; lengths and counts that ``value`` lacks are filled in, absent optional fields left out."""
        known, parts = dict(value), dict[str, bytes]()
        for f in self.fields:
            if f.by and f.name in known:
                parts[f.name] = f.codec.write(known[f.name])
                known.setdefault(f.by, len(known[f.name]) if isinstance(f.codec, Many) else len(parts[f.name]))
        return b"".join(
            parts[f.name] if f.name in parts else f.codec.write(known[f.name])
            for f in self.fields
            if f.name in known or not (f.ends or (f.maybe and not f.maybe(known)))
        )


def layout(lines: Sequence[str], types: Mapping[str, Codec], edition: str = "") -> Layout:
    """Compile the lines that hold in an edition; a line of another form raises ``Fatal``."""
    fields: list[Field] = []
    for line in lines:
        m = LINE.fullmatch(line)
        if m is None:
            msg = f"field {line!r} is not of the form name:type[*count][#length][?condition][@editions]"
            raise Fatal(msg)
        if m["editions"] and edition not in m["editions"].split(","):
            continue
        codec = types[m["type"]] if m["type"] in types else scalar(m["type"], line)
        if m["many"]:
            codec = Many(codec, NUMBERS.get(m["many"][1:]))
        _known(m["by"], fields, line)
        maybe = _condition(m["maybe"] or "", fields, line)
        fields.append(Field(m["name"], codec, m["by"] or "", maybe, m["maybe"] == "?"))
    return Layout(tuple(fields))


def scalar(name: str, where: str) -> Codec:
    """Give the codec of a built-in type; an unknown one raises ``Fatal``."""
    if name in NUMBERS:
        return Number(NUMBERS[name])
    if name in PLAIN:
        return PLAIN[name]
    m = SIZED.fullmatch(name)
    if m is None or (m[2] and m[3]) or (m[1] in ("bcd", "dec") and not m[2]):
        msg = f"field {where!r}: unknown type {name!r}"
        raise Fatal(msg)
    length, prefix = (int(m[2]) if m[2] else None), (NUMBERS[m[3]] if m[3] else None)
    if m[1] in ("bcd", "dec"):
        return Stretch(length, prefix, bcd.digits if m[1] == "bcd" else bcd.number, _digits_of(length or 0))
    if m[1] == "bytes":
        return Stretch(length, prefix, bytes, bytes)
    return Stretch(length, prefix, text if length is None else padded_text, from_text)


def fit(forms: Sequence[Layout], body: bytes) -> dict[str, Any]:
    """Give the fields of the first form that takes the whole body, or of the first that takes a part, with ``rest``.

    A body no form can read raises the ``Reject`` of the first.
    """
    best: tuple[dict[str, Any], int] | None = None
    fault: Reject | None = None
    for form in forms:
        try:
            values, end = form.read(body, 0)
        except Reject as reject:
            fault = fault or reject
            continue
        if end == len(body):
            return values
        best = best or (values, end)
    if best is not None:
        return {**best[0], "rest": body[best[1] :]}
    raise fault or Reject("bad_field", "no form of the message fits")


def build(forms: Sequence[Layout], values: Mapping[str, Any]) -> bytes:
    """Give the bytes of the first form that holds all these fields, the inverse of ``fit``; none raises ``ValueError``."""
    fault: Exception | None = None
    for form in forms:
        if not set(values) - {"rest"} <= {f.name for f in form.fields}:
            continue
        try:
            return form.write(values) + bytes(values.get("rest", b""))
        except (ValueError, KeyError, OverflowError, struct.error) as error:
            fault = fault or error
    msg = f"no form of the message holds {', '.join(values) or 'nothing'}"
    raise ValueError(msg) from fault


def text(raw: bytes) -> str:
    """Give GBK text without its padding, zero bytes inside it as spaces; bytes that are no GBK stay visible as escapes."""
    return raw.strip(b"\0").replace(b"\0", b" ").decode(CODE_PAGE, "backslashreplace").strip(" ")


def padded_text(raw: bytes) -> str:
    """Give the text of a field of fixed length: what some senders leave behind its first padding is none of it."""
    return text(raw.lstrip(b"\0").partition(b"\0")[0])


def from_text(value: str) -> bytes:
    """Give the bytes of a text."""
    return value.encode(CODE_PAGE)


def local_text(raw: bytes) -> str | int:
    """Give ``YYYY-MM-DD hh:mm:ss`` in Beijing of seconds since 1970 in eight bytes; a number beyond the calendar stays."""
    seconds = int.from_bytes(raw)
    if seconds > LAST_SECOND:
        return seconds
    hours, rest = divmod(seconds, 3600)
    return f"{_local_hour(hours)}:{rest // 60:02}:{rest % 60:02}"


@lru_cache(maxsize=1024)
def _local_hour(hours: int) -> str:
    return (bcd.EPOCH + timedelta(hours=hours, microseconds=bcd.BEIJING_US)).strftime("%Y-%m-%d %H")


def local_bytes(value: str | int) -> bytes:
    """Give the bytes that ``local_text`` shows so."""
    return (value if isinstance(value, int) else local_seconds(value)).to_bytes(8)


def local_seconds(value: str) -> int:
    """Give the seconds since 1970 of a text of ``local_text``; another text raises ``ValueError``."""
    local = datetime.strptime(value, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    return (local - bcd.EPOCH) // timedelta(seconds=1) - bcd.BEIJING_US // 1_000_000


def _digits_of(length: int) -> Callable[[Any], bytes]:
    return lambda value: bcd.from_digits(str(value), length)


def _known(name: str | None, before: Sequence[Field], where: str) -> None:
    if name and not any(f.name == name and isinstance(f.codec, Number) for f in before):
        msg = f"field {where!r} names {name!r}, which is no integer field before it"
        raise Fatal(msg)


def _condition(maybe: str, before: Sequence[Field], where: str) -> Callable[[Mapping[str, Any]], bool] | None:
    if len(maybe) < 2:
        return None
    name, sign, digits = re.split(r"([.=])", maybe[1:])
    _known(name, before, where)
    number = int(digits)
    if sign == ".":
        return lambda values: bool(values.get(name, 0) >> number & 1)
    return lambda values: values.get(name) == number


def _short(body: bytes, end: int) -> Reject:
    return Reject("bad_length", f"needs {end} bytes of body, there are {len(body)}")


PLAIN: dict[str, Codec] = {
    "time": Stretch(6, None, bcd.time_text, bcd.time_bytes),
    "date": Stretch(4, None, bcd.date_text, bcd.date_bytes),
    "utc": Stretch(8, None, local_text, local_bytes),
    "cstr": Ended(),
}
