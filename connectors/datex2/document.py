"""DATEX II documents as a stream of records: XML read piece by piece, plain or gzip, without DTD and bounded in size."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Final
from xml.parsers import expat

from schemas.errors import Reject

RECORDS: Final = frozenset({"siteMeasurements", "measurementSiteRecord", "measurementSite", "elaboratedData", "physicalQuantity"})
"""Elements that stand for themselves: each is handed on when it ends, and forgotten."""
DEEPEST: Final = 64
"""Levels of elements."""
LARGEST: Final = 50_000
"""Elements of one record, and of all that lies outside records."""
PIECE: Final = 256 * 1024
GZIP: Final = b"\x1f\x8b"
NUMBER: Final = re.compile(r"-?\d{1,15}(\.\d{1,12})?")
HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
TEXTS: Final = frozenset({"id", "version", "lang", "value", "model_base_version", "road_number"})
"""Names of what stays text even where it looks like a number; so do names that end in one of ``ENDS``."""
ENDS: Final = ("identifier", "identification", "reference", "name", "version", "code")
Shown = Any
"""An element as plain values: a leaf is a number, truth or text, anything else a table of attributes and children by
their snake_case names; children of one name make a list."""


class Reader:
    """Reads one document and hands on each record by its name as it ends; what is around them makes ``head``."""

    def __init__(self, record: Callable[[str, Shown], None]) -> None:
        self._record = record
        self._stack: list[tuple[str, str, dict[str, Any], list[str]]] = []
        self._depth_of_record = 0
        self._elements = self._around = 0
        self.head: Shown = {}
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.StartDoctypeDeclHandler = self._doctype
        self._parser = parser

    def read(self, packet: bytes, most: int) -> None:
        """Read a document of at most ``most`` bytes, counted after decompression; what is none is refused."""
        try:
            for piece in _pieces(packet, most):
                self._parser.Parse(piece, False)
            self._parser.Parse(b"", True)
        except (expat.ExpatError, ValueError, LookupError) as error:  # the latter two: encodings Python cannot give expat
            raise Reject("bad_frame", f"not XML: {error}", packet[:4096]) from error

    def _doctype(self, *_: Any) -> None:
        raise Reject("bad_frame", "a DTD or entities are not read: send the document without them")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        name, key = _names(tag)
        if len(self._stack) >= DEEPEST:
            raise Reject("bad_frame", f"more than {DEEPEST} levels of elements")
        if not self._depth_of_record and name in RECORDS:
            self._depth_of_record, self._elements = len(self._stack) + 1, 0
        if self._depth_of_record:
            self._elements += 1
        else:
            self._around += 1
        if self._elements > LARGEST or self._around > LARGEST:
            raise Reject("too_large", f"more than {LARGEST} elements in one record, or outside of records")
        self._stack.append((name, key, _attributes(attributes) if attributes else {}, []))

    def _text(self, text: str) -> None:
        if self._stack:
            self._stack[-1][3].append(text)

    def _end(self, _: str) -> None:
        name, key, fields, texts = self._stack.pop()
        shown = _shown(key, fields, "".join(texts).strip())
        if self._depth_of_record == len(self._stack) + 1:
            self._depth_of_record = self._elements = 0
            self._record(name, shown)
        elif self._stack:
            _put(self._stack[-1][2], key, shown)
        else:
            self.head = shown


def _pieces(packet: bytes, most: int) -> Iterator[bytes]:
    if not packet.startswith(GZIP):
        if len(packet) > most:
            raise Reject("too_large", f"{len(packet)} bytes; the limit is {most}", packet[:4096])
        yield from (packet[at : at + PIECE] for at in range(0, len(packet), PIECE))
        return
    inflate, size, rest = zlib.decompressobj(wbits=31), 0, packet
    while rest and not inflate.eof:
        try:
            piece = inflate.decompress(rest, PIECE)
        except zlib.error as error:
            raise Reject("bad_frame", f"not gzip: {error}", packet[:4096]) from error
        rest = inflate.unconsumed_tail
        size += len(piece)
        if size > most:
            raise Reject("too_large", f"more than {most} bytes after decompression", packet[:4096])
        yield piece
    if not inflate.eof:
        raise Reject("incomplete", "the gzip stream is cut short", packet[:4096])


def _attributes(attributes: dict[str, str]) -> dict[str, Any]:
    """Give the attributes by plain names, ``type`` without its prefix; namespaces are left out."""
    found = {}
    for tag, value in attributes.items():
        name = _names(tag)[1]
        if tag == "xmlns" or tag.startswith("xmlns:") or name == "schema_location":
            continue
        found[name] = value.rpartition(":")[2] if tag.endswith(":type") else plain(name, value)
    return found


def _shown(name: str, fields: dict[str, Any], text: str) -> Shown:
    if not fields:
        return plain(name, text)
    if text:
        fields["text"] = plain("text", text)
    return fields


def _put(fields: dict[str, Any], name: str, shown: Shown) -> None:
    if name not in fields:
        fields[name] = shown
    elif isinstance(fields[name], list):
        fields[name].append(shown)
    else:
        fields[name] = [fields[name], shown]


@lru_cache(4096)
def _names(tag: str) -> tuple[str, str]:
    """Give a tag without its prefix, and the same as the name of a field."""
    name = tag.rpartition(":")[2]
    return name, snake(name)


@lru_cache(4096)
def snake(name: str) -> str:
    """Give ``vehicleFlowRate`` as ``vehicle_flow_rate``."""
    return HUMP.sub("_", name.lstrip("_")).lower()


def plain(name: str, text: str) -> str | int | float | bool:
    """Give a number or truth where the text is one, unless the name says that it is a name."""
    if text in ("true", "false"):
        return text == "true"
    if not NUMBER.fullmatch(text) or name in TEXTS or name.endswith(ENDS):
        return text
    return float(text) if "." in text else int(text)


def many(shown: Shown) -> list[Any]:
    """Give an element that may be there once, several times or not at all as a list."""
    return shown if isinstance(shown, list) else [] if shown is None else [shown]


def get(shown: Shown, *names: str) -> Any:
    """Give what lies under these names, ``None`` where nothing does; of many, the first."""
    for name in names:
        if isinstance(shown, list):
            shown = shown[0] if shown else None
        shown = shown.get(name) if isinstance(shown, dict) else None
    return shown


def number(shown: Shown) -> float | None:
    """Give a number; what is none gives ``None``."""
    return float(shown) if isinstance(shown, int | float) and not isinstance(shown, bool) else None
