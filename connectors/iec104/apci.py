"""The control field: I, S and U formats, their numbers and functions (IEC 60870-5-104:2006 clause 5)."""

from __future__ import annotations

from typing import Final, Literal

START: Final = 0x68
SMALLEST, LARGEST = 4, 253
"""Bounds of the length octet: the control field alone, and the longest APDU."""
HEAD: Final = 6
"""Octets before the ASDU: start, length, control field."""
MODULUS: Final = 1 << 15
"""Sequence numbers count up to this."""

Format = Literal["I", "S", "U"]
Function = Literal["STARTDT act", "STARTDT con", "STOPDT act", "STOPDT con", "TESTFR act", "TESTFR con"]
FUNCTIONS: Final[dict[int, Function]] = {
    0x07: "STARTDT act",
    0x0B: "STARTDT con",
    0x13: "STOPDT act",
    0x23: "STOPDT con",
    0x43: "TESTFR act",
    0x83: "TESTFR con",
}
CODES: Final[dict[str, int]] = {name: code for code, name in FUNCTIONS.items()}


def format_of(packet: bytes) -> Format:
    """Give the format of an APDU of at least ``HEAD`` octets."""
    first = packet[2]
    if not first & 1:
        return "I"
    return "U" if first & 2 else "S"


def numbers(packet: bytes) -> tuple[int, int]:
    """Give N(S) and N(R); N(S) means nothing in an S format."""
    return (packet[2] | packet[3] << 8) >> 1, (packet[4] | packet[5] << 8) >> 1


def i_frame(send_number: int, receive_number: int, asdu: bytes) -> bytes:
    """Give a numbered information transfer APDU."""
    head = bytes([START, 4 + len(asdu)])
    return head + (send_number << 1).to_bytes(2, "little") + (receive_number << 1).to_bytes(2, "little") + asdu


def s_frame(receive_number: int) -> bytes:
    """Give an APDU that acknowledges everything before ``receive_number``."""
    return b"\x68\x04\x01\x00" + (receive_number << 1).to_bytes(2, "little")


def u_frame(function: Function) -> bytes:
    """Give an APDU of unnumbered control."""
    return bytes([START, 4, CODES[function], 0, 0, 0])
