"""The frame check of DL/T 698.45 (annex D): CRC-16/X-25, computed by the mirrored CRC of the standard library."""

from __future__ import annotations

from binascii import crc_hqx
from typing import Final

MIRRORED: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
"""Each byte with its bits in reverse: X-25 shifts the other way."""


def x25(data: bytes) -> int:
    """Give the CRC-16/X-25 of ``data``; it travels low byte first."""
    code = crc_hqx(data.translate(MIRRORED), 0xFFFF)
    return (MIRRORED[code & 0xFF] << 8 | MIRRORED[code >> 8]) ^ 0xFFFF
