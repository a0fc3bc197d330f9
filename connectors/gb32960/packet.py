"""The packet around every data unit: start bytes, command, answer mark, VIN, encryption, length, check byte (6.2)."""

from __future__ import annotations

from struct import Struct
from typing import Final, Literal, NamedTuple

import numpy as np

from schemas.errors import Reject

Edition = Literal["2016", "2025"]

EDITIONS: Final[dict[bytes, Edition]] = {b"##": "2016", b"$$": "2025"}
STARTS: Final = {edition: start for start, edition in EDITIONS.items()}
FORM: Final = Struct(">2sBB17sBH")
DONE, FAILED, DUPLICATE, UNKNOWN_VIN, COMMAND = 0x01, 0x02, 0x03, 0x04, 0xFE
"""Answer marks (table 4); ``COMMAND`` stands on what is no answer. The fourth is of the 2025 edition."""
PLAIN: Final = 0x01
"""Encryption mark of a data unit in clear."""


class Header(NamedTuple):
    """What stands in front of the data unit."""

    start: bytes
    command: int
    ack: int
    vin_raw: bytes
    encryption: int
    length: int

    @property
    def edition(self) -> Edition:
        """The edition its start bytes tell."""
        return EDITIONS[self.start]

    @property
    def vin(self) -> str:
        """The vehicle's or platform's identification, without padding; bytes that are no ASCII show as escapes."""
        return self.vin_raw.decode("ascii", "backslashreplace").strip("\0 ")


def parse(packet: bytes) -> Header:
    """Read the header of a packet without its check byte, and check the length it declares."""
    if len(packet) < FORM.size or packet[:2] not in EDITIONS:
        raise Reject("bad_frame", f"{len(packet)} bytes hold no header that begins with 2323 or 2424")
    header = Header._make(FORM.unpack_from(packet))
    if len(packet) - FORM.size != header.length:
        raise Reject("bad_length", f"header declares {header.length} bytes of data, there are {len(packet) - FORM.size}")
    return header


def build(edition: Edition, command: int, ack: int, vin: bytes, content: bytes, encryption: int = PLAIN) -> bytes:
    """Give a whole frame with its check byte; the VIN is padded with zeros, one that is too long raises ``ValueError``."""
    if len(vin) > 17 or len(content) > 0xFFFF:
        msg = f"a VIN has 17 bytes, a data unit 65535; these have {len(vin)} and {len(content)}"
        raise ValueError(msg)
    packet = FORM.pack(STARTS[edition], command, ack, vin.ljust(17, b"\0"), encryption, len(content)) + content
    return packet + bytes((check_byte(packet[2:]),))


def check_byte(content: bytes | bytearray | memoryview) -> int:
    """XOR of all bytes from the command to the end of the data unit."""
    return int(np.bitwise_xor.reduce(np.frombuffer(content, np.uint8)))
