"""Locations: the 28 bytes every report shares (table 23), their additional items, and the batch of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from struct import Struct
from typing import Any, NamedTuple

import msgspec

from connectors._api import bcd
from connectors._api.layouts import Codec, Field, Number, layout
from schemas.errors import Reject

BASE = Struct(">IIiiHHH")
"""Alarm, status, latitude, longitude, altitude, speed, direction. The standard's unsigned coordinates never
reach the top bit; some terminals send two's complement instead of the hemisphere bits, which ``i`` reads."""
BASE_BYTES = 28
TIME = slice(22, 28)
SOUTH, WEST = 1 << 2, 1 << 3
"""Status bits of the southern and western hemisphere."""


class _Items(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    types: dict[str, list[str]]
    items: dict[str, list[str]]


def _read_items() -> dict[int, tuple[Field, ...]]:
    table = msgspec.toml.decode((Path(__file__).parent / "items.toml").read_bytes(), type=_Items)
    types: dict[str, Codec] = {}
    for name, lines in table.types.items():
        types[name] = layout(lines, types)
    return {int(i, 16): layout(lines, types).fields for i, lines in table.items.items()}


FORMS = _read_items()
"""Forms of an item's value by id."""
NUMBERS = {
    item << 8 | form.codec.form.size: form.name
    for item, forms in FORMS.items()
    for form in forms
    if isinstance(form.codec, Number) and form.codec.form.format.isupper()
}
"""Names of the items that are plain unsigned numbers, by id and length: the fast way."""
IDS = {form.name: item for item, forms in FORMS.items() for form in forms}


def read(body: bytes) -> dict[str, Any]:
    """Give the fields of a 0x0200 body in the units of the wire; one too short is a ``bad_length``."""
    values = read_base(body)
    values["items"] = read_items(body, BASE_BYTES)
    return values


def read_base(body: bytes) -> dict[str, Any]:
    """Give the fields of the first 28 bytes."""
    if len(body) < BASE_BYTES:
        raise Reject("bad_length", f"location needs {BASE_BYTES} bytes of body, there are {len(body)}")
    alarm, status, latitude, longitude, altitude, speed, direction = BASE.unpack_from(body)
    return {
        "alarm": alarm,
        "status": status,
        "latitude": latitude,
        "longitude": longitude,
        "altitude": altitude,
        "speed": speed,
        "direction": direction,
        "time": bcd.time_text(body[TIME]),
    }


def read_items(body: bytes, at: int) -> dict[str, Any]:
    """Give the additional items by name; what is unknown or does not fit stays raw, as ``0xE1`` or ``rest``."""
    items: dict[str, Any] = {}
    end = len(body)
    while at < end:
        start = at + 2
        if start > end or (stop := start + body[at + 1]) > end:
            items["rest"] = body[at:]
            break
        name = NUMBERS.get(body[at] << 8 | body[at + 1])
        if name is not None and name not in items:
            items[name] = int.from_bytes(body[start:stop])
        else:
            _read_item(items, body[at], body[start:stop])
        at = stop
    return items


def _read_item(items: dict[str, Any], item: int, raw: bytes) -> None:
    name, value = f"0x{item:02X}", raw
    for form in FORMS.get(item, ()):
        try:
            found, end = form.codec.read(raw, 0)
        except Reject:
            continue
        if end == len(raw):
            name, value = form.name, found
            break
    repeats = 1
    key = name
    while key in items:
        repeats += 1
        key = f"{name}#{repeats}"
    items[key] = value


def write(values: Mapping[str, Any]) -> bytes:
    """Give the body that ``read`` or ``read_base`` shows so."""
    base = BASE.pack(*(values[f] for f in ("alarm", "status", "latitude", "longitude", "altitude", "speed", "direction")))
    return base + bcd.time_bytes(values["time"]) + write_items(values.get("items", {}))


def write_items(items: Mapping[str, Any]) -> bytes:
    """Give the bytes of the items that ``read_items`` shows so."""
    parts = []
    for key, value in items.items():
        if key == "rest":
            parts.append(value)
            continue
        name = key.partition("#")[0]
        if name.startswith("0x"):
            item, raw = int(name, 16), value
        else:
            item = IDS[name]
            raw = _write_item(FORMS[item], value)
        parts.append(bytes((item, len(raw))) + raw)
    return b"".join(parts)


def _write_item(forms: Sequence[Field], value: Any) -> bytes:
    fault: ValueError | None = None
    for form in forms:
        try:
            return form.codec.write(value)
        except ValueError as error:
            fault = error
    raise fault or ValueError("item has no form")


class Batch(NamedTuple):
    """A 0x0704 body: its locations, their bytes, and what could not be read."""

    message: dict[str, Any]
    bodies: Sequence[bytes]
    fault: Reject | None


def read_batch(body: bytes) -> Batch:
    """Give the locations of a batch; a fault ends it, what was read before it counts."""
    if len(body) < 3:
        raise Reject("bad_length", f"batch needs 3 bytes of body, there are {len(body)}")
    count = int.from_bytes(body[:2])
    locations: list[dict[str, Any]] = []
    bodies: list[bytes] = []
    at, fault = 3, None
    while len(bodies) < count:
        start = at + 2
        stop = start + int.from_bytes(body[at:start])
        if start > len(body) or stop > len(body):
            fault = Reject("bad_length", f"location {len(bodies) + 1} of {count} ends after the body")
            break
        one = body[start:stop]
        try:
            locations.append(read(one))
        except Reject as reject:
            fault = Reject(reject.reason, f"location {len(bodies) + 1} of {count}: {reject.detail}")
            break
        bodies.append(one)
        at = stop
    message: dict[str, Any] = {"count": count, "type": body[2], "locations": locations}
    if fault is None and at < len(body):
        message["rest"] = body[at:]
    return Batch(message, bodies, fault)


def write_batch(values: Mapping[str, Any]) -> bytes:
    """Give the body that ``read_batch`` shows so."""
    bodies = [write(one) for one in values["locations"]]
    return len(bodies).to_bytes(2) + bytes((values["type"],)) + b"".join(len(b).to_bytes(2) + b for b in bodies)


class Position:
    """The codec of a location without items inside another message."""

    def read(self, body: bytes, at: int) -> tuple[dict[str, Any], int]:
        """Give the fields of 28 bytes."""
        return read_base(body[at : at + BASE_BYTES]), at + BASE_BYTES

    def write(self, value: Mapping[str, Any]) -> bytes:
        """Give the 28 bytes."""
        return write(value)
