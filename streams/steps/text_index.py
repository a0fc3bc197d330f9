"""Finds texts among many in time that does not grow with them: Arrow's ``index_in`` hashes all of them at each call."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Numbers = NDArray[np.int64]
Hashes = NDArray[np.uint64]

LONGEST = 64
"""Of a longer text its first bytes and the last eight count in its hash; whoever compares the texts tells the rest."""
_SPREAD, _FOLD = np.uint64(0x9E3779B97F4A7C15), np.uint64(29)


class TextIndex:
    """A hash table of texts by number, open addressing, at most half full."""

    def __init__(self) -> None:
        self._hashes: Hashes = np.empty(0, np.uint64)
        self._places: NDArray[np.int32] = np.full(16, -1, np.int32)

    def __len__(self) -> int:
        return len(self._hashes)

    def extend(self, known: pa.Array) -> None:
        """Take in the texts that were added to the known ones since the last call."""
        have = len(self)
        self._hashes = np.concatenate([self._hashes, hashes(known.slice(have))])
        if 2 * len(self) > len(self._places):
            self._places, have = np.full(1 << (4 * len(self)).bit_length(), -1, np.int32), 0
        numbers = np.arange(have, len(self), dtype=np.int32)
        place = self._first(self._hashes[numbers])
        while len(numbers):
            free = self._places[place] < 0
            self._places[place[free]] = numbers[free]
            lost = self._places[place] != numbers  # of several that want one place the last has it
            numbers, place = numbers[lost], self._next(place[lost])

    def find(self, texts: pa.Array, known: pa.Array) -> tuple[Numbers, Numbers]:
        """Give the number of each text, -1 for one not known, and the rows where another text has the same hash."""
        wanted = hashes(texts)
        codes = np.full(len(wanted), -1, np.int64)
        rows, place = np.arange(len(wanted)), self._first(wanted)
        while len(rows):
            number = self._places[place]
            taken = number >= 0
            rows, place, number = rows[taken], place[taken], number[taken]
            hit = self._hashes[number] == wanted[rows]
            codes[rows[hit]] = number[hit]
            rows, place = rows[~hit], self._next(place[~hit])
        found = np.flatnonzero(codes >= 0)
        same = pc.equal(known.take(pa.array(codes[found])), texts.take(pa.array(found)))
        return codes, found[~same.fill_null(False).to_numpy(zero_copy_only=False)]

    def _first(self, of: Hashes) -> Numbers:
        return (of & np.uint64(len(self._places) - 1)).astype(np.int64)

    def _next(self, place: Numbers) -> Numbers:
        return (place + 1) & (len(self._places) - 1)


def hashes(texts: pa.Array) -> Hashes:
    """Give a 64-bit hash of each text, the same in every batch."""
    if len(texts) == 0:
        return np.empty(0, np.uint64)
    ends = np.frombuffer(texts.buffers()[1], np.int32, len(texts) + 1, texts.offset * 4).astype(np.int64)
    held = texts.buffers()[2]
    words = _words(np.frombuffer(held, np.uint8)[ends[0] : ends[-1]] if held else np.empty(0, np.uint8))
    start, length = ends[:-1] - ends[0], np.diff(ends)
    found = _mixed(length.astype(np.uint64))
    for at in range(0, min(LONGEST, int(length.max(initial=0))), 8):
        rows = slice(None) if int(length.min()) > at else np.flatnonzero(length > at)
        beyond = np.maximum(8 - (length[rows] - at), 0).astype(np.uint64)
        found[rows] = _mixed(found[rows] ^ (words[start[rows] + at] << (beyond * np.uint64(8))))
    long = np.flatnonzero(length > LONGEST)
    found[long] = _mixed(found[long] ^ words[start[long] + length[long] - 8])
    return found


def _words(content: NDArray[np.uint8]) -> Hashes:
    """See the eight bytes that begin at every byte as one number; zeros follow the last."""
    padded = np.concatenate([content, np.zeros(8, np.uint8)])
    return np.ndarray((len(content) + 1,), "<u8", padded.data, 0, (1,))


def _mixed(of: Hashes) -> Hashes:
    spread = (of ^ _SPREAD) * _SPREAD
    return spread ^ (spread >> _FOLD)
