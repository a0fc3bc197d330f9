"""One websocket's side of the conversation, without the socket: queues, window, limits."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

import msgspec

from gateway.live.state import LiveState
from gateway.live.view import Cache, Part, View
from schemas.messages import FromServer, Resync, Subscribe

WINDOW: Final = 2
"""Sends of binary frames that may be unacknowledged."""
EVENTS: Final = 1000
"""Events that may wait for a slow client before they are dropped and it is told to ask anew."""
MESSAGES_PER_S: Final = 20
PACE_MS: Final = (250, 60_000)
"""Shortest and longest interval a client may ask for."""


def text(message: FromServer) -> str:
    """Give a message's JSON."""
    return msgspec.json.encode(message).decode()


class Client:
    """What waits to be sent to one client; state is packed at the last moment, so the newest value wins."""

    def __init__(self, *, coarse: bool, now: int) -> None:
        self.view = View(coarse)
        self.wake = asyncio.Event()
        self.interval_ms = 1000
        self._replies: deque[str] = deque()
        self._events: deque[str] = deque()
        self._lost = False
        self._tick: str | None = None
        self._state: deque[Part] = deque()
        self._unacked: deque[int] = deque()
        self._due = 0
        self._tokens = float(MESSAGES_PER_S)
        self._counted_at = now

    # --- what the client says

    def admit(self, now: int) -> bool:
        """Count a message of the client; False when it exceeds MESSAGES_PER_S."""
        self._tokens = min(float(MESSAGES_PER_S), self._tokens + (now - self._counted_at) / 1e6 * MESSAGES_PER_S)
        self._counted_at = now
        self._tokens -= 1
        return self._tokens >= 0

    def ack(self, frames: int) -> bool:
        """Note frames as applied; False if that many were not outstanding."""
        while frames > 0 and self._unacked:
            taken = min(frames, self._unacked[0])
            self._unacked[0] -= taken
            frames -= taken
            if self._unacked[0] == 0:
                self._unacked.popleft()
        return frames <= 0

    def subscribe(self, wanted: Subscribe) -> None:
        """Take the client's wishes; they are served at the next pump."""
        self.view.look(wanted.layers, wanted.bbox)
        self.interval_ms = 0 if wanted.interval_ms <= 0 else min(max(wanted.interval_ms, PACE_MS[0]), PACE_MS[1])
        self._due = 0

    # --- what it is told

    def reply(self, message: FromServer) -> None:
        """Queue an answer to the client, before anything else."""
        self._replies.append(text(message))
        self.wake.set()

    def renew(self, snapshot: list[str]) -> None:
        """Queue the alerts anew instead of the events that wait, and all state anew."""
        self._events.clear()
        self._lost = False
        self._replies.extend(snapshot)
        self.view.forget()
        self._due = 0
        self.wake.set()

    def event(self, encoded: str) -> None:
        """Queue an event; when too many wait, all are dropped and the client is told to resynchronise."""
        if self._lost:
            return
        self._events.append(encoded)
        if len(self._events) > EVENTS:
            self._events.clear()
            self._events.append(text(Resync(reason="overflow")))
            self._lost = True
        self.wake.set()

    def tick(self, encoded: str) -> None:
        """Replace the tick that waits."""
        self._tick = encoded
        self.wake.set()

    def pump(self, state: LiveState, now: int, cache: Cache) -> None:
        """Pack what changed, if the client's pace and window allow it now."""
        if self.interval_ms == 0 or now // 1000 < self._due or self._state or len(self._unacked) >= WINDOW:
            return
        # Aligned to the clock, so that clients of one pace are served by the same packed bytes.
        self._due = (now // 1000 // self.interval_ms + 1) * self.interval_ms
        parts = self.view.update(state, now, cache)
        frames = sum(isinstance(p, bytes) for p in parts)
        if frames:
            self._unacked.append(frames)
        if parts:
            self._state.extend(parts)
            self.wake.set()

    def take(self) -> Part | None:
        """Give the next part to send: answers, then events, then the tick, then state; None when nothing waits."""
        if self._replies:
            return self._replies.popleft()
        if self._events:
            return self._events.popleft()
        if self._tick is not None:
            encoded, self._tick = self._tick, None
            return encoded
        if self._state:
            return self._state.popleft()
        self.wake.clear()
        return None
