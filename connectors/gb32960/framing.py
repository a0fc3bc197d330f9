"""Framing: finds packets by start bytes, a header that can be one, the declared length and the check byte."""

from __future__ import annotations

import re
from heapq import heapify, heappop, heappush
from typing import Final

from connectors._api import Settings
from connectors.gb32960.packet import EDITIONS, FORM, check_byte
from schemas.errors import Reject

HEADER: Final = re.compile(
    rb"(?:##|\$\$)[\x01-\x0b\x80-\x82\xc0-\xfe][\x01-\x07\xfe][\x00\x20-\x7e\xff]{17}[\x01-\x05\xfe\xff]..", re.DOTALL
)
"""Start bytes, command, answer mark, VIN, encryption and length as the tables allow them."""
TAIL: Final = re.compile(rb"##|\$\$|[#$]\Z")
"""What may become a header when more bytes come."""
STRETCH: Final = 4096
"""Longest run of refused bytes given as one reject."""


class Framing:
    """Gives each sound packet without its check byte; the bytes between them as rejects, in stretches.

    The start bytes also occur within data and a length may be damaged, so every place that looks like a header is
    followed until its declared end: the packet whose check byte proves right first is taken, and places before it
    are given up. What comes out depends on the bytes alone, not on how they arrive.
    """

    def __init__(self, settings: Settings) -> None:
        self._buffer = bytearray()
        self._searched = 0
        self._open: list[tuple[int, int]] = []
        """End and start of the places followed, the earliest end first."""
        self._wrong: list[int] = []
        """Starts of places whose check byte proved wrong."""

    def feed(self, data: bytes) -> list[bytes | Reject]:
        """Give the packets and rejects that ``data`` completes."""
        found: list[bytes | Reject] = []
        self._buffer += data
        self._search()
        while self._open and self._open[0][0] <= len(self._buffer):
            end, start = heappop(self._open)
            with memoryview(self._buffer) as view:
                right = check_byte(view[start + 2 : end]) == 0
            if right:
                packet = bytes(self._buffer[start : end - 1])
                self._refuse(start, found)
                self._drop(end - start)
                found.append(packet)
            else:
                self._wrong.append(start)
                if not self._waiting(end):
                    self._refuse(end, found)
        while (sure := self._sure()) >= STRETCH:
            self._refuse(sure - sure % STRETCH, found)
        return found

    def flush(self) -> list[bytes | Reject]:
        """Give what is left when no more bytes will come."""
        found: list[bytes | Reject] = []
        self._refuse(len(self._buffer), found)
        return found

    def _search(self) -> None:
        """Follow each new place that looks like a header."""
        stop = len(self._buffer) - FORM.size + 2
        for mark in EDITIONS:
            start = self._buffer.find(mark, self._searched, stop)
            while start >= 0:
                if HEADER.match(self._buffer, start):
                    length = int.from_bytes(self._buffer[start + FORM.size - 2 : start + FORM.size])
                    heappush(self._open, (start + FORM.size + length + 1, start))
                start = self._buffer.find(mark, start + 1, stop)
        self._searched = max(self._searched, stop - 1)

    def _waiting(self, end: int) -> bool:
        """Tell whether a packet may have begun before ``end``."""
        return any(start < end for _, start in self._open) or self._tail(end) < end

    def _sure(self) -> int:
        """Give how many first bytes can belong to no packet."""
        return min([self._tail(len(self._buffer)), *(start for _, start in self._open)])

    def _tail(self, end: int) -> int:
        match = TAIL.search(self._buffer, max(end - FORM.size + 1, 0), end)
        return match.start() if match else end

    def _refuse(self, end: int, found: list[bytes | Reject]) -> None:
        """Refuse and drop the bytes before ``end``, saying what the first place among them turned out to be."""
        cut = [start for _, start in self._open]
        for at in range(0, end, STRETCH):
            stop = min(at + STRETCH, end)
            raw = bytes(self._buffer[at:stop])
            if any(at <= start < stop for start in self._wrong):
                found.append(Reject("bad_checksum", "check byte (XOR from the command on) is wrong", raw))
            elif any(at <= start < stop for start in cut):
                found.append(Reject("bad_length", "the declared length reaches beyond the packet", raw))
            else:
                found.append(Reject("bad_frame", f"{len(raw)} bytes outside any packet", raw))
        self._drop(end)

    def _drop(self, count: int) -> None:
        del self._buffer[:count]
        self._searched = max(self._searched - count, 0)
        self._open = [(end - count, start - count) for end, start in self._open if start >= count]
        heapify(self._open)
        self._wrong = [start - count for start in self._wrong if start >= count]
