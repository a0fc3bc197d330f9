"""Readings seen before: identity is (source, event time, the device's message number, the kind's own parts).

Keys are 64-bit mixes kept in blocks. A reading newer than the newest of its source cannot be a repetition
and costs no look-up; the others are searched in every block that reaches their event time. A block is
sorted when it is first searched; large ones may lie in files, so that hours of a busy partition take no memory.
Two different readings are taken for one with a chance of about 1e-11 at 1e8 keys.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from streams.steps.sources import Codes, Columns, Mask, SourceTable, grown

Keys = NDArray[np.uint64]
MIX1, MIX2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
"""Multipliers of the splitmix64 finaliser."""
NO_SERIAL = -1
ABSENT = -(2**62)
"""Stands for a part that a reading does not have; outside the bounds of every declared field."""
FANOUT = 16
"""So many blocks of one level are merged into one of the next."""
MOST = 1 << 20
"""Keys of the largest block: merging larger ones would take more memory and writing than it saves look-ups."""
LARGE = 1 << 16
"""A block of so many keys lies where ``keep`` says."""
LONG_AGO = np.iinfo(np.int64).min


@dataclass(slots=True)
class Block:
    """Keys and the newest event time among them."""

    number: int
    level: int
    newest: int
    keys: Keys
    is_sorted: bool = False

    def pack(self) -> bytes:
        """Give the block's bytes for the checkpoint."""
        return struct.pack("<Bq", self.level, self.newest) + self.keys.tobytes()

    @classmethod
    def unpack(cls, number: int, value: bytes) -> Block:
        """Read a block back."""
        level, newest = struct.unpack_from("<Bq", value)
        return cls(number, level, newest, np.frombuffer(value, np.uint64, offset=9))

    def sort(self) -> None:
        """Bring the keys into order."""
        if not self.is_sorted:
            self.keys, self.is_sorted = np.sort(self.keys, kind="stable"), True  # merged blocks are runs in order

    def has(self, keys: Keys) -> Mask:
        """Tell which of these keys are in the block."""
        self.sort()
        at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        found: Mask = self.keys[at] == keys
        return found


class Dedupe:
    """What one partition has seen of one kind, within a horizon of event time; ``keep`` says where large blocks lie."""

    def __init__(
        self, parts: tuple[str, ...] = (), horizon_s: float = 7200.0, keep: Callable[[Keys], Keys] | None = None
    ) -> None:
        self._parts = parts
        self._keep_large = keep
        self._horizon = int(horizon_s * 1e6)
        self._sources = SourceTable()
        self._salt: Keys = np.empty(0, np.uint64)
        self._newest_of: NDArray[np.int64] = np.empty(0, np.int64)
        self._floor = LONG_AGO
        self._newest = LONG_AGO
        self._blocks: dict[int, Block] = {}
        self._next = 0
        self._fresh: list[Keys] = []
        self._changed: dict[int, bytes | None] = {}

    def restore(self, blocks: dict[int, bytes]) -> None:
        """Take up the blocks of a checkpoint; everything up to their newest time is then looked up."""
        for number, value in blocks.items():
            self._keep(Block.unpack(number, value))
        self._next = max(blocks, default=-1) + 1
        self._floor = max((b.newest for b in self._blocks.values()), default=LONG_AGO)
        self._newest = self._floor

    def unseen(self, rows: Columns, keep: Mask | None = None) -> Mask:
        """Give the mask of rows not seen before, among those to keep, and remember them."""
        codes = rows.codes("source", self._sources)
        self._grow()
        ts = rows.times("ts")
        keys = self._keys(rows, codes, ts)
        new = _first(keys, np.ones(len(keys), np.bool_) if keep is None else keep)
        doubtful = np.flatnonzero(new & (ts <= self._newest_of[codes]))
        if len(doubtful):
            new[doubtful] = ~self._known(keys[doubtful], int(ts[doubtful].min()))
        taken = slice(None) if new.all() else new
        if new.any():
            np.maximum.at(self._newest_of, codes[taken], ts[taken])
            self._fresh.append(keys[taken])
            self._newest = max(self._newest, int(ts[taken].max()))
        return new

    def _keys(self, rows: Columns, codes: Codes, ts: NDArray[np.int64]) -> Keys:
        keys = _mix(self._salt[codes], ts, rows.integers("serial", NO_SERIAL))
        for name in self._parts:
            keys = _mix(keys, _part(rows, name), np.zeros(1, np.int64))
        return keys

    def changes(self) -> dict[str, bytes | None]:
        """Give what the checkpoint must write: new and merged blocks; None for those to delete."""
        if self._fresh:
            self._add(Block(self._take_number(), 0, self._newest, np.concatenate(self._fresh)))
            self._fresh = []
        self._merge()
        for number in [n for n, b in self._blocks.items() if b.newest < self._newest - self._horizon]:
            self._drop(number)
        changed, self._changed = self._changed, {}
        return {str(n): v for n, v in changed.items()}

    def _grow(self) -> None:
        have = len(self._salt)
        if len(self._sources) > have:
            fresh = [_salt(name) for name in self._sources.names[have:]]
            self._salt = np.concatenate([self._salt, np.array(fresh, np.uint64)])
            self._newest_of = grown(self._newest_of, len(self._sources), 0)
            self._newest_of[have : len(self._newest_of)] = self._floor

    def _known(self, keys: Keys, oldest: int) -> NDArray[np.bool_]:
        known = np.zeros(len(keys), dtype=np.bool_)
        for block in self._blocks.values():
            if block.newest >= oldest:
                known |= block.has(keys)
        for fresh in self._fresh:
            known |= np.isin(keys, fresh)
        return known

    def _take_number(self) -> int:
        self._next += 1
        return self._next - 1

    def _add(self, block: Block) -> None:
        self._changed[block.number] = block.pack()
        self._keep(block)

    def _keep(self, block: Block) -> None:
        self._blocks[block.number] = block
        if self._keep_large is not None and len(block.keys) >= LARGE:
            block.sort()
            block.keys = self._keep_large(block.keys)

    def _drop(self, number: int) -> None:
        del self._blocks[number]
        self._changed[number] = None

    def _merge(self) -> None:
        for level in range(8):
            full = [b for b in self._blocks.values() if b.level == level]
            if len(full) < FANOUT or sum(len(b.keys) for b in full) > MOST:
                continue
            keys = np.concatenate([b.keys for b in full])
            for block in full:
                self._drop(block.number)
            self._add(Block(self._take_number(), level + 1, max(b.newest for b in full), keys))


def _salt(source: str) -> int:
    return int.from_bytes(hashlib.blake2b(source.encode(), digest_size=8).digest(), "little")


def _mix(salt: Keys, ts: NDArray[np.int64], serial: NDArray[np.int64]) -> Keys:
    mixed = _finalise(ts.view(np.uint64) ^ salt)
    return _finalise(mixed + serial.view(np.uint64) * MIX1)


def _finalise(x: Keys) -> Keys:
    x = (x ^ (x >> np.uint64(30))) * MIX1
    x = (x ^ (x >> np.uint64(27))) * MIX2
    return x ^ (x >> np.uint64(31))


def _part(rows: Columns, name: str) -> NDArray[np.int64]:
    """Give a number for each row's value of a field, the same in every process; an absent one has its own."""
    if not rows.has(name) or not pa.types.is_string(rows.table.schema.field(name).type):
        return rows.integers(name, ABSENT)
    words = SourceTable()
    codes = rows.codes(name, words)
    salts = np.array([_salt(word) for word in words.names], np.uint64).view(np.int64)
    return np.append(salts, ABSENT)[codes]


def _first(keys: Keys, keep: Mask) -> Mask:
    """Give the mask of kept rows whose key no kept row before them has.

    A table of row numbers, four times as large as the batch, finds the rows that share a place; only those
    few are compared exactly.
    """
    first = keep.copy()
    rows = np.flatnonzero(keep)
    if len(rows) < 2:
        return first
    bits = int(4 * len(rows)).bit_length()
    place = (keys[rows] >> np.uint64(64 - bits)).astype(np.int64)
    last_at = np.empty(1 << bits, np.int32)
    last_at[place] = np.arange(len(rows), dtype=np.int32)
    lost = last_at[place] != np.arange(len(rows), dtype=np.int32)
    if not lost.any():
        return first
    shared = np.zeros(1 << bits, np.bool_)
    shared[place[lost]] = True
    close = rows[shared[place]]
    first[close] = False
    first[close[np.unique(keys[close], return_index=True)[1]]] = True
    return first
