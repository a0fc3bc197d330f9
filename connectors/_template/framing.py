"""Cutting a byte stream into lines: ``#`` text ``*`` two hex digits of XOR, LF, a CR before it allowed."""

from __future__ import annotations

from functools import reduce
from operator import xor

from connectors._api.manifest import Settings
from schemas.errors import Reject

LIMIT = 1024
"""A longer line is refused, and what is left of it passed over."""


class Framing:
    """Gives the text of each line, its check code verified and taken off."""

    def __init__(self, settings: Settings) -> None:
        self._buffer = bytearray()
        self._passing = False

    def feed(self, data: bytes) -> list[bytes | Reject]:
        """Give the lines completed by ``data``."""
        found: list[bytes | Reject] = []
        *whole, rest = data.split(b"\n")
        for part in whole:
            found += self._grow(part)
            found += self.flush()
            self._passing = False
        found += self._grow(rest)
        return found

    def flush(self) -> list[bytes | Reject]:
        """Give what is left, as if a line ended here."""
        line = bytes(self._buffer).strip(b"\r")
        self._buffer.clear()
        if not line:
            return []
        text, mark, code = line[1:].rpartition(b"*")
        if line[:1] != b"#" or not mark or len(code) != 2:
            return [Reject("bad_frame", "a line is # text * two hex digits", line)]
        if code.upper() != check_code(text):
            return [Reject("bad_checksum", f"sent {code!r}, computed {check_code(text)!r}", line)]
        return [text]

    def _grow(self, part: bytes) -> list[bytes | Reject]:
        """Hold a part of a line; one that grows beyond the limit is refused at the same byte however it is cut."""
        if self._passing:
            return []
        room = LIMIT - len(self._buffer)
        self._buffer += part[:room]
        if len(part) <= room:
            return []
        line = bytes(self._buffer)
        self._buffer.clear()
        self._passing = True
        return [Reject("too_large", f"a line has at most {LIMIT} bytes", line)]


def check_code(text: bytes) -> bytes:
    """Give the XOR of all bytes as two hex digits."""
    return b"%02X" % reduce(xor, text, 0)
