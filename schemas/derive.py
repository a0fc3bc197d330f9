"""What follows from a kind's declaration: Arrow schema, fingerprint, bounds masks and SQL columns."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas.kinds import kind as kind_by_name

Stage = Literal["raw", "clean"]
"""raw frames carry what the connector read; clean frames add ``quality`` and ``zone``."""

TIMES = ("ts", "sent_at", "seen_at")
"""Fields of every reading that are points in time, in microseconds UTC."""

BASE_LABELS = {
    "source": ("来源", "Device or vehicle id", ""),
    "ts": ("事件时间", "When it was measured", "µs"),
    "sent_at": ("发送时间", "When the device sent it", "µs"),
    "seen_at": ("到达时间", "When its bytes arrived", "µs"),
    "serial": ("报文流水号", "The device's own message number", ""),
    "quality": ("质量位", "Quality bits, 0 is good", ""),
    "zone": ("行政区", "County by GB/T 2260 code", ""),
}

ARROW: dict[type[Any], pa.DataType] = {
    msgspec.inspect.FloatType: pa.float64(),
    msgspec.inspect.IntType: pa.int64(),
    msgspec.inspect.StrType: pa.string(),
    msgspec.inspect.BoolType: pa.bool_(),
    msgspec.inspect.BytesType: pa.binary(),
}
SQL: dict[pa.DataType, str] = {
    pa.float64(): "double precision",
    pa.int64(): "bigint",
    pa.int32(): "integer",
    pa.string(): "text",
    pa.bool_(): "boolean",
    pa.binary(): "bytea",
    pa.timestamp("us", tz="UTC"): "timestamptz",
}


@dataclass(frozen=True, slots=True)
class Field:
    """One column of a kind: its type, bounds in its unit, labels for people and data grade."""

    name: str
    type: pa.DataType
    nullable: bool
    zh: str
    en: str
    unit: str = ""
    grade: str = "internal"
    ge: float | None = None
    le: float | None = None
    max_length: int | None = None

    @property
    def sql(self) -> str:
        """The column's PostgreSQL type."""
        return SQL[self.type]


@cache
def fields(kind: str, stage: Stage = "raw") -> tuple[Field, ...]:
    """Give the columns of a kind in frame and table order."""
    info = msgspec.inspect.type_info(kind_by_name(kind))
    assert isinstance(info, msgspec.inspect.StructType)
    found = [_field(f) for f in info.fields]
    if stage == "clean":
        for name in ("quality", "zone"):
            zh, en, unit = BASE_LABELS[name]
            found.append(Field(name, pa.int32(), name == "zone", zh, en, unit))
    return tuple(found)


def _field(declared: msgspec.inspect.Field) -> Field:
    kind, nullable = declared.type, False
    if isinstance(kind, msgspec.inspect.UnionType):
        nullable = True
        kind = next(t for t in kind.types if not isinstance(t, msgspec.inspect.NoneType))
    extra: dict[str, Any] = {}
    if isinstance(kind, msgspec.inspect.Metadata):
        extra = kind.extra or {}
        kind = kind.type
    name = declared.name
    arrow = pa.timestamp("us", tz="UTC") if name in TIMES else ARROW[type(kind)]
    zh, en, unit = BASE_LABELS.get(name, ("", "", ""))
    return Field(
        name=name,
        type=arrow,
        nullable=nullable,
        zh=extra.get("zh", zh),
        en=extra.get("en", en),
        unit=extra.get("unit", unit),
        grade=extra.get("grade", "internal"),
        ge=getattr(kind, "ge", None),
        le=getattr(kind, "le", None),
        max_length=getattr(kind, "max_length", None),
    )


@cache
def arrow_schema(kind: str, stage: Stage = "raw") -> pa.Schema:
    """Give the Arrow schema of a kind's frames."""
    return pa.schema([pa.field(f.name, f.type, f.nullable) for f in fields(kind, stage)])


@cache
def fingerprint(kind: str, stage: Stage = "raw") -> str:
    """Give 16 hex digits that change whenever a column's name, type or nullability does."""
    text = ";".join(f"{f.name}:{f.type}:{int(f.nullable)}" for f in fields(kind, stage))
    return hashlib.sha256(f"{kind}/{stage}/{text}".encode()).hexdigest()[:16]


def violations(batch: pa.RecordBatch, kind: str) -> dict[str, NDArray[np.bool_]]:
    """Give, for each field with any value outside its bounds, the mask of offending rows.

    Absent values never offend; NaN and infinities always do.
    """
    found: dict[str, NDArray[np.bool_]] = {}
    for field in fields(kind):
        if field.name not in batch.schema.names:
            continue
        mask = _outside(batch.column(field.name), field)
        if mask is not None and mask.any():
            found[field.name] = mask
    return found


def _outside(column: pa.Array, field: Field) -> NDArray[np.bool_] | None:
    if pa.types.is_string(field.type):
        if field.max_length is None or len(column) == 0:
            return None
        lengths = pc.fill_null(pc.utf8_length(column), 0)
        return np.asarray(pc.greater(lengths, field.max_length).to_numpy(zero_copy_only=False), dtype=bool)
    if pa.types.is_floating(field.type):
        values = column.to_numpy(zero_copy_only=False)
        absent = (
            np.zeros(len(values), dtype=bool)
            if column.null_count == 0
            else np.asarray(column.is_null().to_numpy(zero_copy_only=False), dtype=bool)
        )
        outside: NDArray[np.bool_] = _bounds(values, field) & ~absent
        return outside
    if pa.types.is_integer(field.type) and (field.ge is not None or field.le is not None):
        values = column.fill_null(int(field.ge or 0)).to_numpy(zero_copy_only=False)
        return _bounds(values, field)
    return None


def _bounds(values: NDArray[Any], field: Field) -> NDArray[np.bool_]:
    with np.errstate(invalid="ignore"):
        inside: NDArray[np.bool_] = np.isfinite(values)
        if field.ge is not None:
            inside &= values >= field.ge
        if field.le is not None:
            inside &= values <= field.le
    outside: NDArray[np.bool_] = ~inside
    return outside
