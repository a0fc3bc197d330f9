"""Source names to dense numbers, so that state lives in arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Codes = NDArray[np.int64]


class SourceTable:
    """Numbers sources 0, 1, 2 ... in order of appearance."""

    def __init__(self) -> None:
        self._code: dict[str, int] = {}
        self.names: list[str] = []
        self._known: pa.Array | None = None

    def __len__(self) -> int:
        return len(self.names)

    def codes(self, column: pa.Array) -> Codes:
        """Give the number of each row's source, numbering those not seen before."""
        if self._known is None or len(self._known) != len(self.names):
            self._known = pa.array(self.names, pa.string())
        found = pc.index_in(column, self._known)
        if found.null_count:
            for name in column.filter(found.is_null()).unique().to_pylist():
                self.code(name)
            self._known = pa.array(self.names, pa.string())
            found = pc.index_in(column, self._known)
        codes: Codes = found.to_numpy(zero_copy_only=False).astype(np.int64)
        return codes

    def code(self, name: str) -> int:
        """Give the number of one source."""
        code = self._code.get(name)
        if code is None:
            code = self._code[name] = len(self.names)
            self.names.append(name)
        return code


def grown(array: NDArray[Any], size: int, fill: float) -> NDArray[Any]:
    """Give the array with its last axis at least ``size`` long, new places filled."""
    have = array.shape[-1]
    if size <= have:
        return array
    room = max(size, 2 * have, 64) - have
    pad = np.full((*array.shape[:-1], room), fill, dtype=array.dtype)
    return np.concatenate([array, pad], axis=-1)


def times(batch: pa.RecordBatch, name: str) -> NDArray[np.int64]:
    """Give a time column as microseconds UTC."""
    values: NDArray[np.int64] = batch.column(name).cast(pa.int64()).to_numpy(zero_copy_only=False)
    return values


def floats(batch: pa.RecordBatch, name: str) -> NDArray[np.float64]:
    """Give a numeric column as floats, absent values as NaN."""
    column = batch.column(name)
    if not pa.types.is_floating(column.type):
        column = column.cast(pa.float64())
    values: NDArray[np.float64] = column.to_numpy(zero_copy_only=False)
    return values


def integers(batch: pa.RecordBatch, name: str, absent: int = 0) -> NDArray[np.int64]:
    """Give an integer column, absent values replaced."""
    values: NDArray[np.int64] = batch.column(name).fill_null(absent).to_numpy(zero_copy_only=False)
    return values


Clock = Callable[[], int]
"""Gives the time in microseconds since 1970 UTC."""
