"""Protocol data units: function code and what follows it, of requests and responses, read and written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import msgspec

from schemas.errors import Reject

Direction = Literal["request", "response"]
Fields = dict[str, Any]
Values = Mapping[str, Any]

ERROR: Final = 0x80
"""Set in the function code of an exception response."""
MORE: Final = 0
"""Stands for a size that the bytes at hand do not tell yet."""
NEVER: Final = -1
"""Stands for bytes that are no such PDU."""
LARGEST: Final = 253
"""Octets of the longest PDU."""
ENCAPSULATED, DEVICE_ID, DIAGNOSTICS = 43, 14, 8


class Body(NamedTuple):
    """What stands behind the fixed fields of a layout."""

    read: Callable[[bytes, Fields], None]
    write: Callable[[Values], bytes]


class Layout(NamedTuple):
    """Fields of a request or response: name and octets of each, a counter, and what it counts."""

    fields: tuple[tuple[str, int], ...]
    head: int
    """Octets up to and with the counter, or all of them."""
    counter: int
    """Octets of the counter, which is the last of ``fields``; 0 where nothing is counted."""
    body: str


class Function(NamedTuple):
    """A function code's name and both layouts."""

    name: str
    request: Layout
    response: Layout


def _read_bits(octets: bytes, fields: Fields) -> None:
    bits = [octet >> n & 1 for octet in octets for n in range(8)]
    fields["bits"] = bits[: fields.get("bit_cnt", len(bits))]


def _write_bits(fields: Values) -> bytes:
    bits = fields["bits"]
    packed = (sum(bit << n for n, bit in enumerate(bits[at : at + 8])) for at in range(0, len(bits), 8))
    return bytes(packed)


def words(octets: bytes) -> list[int]:
    """Give registers of octets, as many as are whole."""
    return [octets[at] << 8 | octets[at + 1] for at in range(0, len(octets) - 1, 2)]


def _pack(registers: list[int]) -> bytes:
    return b"".join(register.to_bytes(2) for register in registers)


def _read_words(octets: bytes, fields: Fields) -> None:
    fields["regval_uint16"] = words(octets)


def _read_events(octets: bytes, fields: Fields) -> None:
    found = [*words(octets[:6]), 0, 0, 0]
    fields["status"], fields["event_count"], fields["message_count"] = found[:3]
    fields["events"] = octets[6:]


def _write_events(fields: Values) -> bytes:
    return _pack([fields["status"], fields["event_count"], fields["message_count"]]) + bytes(fields["events"])


def _read_asked(octets: bytes, fields: Fields) -> None:
    fields["records"] = [
        {
            "reference_type": octets[at],
            **dict(zip(("file_num", "reference_num", "word_cnt"), words(octets[at + 1 : at + 7]), strict=True)),
        }
        for at in range(0, len(octets) - 6, 7)
    ]


def _write_asked(fields: Values) -> bytes:
    return b"".join(
        bytes([one["reference_type"]]) + _pack([one["file_num"], one["reference_num"], one["word_cnt"]])
        for one in fields["records"]
    )


def _read_given(octets: bytes, fields: Fields) -> None:
    records, at = [], 0
    while at + 1 < len(octets):
        size = octets[at]
        records.append({"reference_type": octets[at + 1], "regval_uint16": words(octets[at + 2 : at + 1 + size])})
        at += 1 + size
    fields["records"] = records


def _write_given(fields: Values) -> bytes:
    packed = [(bytes([one["reference_type"]]) + _pack(one["regval_uint16"])) for one in fields["records"]]
    return b"".join(bytes([len(one)]) + one for one in packed)


def _read_written(octets: bytes, fields: Fields) -> None:
    records, at = [], 0
    while at + 7 <= len(octets):
        file_num, reference_num, word_cnt = words(octets[at + 1 : at + 7])
        end = at + 7 + 2 * word_cnt
        registers = words(octets[at + 7 : end])
        records.append(
            {"reference_type": octets[at], "file_num": file_num, "reference_num": reference_num, "regval_uint16": registers}
        )
        at = end
    fields["records"] = records


def _write_written(fields: Values) -> bytes:
    return b"".join(
        bytes([one["reference_type"]])
        + _pack([one["file_num"], one["reference_num"], len(one["regval_uint16"]), *one["regval_uint16"]])
        for one in fields["records"]
    )


def _read_fifo(octets: bytes, fields: Fields) -> None:
    fields["fifo_cnt"] = int.from_bytes(octets[:2])
    fields["regval_uint16"] = words(octets[2:])


def _write_fifo(fields: Values) -> bytes:
    return _pack([len(fields["regval_uint16"]), *fields["regval_uint16"]])


def _read_objects(octets: bytes, fields: Fields) -> None:
    objects: list[Fields] = []
    at = 0
    while at + 2 <= len(octets) and len(objects) < fields["num_objects"]:
        end = at + 2 + octets[at + 1]
        objects.append({"object_id": octets[at], "object_str_value": octets[at + 2 : end].decode("ascii", "replace")})
        at = end
    fields["objects"] = objects


def _write_objects(fields: Values) -> bytes:
    texts = [(one["object_id"], one["object_str_value"].encode("ascii", "replace")) for one in fields["objects"]]
    return b"".join(bytes([number, len(text)]) + text for number, text in texts)


BODIES: Final[dict[str, Body]] = {
    "bits": Body(_read_bits, _write_bits),
    "words": Body(_read_words, lambda fields: _pack(fields["regval_uint16"])),
    "events": Body(_read_events, _write_events),
    "asked_records": Body(_read_asked, _write_asked),
    "read_records": Body(_read_given, _write_given),
    "written_records": Body(_read_written, _write_written),
    "fifo": Body(_read_fifo, _write_fifo),
    "device_objects": Body(_read_objects, _write_objects),
    "server_id": Body(lambda octets, fields: fields.update(server_id=octets), lambda fields: bytes(fields["server_id"])),
}
WIDTHS: Final = {"B": 1, "W": 2, "N": 1, "L": 2}


def _layout(text: str) -> Layout:
    fields, counter, body = [], 0, ""
    for part in text.split():
        width, _, name = part.partition(":")
        if not name:
            body = part
            continue
        fields.append((name, WIDTHS[width]))
        counter = WIDTHS[width] if width in "NL" else 0
    return Layout(tuple(fields), sum(w for _, w in fields), counter, body)


def _declared() -> tuple[dict[int, Function], dict[int, str]]:
    declared = msgspec.toml.decode((Path(__file__).parent / "functions.toml").read_bytes())
    functions = {
        int(code): Function(row["name"], _layout(row["request"]), _layout(row["response"]))
        for code, row in declared["functions"].items()
    }
    return functions, {int(code): name for code, name in declared["exceptions"].items()}


FUNCTIONS, EXCEPTIONS = _declared()
WORD_BODIES: Final = frozenset({3, 4, 16, 23})
"""Functions whose counted octets are registers, two each."""


def size(octets: bytes | bytearray, direction: Direction) -> int:
    """Give how long a PDU is that begins so, if it is such a request or response; or ``MORE`` or ``NEVER``."""
    code = octets[0]
    function = FUNCTIONS.get(code)
    if function is None:
        return 2 if code & ERROR and direction == "response" else NEVER
    layout = function.request if direction == "request" else function.response
    if layout.body == "device_objects":
        return _size_of_objects(octets, layout)
    return _counted(octets, layout) if layout.counter else 1 + layout.head


def _counted(octets: bytes | bytearray, layout: Layout) -> int:
    end = 1 + layout.head
    if len(octets) < end:
        return MORE
    count = int.from_bytes(octets[end - layout.counter : end])
    return end + count if _may_count(octets, layout, count) else NEVER


def _may_count(octets: bytes | bytearray, layout: Layout, count: int) -> bool:
    """Tell whether a counter agrees with what it counts, and with the quantity before it."""
    code = octets[0]
    if not count or layout.head + count >= LARGEST or (code in WORD_BODIES and count % 2):
        return False
    if layout.head < 5:
        return True
    quantity = int.from_bytes(octets[layout.head - 2 : layout.head])
    return count == (2 * quantity if code in WORD_BODIES else (quantity + 7) // 8)


def _size_of_objects(octets: bytes | bytearray, layout: Layout) -> int:
    """Walk the objects of a device identification."""
    if len(octets) > 1 and octets[1] != DEVICE_ID:
        return NEVER
    end = 1 + layout.head
    if len(octets) < end:
        return MORE
    for _ in range(octets[end - 1]):
        if len(octets) < end + 2:
            return MORE
        end += 2 + octets[end + 1]
        if end > LARGEST:
            return NEVER
    return end


def name_of(code: int) -> str:
    """Name a function code."""
    function = FUNCTIONS.get(code & ~ERROR)
    return function.name if function else "unknown"


def read(pdu: bytes, direction: Direction) -> Fields:
    """Give the fields of a PDU after its function code; octets behind them are ``trailing``.

    Raises ``Reject`` where it is too short for its function, or its counter contradicts it.
    """
    code = pdu[0]
    if code & ERROR:
        if len(pdu) < 2:
            raise Reject("bad_length", "an exception response without its code")
        fields: Fields = {"exception_code": pdu[1], "exception": EXCEPTIONS.get(pdu[1], "unknown")}
        return fields | {"trailing": pdu[2:]} if len(pdu) > 2 else fields
    function = FUNCTIONS.get(code)
    if function is None:
        return {"rest": pdu[1:]}
    end = size(pdu, direction)
    if end <= 0 or end > len(pdu):
        raise Reject("bad_length", f"{function.name}: {len(pdu)} octets are no {direction}")
    layout = function.request if direction == "request" else function.response
    fields = {}
    at = 1
    for name, width in layout.fields:
        fields[name] = int.from_bytes(pdu[at : at + width])
        at += width
    if "regval_uint16" in fields:
        fields["regval_uint16"] = [fields["regval_uint16"]]
    if layout.body:
        BODIES[layout.body].read(pdu[at:end], fields)
    if end < len(pdu):
        fields["trailing"] = pdu[end:]
    return fields


def write(code: int, direction: Direction, fields: Values) -> bytes:
    """Give the PDU of fields as ``read`` shows them; counters are worked out."""
    if "exception_code" in fields:
        return bytes([code | ERROR, fields["exception_code"]])
    function = FUNCTIONS.get(code)
    if function is None:
        raise Reject("unsupported", f"function code {code} has no layout")
    layout = function.request if direction == "request" else function.response
    body = BODIES[layout.body].write(fields) if layout.body else b""
    head = b""
    for index, (name, width) in enumerate(layout.fields, 1):
        counts = layout.counter and index == len(layout.fields)
        value = len(body) if counts else fields[name]
        head += int(value[0] if isinstance(value, list) else value).to_bytes(width)
    return bytes([code]) + head + body
