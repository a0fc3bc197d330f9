"""Polling on a line that bears one request at a time: turns, time-outs, retries, pauses between rounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Job = TypeVar("Job")


class Poller(Generic[Job]):
    """Hands out jobs one after another, and never a second one before the first is answered or given up.

    A round goes once through ``jobs``; the next begins ``interval_us`` after the last began, or at once where that
    has passed. A request is sent again ``retries`` times. Times are microseconds, given by the caller.
    """

    def __init__(self, jobs: Sequence[Job], interval_us: int, timeout_us: int, retries: int) -> None:
        self._jobs = list(jobs)
        self._interval_us, self._timeout_us, self._retries = interval_us, timeout_us, retries
        self._turn = 0
        self._tries = 0
        self._deadline: int | None = None
        self._round_at: int | None = None

    @property
    def jobs(self) -> Sequence[Job]:
        """All jobs of a round."""
        return self._jobs

    @property
    def outstanding(self) -> Job | None:
        """The job that waits for its answer."""
        return self._jobs[self._turn] if self._deadline is not None else None

    def expired(self, now: int) -> Job | None:
        """Give up the outstanding job, and give it, once its last request stayed unanswered."""
        job = self.outstanding
        if job is None or self._deadline is None or now < self._deadline or self._tries <= self._retries:
            return None
        self.done()
        return job

    def due(self, now: int) -> Job | None:
        """Give the job whose request must go out now: the outstanding one again, or the next."""
        waiting = self._deadline is not None
        if (waiting and not self._late(now)) or not (waiting or self._in_round(now)):
            return None
        self._tries += 1
        self._deadline = now + self._timeout_us
        return self._jobs[self._turn]

    def done(self) -> None:
        """Take the outstanding job as answered; the next one has its turn."""
        if self._deadline is not None:
            self._deadline, self._tries = None, 0
            self._turn += 1

    def extend(self, now: int) -> None:
        """Give the outstanding job a fresh time-out: part of its answer has come."""
        if self._deadline is not None:
            self._deadline, self._tries = now + self._timeout_us, 1

    def skip(self, unwanted: Callable[[Job], bool]) -> None:
        """Pass over the jobs that come next in this round and are not wanted."""
        while self._deadline is None and 0 < self._turn < len(self._jobs) and unwanted(self._jobs[self._turn]):
            self._turn += 1

    def _late(self, now: int) -> bool:
        return self._deadline is not None and now >= self._deadline and self._tries <= self._retries

    def _in_round(self, now: int) -> bool:
        if 0 < self._turn < len(self._jobs):
            return True
        if not self._jobs or (self._round_at is not None and now < self._round_at + self._interval_us):
            return False
        self._turn, self._round_at = 0, now
        return True
