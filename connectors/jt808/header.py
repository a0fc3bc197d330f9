"""The message header in its two forms: 12 bytes (2011, 2013) and 17 bytes (2019), 4 more with sub-packages."""

from __future__ import annotations

from struct import Struct
from typing import Literal, NamedTuple

from connectors._api import bcd
from schemas.errors import Reject

Version = Literal["2011", "2013", "2019"]

FORM_2013 = Struct(">HH6sH")
FORM_2019 = Struct(">HHB10sH")
SUB_PACKAGE = Struct(">HH")

LENGTH_MASK = 0x03FF
ENCRYPTION_MASK = 0x1C00
SUB_PACKAGE_BIT = 0x2000
VERSION_BIT = 0x4000
BODY_MAX = LENGTH_MASK
"""Longest body of one packet, bytes."""
PACKET_MAX = FORM_2019.size + SUB_PACKAGE.size + BODY_MAX
"""Longest unescaped packet without its check byte, bytes."""
PLATFORM_IDS = 0x8000
"""Message ids from here on are sent by the platform."""


class Header(NamedTuple):
    """A parsed header; ``start`` is where the body begins, ``total`` is 0 without sub-packages."""

    message_id: int
    properties: int
    phone_bcd: bytes
    serial: int
    protocol_version: int
    """The version byte of the 2019 form; 0 in the older form."""
    total: int
    part: int
    """Its number from 1; 0 without sub-packages."""
    start: int

    @property
    def version(self) -> Literal["2013", "2019"]:
        """Which header form it has: ``2013`` stands for 2011 too, the forms are the same."""
        return "2019" if self.properties & VERSION_BIT else "2013"

    @property
    def phone(self) -> str:
        """The terminal's phone number with its leading zeros: 12 or 20 digits."""
        return bcd.digits(self.phone_bcd)

    @property
    def body_length(self) -> int:
        """Length of this packet's body, bytes."""
        return self.properties & LENGTH_MASK

    @property
    def encryption(self) -> int:
        """Bits 10-12: 0 is none, 1 is RSA, others are reserved."""
        return (self.properties & ENCRYPTION_MASK) >> 10


def parse(packet: bytes) -> Header:
    """Read the header of an unescaped packet without check byte, and check the body length it declares."""
    size = len(packet)
    if size < FORM_2013.size:
        raise Reject("bad_frame", f"{size} bytes hold no header of {FORM_2013.size}")
    properties = packet[2] << 8 | packet[3]
    if properties & VERSION_BIT:
        if size < FORM_2019.size:
            raise Reject("bad_frame", f"{size} bytes hold no 2019 header of {FORM_2019.size}")
        message_id, _, protocol, phone, serial = FORM_2019.unpack_from(packet)
        start = FORM_2019.size
    else:
        message_id, _, phone, serial = FORM_2013.unpack_from(packet)
        protocol, start = 0, FORM_2013.size
    total = part = 0
    if properties & SUB_PACKAGE_BIT:
        if size < start + SUB_PACKAGE.size:
            raise Reject("bad_frame", f"{size} bytes hold no header with sub-package item")
        total, part = SUB_PACKAGE.unpack_from(packet, start)
        start += SUB_PACKAGE.size
    if size - start != properties & LENGTH_MASK:
        raise Reject("bad_length", f"header declares a body of {properties & LENGTH_MASK} bytes, there are {size - start}")
    return Header(message_id, properties, phone, serial, protocol, total, part, start)


def build(
    message_id: int,
    phone_bcd: bytes,
    serial: int,
    body: bytes,
    *,
    protocol_version: int | None = None,
    part: tuple[int, int] | None = None,
) -> bytes:
    """Give header and body; a ``protocol_version`` makes it the 2019 form, ``part`` is (total, index from 1)."""
    if len(body) > BODY_MAX:
        msg = f"body of {len(body)} bytes exceeds {BODY_MAX}: split it"
        raise ValueError(msg)
    properties = len(body) | (SUB_PACKAGE_BIT if part else 0)
    if protocol_version is None:
        head = FORM_2013.pack(message_id, properties, phone_bcd, serial & 0xFFFF)
    else:
        head = FORM_2019.pack(message_id, properties | VERSION_BIT, protocol_version, phone_bcd, serial & 0xFFFF)
    return head + SUB_PACKAGE.pack(*part) + body if part else head + body
