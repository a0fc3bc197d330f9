"""Messages built from their fields: what the platform replies, and all that a terminal sends.

Every function gives complete frames, escaped and flagged; a body over 1,023 bytes goes out as sub-packages
with consecutive serials, one frame after the other. A value a field cannot hold raises ``ValueError``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from struct import Struct
from typing import Any

from connectors._api import bcd
from connectors._api.flagged import frame
from connectors.jt808 import header
from connectors.jt808.header import BODY_MAX, Header, Version

CODE_PAGE = "gb18030"
"""Superset of the GBK the standard prescribes."""
PROTOCOL_VERSION = 1
"""The version byte terminals of the 2019 edition send."""
SOUTH, WEST = 1 << 2, 1 << 3
BASE = Struct(">IIIIHHH6s")
REGISTER_LENGTHS: Mapping[str, tuple[int, int, int]] = {"2011": (5, 8, 7), "2013": (5, 20, 7), "2019": (11, 30, 30)}
"""Bytes of maker, model and terminal id in a registration, by edition."""


def message(
    message_id: int, phone: str, serial: int, body: bytes = b"", *, version: Version, part_bytes: int = BODY_MAX
) -> bytes:
    """Give the frame of a body, or the frames of its sub-packages of at most ``part_bytes`` each."""
    protocol = PROTOCOL_VERSION if version == "2019" else None
    number = bcd.from_digits(phone, 10 if version == "2019" else 6)
    if len(body) <= part_bytes:
        return frame(header.build(message_id, number, serial, body, protocol_version=protocol))
    parts = [body[at : at + part_bytes] for at in range(0, len(body), part_bytes)]
    return b"".join(
        frame(header.build(message_id, number, serial + i, part, protocol_version=protocol, part=(len(parts), i + 1)))
        for i, part in enumerate(parts)
    )


def register(
    phone: str,
    serial: int,
    *,
    version: Version,
    province: int = 31,
    city: int = 115,
    maker: str = "",
    model: str = "",
    terminal_id: str = "",
    plate_colour: int = 1,
    plate: str = "",
) -> bytes:
    """Terminal registration, 0x0100; province and city are the parts of a GB/T 2260 code."""
    lengths = REGISTER_LENGTHS[version]
    body = province.to_bytes(2) + city.to_bytes(2)
    body += b"".join(padded(text, n) for text, n in zip((maker, model, terminal_id), lengths, strict=True))
    return message(0x0100, phone, serial, body + bytes((plate_colour,)) + plate.encode(CODE_PAGE), version=version)


def authenticate(phone: str, serial: int, code: str, *, version: Version, imei: str = "", software: str = "") -> bytes:
    """Terminal authentication, 0x0102, with the code of the registration's reply."""
    text = code.encode(CODE_PAGE)
    if version == "2019":
        text = bytes((len(text),)) + text + padded(imei, 15) + padded(software, 20)
    return message(0x0102, phone, serial, text, version=version)


def heartbeat(phone: str, serial: int, *, version: Version) -> bytes:
    """Heartbeat, 0x0002."""
    return message(0x0002, phone, serial, version=version)


def logout(phone: str, serial: int, *, version: Version) -> bytes:
    """Terminal logout, 0x0003."""
    return message(0x0003, phone, serial, version=version)


def ask_time(phone: str, serial: int, *, version: Version) -> bytes:
    """Query of the platform's time, 0x0004 (2019)."""
    return message(0x0004, phone, serial, version=version)


def terminal_ack(phone: str, serial: int, ack_serial: int, ack_id: int, result: int, *, version: Version) -> bytes:
    """General reply of the terminal, 0x0001."""
    return message(0x0001, phone, serial, _ack(ack_serial, ack_id, result), version=version)


def location(phone: str, serial: int, *, version: Version, **fields: Any) -> bytes:
    """Location report, 0x0200; ``fields`` as in ``location_body``."""
    return message(0x0200, phone, serial, location_body(**fields), version=version)


def batch(phone: str, serial: int, bodies: Sequence[bytes], *, kind: int = 0, version: Version) -> bytes:
    """Batch of location bodies, 0x0704; ``kind`` 0 is a normal batch, 1 what a blind area held back."""
    body = len(bodies).to_bytes(2) + bytes((kind,)) + b"".join(len(b).to_bytes(2) + b for b in bodies)
    return message(0x0704, phone, serial, body, version=version)


def location_body(
    *,
    ts: int,
    lat: float,
    lon: float,
    alarm: int = 0,
    status: int = 0b11,
    altitude: float = 0.0,
    speed: float = 0.0,
    direction: float = 0.0,
    items: Mapping[int, bytes] | None = None,
) -> bytes:
    """Body of a location report from SI values.

    ``ts`` µs UTC, ``lat`` and ``lon`` degrees WGS-84 (the hemisphere bits of ``status`` are set from their
    signs), ``altitude`` m, ``speed`` m/s, ``direction`` degrees, ``items`` id to value bytes.
    """
    status = status & ~(SOUTH | WEST) | (SOUTH if lat < 0 else 0) | (WEST if lon < 0 else 0)
    try:
        base = BASE.pack(
            alarm,
            status,
            round(abs(lat) * 1e6),
            round(abs(lon) * 1e6),
            round(altitude) & 0xFFFF,
            round(speed * 36),
            round(direction) % 360,
            bcd.from_instant(ts),
        )
    except Exception as error:  # struct.error is no ValueError
        msg = f"location does not fit its fields: {error}"
        raise ValueError(msg) from error
    return base + b"".join(bytes((i, len(value))) + value for i, value in (items or {}).items())


def mileage_item(metres: float) -> bytes:
    """Value of item 0x01, the odometer, from metres."""
    return round(metres / 100).to_bytes(4)


def fuel_item(litres: float) -> bytes:
    """Value of item 0x02, the fuel gauge, from litres."""
    return round(litres * 10).to_bytes(2)


def reply(to: Header, serial: int, message_id: int, body: bytes) -> bytes:
    """Frame a platform message to the terminal that sent ``to``: same phone, same header form."""
    protocol = to.protocol_version if to.version == "2019" else None
    return frame(header.build(message_id, to.phone_bcd, serial, body, protocol_version=protocol))


def general_ack(to: Header, serial: int, result: int) -> bytes:
    """General reply of the platform, 0x8001: 0 done, 1 failed, 2 message wrong, 3 not supported."""
    return reply(to, serial, 0x8001, _ack(to.serial, to.message_id, result))


def register_ack(to: Header, serial: int, result: int, code: str = "") -> bytes:
    """Reply to a registration, 0x8100; the code goes out only with result 0."""
    return reply(to, serial, 0x8100, to.serial.to_bytes(2) + bytes((result,)) + (code.encode(CODE_PAGE) if result == 0 else b""))


def time_ack(to: Header, serial: int, now: int) -> bytes:
    """Reply to a time query, 0x8004: ``now`` in µs UTC as BCD UTC."""
    return reply(to, serial, 0x8004, bcd.from_instant(now, 0))


def ask_again(to: Header, serial: int, first_serial: int, missing: Sequence[int]) -> bytes:
    """Request to send sub-packages again, 0x8003, by their numbers from 1 (at most 255)."""
    numbers = missing[:255]
    count = len(numbers).to_bytes(2 if to.version == "2019" else 1)
    return reply(to, serial, 0x8003, first_serial.to_bytes(2) + count + b"".join(n.to_bytes(2) for n in numbers))


def media_ack(to: Header, serial: int, media_id: int) -> bytes:
    """Reply to a multimedia upload, 0x8800: all of it is here."""
    return reply(to, serial, 0x8800, media_id.to_bytes(4))


def padded(text: str, length: int) -> bytes:
    """Give a text in exactly ``length`` bytes, zeros behind."""
    raw = text.encode(CODE_PAGE)
    if len(raw) > length:
        msg = f"{text!r} is longer than {length} bytes"
        raise ValueError(msg)
    return raw.ljust(length, b"\0")


def _ack(ack_serial: int, ack_id: int, result: int) -> bytes:
    return ack_serial.to_bytes(2) + ack_id.to_bytes(2) + bytes((result,))
