"""Rows of kinds for the storage tests, and a reader of COPY's binary format that shares no code with its writer."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from schemas.derive import Field, arrow_schema, fields
from schemas.frame import Header
from schemas.reading import Lane

NOON = 1_767_225_600_000_000
"""2026-01-01 00:00 UTC in microseconds."""
SECOND = 1_000_000


def clean(kind: str, rows: list[dict[str, Any]]) -> pa.RecordBatch:
    """Give a clean batch; columns that a row does not name are null, times and quality have defaults."""
    schema = arrow_schema(kind, "clean")
    filled = [{"seen_at": row.get("ts", NOON), "quality": 0, **row} for row in rows]
    arrays = [pa.array([row.get(f.name) for row in filled], f.type) for f in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def buses(n: int, *, source: str = "B", start: int = NOON, **more: Any) -> pa.RecordBatch:
    """Give ``n`` positions of one bus, a second apart, numbered."""
    rows = [
        {"source": source, "ts": start + i * SECOND, "serial": i, "lon": 112.8, "lat": 35.5, "speed": float(i), **more}
        for i in range(n)
    ]
    return clean("bus_position", rows)


def header(batch: pa.RecordBatch, kind: str = "bus_position", *, seq: int = 1, lane: Lane = "live", **more: Any) -> Header:
    """Give the header of a clean frame with these rows."""
    told = {"connector": "buses", "run": "r1", "bucket": 0, "total": batch.num_rows, "seen_at": NOON, **more}
    return Header(kind=kind, stage="clean", fingerprint="", rows=batch.num_rows, ts_min=0, ts_max=0, seq=seq, lane=lane, **told)


VALUES: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.float64(): st.floats(allow_nan=False),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.int32(): st.integers(-(2**31), 2**31 - 1),
    pa.bool_(): st.booleans(),
    pa.string(): st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), max_size=12),
    pa.binary(): st.binary(max_size=12),
    pa.timestamp("us", tz="UTC"): st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999),
}


def column(field: Field, n: int) -> st.SearchStrategy[pa.Array]:
    """Give columns of ``n`` values: mixed, all equally long, without any absent, or all absent where they may be."""
    value = VALUES[field.type]
    present = st.lists(value, min_size=n, max_size=n)
    same = value.map(lambda v: [v] * n)
    choices = [present, same]
    if field.nullable:
        choices += [st.lists(st.none() | value, min_size=n, max_size=n), st.just([None] * n)]
    return st.one_of(choices).map(lambda values: pa.array(values, field.type))


@st.composite
def batches(draw: st.DrawFn, kind: str, stage: str = "clean") -> pa.RecordBatch:
    """Give batches of a kind, often a slice of a longer one."""
    n = draw(st.integers(0, 12))
    declared = fields(kind, "clean" if stage == "clean" else "raw")
    whole = pa.RecordBatch.from_arrays([draw(column(f, n)) for f in declared], names=[f.name for f in declared])
    first = draw(st.integers(0, n))
    return whole.slice(first, draw(st.integers(0, n - first)))


def read_copy(content: bytes) -> list[list[bytes | None]]:
    """Read a whole binary COPY; anything but its exact shape fails."""
    assert content[:11] == b"PGCOPY\n\xff\r\n\x00"
    flags, extension = struct.unpack_from(">ii", content, 11)
    assert (flags, extension) == (0, 0)
    at, found = 19, []
    while (count := struct.unpack_from(">h", content, at)[0]) != -1:
        at += 2
        row: list[bytes | None] = []
        for _ in range(count):
            (length,) = struct.unpack_from(">i", content, at)
            at += 4
            row.append(None if length == -1 else content[at : at + length])
            at += max(length, 0)
        found.append(row)
    assert at + 2 == len(content)
    return found


def read_value(content: bytes | None, kind: pa.DataType) -> Any:
    """Read one field of a COPY row as the Python value it stands for; times as microseconds since 1970."""
    if content is None:
        return None
    if kind == pa.string():
        return content.decode()
    if kind == pa.binary():
        return content
    if kind == pa.bool_():
        return {b"\x01": True, b"\x00": False}[content]
    if kind == pa.float64():
        return struct.unpack(">d", content)[0]
    value = struct.unpack({4: ">i", 8: ">q"}[len(content)], content)[0]
    return value + 946_684_800_000_000 if pa.types.is_timestamp(kind) else value


def plain(batch: pa.RecordBatch) -> list[list[Any]]:
    """Give rows of a batch as lists; times as microseconds since 1970."""
    columns = [c.view(pa.int64()) if pa.types.is_timestamp(c.type) else c for c in batch.columns]
    return [list(row) for row in zip(*(c.to_pylist() for c in columns), strict=True)]


def random_buses(n: int, seed: int) -> pa.RecordBatch:
    """Give many positions with absent values and texts of different length."""
    random = np.random.default_rng(seed)
    rows = [
        {
            "source": f"晋E{random.integers(10 ** random.integers(1, 6))}",
            "ts": NOON + int(i) * 1000,
            "speed": float(random.random()) if random.random() < 0.9 else None,
            "line": str(random.integers(200)) if random.random() < 0.8 else None,
        }
        for i in range(n)
    ]
    return clean("bus_position", rows)
