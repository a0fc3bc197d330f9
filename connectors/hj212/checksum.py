"""The check codes HJ 212 devices send: annex A's own CRC16, and the two mistakes made of it in the field."""

from __future__ import annotations

from typing import Final

POLYNOMIAL: Final = 0xA001


def _rows() -> tuple[int, ...]:
    rows = []
    for value in range(256):
        register = value
        for _ in range(8):
            register = (register >> 1) ^ POLYNOMIAL if register & 1 else register >> 1
        rows.append(register)
    return tuple(rows)


TABLE: Final = _rows()
"""The register after eight shifts, by its value before them."""
HIGH: Final = bytes(row >> 8 for row in TABLE)
"""Its high half."""
EIGHT: Final = (1 << 64) - 1
"""Mask of eight bytes."""
FOLDS: Final = tuple(64 << n for n in reversed(range(32)))
"""Bits that a long number is folded to, one after the other."""


def annex_a(segment: bytes) -> int:
    """Give the CRC16 of HJ 212-2017 annex A, which feeds each byte into the register's high half.

    Only that half goes from byte to byte, and eight steps bring it back to where it was: bytes eight apart count the
    same, so the segment is folded to eight of them first.
    """
    if not segment:
        return 0xFFFF
    last = len(segment) - 1
    value = int.from_bytes(segment)
    for width in FOLDS[-(last >> 3).bit_length() or len(FOLDS) :]:
        value ^= value >> width
    a, b, c, d, e, f, g, h = (value & EIGHT ^ 0xFF << 8 * (last & 7)).to_bytes(8)
    return TABLE[HIGH[HIGH[HIGH[HIGH[HIGH[HIGH[HIGH[a] ^ b] ^ c] ^ d] ^ e] ^ f] ^ g] ^ h]


def modbus(segment: bytes) -> int:
    """Give the CRC16 of Modbus, which many devices send in place of annex A's."""
    register = 0xFFFF
    for byte in segment:
        register = (register >> 8) ^ TABLE[(register ^ byte) & 0xFF]
    return register


def swapped(segment: bytes) -> int:
    """Give the CRC16 of Modbus with its two bytes exchanged, as some devices send it."""
    code = modbus(segment)
    return (code & 0xFF) << 8 | code >> 8


VARIANTS: Final = {"annex_a": annex_a, "modbus": modbus, "swapped": swapped}
"""Check code by the name the setting ``crc`` uses, most usual first."""


def variant_of(segment: bytes, sent: bytes, allowed: str = "auto") -> str | None:
    """Name the variant whose code ``sent`` is (four hex digits); ``None`` if it is none of those allowed."""
    try:
        code = int(sent, 16)
    except ValueError:
        return None
    for name, compute in VARIANTS.items():
        if allowed in ("auto", name) and compute(segment) == code:
            return name
    return None
