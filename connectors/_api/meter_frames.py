"""The end that meters' frames share: data as long as the byte before it says, the sum of all bytes, 16H."""

from __future__ import annotations

from typing import Final

from schemas.errors import Reject

END: Final = 0x16
TAIL: Final = 2
"""Check byte and end byte."""


def fault(frame: bytes, head: int) -> Reject | None:
    """Tell what is wrong behind the ``head`` bytes up to and with the length; ``None`` if nothing is."""
    declared = frame[head - 1]
    end = head + declared + TAIL
    if len(frame) != end:
        return Reject("bad_length", f"declares {declared} bytes of data, which makes {end} in all, but has {len(frame)}")
    check = sum(frame[:-TAIL]) & 0xFF
    if check == frame[-TAIL]:
        return None if frame[-1] == END else Reject("bad_frame", f"ends in {frame[-1]:02X}H instead of 16H")
    if frame[-1] == END:
        return Reject("bad_checksum", f"check byte is {frame[-TAIL]:02X}H, the bytes give {check:02X}H")
    return Reject("bad_length", f"neither check byte nor 16H stand behind the {declared} bytes of data it declares")
