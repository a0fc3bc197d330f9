"""Cutting a byte stream into HJ 212 frames: ``##``, four digits of length, segment, check code, CRLF (HJ 212-2017 6.3)."""

from __future__ import annotations

from typing import Final

from connectors._api.manifest import Settings
from connectors.hj212.checksum import variant_of
from schemas.errors import Reject

HEAD: Final = b"##"
START: Final = 6
"""Bytes before the segment: ``##`` and the length."""
CODE: Final = 4
"""Hex digits of the check code."""
BLANK: Final = b"\r\n \t\x00"
"""What may stand between frames."""
STRETCH: Final = 2048
"""Longest run of refused bytes given as one reject."""
CHARACTERS: Final = 2048
"""Longest segment whose length is tried as characters, twice what the standard allows."""
MORE: Final = -1
"""Stands for an end that lies beyond the bytes at hand."""
NONE: Final = -2
"""Stands for an end that does not exist."""


class Framing:
    """Gives each packet as ``##`` to check code, without the CRLF, its length and check code verified.

    The length is read as bytes first and, where the check code does not fit, as characters of UTF-8 and of
    GBK: devices differ in this as soon as a segment holds Chinese text. A frame whose line ends early, or
    whose check code fits no allowed variant, is refused up to the next ``##`` or line end.
    """

    def __init__(self, settings: Settings) -> None:
        self._crc = str(settings["crc"])
        self._buffer = bytearray()
        self._fault: tuple[str, str] | None = None

    def feed(self, data: bytes) -> list[bytes | Reject]:
        """Give the packets and refused stretches that ``data`` completes."""
        self._buffer += data
        return self._drain(final=False)

    def flush(self) -> list[bytes | Reject]:
        """Give what is left, as if the stream ended here; the framing starts anew after it."""
        return self._drain(final=True)

    def _drain(self, *, final: bool) -> list[bytes | Reject]:
        found: list[bytes | Reject] = []
        at = 0
        while at < len(self._buffer):
            if self._fault is None and self._buffer[at] in BLANK:
                at += 1
                continue
            item, end = self._next(at, final=final)
            if end == MORE:
                break
            at = end
            if item is not None:
                found.append(item)
        del self._buffer[:at]
        return found

    def _next(self, at: int, *, final: bool) -> tuple[bytes | Reject | None, int]:
        """Give the packet or reject that starts at ``at``, and where it ends (``MORE``: bytes are missing)."""
        if self._fault is None:
            end = self._frame(at, final=final)
            if end != NONE:
                return (None, MORE) if end == MORE else (bytes(self._buffer[at:end]), end)
        end = self._stretch(at, final=final)
        if end == MORE:
            return None, MORE
        reason, detail = self._fault or ("bad_frame", "no frame starts here")
        self._fault = None
        return Reject(reason, detail, bytes(self._buffer[at:end])), end

    def _frame(self, at: int, *, final: bool) -> int:
        """Give where the frame at ``at`` ends; ``NONE`` sets the fault that its stretch is refused with."""
        count = self._length(at, final=final)
        if count < 0:
            return count
        line = self._buffer.find(b"\n", at + START)
        limit = len(self._buffer) if line < 0 else line
        for end in _ends(self._buffer, at + START, count, limit):
            if end == MORE and line < 0 and not final:
                return MORE
            if end >= 0 and self._checks(at, end):
                return end + CODE
        return self._explain(at, count, limit)

    def _length(self, at: int, *, final: bool) -> int:
        lead = bytes(self._buffer[at : at + START])
        digits = lead[len(HEAD) :]
        if not (lead.startswith(HEAD) or (HEAD.startswith(lead) and not final)):
            return self._refuse("bad_frame", "bytes outside any frame")
        if digits and not (digits.isdigit() and digits.isascii()):
            return self._refuse("bad_length", "the length is not four decimal digits")
        if len(lead) < START:
            return self._refuse("bad_length", "the frame ends within its length") if final else MORE
        return int(digits)

    def _checks(self, at: int, end: int) -> bool:
        if self._buffer[end - 2 : end] != b"&&":
            return False
        code = bytes(self._buffer[end : end + CODE])
        return variant_of(bytes(self._buffer[at + START : end]), code, self._crc) is not None

    def _explain(self, at: int, count: int, limit: int) -> int:
        end = at + START + count
        present = limit - at - START - CODE
        if end + CODE > limit:
            return self._refuse("bad_length", f"declares {count} characters but has at most {max(present, 0)}")
        if self._buffer[end - 2 : end] != b"&&":
            return self._refuse("bad_length", f"declares {count} characters but no segment ends there")
        code = bytes(self._buffer[end : end + CODE])
        return self._refuse("bad_checksum", f"check code {code.decode('ascii', 'replace')} fits no variant of crc={self._crc}")

    def _refuse(self, reason: str, detail: str) -> int:
        self._fault = (reason, detail)
        return NONE

    def _stretch(self, at: int, *, final: bool) -> int:
        """Give where the refused bytes from ``at`` end: before the next ``##``, after a line end, or at the limit."""
        stop = at + STRETCH
        head = self._buffer.find(HEAD, at + 1, stop + 1)
        line = self._buffer.find(b"\n", at, stop)
        ends = [end for end in (head, line + 1) if end > 0]
        if ends:
            return min(ends)
        if len(self._buffer) > stop:
            return stop
        return len(self._buffer) if final else MORE


def _ends(buffer: bytearray, start: int, count: int, limit: int) -> list[int]:
    """Give where a segment of ``count`` bytes, UTF-8 and GBK characters would end.

    An end whose check code would reach beyond ``limit`` is ``MORE``.
    """
    end = start + count
    if end + CODE > limit:
        return [MORE]
    if count > CHARACTERS or buffer[start:end].isascii():
        return [end]
    window = bytes(buffer[start : min(start + 4 * count, limit)])
    others = [start + width if width >= 0 else width for width in (_width(window, count, name) for name in ("utf-8", "gbk"))]
    return [end, *(MORE if other + CODE > limit else other for other in others)]


def _width(window: bytes, count: int, encoding: str) -> int:
    """Give how many bytes the first ``count`` characters take; ``NONE`` if they are not in that encoding."""
    try:
        text, whole = window.decode(encoding), True
    except UnicodeDecodeError as error:
        text, whole = window[: error.start].decode(encoding), error.end >= len(window)
    if len(text) >= count:
        return len(text[:count].encode(encoding))
    return MORE if whole else NONE
