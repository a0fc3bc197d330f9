"""Which readings the live rules did not see in order: what they found around them must be judged again."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streams.steps.sources import Codes, grown

LONG_AGO = np.iinfo(np.int64).min


class Disorder:
    """How far each source has been judged, and the stretches of event time that were judged without some reading."""

    def __init__(self) -> None:
        self._to: NDArray[np.int64] = np.empty(0, np.int64)
        self._missed: dict[int, tuple[int, int]] = {}

    def observe(self, codes: Codes, ts: NDArray[np.int64], sources: int) -> None:
        """Take in rows judged together: those not newer than what was judged before come too late."""
        self._to = grown(self._to, sources, LONG_AGO)
        behind = ts <= self._to[codes]
        if behind.any():
            self.miss(codes[behind], ts[behind])
        np.maximum.at(self._to, codes, ts)

    def reach(self, code: int, moment: int) -> None:
        """Note that a source has been judged up to a moment, whatever may still come of before."""
        self._to = grown(self._to, code + 1, LONG_AGO)
        self._to[code] = max(int(self._to[code]), moment)

    def miss(self, codes: Codes, ts: NDArray[np.int64]) -> None:
        """Note rows that were not judged, or not in order."""
        order = np.lexsort((ts, codes))
        code, at = codes[order], ts[order]
        first = np.flatnonzero(np.diff(code, prepend=-1))
        last = np.append(first[1:], len(code)) - 1
        for one, since, until in zip(code[first].tolist(), at[first].tolist(), at[last].tolist(), strict=True):
            before = self._missed.get(one, (since, until))
            self._missed[one] = (min(before[0], since), max(before[1], until))

    def missed(self) -> dict[int, tuple[int, int]]:
        """Give first and last event time of what each source missed since last asked."""
        found, self._missed = self._missed, {}
        return found
