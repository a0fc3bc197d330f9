"""Which sources have gone quiet, measured in arrival time against each one's own interval.

Time is the newest arrival of the kind, so an outage of the whole feed silences nobody: the feed's own
health tells of that, and when it comes back the pause is not held against its sources. It goes on in steps: what is
known is judged after the first frame of each, so the cutting of frames into batches changes nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streams.steps.sources import Codes, grown

LONG_AGO = np.iinfo(np.int64).min
SMOOTHING = 0.2
"""Weight of the newest gap in a source's mean interval."""
SHORTEST_S, LONGEST_S = 1.0, 10.0
"""Bounds of a step, which is a quarter of the kind's interval."""


class Silence:
    """Last arrival and usual interval of every source of one kind in one partition."""

    def __init__(self, interval_s: float) -> None:
        self._floor = interval_s * 1e6
        self._step = int(min(LONGEST_S, max(SHORTEST_S, interval_s / 4)) * 1e6)
        self._last: NDArray[np.int64] = np.empty(0, np.int64)
        self._learnt: NDArray[np.int64] = np.empty(0, np.int64)
        """Last arrival before the present step: intervals are learnt up to it."""
        self._interval: NDArray[np.float64] = np.empty(0)
        self.now = LONG_AGO

    def pieces(self, seen_at: NDArray[np.int64], frames: NDArray[np.int64]) -> list[tuple[slice, bool]]:
        """Cut rows, whose frames are numbered upwards, into the first frame of each step and what follows it."""
        starts = np.flatnonzero(np.diff(frames, prepend=-1))
        newest = np.maximum.accumulate(np.maximum.reduceat(seen_at, starts))
        steps = np.maximum(newest, self.now) // self._step
        begins = np.diff(steps, prepend=self.now // self._step if self.now != LONG_AGO else -1) > 0
        edges = starts[begins | np.concatenate([[True], begins[:-1]])]
        begun = np.isin(edges, starts[begins]).tolist()
        ends = [*edges[1:].tolist(), len(frames)]
        return [(slice(start, end), first) for start, end, first in zip(edges.tolist(), ends, begun, strict=True)]

    def step(self, newest: int) -> None:
        """Begin a step at its first arrival: learn the intervals of the one before, forgive a pause of the whole feed."""
        heard = np.flatnonzero((self._last > self._learnt) & (self._learnt != LONG_AGO))
        gap = np.minimum(self._last[heard] - self._learnt[heard], 3 * self._interval[heard])
        self._interval[heard] += SMOOTHING * (np.maximum(gap, self._floor) - self._interval[heard])
        if self.now != LONG_AGO and newest - self.now > 2 * self._floor:
            self._last[self._last != LONG_AGO] += newest - self.now
        self._learnt = self._last.copy()

    def observe(self, codes: Codes, seen_at: NDArray[np.int64], sources: int) -> None:
        """Take in arrivals."""
        self._last = grown(self._last, sources, LONG_AGO)
        self._learnt = grown(self._learnt, sources, LONG_AGO)
        self._interval = grown(self._interval, sources, self._floor)
        self.now = max(self.now, int(seen_at.max()))
        np.maximum.at(self._last, codes, seen_at)

    def silent(self, intervals: float) -> list[tuple[int, int, int]]:
        """Give (code, last heard, time allowed) of every source past its time, in microseconds."""
        known = self._last != LONG_AGO
        allowed = intervals * self._interval
        quiet = np.flatnonzero(known & (self.now - np.where(known, self._last, self.now) > allowed))
        return [(int(c), int(self._last[c]), int(allowed[c])) for c in quiet]
