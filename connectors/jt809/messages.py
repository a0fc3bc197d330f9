"""Messages by id and sub-type: names and layouts from ``messages.toml``, and the envelope of the families."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path
from struct import Struct
from typing import Any, NamedTuple

import msgspec

from connectors._api.layouts import Codec, Layout, build, fit, from_text, layout, local_text, padded_text
from connectors.jt809 import location
from connectors.jt809.header import Edition, Header
from schemas.errors import Reject

EDITIONS: tuple[Edition, ...] = ("2011", "2019")
PLATE_BYTES = 21
VEHICLE = Struct(f">{PLATE_BYTES}sBH")
"""Plate, colour, sub-type: the envelope's beginning where it names a vehicle."""
SUB_TYPE = Struct(">H")
LENGTH = Struct(">I")
EXCHANGE_ACKS = (0x1205, 0x1206)
"""Their table of 2019 puts the source of the request before DATA_LENGTH, which is 0; others send it behind."""
plate_text = lru_cache(maxsize=65_536)(padded_text)
"""Plates come again and again."""
ONE_LOCATION = (0x1202, 0x9202)
UNKNOWN = "unknown"
"""Name of a message no table has."""


class Declared(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A message of the table: its forms in any edition, of 2011, of 2019."""

    name: str
    any: list[list[str]] = []
    v2011: list[list[str]] = []
    v2019: list[list[str]] = []


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file ``messages.toml``."""

    types: dict[str, list[str]]
    messages: dict[str, Declared]
    families: dict[str, str]
    data: dict[str, Declared]


class Body(NamedTuple):
    """A message's name and the forms of its body in one edition, in the order they are tried."""

    name: str
    forms: tuple[Layout, ...]


class Bodies(NamedTuple):
    """All messages: plain ones by id and edition, families by id, data by sub-type and edition."""

    messages: Mapping[tuple[int, str], Body]
    families: Mapping[int, str]
    data: Mapping[tuple[int, str], Body]


@cache
def bodies() -> Bodies:
    """Give the messages of the standard."""
    table = msgspec.toml.decode((Path(__file__).parent / "messages.toml").read_bytes(), type=Table)
    types: dict[str, Codec] = {
        "platform11": location.PLATFORM,
        "gnss2011": location.GNSS_2011,
        "gnss2019": location.GNSS_2019,
    }
    for name, lines in table.types.items():
        types[name] = layout(lines, types)
    families = {int(number, 16): name for number, name in table.families.items()}
    return Bodies(_compiled(table.messages, types), families, _compiled(table.data, types))


def _compiled(table: Mapping[str, Declared], types: Mapping[str, Codec]) -> dict[tuple[int, str], Body]:
    found: dict[tuple[int, str], Body] = {}
    for number, declared in table.items():
        for edition in EDITIONS:
            own, other = (declared.v2011, declared.v2019) if edition == "2011" else (declared.v2019, declared.v2011)
            forms = [layout(lines, types) for lines in (*own, *declared.any, *other)] or [layout([], types)]
            found[int(number, 16), edition] = Body(declared.name, tuple(forms))
    return found


def head(header: Header) -> dict[str, Any]:
    """Give the beginning of a message: its name, the header's fields under ``header``, the edition."""
    fields: dict[str, Any] = {
        "msg_length": header.msg_length,
        "msg_sn": header.msg_sn,
        "msg_id": header.msg_id,
        "msg_gnsscenterid": header.msg_gnsscenterid,
        "version": list(header.version),
        "encrypt_flag": header.encrypt_flag,
        "encrypt_key": header.encrypt_key,
    }
    if header.edition == "2019":
        fields["time"] = local_text(header.time.to_bytes(8))
    return {"name": name_of(header.msg_id), "header": fields, "edition": header.edition}


def name_of(msg_id: int) -> str:
    """Give the name of a message or family; ``unknown`` where the table has none."""
    known = bodies().messages.get((msg_id, "2011"))
    return known.name if known else bodies().families.get(msg_id, UNKNOWN)


def read(msg_id: int, edition: Edition, body: bytes) -> dict[str, Any]:
    """Give the fields of a decrypted body, with its own ``name``; an id no table has stays raw as ``body``.

    A body that is too short for its form, or whose DATA_LENGTH is not that of the data, raises ``Reject``.
    """
    if msg_id in bodies().families:
        return read_envelope(msg_id, edition, body)
    known = bodies().messages.get((msg_id, edition))
    if known is None:
        return {"name": UNKNOWN, "body": body}
    return {"name": known.name, **fit(known.forms, body)}


def read_envelope(msg_id: int, edition: Edition, body: bytes) -> dict[str, Any]:
    """Give the envelope's fields and those of its data.

    The family's high byte in front tells an envelope without vehicle: no plate in GBK begins with it.
    """
    values: dict[str, Any] = {}
    if len(body) >= SUB_TYPE.size and body[0] == msg_id >> 8:
        (sub_type,) = SUB_TYPE.unpack_from(body)
        data = body[SUB_TYPE.size :]
    else:
        if len(body) < VEHICLE.size:
            raise Reject("bad_length", f"envelope needs {VEHICLE.size} bytes, there are {len(body)}")
        plate, colour, sub_type = VEHICLE.unpack_from(body)
        values["vehicle_no"], values["vehicle_color"] = plate_text(plate), colour
        data = body[VEHICLE.size :]
    values["data_type"] = sub_type
    values["data_length"], data = _data(msg_id, sub_type, data)
    return {**values, **read_data(sub_type, edition, data)}


def _data(msg_id: int, sub_type: int, rest: bytes) -> tuple[int, bytes]:
    """Give DATA_LENGTH and the data of what follows the sub-type."""
    if len(rest) >= LENGTH.size:
        (length,) = LENGTH.unpack_from(rest)
        data = rest[LENGTH.size :]
        if length == len(data):
            return length, data
        if sub_type in EXCHANGE_ACKS:
            if not rest.endswith(bytes(LENGTH.size)):
                raise Reject("bad_length", f"0x{sub_type:04X} has {len(rest)} bytes behind its sub-type")
            return 0, data if length == 0 else rest[: -LENGTH.size]
        if msg_id & 0x0F00 < 0x0700:
            raise Reject("bad_length", f"DATA_LENGTH of 0x{sub_type:04X} is {length}, there are {len(data)} bytes")
    elif rest and msg_id & 0x0F00 < 0x0700:
        raise Reject("bad_length", f"DATA_LENGTH of 0x{sub_type:04X} is cut off")
    return len(rest), rest  # JT/T 1078 families send some messages without a length


def read_data(sub_type: int, edition: Edition, data: bytes) -> dict[str, Any]:
    """Give the fields of an envelope's data, with its ``name``; a sub-type no table has stays raw as ``data``."""
    known = bodies().data.get((sub_type, edition))
    if known is None:
        return {"name": UNKNOWN, "data": data}
    if sub_type in ONE_LOCATION:
        return {"name": known.name, **location.read(data)}
    return {"name": known.name, **fit(known.forms, data)}


def write(msg_id: int, edition: Edition, values: Mapping[str, Any]) -> bytes:
    """Give the body with these fields, the inverse of ``read``; what no form holds raises ``ValueError``.

    An envelope takes ``data_type`` and, where it names a vehicle, ``vehicle_no`` and ``vehicle_color``.
    """
    fields = {k: v for k, v in values.items() if k not in ("name", "header", "edition")}
    if msg_id not in bodies().families:
        known = bodies().messages.get((msg_id, edition))
        return bytes(fields["body"]) if known is None else build(known.forms, fields)
    sub_type = fields.pop("data_type")
    fields.pop("data_length", None)
    front = SUB_TYPE.pack(sub_type)
    if sub_type not in PLATELESS.get(edition, ()) and "vehicle_no" in fields:
        plate = from_text(fields.pop("vehicle_no"))
        if len(plate) > PLATE_BYTES:
            msg = f"plate {values['vehicle_no']!r} is longer than {PLATE_BYTES} bytes"
            raise ValueError(msg)
        front = plate.ljust(PLATE_BYTES, b"\0") + bytes((fields.pop("vehicle_color"),)) + front
    data = write_data(sub_type, edition, fields)
    return front + LENGTH.pack(len(data)) + data


def write_data(sub_type: int, edition: Edition, fields: Mapping[str, Any]) -> bytes:
    """Give an envelope's data, the inverse of ``read_data``."""
    known = bodies().data.get((sub_type, edition))
    if known is None:
        return bytes(fields["data"])
    return location.write(fields) if sub_type in ONE_LOCATION else build(known.forms, fields)


PLATELESS: Mapping[str, tuple[int, ...]] = {"2019": (0x1402, 0x1403, 0x9402, 0x9403)}
"""Sub-types whose vehicle is in the data, not in the envelope."""
