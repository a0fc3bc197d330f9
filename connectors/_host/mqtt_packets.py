"""Control packets of MQTT 3.1.1: cut from a stream, read field by field, built. Clauses are those of its OASIS standard."""

from __future__ import annotations

from collections.abc import Iterator

from connectors._api.session import Framing
from schemas.errors import Reject

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = 1, 2, 3, 4, 5, 6, 7
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT = 8, 9, 10, 11, 12, 13, 14
"""Table 2.1."""


class MqttFraming(Framing):
    """Gives each control packet as its first byte and its body, without the length between them (2.2)."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._passing = 0
        self._lost = False

    def feed(self, data: bytes) -> list[bytes | Reject]:
        """Give the packets completed by ``data``; after a length that is none nothing can be found any more."""
        if self._lost:
            return []
        self._buffer += data
        return list(self._cut())

    def _cut(self) -> Iterator[bytes | Reject]:
        while True:
            if self._passing:
                passed = min(self._passing, len(self._buffer))
                del self._buffer[:passed]
                self._passing -= passed
            head = self._head()
            if head is None or self._lost:
                if self._lost:
                    yield Reject("bad_length", "a remaining length has at most four bytes", bytes(self._buffer[:5]))
                    self._buffer.clear()
                return
            start, length = head
            if length > self._limit:
                yield Reject("too_large", f"a packet has at most {self._limit} bytes", bytes(self._buffer[:start]))
                self._passing = start + length
            elif len(self._buffer) < start + length:
                return
            else:
                yield bytes(self._buffer[:1] + self._buffer[start : start + length])
                del self._buffer[: start + length]

    def _head(self) -> tuple[int, int] | None:
        """Give where the body begins and how long it is (2.2.3), once that can be told."""
        length = 0
        for at in range(1, 5):
            if len(self._buffer) <= at:
                return None
            length |= (self._buffer[at] & 127) << 7 * (at - 1)
            if self._buffer[at] < 128:
                return at + 1, length
        self._lost = True
        return None


class Fields:
    """Reads a packet's body from the front; whatever is not there raises ``Reject``."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    @property
    def left(self) -> int:
        """How many bytes are left."""
        return len(self._body) - self._at

    def number(self, size: int) -> int:
        """Give an unsigned integer of so many bytes."""
        return int.from_bytes(self.take(size), "big")

    def text(self) -> str:
        """Give a text (1.5.3)."""
        try:
            found = self.block().decode("utf-8")
        except UnicodeDecodeError as error:
            raise Reject("bad_encoding", "a text of MQTT is UTF-8") from error
        if "\0" in found:
            raise Reject("bad_encoding", "a text of MQTT has no null character")
        return found

    def block(self) -> bytes:
        """Give bytes with their length before them."""
        return self.take(self.number(2))

    def take(self, size: int) -> bytes:
        """Give so many bytes."""
        if self.left < size:
            raise Reject("bad_length", f"{size} bytes were announced, {self.left} are left")
        self._at += size
        return self._body[self._at - size : self._at]


def packet(kind: int, body: bytes, flags: int = 0) -> bytes:
    """Give a control packet."""
    length, rest = bytearray(), len(body)
    while True:
        rest, digit = rest >> 7, rest & 127
        length.append(digit | (128 if rest else 0))
        if not rest:
            return bytes((kind << 4 | flags, *length)) + body
