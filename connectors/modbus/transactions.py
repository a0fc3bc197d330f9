"""Which request a response answers, and so which packets are responses at all."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, NamedTuple

from connectors.modbus import pdu
from connectors.modbus.pdu import Direction
from connectors.modbus.registers import Ask

MOST: Final = 256
"""Requests remembered while no response comes."""


class Key(NamedTuple):
    """What a response has in common with its request; RTU has no transaction identifier."""

    transaction: int | None
    unit: int
    code: int


class Pending(NamedTuple):
    """A request that was seen or sent: what it reads, if it reads, and when ours is overdue (0: not ours)."""

    ask: Ask | None
    overdue_at: int = 0


class Transactions:
    """Requests without a response so far, the oldest forgotten first."""

    def __init__(self) -> None:
        self._pending: OrderedDict[Key, Pending] = OrderedDict()

    def add(self, key: Key, pending: Pending) -> None:
        """Note a request."""
        self._pending[key] = pending
        self._pending.move_to_end(key)
        if len(self._pending) > MOST:
            self._pending.popitem(last=False)

    def take(self, key: Key) -> Pending | None:
        """Give the request that a response answers, which is then over."""
        return self._pending.pop(key, None)

    def overdue(self, now: int) -> list[tuple[Key, Ask]]:
        """Give our requests whose response is overdue; they are over."""
        late = [(key, p.ask) for key, p in self._pending.items() if p.ask is not None and 0 < p.overdue_at <= now]
        for key, _ in late:
            del self._pending[key]
        return late

    def is_ours(self, key: Key) -> bool:
        """Tell whether such a request of ours waits for its response."""
        return key in self._pending and self._pending[key].overdue_at > 0

    def direction(self, key: Key, body: bytes) -> Direction:
        """Tell what a PDU is: what fits its length better, else a response if a request waits for it."""
        if body[0] & pdu.ERROR:
            return "response"
        request, response = (size if (size := pdu.size(body, side)) <= len(body) else 0 for side in SIDES)
        if request != response:
            return "response" if response > request else "request"
        return "response" if key in self._pending or _is_response(body) else "request"


SIDES: Final[tuple[Direction, Direction]] = ("request", "response")
RECORD: Final = 6
"""Reference type of every file record."""


def _is_response(body: bytes) -> bool:
    """Tell what the length does not: a PDU that as a request would ask for too much, or for no record."""
    if body[0] in (1, 2):
        return not 1 <= int.from_bytes(body[3:5]) <= 2000
    return body[0] == 20 and body[2:3] != bytes([RECORD])
