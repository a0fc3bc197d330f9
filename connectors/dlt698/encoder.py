"""DL/T 698.45 APDUs and frames built from fields: a platform's requests and answers, a meter's reports and replies."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

from connectors.dlt698.apdu import CLOCK_TRUSTED
from connectors.dlt698.fragments import word
from connectors.dlt698.framing import DIR, FRAGMENT, PRM, build

BEIJING: Final = timezone(timedelta(hours=8))
"""Times travel as Beijing time without an offset."""
LINK, USER = 1, 3
"""Functions of the control field: link management, user data."""
NO_TAG: Final = b"\x00"
"""No time tag follows; of a server's answer the same byte says that no report follows."""
TYPES: Final = {
    "i8": (15, "b"),
    "i16": (16, "h"),
    "u8": (17, "B"),
    "u16": (18, "H"),
    "i32": (5, "i"),
    "u32": (6, "I"),
    "i64": (20, "q"),
    "u64": (21, "Q"),
    "enum": (22, "B"),
    "bool": (3, "?"),
    "f32": (23, "f"),
    "f64": (24, "d"),
}
"""Tag and layout of the numbers."""
Typed = tuple[str, Any]
"""A type's name and a value: a number, text, bytes, microseconds UTC, or a list of ``Typed``."""


def data(typed: Typed) -> bytes:
    """Give a Data, tag and all; an unknown type raises ``ValueError``."""
    kind, value = typed
    if kind in TYPES:
        tag, layout = TYPES[kind]
        return bytes((tag,)) + struct.pack(">" + layout, value)
    writers: dict[str, Any] = {
        "null": lambda _: b"\x00",
        "array": lambda v: b"\x01" + many([data(one) for one in v]),
        "structure": lambda v: b"\x02" + many([data(one) for one in v]),
        "octets": lambda v: b"\x09" + octets(v),
        "visible": lambda v: b"\x0a" + octets(v.encode("ascii")),
        "utf8": lambda v: b"\x0c" + octets(v.encode()),
        "date_time": lambda v: b"\x19" + date_time(v),
        "date_time_s": lambda v: b"\x1c" + date_time_s(v),
        "oad": lambda v: b"\x51" + bytes.fromhex(v),
        "tsa": lambda v: b"\x55" + tsa(v),
    }
    if kind not in writers:
        msg = f"unknown data type {kind!r}"
        raise ValueError(msg)
    return bytes(writers[kind](value))


def length(count: int) -> bytes:
    """Give a length as A-XDR writes it."""
    if count < 0x80:
        return bytes((count,))
    size = (count.bit_length() + 7) // 8
    return bytes((0x80 | size,)) + count.to_bytes(size)


def many(parts: Sequence[bytes]) -> bytes:
    """Give a SEQUENCE OF."""
    return length(len(parts)) + b"".join(parts)


def octets(value: bytes) -> bytes:
    """Give an octet-string without its tag."""
    return length(len(value)) + value


def tsa(address: str) -> bytes:
    """Give a TSA of the digits of an address, without its tag."""
    raw = bytes.fromhex(address)
    return octets(bytes((len(raw) - 1,)) + raw)


def date_time_s(ts: int) -> bytes:
    """Give microseconds UTC as date_time_s."""
    at = datetime.fromtimestamp(ts // 1_000_000, UTC).astimezone(BEIJING)
    return struct.pack(">HBBBBB", at.year, at.month, at.day, at.hour, at.minute, at.second)


def date_time(ts: int) -> bytes:
    """Give microseconds UTC as date_time, with the day of the week (0 is Sunday) and milliseconds."""
    at = datetime.fromtimestamp(ts // 1_000_000, UTC).astimezone(BEIJING)
    weekday = at.isoweekday() % 7
    head = struct.pack(">HBBBBBB", at.year, at.month, at.day, weekday, at.hour, at.minute, at.second)
    return head + (ts // 1000 % 1000).to_bytes(2)


def frame(
    address: str, apdu: bytes, *, client: int = 0x10, from_server: bool = False, by_server: bool = False, function: int = USER
) -> bytes:
    """Give a whole frame; ``address`` as its digits read, ``by_server`` says who began the exchange."""
    control = (DIR if from_server else 0) | (0 if by_server else PRM) | function
    return build(control, bytes.fromhex(address)[::-1], client, apdu)


def fragmented(address: str, apdu: bytes, size: int, *, client: int = 0x10, control: int = DIR | PRM | USER) -> list[bytes]:
    """Give the frames of an APDU in fragments of ``size`` bytes."""
    parts = [apdu[at : at + size] for at in range(0, len(apdu), size)]
    raw, last = bytes.fromhex(address)[::-1], len(parts) - 1
    kinds = ["start" if n == 0 else "last" if n == last else "middle" for n in range(len(parts))]
    return [
        build(control | FRAGMENT, raw, client, word(kind, n) + part)
        for n, (kind, part) in enumerate(zip(kinds, parts, strict=True))
    ]


def link_request(kind: int, ts: int, heartbeat_s: int = 60, piid: int = 0) -> bytes:
    """Give the APDU a device logs in (0), beats (1) or logs out (2) with."""
    return bytes((0x01, piid, kind)) + heartbeat_s.to_bytes(2) + date_time(ts)


def link_response(request: bytes, now: int) -> bytes:
    """Give the APDU that answers a LINK-Request: accepted, our clock can be trusted, three times."""
    return bytes((0x81, request[1] & 0x3F, CLOCK_TRUSTED)) + request[5:15] + date_time(now) * 2


def connect_request(piid: int) -> bytes:
    """Give the APDU that opens an association without security, all services offered."""
    limits = struct.pack(">HHBHI", 1024, 1024, 1, 2048, 7200)
    return bytes((0x02, piid)) + (0x0010).to_bytes(2) + b"\xff" * 24 + limits + b"\x00" + NO_TAG


def get_request(piid: int, oads: Sequence[str]) -> bytes:
    """Give the APDU that reads one attribute, or several."""
    wanted = [bytes.fromhex(oad) for oad in oads]
    if len(wanted) == 1:
        return bytes((0x05, 0x01, piid)) + wanted[0] + NO_TAG
    return bytes((0x05, 0x02, piid)) + many(wanted) + NO_TAG


def get_request_next(piid: int, block: int) -> bytes:
    """Give the APDU that asks for the block behind ``block``."""
    return bytes((0x05, 0x05, piid)) + block.to_bytes(2) + NO_TAG


def report_response(piid: int, choice: int, oads: Sequence[str]) -> bytes:
    """Give the APDU that confirms a report: the OADs it brought, in its own form."""
    listed = b"" if choice == 3 else many([bytes.fromhex(oad) for oad in oads])
    return bytes((0x08, choice, piid)) + listed + NO_TAG


def get_response(piid: int, values: Mapping[str, Typed | int]) -> bytes:
    """Give the APDU with values by OAD; a bare number is the DAR why there is none."""
    results = [_result(oad, value) for oad, value in values.items()]
    if len(results) == 1:
        return bytes((0x85, 0x01, piid)) + results[0] + NO_TAG * 2
    return bytes((0x85, 0x02, piid)) + many(results) + NO_TAG * 2


def get_response_next(piid: int, block: int, values: Mapping[str, Typed | int], *, last: bool) -> bytes:
    """Give the APDU with one block of a long answer."""
    results = many([_result(oad, value) for oad, value in values.items()])
    return bytes((0x85, 0x05, piid, last)) + block.to_bytes(2) + b"\x01" + results + NO_TAG * 2


def report(piid: int, values: Mapping[str, Typed | int]) -> bytes:
    """Give the APDU a device reports values with of its own."""
    return bytes((0x88, 0x01, piid)) + many([_result(oad, value) for oad, value in values.items()]) + NO_TAG * 2


def report_record(piid: int, oad: str, columns: Sequence[str], rows: Sequence[Sequence[Typed]]) -> bytes:
    """Give the APDU a concentrator reports rows of several meters with."""
    heads = many([b"\x00" + bytes.fromhex(column) for column in columns])
    cells = many([b"".join(data(cell) for cell in row) for row in rows])
    return bytes((0x88, 0x02, piid, 1)) + bytes.fromhex(oad) + heads + b"\x01" + cells + NO_TAG * 2


def _result(oad: str, value: Typed | int) -> bytes:
    return bytes.fromhex(oad) + (bytes((0, value)) if isinstance(value, int) else b"\x01" + data(value))
