"""Framing: 68H, type, address, control, length, data, sum of all bytes, 16H (CJ/T 188 clause 5 or 6)."""

from __future__ import annotations

from typing import Final

from connectors._api import Settings, meter_frames
from connectors._api.candidates import MORE, NONE, Candidates
from connectors._api.meter_frames import TAIL
from schemas.errors import Reject

START: Final = 0x68
HEAD: Final = 11
"""Bytes up to and with the length."""
TYPES: Final = frozenset({*range(0x10, 0x50), 0xAA})
"""Meter types; AA asks meters of any type."""
DIGITS: Final = b"0123456789ABCDEFabcdef"


class Framing(Candidates):
    """Gives each sound frame from 68H to 16H, without the bytes FEH before it; read from hex digits where set so."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(START, HEAD, extent, fault)
        self._hex = settings["encoding"] == "hex"
        self._half = b""
        """A digit whose other half has not come."""

    def feed(self, data: bytes) -> list[bytes | Reject]:
        """Give the packets and refused stretches that ``data`` completes."""
        return super().feed(self._bytes(data) if self._hex else data)

    def _bytes(self, data: bytes) -> bytes:
        """Give what hex digits stand for; whatever lies between them ends a pair."""
        found = bytearray()
        for code in data:
            digit = bytes((code,))
            if digit not in DIGITS:
                self._half = b""
            elif self._half:
                found.append(int(self._half + digit, 16))
                self._half = b""
            else:
                self._half = digit
        return bytes(found)


def extent(head: bytes) -> int:
    """Give the length of the frame with this head, ``NONE`` where no meter type follows the 68H."""
    if len(head) > 1 and head[1] not in TYPES:
        return NONE
    return HEAD + head[10] + TAIL if len(head) >= HEAD else MORE


def fault(frame: bytes) -> Reject | None:
    """Tell why these bytes are no frame; ``None`` if they are one."""
    if len(frame) < HEAD or frame[0] != START or frame[1] not in TYPES:
        return Reject("bad_frame", f"{len(frame)} bytes without a head of 68H, type, address, control and length")
    return meter_frames.fault(frame, HEAD)
