"""What a device has sent and the platform has not acknowledged: repeated in time, and again on the next line."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

ANSWER_US = 10_000_000
"""How long a device waits for an answer before it repeats itself."""
REPEATS = 3
"""How often it does before it takes the line for dead."""
KEEP = 500
"""Messages kept; the oldest go first."""


@dataclass(slots=True)
class Sent:
    """A message under way."""

    frame: bytes
    rows: int
    due: int
    tries: int = 1


class Outbox:
    """Messages by what their acknowledgement will name; counts are of the readings in them."""

    def __init__(self) -> None:
        self.sent = self.acked = self.dropped = 0
        self.broken = False
        """Whether the line is to be given up."""
        self._under_way: dict[Hashable, Sent] = {}

    @property
    def waiting(self) -> int:
        """Readings without an acknowledgement."""
        return sum(message.rows for message in self._under_way.values())

    def put(self, key: Hashable, frame: bytes, now: int, rows: int = 1) -> bytes:
        """Take a new message; gives its bytes."""
        self.sent += rows
        self._under_way[key] = Sent(frame, rows, now + ANSWER_US)
        while len(self._under_way) > KEEP:
            self.dropped += self._under_way.pop(next(iter(self._under_way))).rows
        return frame

    def answered(self, key: Hashable) -> None:
        """Let go of an acknowledged message; others are none of ours."""
        message = self._under_way.pop(key, None)
        if message is not None:
            self.acked += message.rows

    def opened(self, now: int) -> bytes:
        """Give everything again on a new line."""
        self.broken = False
        for message in self._under_way.values():
            message.due, message.tries = now + ANSWER_US, 1
        return b"".join(message.frame for message in self._under_way.values())

    def repeated(self, now: int) -> bytes:
        """Give what waits too long once more; after the last repetition the line is broken."""
        late = [message for message in self._under_way.values() if now >= message.due]
        self.broken = self.broken or any(message.tries > REPEATS for message in late)
        for message in late:
            message.due, message.tries = now + ANSWER_US, message.tries + 1
        return b"" if self.broken else b"".join(message.frame for message in late)
