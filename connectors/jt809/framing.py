"""Framing: flags 5B and 5D, the escapes between them, CRC-16/CCITT-FALSE, and the declared length (4.4.1 to 4.4.4)."""

from __future__ import annotations

from binascii import crc_hqx

from connectors._api import Settings
from connectors.jt809.header import FORM_2011
from schemas.errors import Reject

HEAD, TAIL = b"\x5b", b"\x5d"
ESCAPES = ((b"\x5a\x01", b"\x5b"), (b"\x5a\x02", b"\x5a"), (b"\x5e\x01", b"\x5d"), (b"\x5e\x02", b"\x5e"))
"""What stands between the flags, and what it stands for; in this order each pair is undone once."""
CRC_BYTES = 2
OUTSIDE = len(HEAD) + CRC_BYTES + len(TAIL)
"""Bytes of a frame that are in MSG_LENGTH but not in a packet."""
STRETCH_MAX = 1 << 20
"""Longest stretch before an end flag: a photograph (0x1502) with room to spare."""
DOUBTFUL_MAX = 1 << 16
"""Longest frame that is waited for where a flag inside it may stand unescaped."""
HELD_MAX = 1024
"""Most rejects that are held back for it."""
RAW_KEPT = 4096
"""Bytes of a refused stretch that are kept."""


class Framing:
    """Cuts a byte stream at its end flags and gives each sound packet unescaped: header and body, without CRC.

    What stands before a start flag, an unfinished frame before another start flag, and a frame whose CRC or length
    is wrong give a ``Reject`` with its first raw bytes, and the stream goes on behind the next end flag.

    Some platforms leave flags inside a frame unescaped. Where a stretch gives no packet, its rejects are held back
    until as many bytes are here as its MSG_LENGTH says: if the CRC proves these a frame, it is given instead.
    """

    def __init__(self, settings: Settings) -> None:
        self._pending = bytearray()
        self._skipping = False
        """The stretch at hand is too long and already rejected."""
        self._doubtful = bytearray()
        """Unescaped, from its start flag on: what may be a frame with flags inside; empty where nothing may."""
        self._held: list[Reject] = []

    def feed(self, data: bytes) -> list[bytes | Reject]:
        """Give the packets and rejects that ``data`` completes."""
        found: list[bytes | Reject] = []
        *closed, rest = data.split(TAIL)
        for piece in closed:
            self._extend(piece, found)
            if not self._skipping:
                self._close(bytes(self._pending), found)
            self._pending.clear()
            self._skipping = False
        self._extend(rest, found)
        return found

    def flush(self) -> list[bytes | Reject]:
        """Give what is left when no more bytes will come: an unfinished stretch is a ``bad_frame``."""
        left = bytes(self._pending)
        found: list[bytes | Reject] = []
        self._give_up(found)
        self._pending.clear()
        self._skipping = False
        if left:
            found.append(Reject("bad_frame", f"stretch of {len(left)} bytes has no end flag 5D", left[:RAW_KEPT]))
        return found

    def _extend(self, piece: bytes, found: list[bytes | Reject]) -> None:
        if self._skipping:
            return
        self._pending += piece[: STRETCH_MAX + 1 - len(self._pending)]
        if len(self._pending) > STRETCH_MAX:
            self._give_up(found)
            raw = bytes(self._pending[:RAW_KEPT])
            found.append(Reject("too_large", f"more than {STRETCH_MAX} bytes without an end flag 5D", raw))
            self._pending.clear()
            self._skipping = True

    def _close(self, raw: bytes, found: list[bytes | Reject]) -> None:
        """Take what stands before an end flag."""
        given = stretch(raw)
        packets = [one for one in given if not isinstance(one, Reject)]
        rejects = [one for one in given if isinstance(one, Reject)]
        found += packets
        if self._doubtful:
            self._doubtful += unescape(raw)[0] + TAIL
        elif not packets and HEAD in raw:
            self._doubtful += unescape(raw[raw.find(HEAD) :])[0] + TAIL
        else:
            found += rejects
            return
        self._held += rejects
        declared = int.from_bytes(self._doubtful[1:5])
        if len(self._doubtful) < declared <= DOUBTFUL_MAX and len(self._held) < HELD_MAX:
            return
        whole = bytes(self._doubtful[len(HEAD) : -len(TAIL)])
        if len(self._doubtful) == declared and len(whole) >= FORM_2011.size + CRC_BYTES and not checksum(whole):
            found.append(whole[:-CRC_BYTES])
            self._held.clear()
        self._give_up(found)

    def _give_up(self, found: list[bytes | Reject]) -> None:
        found += self._held
        self._held.clear()
        self._doubtful.clear()


def stretch(raw: bytes) -> list[bytes | Reject]:
    """Give the packet of the bytes before an end flag, and a reject for what of them is none."""
    before, start, inside = raw.rpartition(HEAD)
    if not start:
        return [Reject("bad_frame", f"{len(raw)} bytes end with 5D but have no start flag 5B", raw[:RAW_KEPT])]
    found: list[bytes | Reject] = []
    if before:
        found.append(Reject("bad_frame", f"{len(before)} bytes before the start flag 5B", before[:RAW_KEPT]))
    found.append(packet(inside))
    return found


def packet(escaped: bytes) -> bytes | Reject:
    """Give the packet between two flags, unescaped and checked, or why it is none."""
    raw, broken = unescape(escaped)
    if len(raw) < FORM_2011.size + CRC_BYTES:
        return Reject("bad_frame", f"{len(raw)} bytes between the flags are no packet", escaped)
    given, right = int.from_bytes(raw[-CRC_BYTES:]), checksum(raw[:-CRC_BYTES])
    if given != right:
        if broken:
            return Reject("bad_escape", "5A or 5E is followed by neither 01 nor 02", escaped[:RAW_KEPT])
        return Reject("bad_checksum", f"CRC is {given:04X}, the bytes give {right:04X}", escaped[:RAW_KEPT])
    declared, there = int.from_bytes(raw[:4]), len(raw) + len(HEAD) + len(TAIL)
    if declared != there:
        return Reject("bad_length", f"MSG_LENGTH is {declared}, the frame has {there} bytes", escaped[:RAW_KEPT])
    return raw[:-CRC_BYTES]


def unescape(escaped: bytes) -> tuple[bytes, bool]:
    """Undo the escapes; the second value tells of a 5A or 5E that begins none and stays."""
    broken = False
    for mark in (b"\x5a", b"\x5e"):
        if mark in escaped:
            broken |= escaped.count(mark) != escaped.count(mark + b"\x01") + escaped.count(mark + b"\x02")
    for pair, plain in ESCAPES:
        if pair in escaped:
            escaped = escaped.replace(pair, plain)
    return escaped, broken


def escape(raw: bytes) -> bytes:
    """Give the bytes as they stand between the flags."""
    for plain, pair in ((b"\x5a", b"\x5a\x02"), (b"\x5b", b"\x5a\x01"), (b"\x5e", b"\x5e\x02"), (b"\x5d", b"\x5e\x01")):
        if plain in raw:
            raw = raw.replace(plain, pair)
    return raw


def frame(packet: bytes) -> bytes:
    """Give a packet with CRC, escapes and flags: what goes on the wire."""
    return HEAD + escape(packet + checksum(packet).to_bytes(CRC_BYTES)) + TAIL


def enclosed(stretch: bytes) -> bytes:
    """Give a refused stretch as it was on the wire, between its flags, so that it can be cut again."""
    return HEAD + stretch + TAIL


def seal(wire: bytes) -> bytes:
    """Give a packet, as it is on the wire, with the right CRC."""
    return frame(unescape(wire[1:-1])[0][:-CRC_BYTES])


def checksum(raw: bytes) -> int:
    """CRC-16/CCITT-FALSE: polynomial 1021, initial value FFFF, no reflection."""
    return crc_hqx(raw, 0xFFFF)
