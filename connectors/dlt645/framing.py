"""Framing: 68H, address, 68H, control, length, data, sum of all bytes, 16H (DL/T 645-2007 5.2)."""

from __future__ import annotations

from typing import Final

from connectors._api import Settings, meter_frames
from connectors._api.candidates import MORE, NONE, Candidates
from connectors._api.meter_frames import TAIL
from schemas.errors import Reject

START: Final = 0x68
HEAD: Final = 10
"""Bytes up to and with the length."""


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
    return meter_frames.fault(frame, HEAD)
