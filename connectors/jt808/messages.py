"""Message bodies by message id: names and layouts from ``messages.toml``, ``video.toml`` and the settings."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from connectors._api.layouts import Codec, Layout, layout, scalar
from connectors.jt808 import location
from connectors.jt808.header import ENCRYPTION_MASK, SUB_PACKAGE_BIT, Header, Version, parse
from schemas.errors import Fatal, Reject

FOLDER = Path(__file__).parent
EDITIONS = ("2011", "2013", "2019")
REGISTER, REGISTER_2011_BELOW = 0x0100, 37
"""A registration of the older header form with a shorter body is of the 2011 edition: maker, model and id take
5 + 8 + 7 bytes there, 5 + 20 + 7 in 2013, and ten bytes are in front of and behind them."""
UNKNOWN = "unknown"
"""Name of a message no table has."""


class Declared(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A message of a table: ``fields``, or several ``forms`` of which the first that fits is taken."""

    name: str
    fields: list[str] = []
    forms: list[list[str]] = []


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of messages and the types they use."""

    types: dict[str, list[str]] = {}
    terminal: dict[str, Declared] = {}
    platform: dict[str, Declared] = {}


class Body(NamedTuple):
    """A message's name and the forms its body may have in one edition."""

    name: str
    forms: tuple[Layout, ...]


Bodies = Mapping[tuple[int, str], Body]
"""By message id and edition."""


class Parameters(NamedTuple):
    """The codec of a count and so many terminal parameters: id, length, value."""

    table: Mapping[int, tuple[str, Codec]]

    def read(self, body: bytes, at: int) -> tuple[dict[str, Any], int]:
        """Give the parameters by name; what is unknown or does not fit stays raw, under its id."""
        if at >= len(body):
            raise Reject("bad_length", "the count of parameters is missing")
        count, at = body[at], at + 1
        values: dict[str, Any] = {}
        for number in range(count):
            stop = at + 5 + (body[at + 4] if at + 5 <= len(body) else 0)
            if at + 5 > len(body) or stop > len(body):
                raise Reject("bad_length", f"parameter {number + 1} of {count} ends after the body")
            key, value = self._one(int.from_bytes(body[at : at + 4]), body[at + 5 : stop])
            values[key] = value
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
        parts = [bytes((len(value),))]
        for name, one in value.items():
            number, raw = (int(name, 16), one) if name.startswith("0x") else (ids[name][0], ids[name][1].write(one))
            parts.append(number.to_bytes(4) + bytes((len(raw),)) + raw)
        return b"".join(parts)


@cache
def standard() -> Bodies:
    """Give the bodies of the standard's own messages."""
    found: dict[tuple[int, str], Body] = {}
    for name in ("messages.toml", "video.toml"):
        found |= compiled(msgspec.toml.decode((FOLDER / name).read_bytes(), type=Table), name)
    return found


def with_settings(given: Mapping[str, Any]) -> Bodies:
    """Give the standard's bodies and those of the setting ``messages``; a wrong layout raises ``Fatal``."""
    if not given:
        return standard()
    try:
        table = msgspec.convert(given, dict[str, Declared])
    except msgspec.ValidationError as error:
        msg = f"setting 'messages': {error}"
        raise Fatal(msg) from error
    return {**standard(), **compiled(Table(terminal=table), "setting 'messages'")}


def compiled(table: Table, where: str) -> dict[tuple[int, str], Body]:
    """Compile a table for every edition; an id that is no number raises ``Fatal``."""
    found: dict[tuple[int, str], Body] = {}
    for edition in EDITIONS:
        types = built_in()
        for name, lines in table.types.items():
            types[name] = layout(lines, types, edition)
        for number, declared in {**table.terminal, **table.platform}.items():
            try:
                message_id = int(number, 16)
            except ValueError:
                msg = f"{where}: {number!r} is no message id such as 0x0B01"
                raise Fatal(msg) from None
            forms = [declared.fields, *declared.forms] if declared.fields or not declared.forms else declared.forms
            found[message_id, edition] = Body(declared.name, tuple(layout(lines, types, edition) for lines in forms))
    return found


@cache
def parameters() -> Parameters:
    """Give the codec of terminal parameters."""
    lines = msgspec.toml.decode((FOLDER / "parameters.toml").read_bytes(), type=dict[str, str])
    split = {int(number, 16): line.split(":") for number, line in lines.items()}
    return Parameters({number: (name, scalar(kind, name)) for number, (name, kind) in split.items()})


def built_in() -> dict[str, Codec]:
    """Give the types every table knows beside the scalars."""
    return {"position": location.Position(), "parameters": parameters()}


def edition(header: Header, body: bytes) -> Version:
    """Tell the edition of a message: by its header form, and for a registration by its length."""
    if header.version == "2013" and header.message_id == REGISTER and len(body) < REGISTER_2011_BELOW:
        return "2011"
    return header.version


def head(header: Header, name: str, of_edition: str) -> dict[str, Any]:
    """Give a message's name and its header's fields; ``version`` is the header form, 2013 standing for 2011 too."""
    values: dict[str, Any] = {
        "name": name,
        "message_id": header.message_id,
        "version": header.version,
        "edition": of_edition,
        "phone": header.phone,
        "serial": header.serial,
        "properties": header.properties,
        "body_length": header.body_length,
        "encryption": header.encryption,
        "protocol_version": header.protocol_version,
    }
    if header.properties & SUB_PACKAGE_BIT:
        values["package_total"], values["package"] = header.total, header.part
    return values


def explain(packet: bytes, bodies: Bodies | None = None) -> dict[str, Any]:
    """Give the message of one unescaped packet, sent by either side, without acting on it.

    A sub-package and an encrypted body stay raw as ``body``; a packet or body that cannot be read raises ``Reject``.
    """
    header = parse(packet)
    body = packet[header.start :]
    of_edition = edition(header, body)
    known = standard() if bodies is None else bodies
    values = head(header, name_of(known, header.message_id, of_edition), of_edition)
    if header.properties & (SUB_PACKAGE_BIT | ENCRYPTION_MASK):
        return {**values, "body": body}
    return {**values, **decode(known, header.message_id, of_edition, body)}


def name_of(bodies: Bodies, message_id: int, of_edition: str) -> str:
    """Give the name of a message id; ``unknown`` where no table has it."""
    known = bodies.get((message_id, of_edition))
    return known.name if known else UNKNOWN


def decode(bodies: Bodies, message_id: int, of_edition: str, body: bytes) -> dict[str, Any]:
    """Give the fields of a body; bytes behind the last field stay raw as ``rest``, an unknown id is all ``body``."""
    by_hand = BY_HAND.get(message_id)
    if by_hand is not None:
        return by_hand(body)
    known = bodies.get((message_id, of_edition))
    if known is None:
        return {"body": body}
    best: tuple[dict[str, Any], int] | None = None
    fault: Reject | None = None
    for form in known.forms:
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


def encode(bodies: Bodies, message_id: int, of_edition: str, values: Mapping[str, Any]) -> bytes:
    """Give the body with these fields, the inverse of ``decode``; what no form can hold raises ``ValueError``."""
    by_hand = WRITTEN_BY_HAND.get(message_id)
    if by_hand is not None:
        return by_hand(values)
    known = bodies.get((message_id, of_edition))
    if known is None:
        return bytes(values["body"])
    fault: Exception | None = None
    for form in known.forms:
        if not set(values) - {"rest"} <= {f.name for f in form.fields}:
            continue
        try:
            return form.write(values) + bytes(values.get("rest", b""))
        except (ValueError, KeyError, OverflowError, struct.error) as error:
            fault = fault or error
    msg = f"message 0x{message_id:04X} of {of_edition} cannot hold {sorted(values)}"
    raise ValueError(msg) from fault


def _reply(body: bytes) -> dict[str, Any]:
    if len(body) < 2:
        raise Reject("bad_length", f"ack_serial needs 2 bytes of body, there are {len(body)}")
    return {"ack_serial": int.from_bytes(body[:2]), **location.read(body[2:])}


def _batch(body: bytes) -> dict[str, Any]:
    message, _, fault = location.read_batch(body)
    if fault is not None:
        raise fault
    return message


def _write_reply(values: Mapping[str, Any]) -> bytes:
    return int(values["ack_serial"]).to_bytes(2) + location.write(values)


BY_HAND: dict[int, Callable[[bytes], dict[str, Any]]] = {
    0x0200: location.read,
    0x0201: _reply,
    0x0500: _reply,
    0x0704: _batch,
}
WRITTEN_BY_HAND: dict[int, Callable[[Mapping[str, Any]], bytes]] = {
    0x0200: location.write,
    0x0201: _write_reply,
    0x0500: _write_reply,
    0x0704: location.write_batch,
}
