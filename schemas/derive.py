"""What follows from a kind's declaration: Arrow schema, fingerprint, bounds masks and SQL columns."""

from __future__ import annotations

import hashlib
import math
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
"""raw frames carry what the connector read; clean frames add ``quality``, ``zone`` and, of vehicles, ``MATCHED``."""

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


MATCHED = (
    Field("road", pa.string(), True, "所在道路", "Road it drives on, id in the layer of roads", "", "sensitive", max_length=256),
    Field("fence", pa.string(), True, "所在围栏", "Geofence it is in, the first by id", "", "sensitive", max_length=256),
    Field("breach", pa.int64(), True, "围栏违规位", "Restrictions of geofences it breaks, 0 is none", ge=0, le=63),
    Field("over_limit", pa.float64(), True, "超出围栏限速", "Speed above the geofence's limit, 0 within it", "m/s", ge=0, le=100),
)
"""Columns that clean frames of vehicles have where a layer of roads or geofences is in use."""


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
        found += MATCHED if kind_by_name(kind).moves else ()
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


def violations(rows: pa.RecordBatch | pa.Table, kind: str) -> dict[str, NDArray[np.bool_]]:
    """Give, for each field with any value outside its bounds, the mask of offending rows.

    Absent values never offend; NaN and infinities always do.
    """
    found: dict[str, NDArray[np.bool_]] = {}
    table = rows if isinstance(rows, pa.Table) else pa.Table.from_batches([rows])
    present = set(table.schema.names)
    for field in fields(kind):
        if field.name not in present or field.name in TIMES:
            continue
        column = table.column(field.name)
        if column.null_count == len(column) or _surely_inside(column, field):
            continue
        mask = _outside(column, field)
        if mask.any():
            found[field.name] = mask
    return found


def _surely_inside(column: pa.ChunkedArray, field: Field) -> bool:
    """Tell, at the cost of one pass, that no row can offend; a doubt is left to the exact look."""
    if pa.types.is_string(field.type):
        return field.max_length is None or (pc.max(pc.binary_length(column)).as_py() or 0) <= field.max_length
    if pa.types.is_floating(field.type):
        if column.null_count:
            return False
        values = column.to_numpy()
        return _inside(float(values.min()), field) and _inside(float(values.max()), field)
    if pa.types.is_integer(field.type) and (field.ge is not None or field.le is not None):
        found = pc.min_max(column)
        return _inside(found["min"].as_py(), field) and _inside(found["max"].as_py(), field)
    return True


def _inside(value: float, field: Field) -> bool:
    return math.isfinite(value) and (field.ge is None or value >= field.ge) and (field.le is None or value <= field.le)


def _outside(column: pa.ChunkedArray, field: Field) -> NDArray[np.bool_]:
    if pa.types.is_string(field.type):
        lengths = pc.fill_null(pc.utf8_length(column), 0)
        return np.asarray(pc.greater(lengths, field.max_length).to_numpy(), dtype=bool)
    present = np.asarray(column.is_valid().to_numpy(), dtype=bool)
    values = (column if pa.types.is_floating(field.type) else column.fill_null(0)).to_numpy()
    outside: NDArray[np.bool_] = present.copy()
    with np.errstate(invalid="ignore"):
        outside[present] = ~np.isfinite(values[present])
        if field.ge is not None:
            outside |= present & (values < field.ge)
        if field.le is not None:
            outside |= present & (values > field.le)
    return outside
