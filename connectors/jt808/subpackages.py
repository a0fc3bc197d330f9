"""Sub-packages: messages put together from their parts, by phone, message id and serial of the first part."""

from __future__ import annotations

from typing import NamedTuple

from connectors.jt808.header import Header
from schemas.errors import Reject

OPEN_MAX = 16
"""Messages of one connection that may be half received at once."""
PARTS_MAX = 2048
"""Most parts of one message: two megabytes."""
BYTES_MAX = 4 * 2**20
"""Most bytes of half-received messages one connection may hold."""
DONE_MAX = 64
"""Completed messages that are remembered, so that a repeated part is known as such."""
RAW_KEPT = 65_536
"""Bytes of a message given up that its reject keeps."""
ASKS_MAX = 3
"""How often missing parts are asked for."""

Key = tuple[bytes, int, int]
"""Phone, message id, serial of the first part."""


class Missing(NamedTuple):
    """Parts to ask for: the header of a part that came, serial of the first part, numbers from 1."""

    header: Header
    first_serial: int
    parts: list[int]


class _Partial:
    """A half-received message."""

    __slots__ = ("asked_at", "asks", "header", "heard_at", "parts", "size")

    def __init__(self, header: Header, now: int) -> None:
        self.header = header
        self.parts: dict[int, bytes] = {}
        self.size = 0
        self.heard_at = self.asked_at = now
        self.asks = 0

    def joined(self) -> bytes:
        return b"".join(self.parts[n] for n in sorted(self.parts))


class SubPackages:
    """Half-received messages of one connection, bounded in number, bytes and age.

    ``timeout_us`` without a new part ends the wait; after each ``ask_us`` of silence the missing parts
    are due to be asked for, three times.
    """

    def __init__(self, timeout_us: int, ask_us: int) -> None:
        self._timeout_us, self._ask_us = timeout_us, ask_us
        self._open: dict[Key, _Partial] = {}
        self._done: dict[Key, int] = {}
        self._size = 0

    def add(self, header: Header, body: bytes, now: int) -> tuple[bytes | None, list[Reject]]:
        """Take a part: give the body it completes, and a ``Reject`` for each one that had to make room.

        A part that contradicts its header or the parts before it raises ``Reject``; a repeated part is ignored.
        """
        if not 1 <= header.part <= header.total:
            raise Reject("bad_field", f"sub-package {header.part} of {header.total}")
        if header.total > PARTS_MAX:
            raise Reject("too_large", f"{header.total} sub-packages, at most {PARTS_MAX} are taken")
        key = (header.phone_bcd, header.message_id, (header.serial - header.part + 1) & 0xFFFF)
        done_at = self._done.get(key)
        if done_at is not None and now - done_at <= self._timeout_us:
            return None, []
        partial = self._open.get(key)
        if partial is None:
            partial = self._open[key] = _Partial(header, now)
        elif partial.header.total != header.total:
            raise Reject("bad_field", f"sub-package of {header.total}, the ones before it were of {partial.header.total}")
        if header.part not in partial.parts:
            partial.parts[header.part] = body
            partial.size += len(body)
            partial.heard_at = partial.asked_at = now
            self._size += len(body)
        if len(partial.parts) == header.total:
            self._drop(key)
            self._remember(key, now)
            return partial.joined(), []
        return None, self._make_room(key)

    def due(self, now: int) -> tuple[list[Missing], list[Reject]]:
        """Give the parts to ask for now, and a ``Reject`` for each message whose wait is over."""
        missing: list[Missing] = []
        over: list[Reject] = []
        for key, partial in list(self._open.items()):
            if now - partial.heard_at >= self._timeout_us:
                over.append(self._give_up(key))
            elif now - partial.asked_at >= self._ask_us and partial.asks < ASKS_MAX:
                partial.asks += 1
                partial.asked_at = now
                gaps = [n for n in range(1, partial.header.total + 1) if n not in partial.parts]
                missing.append(Missing(partial.header, key[2], gaps))
        return missing, over

    def _make_room(self, newest: Key) -> list[Reject]:
        over: list[Reject] = []
        while len(self._open) > OPEN_MAX or self._size > BYTES_MAX:
            oldest = next((k for k in self._open if k != newest), newest)
            over.append(self._give_up(oldest))
        return over

    def _give_up(self, key: Key) -> Reject:
        partial = self._drop(key)
        detail = f"0x{key[1]:04X} from serial {key[2]}: {len(partial.parts)} of {partial.header.total} sub-packages came"
        return Reject("incomplete", detail, partial.joined()[:RAW_KEPT])

    def _drop(self, key: Key) -> _Partial:
        partial = self._open.pop(key)
        self._size -= partial.size
        return partial

    def _remember(self, key: Key, now: int) -> None:
        self._done.pop(key, None)
        self._done[key] = now
        if len(self._done) > DONE_MAX:
            del self._done[next(iter(self._done))]
