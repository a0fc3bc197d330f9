"""Framing and link header: 68H, length, control, addresses, header check, APDU, frame check, 16H (DL/T 698.45 clause 6)."""

from __future__ import annotations

from typing import Final, NamedTuple

from connectors._api import Settings
from connectors._api.candidates import MORE, NONE, Candidates
from connectors.dlt698.checksum import x25
from schemas.errors import Reject

START: Final = 0x68
END: Final = 0x16
HEAD_MAX: Final = 4 + 17 + 1 + 2
"""Longest head: start, length, control; address flag and sixteen bytes; client address; header check."""
LENGTH_MASK: Final = 0x3FFF
TAIL: Final = 3
"""Frame check and 16H."""
DIR, PRM, FRAGMENT, SCRAMBLED, FUNCTION = 0x80, 0x40, 0x20, 0x08, 0x07
"""Bits of the control field."""
APDU_TAGS: Final = b"\x01\x02\x03\x05\x06\x07\x08\x09\x10\x6e\x81\x82\x83\x84\x85\x86\x87\x88\x89\x90\xee"
"""First bytes of an APDU."""
EXTENDED: Final = 0x20
"""Bit of the address flag: a byte of logical address stands before the address."""
ADDRESS_TYPES: Final = ("single", "wildcard", "group", "broadcast")


class Head(NamedTuple):
    """The link header of a frame."""

    length: int
    control: int
    address: bytes
    """Server address as it travels, low byte first."""
    address_type: int
    logical: int
    client: int
    size: int
    """Bytes from 68H to the header check, both in."""


class Framing(Candidates):
    """Gives each sound frame from 68H to 16H, without the bytes FEH before it."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(START, HEAD_MAX, extent, fault)
        self._fresh = True
        """Nothing has come of the stream yet."""

    def feed(self, data: bytes) -> list[bytes | Reject]:
        """Give the packets and refused stretches that ``data`` completes."""
        found = super().feed(data)
        self._fresh = self._fresh and not found
        return found

    def flush(self) -> list[bytes | Reject]:
        """Give what is left when no more bytes will come; a whole stream that may be an APDU without its link is given as one."""
        if self._fresh and self.held[:1] and self.held[0] in APDU_TAGS:
            return [self.take_all()]
        return super().flush()


def _head_size(head: bytes) -> int:
    """Give the size of the header that begins so, ``MORE`` where its address flag has not come."""
    return MORE if len(head) < 5 else 4 + 1 + (head[4] & 0x0F) + 1 + 1 + 2


def extent(head: bytes) -> int:
    """Give the length of the frame with this header, ``NONE`` where the header check is wrong."""
    size = _head_size(head)
    if size == MORE or len(head) < size:
        return MORE
    if x25(head[1 : size - 2]) != int.from_bytes(head[size - 2 : size], "little"):
        return NONE
    length = int.from_bytes(head[1:3], "little") & LENGTH_MASK
    return length + 2 if length + 2 > size + TAIL else NONE


def fault(frame: bytes) -> Reject | None:
    """Tell why these bytes are no frame; ``None`` if they are one."""
    size = _head_size(frame[:HEAD_MAX])
    if not frame or frame[0] != START or size == MORE or len(frame) < size + TAIL:
        return Reject("bad_frame", f"{len(frame)} bytes are less than 68H, a header and a frame check")
    end = (int.from_bytes(frame[1:3], "little") & LENGTH_MASK) + 2
    sent = int.from_bytes(frame[size - 2 : size], "little")
    if (right := x25(frame[1 : size - 2])) != sent:
        if end != len(frame):
            return Reject("bad_length", f"declares {end} bytes but has {len(frame)}, and the header check is wrong")
        return Reject("bad_checksum", f"header check is {sent:04X}H, the bytes give {right:04X}H")
    if end != len(frame):
        return Reject("bad_length", f"declares {end} bytes but has {len(frame)}")
    sent = int.from_bytes(frame[-TAIL:-1], "little")
    if (right := x25(frame[1:-TAIL])) != sent:
        return Reject("bad_checksum", f"frame check is {sent:04X}H, the bytes give {right:04X}H")
    return None if frame[-1] == END else Reject("bad_frame", f"ends in {frame[-1]:02X}H instead of 16H")


def parse_head(frame: bytes) -> Head:
    """Give the header of a frame; one too short for its addresses raises ``Reject``."""
    if len(frame) < 5 or len(frame) < _head_size(frame) + TAIL:
        raise Reject("bad_frame", f"{len(frame)} bytes are less than 68H, a header and a frame check")
    flag = frame[4]
    count = (flag & 0x0F) + 1
    raw = frame[5 : 5 + count]
    extended = bool(flag & EXTENDED) and count > 1
    logical = raw[0] if extended else flag >> 4 & 1
    size = 5 + count + 3
    length = int.from_bytes(frame[1:3], "little") & LENGTH_MASK
    return Head(length, frame[3], raw[1:] if extended else raw, flag >> 6, logical, frame[5 + count], size)


def content(frame: bytes, head: Head) -> bytes:
    """Give what stands between the two checks: an APDU, or a fragment of one."""
    raw = frame[head.size : -TAIL]
    return bytes((byte - 0x33) & 0xFF for byte in raw) if head.control & SCRAMBLED else raw


def build(control: int, address: bytes, client: int, user: bytes, address_type: int = 0, logical: int = 0) -> bytes:
    """Give a whole frame; ``address`` as it travels, ``user`` the APDU or fragment."""
    if logical > 1:
        address = bytes((logical,)) + address
    flag = address_type << 6 | (EXTENDED if logical > 1 else logical << 4) | len(address) - 1
    length = 2 + 1 + 1 + len(address) + 1 + 2 + len(user) + 2
    if length > LENGTH_MASK:
        msg = f"a frame of {length} bytes does not fit its length"
        raise ValueError(msg)
    head = length.to_bytes(2, "little") + bytes((control, flag)) + address + bytes((client,))
    body = head + x25(head).to_bytes(2, "little") + user
    return bytes((START,)) + body + x25(body).to_bytes(2, "little") + bytes((END,))
