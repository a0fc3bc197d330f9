"""The check code of RTU frames: CRC-16 with polynomial A001, low octet first (Modbus over Serial Line V1.02 2.5.1.2)."""

from __future__ import annotations

from functools import reduce


def _step(crc: int, _: int) -> int:
    return crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1


TABLE = tuple(reduce(_step, range(8), octet) for octet in range(256))


def crc16(octets: bytes | bytearray) -> bytes:
    """Give the two octets that follow these on the wire."""
    crc = 0xFFFF
    for octet in octets:
        crc = crc >> 8 ^ TABLE[(crc ^ octet) & 0xFF]
    return crc.to_bytes(2, "little")
