"""Quantiles of many values in little space: counts in buckets of geometrically growing width.

The mapping is DDSketch's (Masson, Rim, Lee, VLDB 2019): any quantile is told within 1 % of its value. Counts
are integers, so merging sketches gives the same in any order, unlike t-digests and sampling sketches.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas.derive import fields

ACCURACY = 0.01
GROWTH = (1 + ACCURACY) / (1 - ACCURACY)
SMALLEST = 1e-6
"""Magnitudes below this count as zero."""
UNBOUNDED = 1e12
"""Greatest magnitude told apart for a metric that declares no bounds."""
_ENTRY = np.dtype([("bucket", "<i2"), ("count", "<u4")])

Counts = NDArray[np.int32]
"""Counts by bucket, in the last axis."""


@dataclass(frozen=True, slots=True)
class Scale:
    """The buckets of one metric: ``negative`` below zero, one for zero, ``positive`` above."""

    negative: int
    positive: int

    @property
    def buckets(self) -> int:
        """How many buckets there are."""
        return self.negative + 1 + self.positive

    def of(self, values: NDArray[np.float64]) -> NDArray[np.int64]:
        """Give the bucket of each value; there must be no NaN."""
        size = np.abs(values) if self.negative else values
        step = np.ceil(np.log(np.maximum(size, SMALLEST) * (1 / SMALLEST)) * (1 / np.log(GROWTH)))
        if self.negative:
            step *= np.sign(values)
        found: NDArray[np.int64] = np.clip(step, -self.negative, self.positive).astype(np.int64) + self.negative
        return found

    def values(self, buckets: NDArray[np.int64]) -> NDArray[np.float64]:
        """Give the value that stands for each bucket."""
        step = buckets - self.negative
        found: NDArray[np.float64] = np.sign(step) * SMALLEST * GROWTH ** np.abs(step) * (2 / (1 + GROWTH))
        return found

    def quantiles(self, counts: Counts, share: float) -> NDArray[np.float64]:
        """Give, of each sketch, the value below which that share of its values lies; none may be empty."""
        running = counts.cumsum(axis=-1, dtype=np.int64)
        wanted = np.floor(share * (running[..., -1:] - 1))
        return self.values((running <= wanted).sum(axis=-1))


@cache
def scale(kind: str, metric: str) -> Scale:
    """Give the buckets of a kind's metric, as its declared bounds need them."""
    declared = next(f for f in fields(kind) if f.name == metric)
    high = UNBOUNDED if declared.le is None else declared.le
    low = -UNBOUNDED if declared.ge is None else declared.ge
    return Scale(_steps(-low), _steps(high))


def _steps(reach: float) -> int:
    return int(np.ceil(np.log(max(reach, SMALLEST) / SMALLEST) / np.log(GROWTH)))


def pack(counts: Counts) -> pa.Array:
    """Give the bytes of each sketch of a two-dimensional array, empty buckets left out."""
    row, bucket = np.divmod(np.flatnonzero(counts.reshape(-1) != 0), counts.shape[1])
    entries = np.empty(len(row), _ENTRY)
    entries["bucket"], entries["count"] = bucket, counts[row, bucket]
    ends = np.searchsorted(row, np.arange(len(counts) + 1)) * _ENTRY.itemsize
    buffers = [None, pa.py_buffer(ends.astype(np.int32)), pa.py_buffer(entries.tobytes())]
    return pa.Array.from_buffers(pa.binary(), len(counts), buffers)


def unpack(packed: bytes, buckets: int) -> Counts:
    """Give the counts of one packed sketch."""
    entries = np.frombuffer(packed, _ENTRY)
    counts = np.zeros(buckets, np.int32)
    counts[entries["bucket"]] = entries["count"]
    return counts
