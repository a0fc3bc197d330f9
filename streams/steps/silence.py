"""Which sources have gone quiet, measured in arrival time against each one's own interval.

Time is the newest arrival of the kind, so an outage of the whole feed silences nobody: the feed's own
health tells of that, and when it comes back the pause is not held against its sources.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streams.steps.sources import Codes, grown

LONG_AGO = np.iinfo(np.int64).min
SMOOTHING = 0.2
"""Weight of the newest gap in a source's mean interval."""


class Silence:
    """Last arrival and usual interval of every source of one kind in one partition."""

    def __init__(self, interval_s: float) -> None:
        self._floor = interval_s * 1e6
        self._last: NDArray[np.int64] = np.empty(0, np.int64)
        self._interval: NDArray[np.float64] = np.empty(0)
        self.now = LONG_AGO

    def observe(self, codes: Codes, seen_at: NDArray[np.int64], sources: int) -> None:
        """Take in arrivals."""
        if len(codes) == 0:
            return
        self._last = grown(self._last, sources, LONG_AGO)
        self._interval = grown(self._interval, sources, self._floor)
        newest = int(seen_at.max())
        if self.now != LONG_AGO and newest - self.now > 2 * self._floor:
            self._forgive(newest - self.now)
        self.now = max(self.now, newest)
        last_of = np.full(len(self._last), LONG_AGO)
        np.maximum.at(last_of, codes, seen_at)
        heard = np.flatnonzero(last_of != LONG_AGO)
        known = heard[self._last[heard] != LONG_AGO]
        gap = np.maximum(last_of[known] - self._last[known], 0).astype(np.float64)
        gap = np.minimum(gap, 3 * self._interval[known])
        self._interval[known] += SMOOTHING * (np.maximum(gap, self._floor) - self._interval[known])
        self._last[heard] = np.maximum(self._last[heard], last_of[heard])

    def last(self, code: int) -> int:
        """Give when a source was last heard."""
        return int(self._last[code])

    def silent(self, intervals: float) -> list[tuple[int, int, int]]:
        """Give (code, last heard, time allowed) of every source past its time, in microseconds."""
        known = self._last != LONG_AGO
        allowed = intervals * self._interval
        quiet = np.flatnonzero(known & (self.now - np.where(known, self._last, self.now) > allowed))
        return [(int(c), int(self._last[c]), int(allowed[c])) for c in quiet]

    def _forgive(self, pause: int) -> None:
        known = self._last != LONG_AGO
        self._last[known] += pause
