"""Cutting a byte stream into frames: ``AA 55``, length of the body, body, XOR of length and body."""

from __future__ import annotations

from functools import reduce
from operator import xor

from connectors._api.candidates import MORE, NONE, Candidates
from connectors._api.manifest import Settings
from schemas.errors import Reject

HEAD = b"\xaa\x55"
START = len(HEAD) + 1
"""Bytes in front of the body."""


class Framing:
    """Gives the body of each frame, its check byte verified and taken off."""

    def __init__(self, settings: Settings) -> None:
        self._candidates = Candidates(HEAD[0], START, extent, fault, blank=b"")

    def feed(self, data: bytes) -> list[bytes | Reject]:
        """Give the bodies completed by ``data``."""
        return [body(found) for found in self._candidates.feed(data)]

    def flush(self) -> list[bytes | Reject]:
        """Give what is left, as if the stream ended here."""
        return [body(found) for found in self._candidates.flush()]


def extent(begun: bytes) -> int:
    """Give the length of the frame that begins so."""
    if not HEAD.startswith(begun[: len(HEAD)]):
        return NONE
    return MORE if len(begun) < START else START + begun[START - 1] + 1


def fault(frame: bytes) -> Reject | None:
    """Give why a stretch is no sound frame."""
    if len(frame) < START or len(frame) != extent(frame[:START]):
        return Reject("bad_frame", "not AA 55, length, body, check byte", frame)
    if frame[-1] != check_byte(frame[2:-1]):
        return Reject("bad_checksum", f"sent {frame[-1]:02X}, computed {check_byte(frame[2:-1]):02X}", frame)
    return None


def body(found: bytes | Reject) -> bytes | Reject:
    """Give the body of a frame."""
    return found if isinstance(found, Reject) else found[START:-1]


def check_byte(content: bytes) -> int:
    """Give the XOR of all bytes."""
    return reduce(xor, content, 0)
