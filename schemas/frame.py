"""A frame: one Kafka record with many readings of one kind, as an Arrow IPC stream plus headers.

A frame's identity is (connector, run, topic, bucket, seq), seq counting from 1 without gaps. ``clean``
carries it through one to one, so every consumer can skip what it has seen and notice what is missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

import msgspec
import pyarrow as pa

from schemas.derive import Stage, arrow_schema, fingerprint
from schemas.errors import Reject
from schemas.reading import Lane, Reading

Headers = list[tuple[str, bytes]]
EOS = b"\xff\xff\xff\xff\x00\x00\x00\x00"
"""The end mark of an Arrow IPC stream."""
CONTINUED = b"\xff\xff\xff\xff"
"""What a message of an Arrow IPC stream begins with; its length follows."""


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What a frame says about itself, readable without touching its rows.

    ``total`` is the number of rows of this (connector, run, topic, bucket, kind) up to and including
    this frame. ``duplicates`` and ``rejected`` tell what ``clean`` took out of the raw frame; ``watermark`` is
    the event time (microseconds) below which, as of the frames before this one, nothing more was expected.
    """

    kind: str
    stage: Stage
    fingerprint: str
    rows: int
    ts_min: int
    ts_max: int
    seen_at: int
    connector: str
    run: str
    bucket: int
    seq: int
    total: int
    lane: Lane = "live"
    duplicates: int = 0
    rejected: dict[str, int] = {}
    watermark: int = 0

    @property
    def stream(self) -> tuple[str, str, int]:
        """The part of the identity that numbers frames within a topic: connector, run, bucket."""
        return (self.connector, self.run, self.bucket)

    @property
    def received(self) -> int:
        """Rows of the raw frame this one was made from."""
        return self.rows + self.duplicates + sum(self.rejected.values())


_DECODER = msgspec.json.Decoder(Header)


def encode(batch: pa.RecordBatch, header: Header) -> tuple[bytes, Headers]:
    """Give the record value and headers of a frame: an Arrow IPC stream, and the header as JSON."""
    schema = batch.schema
    known, message = _known(header.kind, header.stage, tuple(schema.names))
    if not schema.equals(known):
        message = _message(schema)
    return b"".join((message, batch.serialize(), EOS)), [("cityops", msgspec.json.encode(header))]


def lean(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Give the batch without columns that hold nothing; ``decode`` fills them in again.

    Half the columns of a kind are empty in the frames of any one connector.
    """
    held = [n for n, c in enumerate(batch.columns) if c.null_count < len(c) or not batch.schema.field(n).nullable]
    return batch if len(held) == batch.num_columns else batch.select(held)


def decode_header(headers: Iterable[tuple[str, bytes]] | Mapping[str, bytes] | None) -> Header:
    """Read a frame's header; anything else raises ``Reject("bad_schema")``."""
    pairs = headers.items() if isinstance(headers, Mapping) else (headers or ())
    for name, value in pairs:
        if name == "cityops":
            try:
                return _DECODER.decode(value)
            except msgspec.DecodeError as error:
                raise Reject("bad_schema", f"frame header: {error}", bytes(value)) from error
    raise Reject("bad_schema", "record has no frame header 'cityops'")


def decode(value: bytes, header: Header) -> pa.RecordBatch:
    """Read a frame's rows, aligned to this release's schema of its kind, without copying them.

    Columns that are absent are null; any other difference raises ``Reject("bad_schema")``.
    """
    return align(decode_lean(value, header), header.kind, header.stage)


def decode_lean(value: bytes, header: Header) -> pa.RecordBatch:
    """Read a frame's rows with the columns it has; it may lack any nullable one of its kind.

    Bytes that are no frame of the kind raise ``Reject("bad_schema")``.
    """
    try:
        batch = _one_batch(value, header.kind, header.stage)
    except (pa.ArrowInvalid, pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise Reject("bad_schema", f"frame of {header.kind}: {error}", value[:4096]) from error
    if batch.num_rows != header.rows:
        raise Reject(
            "bad_schema", f"frame of {header.kind}: header says {header.rows} rows, it has {batch.num_rows}", value[:4096]
        )
    return batch


def _one_batch(value: bytes, kind: str, stage: Stage) -> pa.RecordBatch:
    """Read a stream of one batch; schema messages seen before are not parsed again."""
    length = int.from_bytes(value[4:8], "little") + 8
    if value.startswith(CONTINUED) and value.endswith(EOS) and length < len(value):
        schema = _schema(value[:length], kind, stage)
        return pa.ipc.read_record_batch(pa.py_buffer(value).slice(length), schema)
    with pa.ipc.open_stream(value) as reader:
        table = reader.read_all().combine_chunks()
    _check_columns(table.schema, kind, stage)
    batches = table.to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)


def stack(batches: Sequence[pa.RecordBatch], kind: str, stage: Stage) -> pa.Table:
    """Give batches of one kind as one table, a chunk each; those that lack different columns are aligned first."""
    if any(not b.schema.equals(batches[0].schema) for b in batches):
        batches = [align(b, kind, stage) for b in batches]
    return pa.Table.from_batches(batches)


def _check_columns(schema: pa.Schema, kind: str, stage: Stage) -> None:
    """Refuse a schema that is not this kind's, save for absent nullable columns."""
    try:
        ours = arrow_schema(kind, stage)
    except KeyError as error:
        raise Reject("bad_schema", str(error)) from error
    extra = set(schema.names) - set(ours.names)
    if extra:
        raise Reject("bad_schema", f"{kind}: unknown columns {sorted(extra)}")
    for field in ours:
        index = schema.get_field_index(field.name)
        if (index < 0 and not field.nullable) or (index >= 0 and schema.field(index).type != field.type):
            raise Reject("bad_schema", f"{kind}: column {field.name!r} is absent or has another type")


def align(batch: pa.RecordBatch, kind: str, stage: Stage) -> pa.RecordBatch:
    """Give the batch in this release's schema; only absent nullable columns are filled in."""
    _check_columns(batch.schema, kind, stage)
    schema = arrow_schema(kind, stage)
    if batch.schema.equals(schema):
        return batch
    have = set(batch.schema.names)
    columns = [batch.column(f.name) if f.name in have else pa.nulls(batch.num_rows, f.type) for f in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def concat(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """Give batches of one schema as one batch; there must be at least one."""
    table = pa.Table.from_batches(batches).combine_chunks()
    return table.to_batches()[0] if table.num_rows else batches[0]


def _message(schema: pa.Schema) -> bytes:
    """Give the bytes that every stream of a schema begins with."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema):
        pass
    found: bytes = sink.getvalue().to_pybytes()[: -len(EOS)]
    return found


@lru_cache(maxsize=1024)
def _known(kind: str, stage: Stage, names: tuple[str, ...]) -> tuple[pa.Schema, bytes]:
    """Give the schema of a kind's columns of those names, and the bytes its streams begin with."""
    schema = pa.schema([f for f in arrow_schema(kind, stage) if f.name in names])
    return schema, _message(schema)


@lru_cache(maxsize=1024)
def _schema(message: bytes, kind: str, stage: Stage) -> pa.Schema:
    """Read a schema message and refuse what is not this kind's."""
    schema = pa.ipc.read_schema(pa.py_buffer(message))
    _check_columns(schema, kind, stage)
    return schema


def empty(kind: str, stage: Stage) -> pa.RecordBatch:
    """Give a batch of that kind without rows."""
    schema = arrow_schema(kind, stage)
    return pa.RecordBatch.from_arrays([pa.array([], f.type) for f in schema], schema=schema)


def from_readings(readings: Sequence[Reading], kind: str) -> pa.RecordBatch:
    """Give readings of one kind as a raw batch."""
    schema = arrow_schema(kind, "raw")
    arrays = [pa.array([getattr(r, f.name) for r in readings], f.type) for f in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def make_header(
    batch: pa.RecordBatch,
    kind: str,
    *,
    seen_at: int,
    connector: str,
    run: str,
    bucket: int,
    seq: int,
    total: int,
    lane: Lane = "live",
) -> Header:
    """Give the header of a raw frame, its time range read from the rows."""
    ts = batch.column("ts").cast(pa.int64()).to_numpy(zero_copy_only=False)
    return Header(
        kind=kind,
        stage="raw",
        fingerprint=fingerprint(kind, "raw"),
        rows=batch.num_rows,
        ts_min=int(ts.min()) if len(ts) else 0,
        ts_max=int(ts.max()) if len(ts) else 0,
        seen_at=seen_at,
        connector=connector,
        run=run,
        bucket=bucket,
        seq=seq,
        total=total,
        lane=lane,
    )
