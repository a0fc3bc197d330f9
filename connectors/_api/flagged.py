"""Framing shared by the terminal standards: flag bytes 7E, escapes 7D01 and 7D02, an XOR check byte."""

from __future__ import annotations

from collections.abc import Callable

from schemas.errors import Reject

FLAG = b"\x7e"
ESCAPE = b"\x7d"
ESCAPES = {b"\x01": ESCAPE, b"\x02": FLAG}
"""What follows an escape byte, and what both stand for."""


class Flagged:
    """Cuts a byte stream at its flags and gives each sound packet unescaped, without check byte.

    ``parse`` reads a packet's header and raises ``Reject`` where it is none; ``shortest`` and ``longest`` are bytes of a packet.
    Adjacent packets may share a flag. What stands between flags and is no packet gives a ``Reject``
    with its raw bytes, once, and the stream goes on at the next flag.
    """

    def __init__(self, parse: Callable[[bytes], object], shortest: int, longest: int) -> None:
        self._parse = parse
        self._shortest = shortest
        self._longest = 2 * (longest + 1)
        """Longest stretch between two flags: every byte and the check byte escaped."""
        self._pending = b""
        self._open = False
        """A flag has been seen since the start or the last flush."""
        self._skipping = False
        """The stretch at hand is too long and already rejected."""

    def feed(self, data: bytes) -> list[bytes | Reject]:
        """Give the packets and rejects that ``data`` completes."""
        found: list[bytes | Reject] = []
        *closed, rest = data.split(FLAG)
        for piece in closed:
            self._extend(piece, found)
            if self._pending:
                found.append(packet(self._pending, self._parse, self._shortest) if self._open else _strays(self._pending))
                self._pending = b""
            self._open, self._skipping = True, False
        self._extend(rest, found)
        return found

    def flush(self) -> list[bytes | Reject]:
        """Give what is left when no more bytes will come: an unfinished stretch is a ``bad_frame``."""
        left, flagged = self._pending, self._open
        self._pending, self._open, self._skipping = b"", False, False
        if not left:
            return []
        missing = "has no closing flag 7E" if flagged else "has no flag 7E"
        return [Reject("bad_frame", f"stretch of {len(left)} bytes {missing}", left)]

    def _extend(self, piece: bytes, found: list[bytes | Reject]) -> None:
        if self._skipping:
            return
        self._pending += piece[: self._longest + 1 - len(self._pending)]
        if len(self._pending) > self._longest:
            found.append(Reject("too_large", f"more than {self._longest} bytes without a flag 7E", self._pending))
            self._pending, self._skipping = b"", True


def packet(stretch: bytes, parse: Callable[[bytes], object], shortest: int) -> bytes | Reject:
    """Give the packet between two flags, unescaped and checked, or why it is none.

    Some terminals leave a 7D unescaped. It is taken as it stands where check byte and header then prove right.
    """
    raw, broken = unescape(stretch)
    fault = _fault(raw, parse, shortest)
    if fault is None:
        return raw[:-1]
    if broken:
        return Reject("bad_escape", "7D is followed by neither 01 nor 02", stretch)
    return Reject(fault.reason, fault.detail, stretch)


def unescape(stretch: bytes) -> tuple[bytes, bool]:
    """Undo the escapes; a 7D that begins none stays, and the second value tells of it."""
    if ESCAPE not in stretch:
        return stretch, False
    first, *others = stretch.split(ESCAPE)
    parts, broken = [first], False
    for other in others:
        if other[:1] in ESCAPES:
            parts += ESCAPES[other[:1]], other[1:]
        else:
            parts += ESCAPE, other
            broken = True
    return b"".join(parts), broken


def _fault(raw: bytes, parse: Callable[[bytes], object], shortest: int) -> Reject | None:
    if len(raw) <= shortest:
        return Reject("bad_frame", f"{len(raw)} bytes are no packet")
    if check_byte(raw):
        return Reject("bad_checksum", f"check byte is {raw[-1]:02X}, the bytes give {check_byte(raw[:-1]):02X}")
    try:
        parse(raw[:-1])
    except Reject as reject:
        return reject
    return None


def frame(packet: bytes) -> bytes:
    """Give a packet with check byte, escapes and flags: what goes on the wire."""
    raw = packet + bytes((check_byte(packet),))
    if ESCAPE in raw:
        raw = raw.replace(ESCAPE, b"\x7d\x01")
    if FLAG in raw:
        raw = raw.replace(FLAG, b"\x7d\x02")
    return FLAG + raw + FLAG


def enclosed(stretch: bytes) -> bytes:
    """Give a refused stretch as it was on the wire, between its flags, so that it can be cut again."""
    return FLAG + stretch + FLAG


def seal(wire: bytes) -> bytes:
    """Give a packet, as it is on the wire, with the right check byte."""
    return frame(unescape(wire[1:-1])[0][:-1])


def check_byte(data: bytes) -> int:
    """XOR of all bytes, folded by halves: a hundred bytes cost seven steps, not a hundred."""
    value = int.from_bytes(data)
    width = 8 << max(len(data) - 1, 0).bit_length()
    while width > 8:
        width >>= 1
        value = (value >> width) ^ (value & ((1 << width) - 1))
    return value


def _strays(stretch: bytes) -> Reject:
    return Reject("bad_frame", f"{len(stretch)} bytes before the first flag 7E", stretch)
