"""The message header: 12 bytes, without flags, versions or sub-packages."""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from connectors._api import bcd
from schemas.errors import Reject

FORM = Struct(">HH6sH")
BODY_MAX = 16_384
"""Longest body that is taken, bytes; the standard keeps messages near 512."""
PACKET_MAX = FORM.size + BODY_MAX
CENTRE_IDS = 0x8000
"""Message ids from here on are sent by the centre."""


class Header(NamedTuple):
    """A parsed header."""

    message_id: int
    body_length: int
    isu_bcd: bytes
    serial: int

    @property
    def isu(self) -> str:
        """The terminal's number with its leading zeros, 12 digits; the first byte tells the vendor."""
        return bcd.digits(self.isu_bcd)


def parse(packet: bytes) -> Header:
    """Read the header of an unescaped packet without check byte, and check the body length it declares."""
    if len(packet) < FORM.size:
        raise Reject("bad_frame", f"{len(packet)} bytes hold no header of {FORM.size}")
    header = Header(*FORM.unpack_from(packet))
    if header.body_length != len(packet) - FORM.size:
        there = len(packet) - FORM.size
        raise Reject("bad_length", f"header declares a body of {header.body_length} bytes, there are {there}")
    return header


def build(message_id: int, isu_bcd: bytes, serial: int, body: bytes) -> bytes:
    """Give header and body."""
    if len(body) > BODY_MAX:
        msg = f"body of {len(body)} bytes exceeds {BODY_MAX}"
        raise ValueError(msg)
    return FORM.pack(message_id, len(body), isu_bcd, serial & 0xFFFF) + body
