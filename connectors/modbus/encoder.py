"""ADUs built from fields: requests, the responses of a device, and both frames around a PDU."""

from __future__ import annotations

from typing import Any

from connectors.modbus import pdu
from connectors.modbus.crc import crc16
from connectors.modbus.pdu import Direction


def tcp(transaction: int, unit: int, body: bytes) -> bytes:
    """Give a PDU with its MBAP header."""
    return transaction.to_bytes(2) + b"\x00\x00" + (len(body) + 1).to_bytes(2) + bytes([unit]) + body


def rtu(unit: int, body: bytes) -> bytes:
    """Give a PDU as an RTU frame."""
    frame = bytes([unit]) + body
    return frame + crc16(frame)


def frame(transaction: int | None, unit: int, body: bytes) -> bytes:
    """Give a PDU with a header where there is a transaction identifier, else as an RTU frame."""
    return rtu(unit, body) if transaction is None else tcp(transaction, unit, body)


def read(code: int, address: int, count: int) -> bytes:
    """Give the PDU that reads ``count`` coils (1), inputs (2), holding (3) or input registers (4)."""
    return bytes([code]) + address.to_bytes(2) + count.to_bytes(2)


def request(code: int, **fields: Any) -> bytes:
    """Give a request's PDU of fields as the message shows them."""
    return _write(code, "request", fields)


def response(code: int, **fields: Any) -> bytes:
    """Give a response's PDU of fields as the message shows them."""
    return _write(code, "response", fields)


def error(code: int, exception: int) -> bytes:
    """Give the PDU of an exception response."""
    return bytes([code | pdu.ERROR, exception])


def _write(code: int, direction: Direction, fields: dict[str, Any]) -> bytes:
    return pdu.write(code, direction, fields)
