"""Framing: 68H, address, 68H, control, length, data, sum of all bytes, 16H (DL/T 645-2007 5.2)."""

from __future__ import annotations

from typing import Final

from connectors._api import Settings
from connectors._api.candidates import MORE, NONE, Candidates
from schemas.errors import Reject

START: Final = 0x68
END: Final = 0x16
HEAD: Final = 10
"""Bytes up to and with the length."""
TAIL: Final = 2
"""Check byte and end byte."""


class Framing(Candidates):
    """Gives each sound frame from its first 68H to 16H, without the bytes FEH that wake the line."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(START, HEAD, extent, fault)


def extent(head: bytes) -> int:
    """Give the length of the frame with this head, ``NONE`` where the second 68H is missing."""
    if len(head) > 7 and head[7] != START:
        return NONE
    return HEAD + head[9] + TAIL if len(head) >= HEAD else MORE


def fault(frame: bytes) -> Reject | None:
    """Tell why these bytes are no frame; ``None`` if they are one."""
    if len(frame) < HEAD or frame[0] != START or frame[7] != START:
        return Reject("bad_frame", f"{len(frame)} bytes without a head of 68H, address, 68H, control and length")
    end = HEAD + frame[9] + TAIL
    if len(frame) != end:
        return Reject("bad_length", f"declares {frame[9]} bytes of data, which makes {end} in all, but has {len(frame)}")
    right = sum(frame[:-TAIL]) & 0xFF == frame[-TAIL]
    if right and frame[-1] == END:
        return None
    if right:
        return Reject("bad_frame", f"ends in {frame[-1]:02X}H instead of 16H")
    if frame[-1] == END:
        return Reject("bad_checksum", f"check byte is {frame[-TAIL]:02X}H, the bytes give {sum(frame[:-TAIL]) & 0xFF:02X}H")
    return Reject("bad_length", f"neither check byte nor 16H stand behind the {frame[9]} bytes of data it declares")
