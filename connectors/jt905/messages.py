"""Message bodies by message id: names and layouts from ``messages.toml``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from connectors._api import bcd
from connectors._api.layouts import Codec, Layout, Stretch, build, fit, layout, scalar
from connectors.jt905 import position
from connectors.jt905.header import FORM, Header, parse
from schemas.errors import Reject

UNKNOWN = "unknown"
"""Name of a message no table has."""


class Declared(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A message of the table: ``fields``, or several ``forms`` of which the first that fits is taken."""

    name: str
    fields: list[str] = []
    forms: list[list[str]] = []


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file ``messages.toml``."""

    types: dict[str, list[str]]
    terminal: dict[str, Declared]
    centre: dict[str, Declared]
    parameters: dict[str, str]


class Body(NamedTuple):
    """A message's name and the forms of its body."""

    name: str
    forms: tuple[Layout, ...]


class Parameters(NamedTuple):
    """The codec of terminal parameters to the end of the body: id, length, value.

    Ids have two bytes; some terminals and centres send four, as in JT/T 808.
    """

    table: Mapping[int, tuple[str, Codec]]
    id_bytes: int = 2

    def read(self, body: bytes, at: int) -> tuple[dict[str, Any], int]:
        """Give the parameters by name; what is unknown or does not fit stays raw, under its id."""
        values: dict[str, Any] = {}
        while at < len(body):
            start = at + self.id_bytes + 1
            stop = start + (body[start - 1] if start <= len(body) else 0)
            if start > len(body) or stop > len(body):
                raise Reject("bad_length", f"parameter {len(values) + 1} ends after the body")
            name, value = self._one(int.from_bytes(body[at : start - 1]), body[start:stop])
            values[name] = value
            at = stop
        return values, at

    def _one(self, number: int, raw: bytes) -> tuple[str, Any]:
        name, codec = self.table.get(number, ("", None))
        if codec is not None:
            try:
                value, end = codec.read(raw, 0)
            except Reject:
                end = -1
            if end == len(raw):
                return name, value
        return f"0x{number:04X}", raw

    def write(self, value: Mapping[str, Any]) -> bytes:
        """Give the bytes of the parameters that ``read`` shows so."""
        ids = {name: (number, codec) for number, (name, codec) in self.table.items()}
        parts = []
        for name, one in value.items():
            number, raw = (int(name, 16), one) if name.startswith("0x") else (ids[name][0], ids[name][1].write(one))
            parts.append(number.to_bytes(self.id_bytes) + bytes((len(raw),)) + raw)
        return b"".join(parts)


@cache
def bodies() -> Mapping[int, Body]:
    """Give the messages of the standard."""
    table = msgspec.toml.decode((Path(__file__).parent / "messages.toml").read_bytes(), type=Table)
    split = {int(number, 16): line.split(":") for number, line in table.parameters.items()}
    parameters = {number: (name, scalar(kind, name)) for number, (name, kind) in split.items()}
    types: dict[str, Codec] = {
        "position": position.Position(),
        "parameters": Parameters(parameters),
        "parameters4": Parameters(parameters, 4),
        "minute": Stretch(6, None, minute_text, minute_bytes),
    }
    for name, lines in table.types.items():
        types[name] = layout(lines, types)
    found: dict[int, Body] = {}
    for number, declared in {**table.terminal, **table.centre}.items():
        forms = declared.forms or [declared.fields]
        found[int(number, 16)] = Body(declared.name, tuple(layout(lines, types) for lines in forms))
    return found


def head(header: Header) -> dict[str, Any]:
    """Give the beginning of a message: its name and the header's fields."""
    known = bodies().get(header.message_id)
    return {
        "name": known.name if known else UNKNOWN,
        "message_id": header.message_id,
        "isu": header.isu,
        "serial": header.serial,
        "body_length": header.body_length,
    }


def explain(packet: bytes) -> dict[str, Any]:
    """Give the message of one unescaped packet, sent by either side, without acting on it."""
    header = parse(packet)
    return {**head(header), **read(header.message_id, packet[FORM.size :])}


def read(message_id: int, body: bytes) -> dict[str, Any]:
    """Give the fields of a body; bytes behind the last field stay raw as ``rest``, an unknown id is all ``body``."""
    by_hand = BY_HAND.get(message_id)
    if by_hand is not None:
        return by_hand(body)
    known = bodies().get(message_id)
    return {"body": body} if known is None else fit(known.forms, body)


def write(message_id: int, values: Mapping[str, Any]) -> bytes:
    """Give the body with these fields, the inverse of ``read``; what no form holds raises ``ValueError``."""
    by_hand = WRITTEN_BY_HAND.get(message_id)
    if by_hand is not None:
        return by_hand(values)
    known = bodies().get(message_id)
    return bytes(values["body"]) if known is None else build(known.forms, values)


def minute_text(raw: bytes) -> str:
    """Give ``YYYY-MM-DD hh:mm``, or with seconds where the terminal sends YYMMDDhhmmss instead of YYYYMMDDhhmm.

    The first two digits 20 and no month behind them tell the century; zeros are no time.
    """
    h = raw.hex()
    if h.isdigit() and h.startswith("20") and not 1 <= int(h[2:4]) <= 12:
        return f"{h[0:4]}-{h[4:6]}-{h[6:8]} {h[8:10]}:{h[10:12]}"
    return bcd.time_text(raw)


def minute_bytes(text: str) -> bytes:
    """Give the bytes that ``minute_text`` shows so."""
    digits = "".join(c for c in text if c.isalnum())
    return bytes.fromhex(digits) if len(digits) == 12 else bcd.time_bytes(text)


def _answered(body: bytes) -> dict[str, Any]:
    if len(body) < 2:
        raise Reject("bad_length", f"ack_serial needs 2 bytes of body, there are {len(body)}")
    return {"ack_serial": int.from_bytes(body[:2]), **position.read(body, 2)}


def _write_answered(values: Mapping[str, Any]) -> bytes:
    return int(values["ack_serial"]).to_bytes(2) + position.write(values)


BY_HAND: Mapping[int, Callable[[bytes], dict[str, Any]]] = {
    0x0200: position.read,
    0x0201: _answered,
    0x0202: position.read,
    0x0500: _answered,
}
WRITTEN_BY_HAND: Mapping[int, Callable[[Mapping[str, Any]], bytes]] = {
    0x0200: position.write,
    0x0201: _write_answered,
    0x0202: position.write,
    0x0500: _write_answered,
}
