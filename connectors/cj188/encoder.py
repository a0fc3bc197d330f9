"""CJ/T 188 frames built from fields: the requests of a platform and the answers of a meter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors._api.meter_frames import END
from connectors.cj188 import fields
from connectors.cj188.framing import START
from connectors.cj188.messages import ABNORMAL, FROM_METER, forms

ANY_TYPE = 0xAA
ANY_ADDRESS = "AA" * 7
"""Type and address that any meter answers to; for lines with one meter."""
READ, READ_ADDRESS, WRITE = 0x01, 0x03, 0x04
CONTROLS = {"A018": 0x15, "A016": 0x16, "8106": 0x09, "810A": 0x03}
"""Control code of identifiers that have one of their own."""


def frame(meter_type: int, address: str, control: int, data: bytes, preambles: int = 0) -> bytes:
    """Give a whole frame."""
    body = bytes((START, meter_type, *bytes.fromhex(address)[::-1], control, len(data))) + data
    return b"\xfe" * preambles + body + bytes((sum(body) & 0xFF, END))


def identifier(di: str, order: str = "high_first") -> bytes:
    """Give a data identifier as an edition sends it."""
    return bytes.fromhex(di) if order == "high_first" else bytes.fromhex(di)[::-1]


def read(meter_type: int, address: str, di: str = "901F", ser: int = 0, order: str = "high_first", preambles: int = 3) -> bytes:
    """Give the request to read an identifier."""
    return frame(meter_type, address, CONTROLS.get(di, READ), identifier(di, order) + bytes((ser,)), preambles)


def write(
    meter_type: int,
    address: str,
    di: str,
    values: Mapping[str, Any],
    ser: int = 0,
    order: str = "high_first",
    preambles: int = 3,
) -> bytes:
    """Give the request to write an identifier, such as A017 with ``command`` open or close."""
    control = CONTROLS.get(di, WRITE)
    content = fields.write(fields.layout(tuple(forms(di, control)[0])), values)
    return frame(meter_type, address, control, identifier(di, order) + bytes((ser,)) + content, preambles)


def reply(
    meter_type: int,
    address: str,
    di: str,
    values: Mapping[str, Any],
    ser: int = 0,
    order: str = "high_first",
    preambles: int = 0,
    unit_first: bool = False,
) -> bytes:
    """Give a meter's answer: the form of the identifier whose fields are all in ``values``, the longest first.

    Without such a form it raises ``ValueError``.
    """
    control = CONTROLS.get(di, WRITE if di.startswith("A") else READ) | FROM_METER
    known = sorted((fields.layout(tuple(form)) for form in forms(di, control)), key=len, reverse=True)
    for form in known:
        if all(field.name in values for field in form):
            content = fields.write(form, values, unit_first=unit_first)
            return frame(meter_type, address, control, identifier(di, order) + bytes((ser,)) + content, preambles)
    msg = f"{di}: no form has just the fields {', '.join(values)}"
    raise ValueError(msg)


def error(meter_type: int, address: str, control: int, ser: int, status: str = "0000", preambles: int = 0) -> bytes:
    """Give a meter's refusal of a request with that control code."""
    return frame(meter_type, address, control | FROM_METER | ABNORMAL, bytes((ser,)) + bytes.fromhex(status), preambles)
