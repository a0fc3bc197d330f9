"""Data units by command: names, fields and back (GB/T 32960.3 clause 7)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from struct import Struct
from typing import Any, Final

from connectors.gb32960 import records
from connectors.gb32960.layouts import Values
from connectors.gb32960.packet import COMMAND, Edition, Header
from schemas.errors import Reject

LOGIN, REALTIME, REPLAY, LOGOUT = 0x01, 0x02, 0x03, 0x04
PLATFORM_LOGIN, PLATFORM_LOGOUT, HEARTBEAT, CLOCK = 0x05, 0x06, 0x07, 0x08
ACTIVATION, ACTIVATION_REPLY, KEY_EXCHANGE = 0x09, 0x0A, 0x0B
UNKNOWN: Final = "unknown"
"""Name of a command no table has."""
NAMES: Final = {
    LOGIN: "vehicle_login",
    REALTIME: "realtime",
    REPLAY: "replay",
    LOGOUT: "vehicle_logout",
    PLATFORM_LOGIN: "platform_login",
    PLATFORM_LOGOUT: "platform_logout",
    HEARTBEAT: "heartbeat",
    CLOCK: "clock",
    0x80: "query_parameters",
    0x81: "set_parameters",
    0x82: "control",
}
NAMES_2025: Final = {ACTIVATION: "activation", ACTIVATION_REPLY: "activation_reply", KEY_EXCHANGE: "key_exchange"}
"""Commands the 2025 edition adds."""
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
BEIJING: Final = timedelta(hours=8)
TIME: Final = 6
"""Bytes of a time: year of the century, month, day, hour, minute, second, GMT+8."""
SIXTY: Final = range(60)
"""Minutes of an hour, seconds of a minute."""
LOGIN_FORM: Final = Struct(">H20sB")
PLATFORM_FORM: Final = Struct(">H12s20sB")
PACK_CODE: Final = 24
"""Bytes of a pack's code in the 2025 edition."""


def name_of(command: int, edition: Edition) -> str:
    """Give the name of a command; ``unknown`` where the edition's table has none."""
    return NAMES.get(command) or (NAMES_2025.get(command) if edition == "2025" else None) or UNKNOWN


def head(header: Header) -> Values:
    """Give a message's name and its header's fields."""
    return {
        "name": name_of(header.command, header.edition),
        "edition": header.edition,
        "command": header.command,
        "ack": header.ack,
        "vin": header.vin,
        "encryption": header.encryption,
        "length": header.length,
    }


def decode(header: Header, body: bytes) -> Values:
    """Give the fields of a data unit; bytes behind the last one stay raw as ``rest``, what is not known as ``content``.

    An answer, and a command without a table, show their time where there is one.
    """
    name = name_of(header.command, header.edition)
    reader = READERS.get(name) if header.ack == COMMAND else None
    if reader is None:
        if not body:
            return {}
        return _time(body) if name != UNKNOWN and len(body) == TIME else {"content": body}
    return reader(header.edition, body)


def encode(command: int, edition: Edition, values: Mapping[str, Any]) -> bytes:
    """Give the data unit with these fields, the inverse of ``decode``; what does not fit raises ``ValueError``."""
    start = time_bytes(values["time"]) if "time" in values else b""
    rest = bytes(values.get("rest", b""))
    match NAMES.get(command) if values.get("ack", COMMAND) == COMMAND else None:
        case "realtime" | "replay":
            return start + records.write(edition, values)
        case "vehicle_login":
            return start + _login_bytes(edition, values) + rest
        case "vehicle_logout" | "platform_logout":
            return start + int(values["serial"]).to_bytes(2) + rest
        case "platform_login":
            texts = (values["user"].encode(), values["password"].encode())
            return start + PLATFORM_FORM.pack(values["serial"], *texts, values["encryption_rule"]) + rest
    return start + bytes(values.get("content", b"")) + rest


def instant(raw: bytes) -> int:
    """Give the µs UTC of six bytes of time; a time no calendar has is a ``bad_field``."""
    if len(raw) < TIME:
        raise Reject("bad_length", f"time needs {TIME} bytes, {len(raw)} are left")
    try:
        return _hour(raw[:4]) + (SIXTY[raw[4]] * 60 + SIXTY[raw[5]]) * 1_000_000
    except (ValueError, IndexError):
        raise Reject("bad_field", f"time {raw[:TIME].hex(' ').upper()} is in no calendar") from None


@lru_cache(4096)
def _hour(raw: bytes) -> int:
    year, month, day, hour = raw
    return (datetime(2000 + year, month, day, hour, tzinfo=UTC) - BEIJING - EPOCH) // timedelta(microseconds=1)


def from_instant(ts: int) -> bytes:
    """Give the six bytes of time of an instant in µs UTC, whole seconds."""
    local = EPOCH + timedelta(microseconds=ts) + BEIJING
    return bytes((local.year % 100, local.month, local.day, local.hour, local.minute, local.second))


def time_text(raw: bytes) -> str:
    """Give ``YYYY-MM-DD hh:mm:ss`` as the wire says it."""
    year, month, day, hour, minute, second = raw
    return f"{2000 + year}-{month:02d}-{day:02d} {hour:02d}:{minute:02d}:{second:02d}"


def time_bytes(text: str) -> bytes:
    """Give the bytes that ``time_text`` shows so."""
    year, *others = (int(part) for part in text.replace(" ", "-").replace(":", "-").split("-"))
    return bytes((year - 2000, *others))


def _time(body: bytes) -> Values:
    if len(body) < TIME:
        raise Reject("bad_length", f"time needs {TIME} bytes, {len(body)} are left")
    return {"time": time_text(body[:TIME])}


def _record(edition: Edition, body: bytes) -> Values:
    return {**_time(body), **records.read(edition, body, TIME)}


def _login(edition: Edition, body: bytes) -> Values:
    values = _time(body)
    if len(body) < TIME + LOGIN_FORM.size:
        raise Reject("bad_length", f"login needs {TIME + LOGIN_FORM.size} bytes, there are {len(body)}")
    values["serial"], iccid, systems = LOGIN_FORM.unpack_from(body, TIME)
    values["iccid"] = _text(iccid)
    at = TIME + LOGIN_FORM.size
    if edition == "2025":
        packs = list(body[at : at + systems])
        values["battery_systems"], values["packs"] = systems, packs
        at, size, count = at + systems, PACK_CODE, sum(packs)
    else:
        if at >= len(body):
            raise Reject("bad_length", "the length of the codes is missing")
        values["subsystems"], values["code_length"] = systems, body[at]
        at, size, count = at + 1, body[at], systems
    stop = at + count * size
    if stop > len(body):
        raise Reject("bad_length", f"{count} codes of {size} bytes reach beyond the data")
    values["codes"] = [_text(body[i : i + size]) for i in range(at, stop, size)] if size else []
    return _with_rest(values, body, stop)


def _login_bytes(edition: Edition, values: Mapping[str, Any]) -> bytes:
    if edition == "2025":
        size, systems, counts = PACK_CODE, values["battery_systems"], bytes(values["packs"])
    else:
        size, systems, counts = values["code_length"], values["subsystems"], bytes((values["code_length"],))
    codes = b"".join(code.encode().ljust(size, b"\0")[:size] for code in values["codes"])
    return LOGIN_FORM.pack(values["serial"], values["iccid"].encode(), systems) + counts + codes


def _logout(edition: Edition, body: bytes) -> Values:
    if len(body) < TIME + 2:
        raise Reject("bad_length", f"logout needs {TIME + 2} bytes, there are {len(body)}")
    return _with_rest({**_time(body), "serial": int.from_bytes(body[TIME : TIME + 2])}, body, TIME + 2)


def _platform_login(edition: Edition, body: bytes) -> Values:
    stop = TIME + PLATFORM_FORM.size
    if len(body) < stop:
        raise Reject("bad_length", f"platform login needs {stop} bytes, there are {len(body)}")
    serial, user, password, rule = PLATFORM_FORM.unpack_from(body, TIME)
    fields = {"serial": serial, "user": _text(user), "password": _text(password), "encryption_rule": rule}
    return _with_rest({**_time(body), **fields}, body, stop)


def _empty(edition: Edition, body: bytes) -> Values:
    return _with_rest({}, body, 0)


def _with_rest(values: Values, body: bytes, end: int) -> Values:
    return {**values, "rest": body[end:]} if end < len(body) else values


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace").strip("\0 ")


READERS: Final[dict[str, Callable[[Edition, bytes], Values]]] = {
    "vehicle_login": _login,
    "realtime": _record,
    "replay": _record,
    "vehicle_logout": _logout,
    "platform_login": _platform_login,
    "platform_logout": _logout,
    "heartbeat": _empty,
    "clock": _empty,
}
