"""Values of metrics: what the datatype says a protobuf value means."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from schemas.errors import Reject


class Datatype(msgspec.Struct, frozen=True):
    """A data type of the standard, by what its values are."""

    name: str
    kind: Literal["signed", "unsigned", "number", "bool", "text", "time", "raw", "array"]
    bits: int = 0
    format: str = ""


TYPES: Final[dict[int, Datatype]] = {
    int(number): datatype
    for number, datatype in msgspec.toml.decode(
        (Path(__file__).parent / "datatypes.toml").read_bytes(), type=dict[str, Datatype]
    ).items()
}
NUMBERS: Final = {datatype.name: number for number, datatype in TYPES.items()}
UNKNOWN: Final = Datatype("Unknown", "raw")
INT64: Final = NUMBERS["Int64"]
BOOLEAN: Final = NUMBERS["Boolean"]
WORD: Final = 0xFFFF_FFFF
LONG: Final = 0xFFFF_FFFF_FFFF_FFFF


def value(raw: Any, number: int) -> Any:
    """Give a metric's value as its datatype means it, ``None`` for null; a value of another type is a ``bad_field``.

    DateTime stays milliseconds; DataSet, Template and bytes are bytes; without a datatype the value is as it is carried.
    """
    field = raw.WhichOneof("value")
    if field is None or raw.is_null:
        return None
    carried = getattr(raw, field)
    if field in ("dataset_value", "template_value"):
        return carried.SerializeToString()
    datatype = TYPES.get(number, UNKNOWN)
    try:
        return _meant(carried, datatype)
    except (TypeError, struct.error):
        raise Reject("bad_field", f"{field} is no {datatype.name}") from None


def _meant(carried: Any, datatype: Datatype) -> Any:
    kind = datatype.kind
    if kind == "number":
        return carried if type(carried) is float else _integer(carried)
    if kind == "bool":
        return bool(_integer(carried))
    if kind == "signed":
        low = _integer(carried) & ((1 << datatype.bits) - 1)
        return low - (low >> datatype.bits - 1 << datatype.bits)
    if kind in ("unsigned", "time"):
        return _integer(carried)
    if kind == "text" and not isinstance(carried, str):
        raise TypeError
    if kind == "array":
        return [one for (one,) in struct.iter_unpack(f"<{datatype.format}", carried)]
    return carried


def _integer(carried: Any) -> int:
    if not isinstance(carried, int):
        raise TypeError
    return carried


def put(raw: Any, number: int, given: Any) -> None:
    """Write a value into a metric as its datatype is carried; ``None`` is null."""
    datatype = TYPES[number]
    kind = datatype.kind
    if given is None:
        raw.is_null = True
    elif datatype.name == "Float":
        raw.float_value = given
    elif kind == "number":
        raw.double_value = given
    elif kind == "bool":
        raw.boolean_value = given
    elif kind == "text":
        raw.string_value = given
    elif kind == "time" or datatype.bits == 64:
        raw.long_value = given & LONG
    elif kind == "array":
        raw.bytes_value = struct.pack(f"<{len(given)}{datatype.format}", *given)
    elif kind == "raw":
        raw.bytes_value = given
    else:
        raw.int_value = given & WORD
