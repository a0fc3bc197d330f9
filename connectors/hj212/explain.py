"""HJ 212 byte by byte: length, header items, the items of ``CP``, check code (HJ 212-2017 6.3)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from connectors._api.manifest import Settings
from connectors._api.spans import Span
from connectors.hj212 import factors, segment
from connectors.hj212.checksum import VARIANTS, variant_of
from connectors.hj212.framing import CODE, HEAD, START
from schemas.errors import Reject

LABELS: Final = {
    "qn": "请求编码",
    "st": "系统编码",
    "cn": "命令编码",
    "pw": "访问密码",
    "mn": "设备唯一标识",
    "flag": "拆分包及应答标志",
    "pnum": "总包数",
    "pno": "包号",
    "datatime": "数据时间",
}
SUFFIXES: Final = {
    "rtd": "实时值 momentary",
    "avg": "均值 mean",
    "min": "最小值 minimum",
    "max": "最大值 maximum",
    "cou": "累计值 total",
    "flag": "数据标记 data flag",
}
FIELD: Final = re.compile(rb"([^=;,&]+)=([^;,&]*)")
CP: Final = b"CP=&&"


def explain(packet: bytes, settings: Settings) -> list[Span]:
    """Explain every frame in the bytes, as they were on the wire."""
    found: list[Span] = []
    starts = [m.start() for m in re.finditer(re.escape(HEAD) + rb"\d{4}", packet)] or [0]
    for start, end in zip(starts, [*starts[1:], len(packet)], strict=True):
        found += _frame(packet, start, end, settings)
    return found


def _frame(packet: bytes, start: int, end: int, settings: Settings) -> Iterator[Span]:
    body = start + START
    if body > end or packet[start : start + 2] != HEAD or not packet[start + 2 : body].isdigit():
        yield Span(start, end, "", note="bad_frame: 不以 ## 和四位长度开头 / does not begin with ## and four digits")
        return
    declared = int(packet[start + 2 : body])
    line = packet.rfind(b"&&", body, end)
    stop = end if line < 0 else line + 2
    present = stop - body
    yield Span(start, start + 2, "head", note="包头")
    note = "数据段长度" + ("" if declared == present else f"：与实际 {present} 字节不符 / {present} bytes are there")
    yield Span(start + 2, body, "length", declared, "byte", note)
    yield from _segment(packet, body, stop, settings)
    code = packet[stop : min(stop + CODE, end)]
    if code.strip():
        yield Span(
            stop, stop + len(code), "crc", code.decode("ascii", "replace"), note=_verdict(packet[body:stop], code, settings)
        )
    if stop + CODE < end:
        yield Span(
            stop + CODE,
            end,
            "tail",
            note="包尾 CR LF" if packet[stop + CODE : end] == b"\r\n" else "包外字节 / outside any frame",
        )


def _verdict(body: bytes, code: bytes, settings: Settings) -> str:
    variant = variant_of(body, code)
    if variant is None:
        computed = ", ".join(f"{name} {compute(body):04X}" for name, compute in VARIANTS.items())
        return f"校验 CRC16: 错误 wrong, computed {computed}"
    if settings["crc"] not in ("auto", variant):
        return f"校验 CRC16: {variant}，但设置要求 / the setting demands crc={settings['crc']}"
    return f"校验 CRC16 ({variant}): 正确 right"


def _segment(packet: bytes, start: int, stop: int, settings: Settings) -> Iterator[Span]:
    """Give each ``name=value`` of the header and of CP as a name and a value."""
    opens = packet.find(CP, start, stop)
    for match in FIELD.finditer(packet, start, opens if opens >= 0 else stop):
        yield from _pair(match, "", settings)
    if opens < 0:
        return
    yield Span(opens, opens + len(CP), "CP", note="数据区开始 / data area")
    for match in FIELD.finditer(packet, opens + len(CP), stop):
        number = packet.count(b";", opens, match.start())
        yield from _pair(match, f"CP[{number}].", settings)


def _pair(match: re.Match[bytes], prefix: str, settings: Settings) -> Iterator[Span]:
    key, raw = _text(match[1]), _text(match[2])
    yield Span(match.start(1), match.start(2), "", note="名称 / name of the field")
    value, unit, note = _value(key, raw, settings)
    yield Span(match.start(2), match.end(2), prefix + key, value, unit, note)


def _text(raw: bytes) -> str:
    try:
        return segment.text_of(raw)
    except Reject:
        return raw.decode("ascii", "backslashreplace")


def _value(key: str, raw: str, settings: Settings) -> tuple[Any, str, str]:
    """Give value, unit and note of a field by its name."""
    known = LABELS.get(key.lower())
    if known is not None:
        return raw, "", "；".join(filter(None, (known, segment.NAMES.get(raw, "") if key.lower() == "cn" else "")))
    code, dash, suffix = key.rpartition("-")
    if not dash:
        return raw, "", ""
    what = SUFFIXES.get(suffix.lower(), "")
    try:
        number = segment.number(raw) if suffix.lower() != "flag" else None
    except Reject as reject:
        return raw, "", f"{reject.reason}: {reject.detail}"
    if number is None:
        return raw, "", what
    return number, _unit(code, settings), what


def _unit(code: str, settings: Settings) -> str:
    """Give the unit a factor is sent in: that of the settings, or the usual one; empty for factors we know none of."""
    for name, factor in factors.factors().items():
        if code.lower() in (known.lower() for known in (name, *factor.same, *factor.older)):
            return str(settings["units"].get(name, factor.unit))
    return ""
