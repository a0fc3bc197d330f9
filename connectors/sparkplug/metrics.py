"""Metrics of a payload: by name in births, by name or alias afterwards (6.4.6)."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from connectors.sparkplug import datatypes
from schemas.errors import Reject

QUALITIES: Final = {0: "bad", 192: "", 500: "stale"}
"""What the property Quality says (chapter 6, Quality Codes): BAD, GOOD, STALE."""
FLAGS: Final = ("is_historical", "is_transient", "is_null")
LAST_MS: Final = 253_402_300_799_999
"""The last millisecond of the year 9999."""


class Definition(msgspec.Struct, frozen=True):
    """What a birth says of a metric: whose it is (no device: the node's), its name, datatype and alias."""

    device: str
    name: str
    datatype: int
    alias: int | None = None


class Metric(msgspec.Struct, frozen=True):
    """A metric's value at a time (µs UTC), with its quality: empty is good."""

    name: str
    ts: int
    value: Any
    quality: str = ""
    is_historical: bool = False


def micros(milliseconds: int, what: str) -> int:
    """Give a timestamp in µs; one that no calendar has is a ``bad_field``."""
    if not 0 < milliseconds <= LAST_MS:
        raise Reject("bad_field", f"timestamp of {what}: {milliseconds} ms is no time since 1970")
    return milliseconds * 1000


def text(value: Any, what: str) -> str:
    """Give a string of a payload; bytes that are no UTF-8, which protobuf lets through, are a ``bad_encoding``."""
    if isinstance(value, bytes):
        raise Reject("bad_encoding", f"{what}: {value[:40].hex()} is not UTF-8")
    return str(value)


def named(raw: Any) -> str:
    """Name a metric in words: its name, or its alias."""
    return repr(text(raw.name, "name of a metric")) if raw.name else f"alias {raw.alias}"


def metric(row: dict[str, Any], raw: Any, defined: Definition, sent_at: int) -> Metric:
    """Give a metric from its row in the message; without a timestamp of its own it has that of the payload."""
    if "error" in row:
        raise Reject("bad_field", f"metric {defined.name!r}: {row['error']}")
    ts = micros(row["timestamp"], f"metric {defined.name!r}") if "timestamp" in row else sent_at
    quality = _quality(raw.properties) if "properties" in row else ""
    return Metric(defined.name, ts, row["value"], quality, "is_historical" in row)


def _quality(properties: Any) -> str:
    keys, values = list(properties.keys), properties.values
    if "Quality" not in keys or len(keys) != len(values):
        return ""
    return QUALITIES.get(values[keys.index("Quality")].int_value, "bad")


def shown(raw: Any, defined: Definition | None) -> dict[str, Any]:
    """Give a metric as a message shows it, in the standard's names; ``defined`` adds what the birth said."""
    found: dict[str, Any] = {}
    name, number = raw.name, raw.datatype
    if defined is not None:
        name, number = name or defined.name, number or defined.datatype
    if name:
        found["name"] = name
    if raw.HasField("alias"):
        found["alias"] = raw.alias
    if raw.HasField("timestamp"):
        found["timestamp"] = raw.timestamp
    for flag in FLAGS:
        if getattr(raw, flag):
            found[flag] = True
    if number:
        found["datatype"] = datatypes.TYPES.get(number, datatypes.UNKNOWN).name
    try:
        found["value"] = datatypes.value(raw, number)
    except Reject as reject:
        found["error"] = reject.detail
    if raw.HasField("properties"):
        found["properties"] = _properties(raw.properties)
    return found


def _properties(properties: Any) -> dict[str, Any]:
    """Give properties by key; a value that is a set of properties itself stays bytes."""
    found: dict[str, Any] = {}
    for key, one in zip(properties.keys, properties.values, strict=False):
        field = one.WhichOneof("value")
        carried: Any = None if field is None or one.is_null else getattr(one, field)
        found[str(key)] = carried.SerializeToString() if hasattr(carried, "SerializeToString") else carried
    return found
