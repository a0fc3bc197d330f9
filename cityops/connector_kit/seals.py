"""Check codes that protocols end their packets with, found by trying: which code, over which bytes, written how."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal

Form = Literal["big", "little", "hex"]
"""Two bytes either way round, or as hexadecimal text."""
HEADS: Final = 8
"""A code may leave out so many bytes at the front."""
TAILS: Final = 8
"""Behind a code there may be so many bytes."""


@dataclass(frozen=True, slots=True)
class Seal:
    """One way to seal a packet: bytes ``start`` to ``end - tail`` give a code that follows them."""

    name: str
    width: int
    form: Form
    start: int
    tail: int
    """Bytes from the end of the packet back to the end of the code."""

    @property
    def size(self) -> int:
        """Bytes the code takes."""
        return self.width * 2 if self.form == "hex" else self.width

    def place(self, packet: bytes) -> tuple[int, int]:
        """Give where the code begins and ends."""
        end = len(packet) - self.tail
        return end - self.size, end

    def code(self, packet: bytes) -> bytes:
        """Give the code that the packet's bytes call for."""
        at, _ = self.place(packet)
        value = CODES[self.name][1](packet[self.start : at])
        if self.form == "hex":
            return f"{value:0{self.width * 2}X}".encode()
        return value.to_bytes(self.width, self.form)

    def sent(self, packet: bytes) -> bytes:
        """Give the code that is there."""
        at, end = self.place(packet)
        return packet[at:end]

    def fits(self, packet: bytes) -> bool:
        """Whether the code that is there is the right one."""
        return (
            self.sent(packet).upper() == self.code(packet).upper()
            if self.form == "hex"
            else self.sent(packet) == self.code(packet)
        )

    def seal(self, packet: bytes) -> bytes:
        """Give the packet with the right code."""
        at, end = self.place(packet)
        return packet[:at] + self.code(packet) + packet[end:]


def candidates(packet: bytes) -> Iterator[Seal]:
    """Give every seal that a packet of this length may have, short tails and small starts first."""
    for tail in range(TAILS + 1):
        for start in range(HEADS + 1):
            for name, (width, _) in CODES.items():
                for form in ("hex", "big", "little") if width > 1 else ("hex", "big"):
                    seal = Seal(name, width, form, start, tail)
                    if seal.place(packet)[0] > start:
                        yield seal


def fitting(packet: bytes) -> list[Seal]:
    """Give the seals that the packet's own code agrees with."""
    return [seal for seal in candidates(packet) if seal.fits(packet)]


def _xor(content: bytes) -> int:
    value = 0
    for byte in content:
        value ^= byte
    return value


def _crc(width: int, polynomial: int, first: int, last: int, *, reflected: bool) -> Callable[[bytes], int]:
    mask, top = (1 << width) - 1, 1 << (width - 1)

    @cache
    def row(index: int) -> int:
        value = index if reflected else index << (width - 8)
        for _ in range(8):
            if reflected:
                value = (value >> 1) ^ (polynomial if value & 1 else 0)
            else:
                value = (value << 1) ^ (polynomial if value & top else 0)
        return value & mask

    def crc(content: bytes) -> int:
        value = first
        for byte in content:
            out = value if reflected else value >> (width - 8)
            rest = value >> 8 if reflected else value << 8 & mask
            value = rest ^ row((out ^ byte) & 0xFF)
        return value ^ last

    return crc


def _annex_a(content: bytes) -> int:
    """Give the CRC16 of HJ 212, which feeds bytes into the register's high half."""
    value = 0xFFFF
    for byte in content:
        value = (value >> 8) ^ byte
        for _ in range(8):
            value = (value >> 1) ^ (0xA001 if value & 1 else 0)
    return value


CODES: Final[dict[str, tuple[int, Callable[[bytes], int]]]] = {
    "XOR": (1, _xor),
    "SUM8": (1, lambda content: sum(content) & 0xFF),
    "LRC": (1, lambda content: -sum(content) & 0xFF),
    "CRC8": (1, _crc(8, 0x07, 0, 0, reflected=False)),
    "SUM16": (2, lambda content: sum(content) & 0xFFFF),
    "CRC16/MODBUS": (2, _crc(16, 0xA001, 0xFFFF, 0, reflected=True)),
    "CRC16/CCITT": (2, _crc(16, 0x1021, 0xFFFF, 0, reflected=False)),
    "CRC16/XMODEM": (2, _crc(16, 0x1021, 0, 0, reflected=False)),
    "CRC16/X25": (2, _crc(16, 0x8408, 0xFFFF, 0xFFFF, reflected=True)),
    "CRC16/ARC": (2, _crc(16, 0xA001, 0, 0, reflected=True)),
    "CRC16/HJ212": (2, _annex_a),
    "CRC32": (4, _crc(32, 0xEDB88320, 0xFFFFFFFF, 0xFFFFFFFF, reflected=True)),
}
"""Width in bytes and function of each code, by the name catalogues give it."""
