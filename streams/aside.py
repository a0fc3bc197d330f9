"""Records set aside: kept whole in ``rejects`` with the reason, so that they can be replayed after a fix."""

from __future__ import annotations

import msgspec
import pyarrow as pa

from schemas import topics
from schemas.derive import fingerprint
from schemas.errors import Reject
from schemas.frame import Header, decode_header, encode, from_readings
from schemas.kinds.derived import RejectRow
from streams.task import Output, Record

POISON = "processing failed repeatedly; the whole record is kept"


def header_of(record: Record) -> Header | None:
    """Give a record's frame header, where it has one."""
    try:
        return decode_header(record.headers)
    except Reject:
        return None


def reject_row(record: Record, stage: str, reason: str, detail: str, raw: bytes) -> pa.RecordBatch:
    """Give the row of ``reject`` that keeps a record."""
    header = header_of(record)
    where = f"{record.topic}/{record.partition}/{record.offset}"
    row = RejectRow(
        source=where,
        ts=record.produced_at,
        seen_at=record.produced_at,
        serial=record.offset,
        connector=header.connector if header else "unknown",
        stage=stage,
        reason=reason,
        detail=f"{where}: {detail}"[:1024],
        raw=raw,
        refused_kind=header.kind if header else None,
    )
    return from_readings([row], "reject")


def rejected(record: Record, stage: str, reason: str, detail: str, raw: bytes) -> Output:
    """Give the frame of ``rejects`` that keeps a record an agent could not use; its number is the record's own."""
    header = header_of(record)
    made = Header(
        kind="reject",
        stage="raw",
        fingerprint=fingerprint("reject", "raw"),
        rows=1,
        ts_min=record.produced_at,
        ts_max=record.produced_at,
        seen_at=record.produced_at,
        connector=header.connector if header else "unknown",
        run=f"{header.run}.{record.topic}.{stage}" if header else f"{record.topic}/{record.partition}/{record.offset}.{stage}",
        bucket=record.partition,
        seq=header.seq if header else 1,
        total=0,
    )
    value, headers = encode(reject_row(record, stage, reason, detail, raw), made)
    return Output(topics.REJECTS, record.partition, value, headers)


def without_rows(header: Header, batch: pa.RecordBatch, topic: str, partition: int) -> Output:
    """Give the clean frame of a raw frame that was set aside: it holds no row and says why."""
    made = msgspec.structs.replace(
        header, stage="clean", fingerprint=fingerprint(header.kind, "clean"), rows=0, rejected={"poison": header.rows}
    )
    value, headers = encode(batch, made)
    return Output(topic, partition, value, headers)
