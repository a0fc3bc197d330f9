"""DL/T 645 frames built from fields: the requests of a platform and the answers of a meter."""

from __future__ import annotations

from collections.abc import Mapping

from connectors._api.meter_frames import END
from connectors.dlt645 import formats, items
from connectors.dlt645.framing import START
from connectors.dlt645.messages import (
    ABNORMAL,
    BROADCAST_TIME,
    FOLLOWED,
    FROM_METER,
    READ,
    READ_ADDRESS,
    READ_NEXT,
    WRITE,
)

ANY = "AAAAAAAAAAAA"
"""Address every meter answers to; for lines with one meter."""
ALL = "999999999999"
"""Address of broadcasts, which nobody answers."""
DATA_MAX = 200
"""Most bytes of data in one frame that is read (DL/T 645-2007 5.2.5)."""
SHIFT = bytes((byte + 0x33) & 0xFF for byte in range(256))


def frame(address: str, control: int, data: bytes = b"", preambles: int = 0) -> bytes:
    """Give a whole frame; ``data`` as it is before 33H is added to each byte."""
    body = bytes((START, *bytes.fromhex(address)[::-1], START, control, len(data))) + data.translate(SHIFT)
    return b"\xfe" * preambles + body + bytes((sum(body) & 0xFF, END))


def identifier(di: str) -> bytes:
    """Give a data identifier as it travels, low byte first."""
    return bytes.fromhex(di)[::-1]


def read(address: str, di: str, preambles: int = 4) -> bytes:
    """Give the request to read an item or block; four digits read one of the 1997 edition."""
    return frame(address, READ if len(di) == 8 else 0x01, identifier(di), preambles)


def read_next(address: str, di: str, seq: int, preambles: int = 4) -> bytes:
    """Give the request for frame ``seq`` of an answer that did not fit one frame."""
    return frame(address, READ_NEXT, identifier(di) + bytes((seq,)), preambles)


def read_address(preambles: int = 4) -> bytes:
    """Give the request for the address of the only meter on a line."""
    return frame(ANY, READ_ADDRESS, b"", preambles)


def broadcast_time(time: str, preambles: int = 4) -> bytes:
    """Give the broadcast of a time, ``YYYY-MM-DD hh:mm:ss`` of Beijing."""
    return frame(ALL, BROADCAST_TIME, formats.write(formats.compiled("YYMMDDhhmmss"), time), preambles)


def write(address: str, di: str, content: bytes, password: bytes, operator: bytes, preambles: int = 4) -> bytes:
    """Give the request to write an item; ``password`` begins with its level, both are four bytes."""
    return frame(address, WRITE, identifier(di) + password + operator + content, preambles)


def reply(address: str, values: Mapping[str, formats.Value | list[formats.Value]], di: str = "", preambles: int = 4) -> bytes:
    """Give a meter's answer with one value, or with those of the block ``di`` in their order.

    An identifier the tables do not have raises ``ValueError``.
    """
    content = b"".join(_encoded(one, value) for one, value in values.items())
    return raw_reply(address, di or next(iter(values)), content, preambles=preambles)


def raw_reply(address: str, di: str, content: bytes, *, follows: bool = False, preambles: int = 4) -> bytes:
    """Give a meter's answer of any bytes, the first of several frames where others follow."""
    control = (READ if len(di) == 8 else 0x01) | FROM_METER | (FOLLOWED if follows else 0)
    return frame(address, control, identifier(di) + content, preambles)


def reply_next(address: str, di: str, content: bytes, seq: int, *, follows: bool = False, preambles: int = 4) -> bytes:
    """Give frame ``seq`` of a meter's answer."""
    control = READ_NEXT | FROM_METER | (FOLLOWED if follows else 0)
    return frame(address, control, identifier(di) + content + bytes((seq,)), preambles)


def error(address: str, control: int, word: int, preambles: int = 4) -> bytes:
    """Give a meter's refusal of the request with that control code; ``word`` has a bit per cause."""
    return frame(address, control | FROM_METER | ABNORMAL, bytes((word,)), preambles)


def reply_address(address: str, preambles: int = 4) -> bytes:
    """Give a meter's answer to the question for its address."""
    return frame(address, READ_ADDRESS | FROM_METER, bytes.fromhex(address)[::-1], preambles)


def _encoded(di: str, value: formats.Value | list[formats.Value]) -> bytes:
    found = items.item(di)
    if found is None:
        msg = f"no item {di!r} in the tables"
        raise ValueError(msg)
    return found.encode(value)
