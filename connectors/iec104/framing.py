"""Cutting a byte stream into APDUs: 68, length, control field, ASDU (IEC 60870-5-104:2006 5.1)."""

from __future__ import annotations

from typing import Final

from connectors._api import Settings
from connectors.iec104 import asdu
from connectors.iec104.apci import FUNCTIONS, HEAD, LARGEST, SMALLEST, START
from schemas.errors import Reject

STRETCH: Final = 4096
"""Longest run of refused bytes given as one reject."""
NO_FRAME, MORE = -1, 0
NO_TYPE: Final = 0
"""The type identification that is never used; others that we do not know may have any length."""


class Framing:
    """Gives each APDU whole, from 68 to the last octet of its ASDU.

    The protocol has no check code, so an APDU is believed only where its control field is possible and its
    length fits its type and number of objects. Bytes that are none are refused in stretches, and reading goes
    on at the next 68 that begins one.
    """

    def __init__(self, settings: Settings) -> None:
        self._buffer = bytearray()
        self._strays = 0
        """How many bytes at the front of the buffer are refused already, and wait for the end of their stretch."""

    def feed(self, data: bytes) -> list[bytes | Reject]:
        """Give the APDUs and refused stretches that ``data`` completes."""
        self._buffer += data
        found: list[bytes | Reject] = []
        while (end := self._end(self._strays)) != MORE:
            if end == NO_FRAME:
                self._pass_over(found)
                continue
            self._refuse(found)
            found.append(bytes(self._buffer[:end]))
            del self._buffer[:end]
        return found

    def flush(self) -> list[bytes | Reject]:
        """Give what is left, as if the stream ended here: a whole APDU by its length octet alone, or a refusal."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        self._strays = 0
        if not rest:
            return []
        if len(rest) >= HEAD and rest[0] == START and rest[1] == len(rest) - 2:
            return [rest]
        if rest[0] == START and len(rest) > 1 and SMALLEST <= rest[1] <= LARGEST:
            return [Reject("bad_length", f"the APDU declares {rest[1]} octets after its length but has {len(rest) - 2}", rest)]
        return [_stray(rest)]

    def _end(self, at: int) -> int:
        """Give the size of the APDU at ``at``, ``MORE`` if that cannot be told yet, ``NO_FRAME`` if none begins there."""
        head = self._buffer[at : at + HEAD + 2]
        if head and (head[0] != START or (len(head) > 1 and not SMALLEST <= head[1] <= LARGEST)):
            return NO_FRAME
        if len(head) < HEAD:
            return MORE
        size = 2 + head[1]
        if not (_may_be_control(head, size) if head[2] & 1 else _may_be_transfer(head, size)):
            return NO_FRAME
        return size if len(self._buffer) >= at + size else MORE

    def _pass_over(self, found: list[bytes | Reject]) -> None:
        """Refuse what lies before the next 68."""
        start = self._buffer.find(START, self._strays + 1)
        self._strays = len(self._buffer) if start < 0 else start
        while self._strays >= STRETCH:
            found.append(_stray(bytes(self._buffer[:STRETCH])))
            del self._buffer[:STRETCH]
            self._strays -= STRETCH

    def _refuse(self, found: list[bytes | Reject]) -> None:
        if self._strays:
            found.append(_stray(bytes(self._buffer[: self._strays])))
            del self._buffer[: self._strays]
            self._strays = 0


def _may_be_control(head: bytearray, size: int) -> bool:
    """Tell whether a control field is of S or U format."""
    if head[2] & 2:
        return size == HEAD and head[2] in FUNCTIONS and not any(head[3:HEAD])
    return size == HEAD and head[2] == 1 and head[3] == 0 and not head[4] & 1


def _may_be_transfer(head: bytearray, size: int) -> bool:
    """Tell whether an I format of that size can begin so, as far as type and number of objects are there."""
    if size < HEAD + asdu.HEAD or head[4] & 1:
        return False
    if len(head) < HEAD + 2:
        return True
    wanted = asdu.length(head, HEAD)
    return head[HEAD] != NO_TYPE and (wanted is None or HEAD + wanted == size)


def _stray(raw: bytes) -> Reject:
    return Reject("bad_frame", f"{len(raw)} bytes in which no APDU begins", raw)
