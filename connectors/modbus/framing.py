"""Cutting a byte stream into ADUs: MBAP header and PDU on TCP, unit, PDU and CRC behind serial gateways."""

from __future__ import annotations

from typing import Final

from connectors._api import Settings
from connectors.modbus import pdu
from connectors.modbus.crc import crc16
from connectors.modbus.pdu import MORE, NEVER
from schemas.errors import Reject

HEADER: Final = 7
"""Octets of the MBAP header with the unit identifier."""
SMALLEST, LARGEST = 2, 254
"""Bounds of the MBAP length: unit and function code alone, and the longest PDU with its unit."""
PADDING: Final = 2
"""So many octets more than its function needs may an ADU have: some masters fill short ones up."""
STRETCH: Final = 4096
"""Longest run of refused bytes given as one reject."""


class Framing:
    """Gives each ADU whole, header or check code included.

    On TCP an ADU is believed where its length fits what its function says; behind a serial gateway where the check
    code fits one of the lengths it can have. Bytes that are none are refused in stretches.
    """

    def __init__(self, settings: Settings) -> None:
        self._serial = settings["mode"] == "rtu"
        self._buffer = bytearray()
        self._strays = 0
        """How many bytes at the front of the buffer are refused already, and wait for the end of their stretch."""

    def feed(self, data: bytes) -> list[bytes | Reject]:
        """Give the ADUs and refused stretches that ``data`` completes."""
        self._buffer += data
        found: list[bytes | Reject] = []
        end_of = self._serial_end if self._serial else self._tcp_end
        while (end := end_of()) != MORE:
            if end == NEVER:
                self._strays += 1
                continue
            size = end - self._strays
            self._refuse(found, self._strays)
            found.append(bytes(self._buffer[:size]))
            del self._buffer[:size]
        while self._strays > STRETCH:
            self._refuse(found, STRETCH)
        return found

    def flush(self) -> list[bytes | Reject]:
        """Give what is left, as if the stream ended here: a whole ADU by its length or check code alone, or a refusal."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        self._strays = 0
        if not rest:
            return []
        if self._serial:
            if len(rest) >= 4 and crc16(rest[:-2]) == rest[-2:]:
                return [rest]
            return [Reject("bad_checksum", f"the check code of {len(rest)} octets fits none of their lengths", rest)]
        size = int.from_bytes(rest[4:6])
        if len(rest) < HEADER or any(rest[2:4]) or not SMALLEST <= size <= LARGEST:
            return [_stray(rest)]
        if size + 6 != len(rest):
            return [Reject("bad_length", f"the header declares {size} octets after it but there are {len(rest) - 6}", rest)]
        return [rest]

    def _tcp_end(self) -> int:
        """Give where the next ADU ends, ``MORE`` if that cannot be told yet, ``NEVER`` if none begins behind the strays."""
        at = self._strays
        head = self._buffer[at : at + HEADER + 1]
        if any(head[2:5]):
            return NEVER
        if len(head) <= HEADER:
            return MORE
        size = head[5]
        here = self._buffer[at + HEADER : at + 6 + size]
        whole = len(here) == size - 1
        if not SMALLEST <= size <= LARGEST or not head[HEADER] or not _fits(here, size - 1, whole=whole):
            return NEVER
        return at + 6 + size if whole else MORE

    def _serial_end(self) -> int:
        """Give where the next frame ends: one right here or, behind strays, the one that is complete first.

        Strays may look like the beginning of something long; a frame with the right check code need not wait for that.
        """
        if not self._strays:
            return self._serial_frame(0)
        open_start = 0
        start, found = self._strays, (len(self._buffer) + 1, 0)
        while start < min(found[0], len(self._buffer)):
            end = self._serial_frame(start)
            if end > 0:
                found = min(found, (end, start))
            elif end == MORE and not open_start:
                open_start = start
            start += 1
        end, start = found
        if start:
            self._strays = start
            return end
        self._strays = open_start or len(self._buffer)
        return MORE

    def _serial_frame(self, at: int) -> int:
        """Give where the RTU frame at ``at`` ends: the shortest whose check code fits."""
        here = self._buffer[at + 1 : at + 256]
        if not here:
            return MORE
        sizes = {pdu.size(here, "request"), pdu.size(here, "response")}
        for size in sorted(sizes - {MORE, NEVER}):
            end = at + 1 + size + 2
            if len(self._buffer) < end:
                return MORE
            if crc16(self._buffer[at : end - 2]) == self._buffer[end - 2 : end]:
                return end
        return MORE if MORE in sizes else NEVER

    def _refuse(self, found: list[bytes | Reject], count: int) -> None:
        """Refuse that many bytes at the front, in stretches."""
        while count:
            size = min(count, STRETCH)
            found.append(_stray(bytes(self._buffer[:size])))
            del self._buffer[:size]
            self._strays -= size
            count -= size


def _fits(here: bytearray, size: int, *, whole: bool) -> bool:
    """Tell whether a PDU of that size can begin so; a function code that is not known may have any size."""
    code = here[0]
    if code & ~pdu.ERROR not in pdu.FUNCTIONS or (code == pdu.ENCAPSULATED and here[1:2] and here[1] != pdu.DEVICE_ID):
        return True
    if code == pdu.DIAGNOSTICS and not any(here[1:3]):
        return size >= 5  # a query to be returned as it is
    wanted = (pdu.size(here, "request"), pdu.size(here, "response"))
    return any((one == MORE and not whole) or (one > 0 and one <= size <= one + PADDING) for one in wanted)


def _stray(raw: bytes) -> Reject:
    return Reject("bad_frame", f"{len(raw)} bytes in which no ADU begins", raw)
