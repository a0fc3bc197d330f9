"""Application service data units: type, cause, addresses and objects (IEC 60870-5-101:2003 7.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from connectors.iec104.elements import ELEMENTS, Element
from schemas.errors import Reject

HEAD: Final = 6
"""Octets of type, structure qualifier, cause, originator and common address."""
IOA: Final = 3
"""Octets of an information object address."""
LONGEST: Final = 249
"""Octets an ASDU may have in one APDU."""


class Type(NamedTuple):
    """A type identification."""

    name: str
    type_name: str
    elements: tuple[Element, ...]
    columns: tuple[tuple[str, str], ...]
    """List of the message and field of the object, for each element that has one."""
    size: int
    """Octets of one object's elements."""
    grows: bool
    """Whether the last element is followed by as many octets as it says."""


def _types() -> tuple[dict[int, Type], dict[int, str]]:
    declared = msgspec.toml.decode((Path(__file__).parent / "types.toml").read_bytes())
    types = {}
    for number, row in declared["types"].items():
        elements = tuple(ELEMENTS[name] for name in row["elements"])
        columns = tuple((e.column, e.key) for e in elements if e.column)
        size = sum(e.size for e in elements)
        types[int(number)] = Type(row["name"], row["type_name"], elements, columns, size, "SEGMENT" in row["elements"])
    return types, {int(number): name for number, name in declared["causes"].items()}


TYPES, CAUSES = _types()
NUMBERS: Final[Mapping[str, int]] = {known.type_name: number for number, known in TYPES.items()}


def length(asdu: bytes | bytearray, at: int = 0) -> int | None:
    """Give how long the ASDU at ``at`` must be by its type and number of objects; ``None`` if they do not tell."""
    known = TYPES.get(asdu[at])
    if known is None or known.grows:
        return None
    count = asdu[at + 1] & 0x7F
    if not count:
        return HEAD
    return HEAD + (IOA + count * known.size if asdu[at + 1] & 0x80 else count * (IOA + known.size))


def read(asdu: bytes) -> tuple[dict[str, Any], str]:
    """Give the fields of an ASDU of at least ``HEAD`` octets, and what is wrong with its length, else nothing.

    All objects that are there are read; octets behind them are ``rest``.
    """
    type_id, vsq, cause, oa, ca_low, ca_high = asdu[:HEAD]
    known = TYPES.get(type_id)
    count = vsq & 0x7F
    fields: dict[str, Any] = {
        "name": known.name if known else "unknown",
        "type_id": type_id,
        "type_name": known.type_name if known else "",
        "sq": vsq >> 7,
        "num_ix": count,
        "cot": cause & 0x3F,
        "cause": CAUSES.get(cause & 0x3F, "reserved"),
        "negative": cause >> 6 & 1,
        "test": cause >> 7,
        "oa": oa,
        "ca": ca_low | ca_high << 8,
    }
    if known is None:
        fields["rest"] = asdu[HEAD:]
        return fields, ""
    objects, end = _sequence(asdu, known, count) if vsq & 0x80 else _singles(asdu, known, count)
    fields["ioa"] = [one["ioa"] for one in objects]
    for column, key in known.columns:
        fields[column] = [one[key] for one in objects] if key != "quality" else [int("iv" in one[key]) for one in objects]
    fields["objects"] = objects
    if len(objects) == count and end == len(asdu):
        return fields, ""
    fields["rest"] = asdu[end:]
    return fields, f"{known.type_name} with {count} objects does not fit {len(asdu)} octets"


def _singles(asdu: bytes, known: Type, count: int) -> tuple[list[dict[str, Any]], int]:
    """Objects with an address each."""
    objects: list[dict[str, Any]] = []
    at = HEAD
    for _ in range(count):
        end = at + IOA + known.size
        if known.grows and end <= len(asdu):
            end += asdu[end - 1]
        if end > len(asdu):
            break
        one: dict[str, Any] = {"ioa": asdu[at] | asdu[at + 1] << 8 | asdu[at + 2] << 16}
        at += IOA
        for element in known.elements:
            element.read(asdu, at, one)
            at += element.size
        objects.append(one)
        at = end
    return objects, at


def _sequence(asdu: bytes, known: Type, count: int) -> tuple[list[dict[str, Any]], int]:
    """Objects of consecutive addresses, of which only the first is sent."""
    at = HEAD + IOA
    if len(asdu) < at or known.grows:
        return [], HEAD
    first = int.from_bytes(asdu[HEAD:at], "little")
    room = (len(asdu) - at) // known.size if known.size else count
    objects = []
    for ioa in range(first, first + min(count, room)):
        one: dict[str, Any] = {"ioa": ioa}
        for element in known.elements:
            element.read(asdu, at, one)
            at += element.size
        objects.append(one)
    return objects, at


def write(
    type_id: int,
    objects: Sequence[Mapping[str, Any]],
    *,
    cot: int,
    ca: int,
    oa: int = 0,
    sq: bool = False,
    negative: bool = False,
    test: bool = False,
) -> bytes:
    """Give an ASDU of objects as ``read`` shows them; with ``sq`` their addresses must follow each other.

    Raises ``Reject`` where the objects do not fit one ASDU or their type is unknown.
    """
    known = TYPES.get(type_id)
    if known is None:
        raise Reject("unsupported", f"no elements are known of type identification {type_id}")
    cause = cot | (0x40 if negative else 0) | (0x80 if test else 0)
    parts = [bytes([type_id, len(objects) & 0x7F | (0x80 if sq else 0), cause, oa]), ca.to_bytes(2, "little")]
    for index, one in enumerate(objects):
        if not sq or not index:
            parts.append(int(one["ioa"]).to_bytes(IOA, "little"))
        parts += [element.write(one) for element in known.elements]
    asdu = b"".join(parts)
    if len(objects) > 127 or len(asdu) > LONGEST:
        raise Reject("too_large", f"{len(objects)} objects of {known.type_name} do not fit one ASDU")
    return asdu


def capacity(type_id: int) -> int:
    """Give how many objects with an address each fit one ASDU of that type."""
    return min(127, (LONGEST - HEAD) // (IOA + TYPES[type_id].size))
