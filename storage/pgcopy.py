"""Arrow rows as PostgreSQL's binary COPY format, built by columns.

A COPY row is a field count and, for each field, a length and its big-endian bytes; absent values have length -1
and no bytes. Columns whose fields are equally long in a batch are laid out together as one block of each row.
Where rows differ in width (text, absent values), the blocks are scattered to their offsets: numpy writes an item
of any width at any byte offset through an overlapping view, at the cost of one small copy.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from storage.connect import PG_EPOCH

HEAD = b"PGCOPY\n\xff\r\n\x00" + struct.pack(">ii", 0, 0)
TAIL = struct.pack(">h", -1)
SLICE = 8192
"""Rows built at a time, so that their bytes stay in the processor's cache."""
MANY_LENGTHS = 1000
"""Copying byte by byte pays when a column's texts have more distinct lengths than bytes over this."""

Bytes = NDArray[np.uint8]
Items = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Even:
    """A column whose fields all have ``width`` bytes in this batch, or are all absent (``items`` is None).

    ``sent`` is the big-endian type that the items are written as.
    """

    width: int
    items: Items | None
    sent: str = ""


@dataclass(frozen=True, slots=True)
class Gappy:
    """A column of equally wide values, already big-endian, of which some are absent."""

    items: Items
    present: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Text:
    """A column of text or bytes: where each value starts in ``content`` and how long it is, -1 for absent."""

    content: Bytes
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]


Column = Even | Gappy | Text

FIXED: dict[pa.DataType, tuple[str, str]] = {
    pa.float64(): ("<f8", ">f8"),
    pa.int64(): ("<i8", ">i8"),
    pa.int32(): ("<i4", ">i4"),
    pa.timestamp("us", tz="UTC"): ("<i8", ">i8"),
}
"""How values of equal width lie in Arrow's buffers, and how they are sent."""


def stream(batch: pa.RecordBatch) -> Iterator[bytes | memoryview]:
    """Give the pieces of a whole binary COPY of the batch, its columns in order.

    NUL characters, which PostgreSQL's text cannot hold, become U+FFFD. A type that is in no kind raises ``TypeError``.
    """
    yield HEAD
    for at in range(0, batch.num_rows, SLICE):
        yield rows(batch.slice(at, SLICE))
    yield TAIL


def rows(batch: pa.RecordBatch) -> memoryview:
    """Give the rows of a batch without the head and tail of a COPY."""
    n = batch.num_rows
    if n == 0:
        return memoryview(b"")
    parts = _join([_column(c) for c in batch.columns], n)
    if len(parts) == 1 and isinstance(parts[0], Even) and parts[0].items is not None:
        return parts[0].items.view(np.uint8).data
    widths = np.zeros(n, np.int64)
    for part in parts:
        widths += _widths(part)
    ends = np.cumsum(widths)
    at = ends - widths
    out = np.empty(int(ends[-1]), np.uint8)
    for part in parts:
        _put(out, at, part)
        at += _widths(part)
    return out.data


def _column(column: pa.Array) -> Column:
    n, type_ = len(column), column.type
    if column.null_count == n:
        return Even(0, None)
    if type_ in (pa.string(), pa.binary()):
        return _text(column)
    if type_ == pa.bool_():
        items, sent = _bits(column.buffers()[1], column.offset, n), "u1"
    elif type_ in FIXED:
        held, sent = FIXED[type_]
        items = np.frombuffer(column.buffers()[1], held, n, column.offset * int(held[2:]))
    else:
        msg = f"no COPY encoding for Arrow type {type_}"
        raise TypeError(msg)
    if pa.types.is_timestamp(type_):
        items = items - PG_EPOCH
    if column.null_count == 0:
        return Even(items.itemsize, items, sent)
    return Gappy(items.astype(sent), _present(column))


def _bits(buffer: pa.Buffer, offset: int, n: int) -> Bytes:
    return np.unpackbits(np.frombuffer(buffer, np.uint8), count=offset + n, bitorder="little")[offset:]


def _present(column: pa.Array) -> NDArray[np.bool_]:
    return _bits(column.buffers()[0], column.offset, len(column)).view(np.bool_)


def _text(column: pa.Array) -> Column:
    n = len(column)
    offsets = np.frombuffer(column.buffers()[1], np.int32, n + 1, column.offset * 4).astype(np.int64)
    held = column.buffers()[2]
    content = np.frombuffer(held, np.uint8) if held is not None and held.size else np.zeros(0, np.uint8)
    used = content[offsets[0] : offsets[-1]]
    if pa.types.is_string(column.type) and b"\x00" in used.tobytes():
        return _text(pc.replace_substring(column, "\x00", "\ufffd"))
    lengths = np.diff(offsets)
    if column.null_count:
        lengths[~_present(column)] = -1
    first = int(lengths[0])
    if first > 0 and (lengths == first).all():
        return Even(first, used.view(f"V{first}"), f"V{first}")
    return Text(content, offsets[:-1], lengths)


def _join(columns: Sequence[Column], n: int) -> list[Column]:
    """Lay neighbouring even columns out as one block of items; the first block begins with the field count."""
    found: list[Column] = []
    run: list[Even] = []
    start = struct.pack(">h", len(columns))
    for column in columns:
        if isinstance(column, Even):
            run.append(column)
            continue
        if start or run:
            found.append(_block(start, run, n))
        found.append(column)
        start, run = b"", []
    if start or run:
        found.append(_block(start, run, n))
    return found


def _block(start: bytes, run: Sequence[Even], n: int) -> Even:
    """Give items of ``start`` and, for each column, its length and value, side by side."""
    pattern, offsets = bytearray(start), []
    for column in run:
        pattern += struct.pack(">i", -1 if column.items is None else column.width)
        offsets.append(len(pattern))
        pattern += bytes(column.width)
    width = len(pattern)
    whole = pattern * n
    for column, offset in zip(run, offsets, strict=True):
        if column.items is not None:
            np.ndarray((n,), column.sent, whole, offset, (width,))[:] = column.items
    return Even(width, np.frombuffer(whole, f"V{width}"))


def _widths(part: Column) -> NDArray[np.int64] | int:
    if isinstance(part, Even):
        return part.width
    if isinstance(part, Gappy):
        return 4 + part.present * np.int64(part.items.itemsize)
    return 4 + np.maximum(part.lengths, 0)


def _put(out: Bytes, at: NDArray[np.int64], part: Column) -> None:
    """Write one part of every row at the rows' offsets."""
    if isinstance(part, Even):
        if part.items is not None:
            _view(out, part.width)[at] = part.items
    elif isinstance(part, Gappy):
        width = part.items.itemsize
        _view(out, 4)[at] = np.where(part.present, width, -1).astype(">i4").view("V4")
        _view(out, width)[at[part.present] + 4] = part.items[part.present].view(f"V{width}")
    else:
        _view(out, 4)[at] = part.lengths.astype(">i4").view("V4")
        _put_text(out, at + 4, part)


def _put_text(out: Bytes, at: NDArray[np.int64], text: Text) -> None:
    counts = np.bincount(np.maximum(text.lengths, 0))
    sizes = np.flatnonzero(counts)
    sizes = sizes[sizes > 0]
    if len(sizes) * MANY_LENGTHS > int((counts * np.arange(len(counts))).sum()) and len(sizes) > 1:
        return _put_bytes(out, at, text)
    for size in sizes.tolist():
        chosen = np.flatnonzero(text.lengths == size)
        _view(out, size)[at[chosen]] = _view(text.content, size)[text.starts[chosen]]
    return None


def _put_bytes(out: Bytes, at: NDArray[np.int64], text: Text) -> None:
    lengths = np.maximum(text.lengths, 0)
    before = np.cumsum(lengths) - lengths
    each = np.arange(int(lengths.sum()))
    out[np.repeat(at - before, lengths) + each] = text.content[np.repeat(text.starts - before, lengths) + each]


def _view(content: Bytes, width: int) -> Items:
    """See an item of that width at every byte offset, overlapping."""
    return np.ndarray((max(len(content) - width + 1, 0),), f"V{width}", content.data, 0, (1,))
