"""JT/T 808 byte by byte: flags, header, body by the tables of the standard, check byte; escapes are seen through."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from connectors._api import Settings, bcd
from connectors._api.flagged import FLAG, check_byte, unescape
from connectors._api.layouts import Codec, Layout, Many, Stretch
from connectors._api.spans import Span
from connectors.jt808 import alarms, location, messages
from connectors.jt808.header import ENCRYPTION_MASK, FORM_2013, FORM_2019, SUB_PACKAGE_BIT, VERSION_BIT, Header, parse
from schemas.errors import Reject

BASE: Final = (
    ("alarm", 4),
    ("status", 4),
    ("latitude", 4),
    ("longitude", 4),
    ("altitude", 2),
    ("speed", 2),
    ("direction", 2),
    ("time", 6),
)
"""Table 23: fields of a location and their bytes."""
UNITS: Final = {
    "latitude": (1e-6, "°"),
    "longitude": (1e-6, "°"),
    "altitude": (1, "m"),
    "speed": (0.1, "km/h"),
    "place.speed": (1, "km/h"),
    "direction": (1, "°"),
    "mileage": (0.1, "km"),
    "fuel": (0.1, "L"),
    "recorder_speed": (0.1, "km/h"),
    "carriage_temperature": (1, "°C"),
    "radius": (1, "m"),
    "seconds": (1, "s"),
    "max_speed": (1, "km/h"),
}
"""What a number of the wire is multiplied with, and its unit, by field; ``place`` is that of an active-safety alarm."""
LABELS: Final = {
    "alarm": "报警标志",
    "status": "状态",
    "latitude": "纬度",
    "longitude": "经度",
    "altitude": "高程",
    "speed": "速度",
    "direction": "方向",
    "time": "时间 (GMT+8)",
    "mileage": "里程",
    "fuel": "油量",
    "plate": "车牌",
    "code": "鉴权码",
    "terminal_id": "终端 ID",
    "maker": "制造商",
    "model": "终端型号",
}
REPLIES: Final = (0x0201, 0x0500)
"""Messages of a serial number and a location."""


class Part(NamedTuple):
    """Bytes of the unescaped packet and what they say."""

    start: int
    end: int
    name: str
    value: Any = None
    note: str = ""


def explain(packet: bytes, settings: Settings) -> list[Span]:
    """Explain every packet in the bytes; between flags as on the wire, or one unescaped packet without flags."""
    bodies = messages.with_settings(settings["messages"])
    if FLAG not in packet:
        sealed = len(packet) > FORM_2013.size and not check_byte(packet)
        return [_span(p, range(len(packet) + 1)) for p in _packet(packet if sealed else packet + b"\0", bodies, sealed=sealed)]
    found: list[Span] = []
    for start, end in _stretches(packet):
        if packet[start:end] == FLAG:
            found.append(Span(start, end, "flag", note="标识位"))
            continue
        raw, _ = unescape(packet[start:end])
        found += [_span(part, _places(packet, start, end)) for part in _packet(raw, bodies, sealed=True)]
    return found


def _stretches(packet: bytes) -> Iterator[tuple[int, int]]:
    """Give where each flag is, and each stretch between two."""
    at = 0
    while at < len(packet):
        flag = packet.find(FLAG, at)
        end = len(packet) if flag < 0 else flag
        if end > at:
            yield at, end
        if flag >= 0:
            yield flag, flag + 1
        at = end + 1


def _places(packet: bytes, start: int, end: int) -> list[int]:
    """Give where each unescaped byte of a stretch begins on the wire, and where the last ends."""
    found = []
    at = start
    while at < end:
        found.append(at)
        at += 2 if packet[at : at + 2] in (b"\x7d\x01", b"\x7d\x02") and at + 1 < end else 1
    return [*found, end]


def _span(part: Part, places: Sequence[int]) -> Span:
    outer, _, key = part.name.rpartition(".")
    scale, unit = UNITS.get(f"{outer.rpartition('.')[2]}.{key}") or UNITS.get(key, (0, ""))
    value = part.value
    if unit and isinstance(value, int):
        value = round(value * scale, 6)
    note = "；".join(filter(None, (LABELS.get(key, ""), part.note)))
    end = min(part.end, len(places) - 1)
    return Span(places[min(part.start, end)], places[end], part.name, value, unit if value is not None else "", note)


def _packet(raw: bytes, bodies: messages.Bodies, *, sealed: bool) -> Iterator[Part]:
    """Explain an unescaped packet whose last byte is the check byte (or, not ``sealed``, stands for it)."""
    inner = raw[:-1]
    try:
        header = parse(inner)
    except Reject as reject:
        yield Part(0, len(inner), "packet", note=f"{reject.reason}: {reject.detail}")
    else:
        of_edition = messages.edition(header, inner[header.start :])
        yield from _header(header, messages.name_of(bodies, header.message_id, of_edition))
        yield from _guarded(inner, header, of_edition, bodies)
    if sealed:
        code = check_byte(inner)
        verdict = "正确 right" if raw[-1:] == bytes((code,)) else f"错误 wrong, computed {code:02X}"
        yield Part(len(inner), len(raw), "check", f"{raw[-1] if raw else 0:02X}", f"校验码 XOR: {verdict}")


def _header(header: Header, name: str) -> Iterator[Part]:
    yield Part(0, 2, "message_id", f"0x{header.message_id:04X}", name)
    told = [f"body {header.body_length} bytes", f"version bit {int(bool(header.properties & VERSION_BIT))}"]
    told += [f"encryption {header.encryption}"] if header.encryption else []
    told += ["sub-package"] if header.properties & SUB_PACKAGE_BIT else []
    yield Part(2, 4, "properties", header.properties, "消息体属性；" + ", ".join(told))
    at = 4
    if header.version == "2019":
        yield Part(4, 5, "protocol_version", header.protocol_version)
        at = 5
    phone = at + len(header.phone_bcd)
    yield Part(at, phone, "phone", header.phone, "终端手机号")
    yield Part(phone, phone + 2, "serial", header.serial, "消息流水号")
    if header.properties & SUB_PACKAGE_BIT:
        start = FORM_2019.size if header.version == "2019" else FORM_2013.size
        yield Part(start, start + 2, "package_total", header.total)
        yield Part(start + 2, start + 4, "package", header.part)


def _guarded(packet: bytes, header: Header, of_edition: str, bodies: messages.Bodies) -> Iterator[Part]:
    """Explain the body as far as it can be read; what is left is named with what is wrong."""
    at = header.start
    if header.properties & (SUB_PACKAGE_BIT | ENCRYPTION_MASK):
        yield Part(at, len(packet), "body", note="分包或加密，不解释 / part of a message, or encrypted")
        return
    try:
        for part in _body(packet, at, header.message_id, of_edition, bodies):
            yield part
            at = max(at, part.end)
    except Reject as reject:
        yield Part(at, len(packet), "body", note=f"{reject.reason}: {reject.detail}")
        return
    if at < len(packet):
        yield Part(at, len(packet), "rest", packet[at:])


def _body(packet: bytes, at: int, message_id: int, of_edition: str, bodies: messages.Bodies) -> Iterator[Part]:
    if message_id == 0x0704:
        yield from _batch(packet, at)
        return
    if message_id in REPLIES:
        yield Part(at, at + 2, "ack_serial", int.from_bytes(packet[at : at + 2]))
        at += 2
    if message_id in (0x0200, *REPLIES):
        yield from _location(packet, at, len(packet), "")
        return
    known = bodies.get((message_id, of_edition))
    if known is not None:
        yield from _layout(_form(known.forms, packet, at), packet, at, "")


def _form(forms: Sequence[Layout], packet: bytes, at: int) -> Layout:
    """Give the form that fills the body, else the first that can be read, else the first."""
    readable = []
    for form in forms:
        try:
            _, end = form.read(packet, at)
        except Reject:
            continue
        if end == len(packet):
            return form
        readable.append(form)
    return (readable or list(forms))[0]


def _layout(layout: Layout, body: bytes, at: int, prefix: str) -> Iterator[Part]:
    """Walk the fields of a layout as its ``read`` does."""
    values: dict[str, Any] = {}
    for name, codec, by, maybe, ends in layout.fields:
        if (ends and at >= len(body)) or (maybe and not maybe(values)):
            continue
        if by and isinstance(codec, Stretch | Many):
            value, end = codec.read_sized(body, at, values.get(by, 0))
        else:
            value, end = codec.read(body, at)
        values[name] = value
        yield from _value(codec, f"{prefix}{name}", value, body, at, end)
        at = end


def _value(codec: Codec, name: str, value: Any, body: bytes, at: int, end: int) -> Iterator[Part]:
    """Give the parts of one field: its own fields, its elements, or the whole."""
    if isinstance(codec, Layout):
        yield from _layout(codec, body, at, f"{name}.")
    elif isinstance(codec, location.Position):
        yield from _base(body, at, f"{name}.")
    elif isinstance(codec, messages.Parameters):
        yield from _parameters(value, body, at, name)
    elif isinstance(codec, Many):
        if codec.prefix is not None:
            yield Part(at, at + codec.prefix.size, f"{name}.count", len(value))
            at += codec.prefix.size
        for number, one in enumerate(value):
            _, stop = codec.element.read(body, at)
            yield from _value(codec.element, f"{name}[{number}]", one, body, at, stop)
            at = stop
    else:
        length = codec.prefix.size if isinstance(codec, Stretch) and codec.prefix is not None else 0
        if length:
            yield Part(at, at + length, f"{name}.length", end - at - length)
        yield Part(at + length, end, name, value)


def _parameters(values: Mapping[str, Any], body: bytes, at: int, name: str) -> Iterator[Part]:
    yield Part(at, at + 1, f"{name}.count", body[at])
    at += 1
    for key, value in values.items():
        stop = at + 5 + body[at + 4]
        yield Part(at, at + 4, f"{name}.id", f"0x{int.from_bytes(body[at : at + 4]):04X}", key)
        yield Part(at + 4, at + 5, f"{name}.length", body[at + 4])
        yield Part(at + 5, stop, f"{name}.{key}", value)
        at = stop


def _location(body: bytes, at: int, end: int, prefix: str) -> Iterator[Part]:
    location.read_base(body[at:end])  # a location that is cut short is refused as a whole
    yield from _base(body, at, prefix)
    yield from _items(body, at + location.BASE_BYTES, end, prefix)


def _base(body: bytes, at: int, prefix: str) -> Iterator[Part]:
    for name, size in BASE:
        raw = body[at : at + size]
        signed = name in ("latitude", "longitude")
        value = bcd.time_text(raw) if name == "time" else int.from_bytes(raw, signed=signed)
        yield Part(at, at + size, prefix + name, value, _bits(name, value))
        at += size


def _bits(name: str, value: Any) -> str:
    table = {"alarm": alarms.TABLE.alarm, "status": alarms.TABLE.status}.get(name)
    if table is None:
        return ""
    told = [code for bit, code in sorted(table.items()) if value >> bit & 1]
    fixed = ["fixed" if value >> 1 & 1 else "not fixed"] if name == "status" else []
    return ", ".join([*fixed, *told])


def _items(body: bytes, at: int, end: int, prefix: str) -> Iterator[Part]:
    while at + 2 <= end and at + 2 + body[at + 1] <= end:
        item, start, stop = body[at], at + 2, at + 2 + body[at + 1]
        raw = body[start:stop]
        name, form = _item(item, raw)
        yield Part(at, at + 1, f"{prefix}item", f"0x{item:02X}", name)
        yield Part(at + 1, start, f"{prefix}item.length", stop - start)
        if form is None:
            yield Part(start, stop, f"{prefix}{name}", raw)
        else:
            yield from _value(form, f"{prefix}{name}", form.read(raw, 0)[0], body[:stop], start, stop)
        at = stop
    if at < end:
        yield Part(at, end, f"{prefix}rest", body[at:end], "附加信息不完整 / no whole item")


def _item(item: int, raw: bytes) -> tuple[str, Codec | None]:
    """Give name and form of an item, as ``location.read_items`` chooses them."""
    for form in location.FORMS.get(item, ()):
        try:
            if form.codec.read(raw, 0)[1] == len(raw):
                return form.name, form.codec
        except Reject:
            continue
    return f"0x{item:02X}", None


def _batch(body: bytes, at: int) -> Iterator[Part]:
    if len(body) < at + 3:
        raise Reject("bad_length", "batch needs 3 bytes of body")
    count = int.from_bytes(body[at : at + 2])
    yield Part(at, at + 2, "count", count)
    yield Part(
        at + 2, at + 3, "type", body[at + 2], "1 盲区补报 / held back without network" if body[at + 2] else "0 正常 / normal"
    )
    at += 3
    for number in range(count):
        start = at + 2
        stop = start + int.from_bytes(body[at:start])
        if start > len(body) or stop > len(body):
            raise Reject("bad_length", f"location {number + 1} of {count} ends after the body")
        yield Part(at, start, f"locations[{number}].length", stop - start)
        yield from _location(body, start, stop, f"locations[{number}].")
        at = stop
