"""A-XDR as DL/T 698.45 uses it (7.3 and annex): the data types, read with a cursor that never runs past the bytes."""

from __future__ import annotations

import struct
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from schemas.errors import Reject

DEPTH_MAX: Final = 16
"""Deepest nesting of arrays and structures that is read."""
ANY = 0xFF
"""Stands in a date or time for no value."""


class Cursor:
    """Reads an APDU from its first byte to its last; what is missing raises ``Reject``."""

    def __init__(self, raw: bytes, at: int = 0) -> None:
        self.raw, self.at = raw, at
        self.depth = 0
        """Data that hold the one being read."""

    @property
    def left(self) -> int:
        """Bytes not yet read."""
        return len(self.raw) - self.at

    def take(self, count: int) -> bytes:
        """Give the next bytes."""
        end = self.at + count
        if end > len(self.raw):
            raise Reject("bad_length", f"APDU of {len(self.raw)} bytes ends within a field at byte {self.at}")
        raw = self.raw[self.at : end]
        self.at = end
        return raw

    def u8(self) -> int:
        """Give an unsigned."""
        try:
            value = self.raw[self.at]
        except IndexError:
            raise Reject("bad_length", f"APDU of {len(self.raw)} bytes ends where a field begins") from None
        self.at += 1
        return value

    def u16(self) -> int:
        """Give a long-unsigned."""
        return int.from_bytes(self.take(2))

    def u32(self) -> int:
        """Give a double-long-unsigned."""
        return int.from_bytes(self.take(4))

    def length(self) -> int:
        """Give a length: one byte below 80H, else as many bytes as its low bits say."""
        first = self.u8()
        if first < 0x80:
            return first
        if not 1 <= first & 0x7F <= 4:
            raise Reject("bad_field", f"length of {first & 0x7F} bytes at byte {self.at - 1}")
        return int.from_bytes(self.take(first & 0x7F))

    def octets(self) -> bytes:
        """Give an octet-string."""
        return self.take(self.length())

    def many(self, one: Callable[[Cursor], Any]) -> list[Any]:
        """Give a SEQUENCE OF; every element takes a byte at least."""
        count = self.length()
        if count > self.left:
            raise Reject("bad_length", f"{count} elements are promised, {self.left} bytes are left")
        return [one(self) for _ in range(count)]


def data(cursor: Cursor) -> Any:
    """Give a Data: its value in plain Python, arrays and structures as lists, identifiers as hex."""
    if cursor.depth >= DEPTH_MAX:
        raise Reject("too_large", f"data is nested deeper than {DEPTH_MAX}")
    tag = cursor.u8()
    reader = READERS.get(tag)
    if reader is None:
        raise Reject("bad_field", f"no data type has the tag {tag} (byte {cursor.at - 1})")
    cursor.depth += 1
    value = reader(cursor)
    cursor.depth -= 1
    return value


def oad(cursor: Cursor) -> str:
    """Give an OAD: OI, attribute and element in hex."""
    return cursor.take(4).hex().upper()


def csd(cursor: Cursor) -> Any:
    """Give a CSD: an OAD, or a ROAD as mapping."""
    kind = cursor.u8()
    if kind > 1:
        raise Reject("bad_field", f"CSD has the choice {kind}, not OAD or ROAD")
    return road(cursor) if kind else oad(cursor)


def rcsd(cursor: Cursor) -> list[Any]:
    """Give an RCSD: the columns of a record."""
    return cursor.many(csd)


def road(cursor: Cursor) -> dict[str, Any]:
    """Give a ROAD: an OAD and those it relates to."""
    return {"oad": oad(cursor), "related": cursor.many(oad)}


def tsa(cursor: Cursor) -> str:
    """Give a TSA: the digits of a server address; empty for none."""
    raw = cursor.octets()
    if not raw:
        return ""
    extended = bool(raw[0] & 0x20)
    return raw[2 if extended else 1 :].hex().upper()


def ti(cursor: Cursor) -> dict[str, Any]:
    """Give a TI: a number of seconds, minutes, hours, days, months or years."""
    unit = cursor.u8()
    return {"unit": INTERVALS[unit] if unit < len(INTERVALS) else unit, "count": cursor.u16()}


def date_time(cursor: Cursor) -> str | None:
    """Give a date_time as ``YYYY-MM-DD hh:mm:ss.mmm``; ``None`` where it is not set."""
    year, month, day, _, hour, minute, second, millis = struct.unpack(">HBBBBBBH", cursor.take(10))
    return moment(year, month, day, hour, minute, second, millis)


def date_time_s(cursor: Cursor) -> str | None:
    """Give a date_time_s as ``YYYY-MM-DD hh:mm:ss``; ``None`` where it is not set."""
    return moment(*struct.unpack(">HBBBBB", cursor.take(7)))


def moment(year: int, month: int, day: int, hour: int, minute: int, second: int, millis: int | None = None) -> str | None:
    """Give a time as text; ``None`` where a part says "any" or no calendar has it."""
    try:
        text = str(datetime(year, month, day, hour, minute, second))  # noqa: DTZ001 - text only, zone is added where used
    except ValueError:
        return None
    return text if millis is None or millis > 999 else f"{text}.{millis:03d}"


def _date(cursor: Cursor) -> str | None:
    year, month, day, _ = struct.unpack(">HBBB", cursor.take(5))
    shown = moment(year, month, day, 0, 0, 0)
    return shown and shown[:10]


def _time(cursor: Cursor) -> str:
    return ":".join("--" if part == ANY else f"{part:02d}" for part in cursor.take(3))


def _bits(cursor: Cursor) -> str:
    count = cursor.length()
    raw = cursor.take((count + 7) // 8)
    return "".join(f"{byte:08b}" for byte in raw)[:count]


def _region(cursor: Cursor) -> dict[str, Any]:
    kind = cursor.u8()
    kinds = ("[begin,end)", "(begin,end]", "[begin,end]", "(begin,end)")
    return {"bounds": kinds[kind] if kind < 4 else kind, "begin": data(cursor), "end": data(cursor)}


def meters(cursor: Cursor) -> Any:
    """Give an MS: which meters are meant."""
    choice = cursor.u8()
    if choice in (0, 1):
        return ("none", "all")[choice]
    names = {2: "types", 3: "addresses", 4: "numbers", 5: "type_regions", 6: "address_regions", 7: "number_regions"}
    readers: dict[int, Callable[[Cursor], Any]] = {2: Cursor.u8, 3: tsa, 4: Cursor.u16}
    if choice not in names:
        raise Reject("bad_field", f"MS has the choice {choice}")
    return {names[choice]: cursor.many(readers.get(choice, _region))}


def rsd(cursor: Cursor) -> dict[str, Any]:
    """Give an RSD: which rows of a record are meant."""
    choice = cursor.u8()
    if choice not in SELECTORS:
        raise Reject("bad_field", f"RSD has the selector {choice}")
    return {"selector": choice} | {name: one(cursor) for name, one in SELECTORS[choice]}


def _selector2(cursor: Cursor) -> dict[str, Any]:
    return {name: one(cursor) for name, one in SELECTORS[2]}


def text(cursor: Cursor) -> str:
    """Give a visible-string or UTF8-string; bytes that are no text show as such."""
    return cursor.octets().decode("utf-8", "backslashreplace").rstrip("\x00")


def _hex(count: int) -> Callable[[Cursor], str]:
    return lambda cursor: cursor.take(count).hex().upper()


def _number(form: str) -> Callable[[Cursor], Any]:
    layout = struct.Struct(">" + form)
    unpack, size = layout.unpack, layout.size
    return lambda cursor: unpack(cursor.take(size))[0]


def _float(form: str) -> Callable[[Cursor], float | None]:
    read = _number(form)

    def finite(cursor: Cursor) -> float | None:
        value: float = read(cursor)
        return value if abs(value) < float("inf") else None

    return finite


def _elements(cursor: Cursor) -> list[Any]:
    """Give the elements of an array or structure; equal plain numbers, as most are, are read in one go."""
    start, raw = cursor.at, cursor.raw
    count, at = cursor.length(), cursor.at
    form = NUMBERS.get(raw[at]) if count and at < len(raw) and cursor.depth < DEPTH_MAX else None
    if form is not None:
        end = at + count * form.size
        if end <= len(raw) and raw[at : end : form.size].count(raw[at]) == count:
            cursor.at = end
            return [value for (value,) in form.iter_unpack(raw[at:end])]
    cursor.at = start
    return cursor.many(data)


def _octets_hex(cursor: Cursor) -> str:
    return cursor.octets().hex().upper()


def _sid(cursor: Cursor) -> dict[str, Any]:
    return {"id": cursor.u32(), "attached": _octets_hex(cursor)}


SELECTORS: Final[dict[int, tuple[tuple[str, Callable[[Cursor], Any]], ...]]] = {
    0: (),
    1: (("oad", oad), ("value", data)),
    2: (("oad", oad), ("begin", data), ("end", data), ("step", data)),
    3: (("all_of", lambda cursor: cursor.many(_selector2)),),
    4: (("started_at", date_time_s), ("meters", meters)),
    5: (("stored_at", date_time_s), ("meters", meters)),
    6: (("begin", date_time_s), ("end", date_time_s), ("step", ti), ("meters", meters)),
    7: (("begin", date_time_s), ("end", date_time_s), ("step", ti), ("meters", meters)),
    8: (("begin", date_time_s), ("end", date_time_s), ("step", ti), ("meters", meters)),
    9: (("last", Cursor.u8),),
    10: (("last", Cursor.u8), ("meters", meters)),
}
"""Fields of each row selector."""
NUMBERS: Final = {tag: struct.Struct(f">x{form}") for tag, form in zip((5, 6, 15, 16, 17, 18), "iIbhBH", strict=True)}
"""Plain numbers with their tags, by tag."""
INTERVALS: Final = ("second", "minute", "hour", "day", "month", "year")
READERS: Final[dict[int, Callable[[Cursor], Any]]] = {
    0: lambda cursor: None,
    1: _elements,
    2: _elements,
    3: lambda cursor: cursor.u8() != 0,
    4: _bits,
    5: _number("i"),
    6: Cursor.u32,
    9: _octets_hex,
    10: text,
    12: text,
    15: _number("b"),
    16: _number("h"),
    17: Cursor.u8,
    18: Cursor.u16,
    20: _number("q"),
    21: _number("Q"),
    22: Cursor.u8,
    23: _float("f"),
    24: _float("d"),
    25: date_time,
    26: _date,
    27: _time,
    28: date_time_s,
    80: _hex(2),
    81: oad,
    82: road,
    83: _hex(4),
    84: ti,
    85: tsa,
    86: _octets_hex,
    87: _octets_hex,
    88: _region,
    89: lambda cursor: {"scale": _number("b")(cursor), "unit": cursor.u8()},
    90: rsd,
    91: csd,
    92: meters,
    93: _sid,
    94: lambda cursor: {**_sid(cursor), "mac": _octets_hex(cursor)},
    95: _hex(5),
    96: rcsd,
}
"""How each data type is read, by its tag (table of 7.3.1)."""
