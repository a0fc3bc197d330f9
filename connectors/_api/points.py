"""Points of telecontrol as data: which field of which source and kind a register or information object fills."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from connectors._api.mapping import Mapping
from schemas import derive
from schemas.errors import Fatal, Reject

Convert = Callable[[Any], Any]
RESERVED = frozenset({"source", "ts", "sent_at", "seen_at", "serial", "flag", "lon", "lat"})
"""Fields that say whose, when, where and how good; no point fills them."""


class Point(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a value is: field = value * scale + offset, in the kind's unit.

    ``values`` translates values (others become absent), and a text field needs it; ``absent`` lists values that
    mean no data. A field that is true or false is true for anything but 0.
    """

    source: str
    kind: str
    field: str
    scale: float = 1.0
    offset: float = 0.0
    values: dict[str, Any] = {}
    absent: list[float] = []


def converter(point: Point, mapping: Mapping, where: str) -> Convert:
    """Give what turns a point's number into its field's value; ``Fatal`` says what is wrong with the point.

    The function gives ``None`` for a value that means no data, and raises ``Reject`` for one that is no number.
    """
    if point.kind not in mapping.kinds:
        msg = f"{where}: kind {point.kind!r}; there are {', '.join(mapping.kinds)}"
        raise Fatal(msg)
    column = {f.name: f.type for f in derive.fields(point.kind) if f.name not in RESERVED}.get(point.field)
    if column is None or not point.source:
        msg = f"{where}: {point.kind} has no field {point.field!r} that a point can fill, or the source is empty"
        raise Fatal(msg)
    if column == pa.string() and not point.values:
        msg = f'{where}: {point.field} is a text: give \'values\', such as {{"1" = "lamp"}}'
        raise Fatal(msg)
    inner = _inner(point, truth=column == pa.bool_())
    absent = frozenset(point.absent)

    def convert(value: Any) -> Any:
        if isinstance(value, float) and not isfinite(value):
            raise Reject("bad_field", f"the value of {point.field} is no number")
        return None if value in absent else inner(value)

    return convert


def _inner(point: Point, *, truth: bool) -> Convert:
    table, scale, offset = point.values, point.scale, point.offset
    if table:
        return lambda value: table.get(str(value) if isinstance(value, int) else f"{value:g}")
    if truth:
        return bool
    return lambda value: value * scale + offset


def from_file(path: str, where: str) -> dict[str, Any]:
    """Read a table of points from a TOML file, none for an empty path; ``Fatal`` if it cannot be read."""
    if not path:
        return {}
    try:
        table: dict[str, Any] = msgspec.toml.decode(Path(path).read_bytes())
    except (msgspec.MsgspecError, OSError) as error:
        msg = f"{where}: {path}: {error}"
        raise Fatal(msg) from error
    return table
