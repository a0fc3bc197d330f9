"""Framing where no delimiter can be trusted: every start byte is a candidate, and check codes decide."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from schemas.errors import Reject

NONE: Final = 0
"""Extent of bytes that begin no frame."""
MORE: Final = -1
"""Extent of a head that is not complete."""
STRETCH: Final = 1024
"""Refused bytes given as one reject where no frame is in sight."""


class Candidates:
    """Cuts a stream whose frames begin with one byte that may also stand inside them.

    ``extent`` gives the length of the frame that begins with the bytes at hand (``head`` of them tell it), or
    ``NONE`` or ``MORE``. ``fault`` tells why a stretch is no frame, ``None`` if it is a sound one. Of overlapping
    frames the one that ends first wins, so that a damaged length swallows no frame behind it. ``blank`` bytes may
    stand anywhere between frames. Any split of a stream gives the same packets and rejects: decisions follow
    positions in the stream, never the pieces it came in.
    """

    def __init__(
        self,
        start: int,
        head: int,
        extent: Callable[[bytes], int],
        fault: Callable[[bytes], Reject | None],
        blank: bytes = b"\xfe",
    ) -> None:
        self._start, self._head, self._extent, self._fault, self._blank = start, head, extent, fault, blank
        self._buffer = bytearray()
        self._searched = 0
        """Up to here the buffer has been searched for start bytes."""
        self._undecided: list[int] = []
        """Start bytes whose head is not complete."""
        self._open: list[tuple[int, int]] = []
        """End and start of each candidate that is neither proved nor refuted."""

    def feed(self, data: bytes) -> list[bytes | Reject]:
        """Give the packets and refused stretches that ``data`` completes."""
        self._buffer += data
        self._search()
        found: list[bytes | Reject] = []
        while self._step(found):
            pass
        return found

    def flush(self) -> list[bytes | Reject]:
        """Give what is left when no more bytes will come: an unfinished frame is refused with its fault."""
        found: list[bytes | Reject] = []
        starts = [*self._undecided, *(start for _, start in self._open)]
        first = min(starts, default=len(self._buffer))
        self._refuse(0, first, found)
        self._refuse(first, len(self._buffer), found)
        self._drop(len(self._buffer))
        return found

    @property
    def held(self) -> bytes:
        """The bytes of which nothing has come yet."""
        return bytes(self._buffer)

    def take_all(self) -> bytes:
        """Give the held bytes, and hold them no longer."""
        held = bytes(self._buffer)
        self._drop(len(held))
        return held

    def _search(self) -> None:
        starts, at = self._undecided, self._buffer.find(self._start, self._searched)
        while at >= 0:
            starts.append(at)
            at = self._buffer.find(self._start, at + 1)
        self._searched = len(self._buffer)
        self._undecided = []
        for start in starts:
            size = self._extent(bytes(self._buffer[start : start + self._head]))
            if size == MORE:
                self._undecided.append(start)
            elif size > NONE:
                self._open.append((start + size, start))

    def _step(self, found: list[bytes | Reject]) -> bool:
        """Decide the next thing in order of stream position; false when bytes are missing for it."""
        limit, far = len(self._buffer), STRETCH + self._head
        end, start = min(self._open, default=(limit + far, limit))
        if end > far and limit >= far and all(s >= STRETCH for _, s in self._open):
            self._refuse(0, STRETCH, found)
            self._drop(STRETCH)
            return True
        if end > limit:
            return False
        self._decide(start, end, found)
        return True

    def _decide(self, start: int, end: int, found: list[bytes | Reject]) -> None:
        frame = bytes(self._buffer[start:end])
        if self._fault(frame) is None:
            self._refuse(0, start, found)
            found.append(frame)
            self._drop(end)
            return
        self._open.remove((end, start))
        if all(s > start for _, s in self._open):
            cut = self._next_start(start, end)
            self._refuse(0, start, found)
            self._refuse(start, cut, found, frame)
            self._drop(cut)

    def _next_start(self, start: int, end: int) -> int:
        """Give where a frame may begin inside a refused one, as far as the bytes up to its end tell; else its end."""
        starts = [s for _, s in self._open if s < end]
        at = self._buffer.find(self._start, start + 1, end)
        while at >= 0:
            if end - at < self._head and self._extent(bytes(self._buffer[at:end])) == MORE:
                starts.append(at)
                break
            at = self._buffer.find(self._start, at + 1, end)
        return min(starts, default=end)

    def _refuse(self, start: int, end: int, found: list[bytes | Reject], frame: bytes = b"") -> None:
        """Refuse a stretch, for the fault of ``frame`` or of what begins with its first start byte."""
        stretch = bytes(self._buffer[start:end])
        if not stretch.strip(self._blank):
            return
        at = stretch.find(self._start)
        fault = self._fault(frame or stretch[at:]) if at >= 0 else None
        reason, detail = (fault.reason, fault.detail) if fault else ("bad_frame", f"{len(stretch)} bytes that are no frame")
        found.append(Reject(reason, detail, stretch))

    def _drop(self, count: int) -> None:
        del self._buffer[:count]
        self._searched -= count
        self._undecided = [start - count for start in self._undecided if start >= count]
        self._open = [(end - count, start - count) for end, start in self._open if start >= count]
