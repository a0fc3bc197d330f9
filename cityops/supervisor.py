"""Keeping processes running: started in order, restarted with back-off, stopped in the opposite order."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import structlog

log = structlog.get_logger()

FIRST_S = 2.0
LONGEST_S = 30.0
FAST_FIRST_S = 0.2
"""First pause after an exit that is part of the design (70, 71) or a signal: the checkpoint makes restarting safe."""
FAST = frozenset({70, 71})
SETTLED_S = 60.0
"""A process that ran this long starts with the shortest pause again."""


class Runnable(Protocol):
    """What a supervisor needs of a process."""

    name: str

    def start(self) -> None:
        """Run it."""
        ...

    def poll(self) -> int | None:
        """Give the exit status once it ended."""
        ...

    def stop(self, grace_s: float) -> int | None:
        """Stop it within ``grace_s``."""
        ...

    def tail(self, lines: int = 1) -> str:
        """Give its last words."""
        ...


class Backoff:
    """How long to wait before a process starts again; the pause doubles while it keeps ending early."""

    def __init__(self) -> None:
        self._early = 0

    def pause(self, status: int, ran_s: float) -> float:
        """Give the pause in seconds after an exit with this status (negative: a signal)."""
        self._early = 0 if ran_s >= SETTLED_S else self._early + 1
        first = FAST_FIRST_S if status in FAST or status < 0 else FIRST_S
        return float(min(LONGEST_S, first * 2 ** max(0, self._early - 1)))


@dataclass(slots=True)
class Part:
    """One supervised process: how long it may take to stop, and whether it is started again."""

    process: Runnable
    grace_s: float = 10.0
    wanted: bool = True
    backoff: Backoff = field(default_factory=Backoff)
    started_at: float = 0.0
    again_at: float | None = None
    restarts: int = 0

    @property
    def name(self) -> str:
        """The process's name."""
        return self.process.name


class Supervisor:
    """Runs parts in the order given and stops them in the opposite order.

    ``check`` must be called a few times a second from the thread that called ``start``: processes die
    with the thread that started them.
    """

    def __init__(self, parts: Sequence[Part] = (), *, clock: Callable[[], float] = time.monotonic) -> None:
        self.parts: list[Part] = []
        self._clock = clock
        for part in parts:
            self.add(part)

    def add(self, part: Part, *, running: bool = False) -> None:
        """Start one more part and watch it; with ``running`` it was started already."""
        if not running:
            part.process.start()
        part.started_at = self._clock()
        self.parts.append(part)

    def check(self) -> None:
        """Notice what ended, and start again what is due."""
        now = self._clock()
        for part in self.parts:
            if part.wanted:
                self._look(part, now)

    def _look(self, part: Part, now: float) -> None:
        if part.again_at is not None:
            if now >= part.again_at:
                part.again_at = None
                part.restarts += 1
                part.process.start()
                part.started_at = now
            return
        status = part.process.poll()
        if status is None:
            return
        pause = part.backoff.pause(status, now - part.started_at)
        part.again_at = now + pause
        log.warning("part_ended", part=part.name, status=status, again_in_s=pause, last_words=part.process.tail(1)[-300:])

    def stop(self, name: str) -> int | None:
        """Stop one part for good and give its exit status."""
        part = self.part(name)
        part.wanted = False
        return part.process.stop(part.grace_s)

    def part(self, name: str) -> Part:
        """Give a part by name."""
        return next(p for p in self.parts if p.name == name)

    def stop_all(self) -> None:
        """Stop everything, last started first."""
        for part in self.parts:
            part.wanted = False
        for part in reversed(self.parts):
            part.process.stop(part.grace_s)
