"""Frames of CJ/T 188 as messages: control codes, identifiers of both byte orders, and the fields behind them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from connectors._api.meter_frames import TAIL
from connectors.cj188 import fields
from connectors.cj188.framing import HEAD
from schemas.errors import Reject

FROM_METER, ABNORMAL = 0x80, 0x40
"""Bits of the control code: direction, error."""
FUNCTIONS: Final = {
    0x01: ("read", "读数据"),
    0x03: ("read_address", "读地址"),
    0x04: ("write", "写数据"),
    0x09: ("read_key_version", "读密钥版本号"),
    0x15: ("write_address", "写地址"),
    0x16: ("write_mechanical_count", "写机电同步数据"),
}
"""Function by the low six bits of the control code."""
GROUPS: Final = frozenset({0x90, 0xD1, 0x81, 0xA0})
"""High bytes of data identifiers; the standard's editions differ in whether they come first."""
HISTORY: Final = {f"D1{0x20 + month:02X}": month + 1 for month in range(12)}


def parse(frame: bytes, unit_first: Sequence[str] = ()) -> dict[str, Any]:
    """Give a sound frame as a message; fields that cannot be read raise ``Reject``.

    ``unit_first`` holds the address prefixes of meters that send the unit before its number.
    """
    control, data = frame[9], frame[HEAD:-TAIL]
    name, zh = FUNCTIONS.get(control & 0x3F, ("unknown", ""))
    address = frame[8:1:-1].hex().upper()
    message: dict[str, Any] = {
        "name": _name(name, control),
        "type": f"{frame[1]:02X}",
        "type_name": type_name(frame[1]),
        "address": address,
        "maker": address[:4],
        "control": f"{control:02X}",
        "function": zh,
        "length": len(data),
    }
    if name == "unknown":
        return {**message, "data": data}
    if control & ABNORMAL:
        return message | _error(data)
    if len(data) < 3:
        return {**message, "data": data} if data else message
    message |= _identifier(data)
    forced = True if any(address.startswith(prefix) for prefix in unit_first) else None
    return message | _fields(message["di"], control, data[3:], forced)


def _name(name: str, control: int) -> str:
    if not control & FROM_METER or name == "unknown":
        return name
    return f"{name}_error" if control & ABNORMAL else f"{name}_reply"


def type_name(code: int) -> str:
    """Name a meter type; empty for one the tables leave open."""
    entry = fields.TABLE["types"].get(f"{code:02X}")
    return str(entry["zh"]) if entry else ""


def medium(code: int) -> str:
    """Give what a meter of this type measures; empty for types no group has."""
    entry = fields.TABLE["types"].get(f"{code:02X}")
    return str(entry["medium"] if entry else fields.TABLE["groups"].get(f"{code >> 4:X}", ""))


def _error(data: bytes) -> dict[str, Any]:
    """SER and status, where the meter gives both."""
    if len(data) < 3:
        return {"data": data}
    return {"ser": data[0], **fields.read(fields.layout(("status:status",)), data[1:3])}


def _identifier(data: bytes) -> dict[str, Any]:
    high_first = data[0] in GROUPS or data[1] not in GROUPS
    di = (data[:2] if high_first else data[1::-1]).hex().upper()
    entry = identifier(di)
    named = {"di_name": entry["zh"], "item": entry["en"]} if entry else {}
    return {"di": di, **named, "di_order": "high_first" if high_first else "low_first", "ser": data[2]}


@lru_cache(maxsize=1024)
def identifier(di: str) -> dict[str, Any] | None:
    """Give the entry of a data identifier; ``None`` for one the tables do not have."""
    if month := HISTORY.get(di):
        history = fields.TABLE["history"]
        return {**history, "zh": history["zh"].format(month=month), "en": history["en"].format(month=month)}
    entry: dict[str, Any] | None = fields.TABLE["identifiers"].get(di)
    return entry


@lru_cache(maxsize=1024)
def forms(di: str, control: int) -> list[list[str]]:
    """Give the forms of what stands behind identifier and SER in a frame with this control code."""
    entry = identifier(di) or {}
    use = "write" if not control & FROM_METER else "written" if "written" in entry else "read"
    found: list[list[str]] = entry.get(use, [])
    return found


def _fields(di: str, control: int, raw: bytes, unit_first: bool | None) -> dict[str, Any]:
    if not raw:
        return {}
    known = forms(di, control)
    fitting = fields.fitting(known, len(raw))
    if fitting is not None:
        return fields.read(fitting, raw, unit_first=unit_first)
    if identifier(di) is None or not known:
        return {"data": raw}
    sizes = [sum(field.size for field in fields.layout(tuple(form))) for form in known]
    if len(raw) > max(sizes):
        longest = fields.layout(tuple(known[sizes.index(max(sizes))]))
        return {**fields.read(longest, raw[: max(sizes)], unit_first=unit_first), "rest": raw[max(sizes) :]}
    raise Reject("bad_length", f"{di} has {len(raw)} bytes behind SER, known are {', '.join(map(str, sizes))}")
