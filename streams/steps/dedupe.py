"""Readings seen before: identity is (source, event time, the device's message number).

Keys are 64-bit mixes kept in sorted blocks. A reading newer than the newest of its source cannot be a
repetition and costs no look-up; the others are searched in every block that reaches their event time.
Two different readings are taken for one with a chance of about 1e-11 at 1e8 keys.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from streams.steps.sources import SourceTable, grown, integers, times

Keys = NDArray[np.uint64]
MIX1, MIX2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
"""Multipliers of the splitmix64 finaliser."""
NO_SERIAL = -1
FANOUT = 16
"""So many blocks of one level are merged into one of the next."""
LONG_AGO = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True)
class Block:
    """Sorted keys and the newest event time among them."""

    number: int
    level: int
    newest: int
    keys: Keys

    def pack(self) -> bytes:
        """Give the block's bytes for the checkpoint."""
        return struct.pack("<Bq", self.level, self.newest) + self.keys.tobytes()

    @classmethod
    def unpack(cls, number: int, value: bytes) -> Block:
        """Read a block back."""
        level, newest = struct.unpack_from("<Bq", value)
        return cls(number, level, newest, np.frombuffer(value, np.uint64, offset=9))


class Dedupe:
    """What one partition has seen of one kind, within a horizon of event time."""

    def __init__(self, horizon_s: float = 7200.0) -> None:
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
        self._blocks = {n: Block.unpack(n, v) for n, v in blocks.items()}
        self._next = max(blocks, default=-1) + 1
        self._floor = max((b.newest for b in self._blocks.values()), default=LONG_AGO)
        self._newest = self._floor

    def unseen(self, batch: pa.RecordBatch) -> NDArray[np.bool_]:
        """Give the mask of rows not seen before, and remember them."""
        codes = self._sources.codes(batch.column("source"))
        self._grow()
        ts = times(batch, "ts")
        keys = _mix(self._salt[codes], ts, integers(batch, "serial", NO_SERIAL))
        new = np.zeros(len(keys), dtype=np.bool_)
        new[np.unique(keys, return_index=True)[1]] = True
        doubtful = np.flatnonzero(new & (ts <= self._newest_of[codes]))
        if len(doubtful):
            new[doubtful] = ~self._known(keys[doubtful], int(ts[doubtful].min()))
        np.maximum.at(self._newest_of, codes, ts)
        if new.any():
            self._fresh.append(keys[new])
            self._newest = max(self._newest, int(ts[new].max()))
        return new

    def changes(self) -> dict[str, bytes | None]:
        """Give what the checkpoint must write: new and merged blocks; None for those to delete."""
        if self._fresh:
            self._add(Block(self._take_number(), 0, self._newest, np.sort(np.concatenate(self._fresh))))
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
                known |= _inside(keys, block.keys)
        for fresh in self._fresh:
            known |= np.isin(keys, fresh)
        return known

    def _take_number(self) -> int:
        self._next += 1
        return self._next - 1

    def _add(self, block: Block) -> None:
        self._blocks[block.number] = block
        self._changed[block.number] = block.pack()

    def _drop(self, number: int) -> None:
        del self._blocks[number]
        self._changed[number] = None

    def _merge(self) -> None:
        for level in range(8):
            full = [b for b in self._blocks.values() if b.level == level]
            if len(full) < FANOUT:
                continue
            keys = np.sort(np.concatenate([b.keys for b in full]))
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


def _inside(keys: Keys, block: Keys) -> NDArray[np.bool_]:
    at = np.minimum(np.searchsorted(block, keys), len(block) - 1)
    found: NDArray[np.bool_] = block[at] == keys
    return found
