"""``cityops connector explain``: what each byte of a packet says, in the connector's own words or as found by trying."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
from rich.markup import escape
from rich.table import Table

from cityops.connector_kit import influence
from connectors._api import registry
from connectors._api.manifest import Settings
from connectors._api.registry import Connector
from connectors._api.session import plain
from connectors._api.spans import Span

BYTES_SHOWN = 16
"""Bytes of one stretch in the table; JSON has them all."""

TEXTUAL = 0.9
"""A packet of which so much is printable is shown as text."""


@dataclass(frozen=True, slots=True)
class Explained:
    """A packet, what its bytes say, how that was found, and what the decoder makes of the whole."""

    packet: bytes
    spans: Sequence[Span]
    by: str
    """``connector``: its own explain.py; ``mutation``: bytes were changed and decoded again."""
    check: str
    """Verdict on the check code: right, wrong, none (known), or unknown."""
    rejects: Sequence[str]
    notes: Sequence[str] = ()

    def as_dict(self) -> dict[str, Any]:
        """Give it for scripts: every byte belongs to exactly one span."""
        rows = [
            {"start": s.start, "end": s.end, "hex": self.packet[s.start : s.end].hex().upper()}
            | {"name": s.name, "value": plain(s.value), "unit": s.unit, "note": s.note}
            for s in self.spans
        ]
        return {
            "bytes": len(self.packet),
            "by": self.by,
            "check": self.check,
            "rejects": list(self.rejects),
            "notes": list(self.notes),
            "spans": rows,
        }


def explain(
    connector: Connector, settings: Settings, packet: bytes, seen_at: int, origin: str = "", before: Sequence[bytes] = ()
) -> Explained:
    """Explain a packet as it was on the wire, which came after those ``before``; any bytes at all have an explanation."""
    decode = partial(influence.trial, connector, settings, seen_at, origin, before)
    own = registry.offered(connector, "explain", "explain")
    if own is not None:
        base = decode(packet)
        return Explained(packet, whole(packet, own(packet, settings)), "connector", _verdict(base), base.reasons)
    found = influence.study(packet, decode, registry.offered(connector, "framing", "seal"))
    notes = []
    if found.covered:
        notes.append(
            f"{len(found.covered)} 个字节的含义未知：改动后校验不符，而校验算法未知；framing.py 提供 seal(packet) 即可 / "
            f"{len(found.covered)} bytes stay unexplained: a check code of a kind not known here covers them; "
            "framing.py may offer seal(packet) -> bytes"
        )
    return Explained(packet, influence.spans(packet, found), "mutation", _verdict(found.base, found), found.base.reasons, notes)


def _verdict(base: influence.Trial, found: influence.Findings | None = None) -> str:
    if influence.CHECKED in base.reasons:
        return "wrong"
    if found is not None and found.seal is None and not found.covered and not found.sealing:
        return "none known"
    return "unknown" if base.reasons and not base.fields else "right"


def whole(packet: bytes, spans: Sequence[Span]) -> list[Span]:
    """Give the spans with nameless ones where none was, so that every byte is shown once."""
    found: list[Span] = []
    at = 0
    for span in spans:
        if span.start > at:
            found.append(Span(at, span.start, ""))
        if span.end > at:
            found.append(span if span.start >= at else msgspec.structs.replace(span, start=at))
            at = span.end
    return [*found, Span(at, len(packet), "")] if at < len(packet) else found


def summary(explained: Explained) -> str:
    """Give what is to be said below the table: check code, rejects, how it was found."""
    checks = {"right": "正确 right", "wrong": "错误 wrong", "none known": "未见 none known", "unknown": "未知 unknown"}
    found = (
        "接入自带的解释 the connector's own explain.py" if explained.by == "connector" else "逐字节改动后重解 by changing bytes"
    )
    lines = [f"校验 check code: {checks[explained.check]}", f"依据 found by: {found}", *explained.notes]
    if explained.rejects:
        lines.append(f"拒收 refused: {', '.join(explained.rejects)}")
    return "\n".join(lines)


def table(explained: Explained, title: str) -> Table:
    """Give the explanation for people."""
    shown = Table(title=escape(title))
    shown.add_column("偏移\noffset", justify="right")
    for head in ("字节\nbytes", "字段\nfield", "值\nvalue", "说明\nnote"):
        shown.add_column(head, overflow="fold")
    textual = sum(32 <= byte < 127 for byte in explained.packet) >= TEXTUAL * len(explained.packet)
    for span in explained.spans:
        value = "" if span.value is None else str(plain(span.value))
        text = f"{value} {span.unit}".strip()
        shown.add_row(
            str(span.start),
            escape(_bytes(explained.packet[span.start : span.end], textual=textual)),
            *map(escape, (span.name, text, span.note)),
        )
    return shown


def _bytes(content: bytes, *, textual: bool) -> str:
    if textual:
        return content.decode("ascii", "backslashreplace").replace("\r", "\\r").replace("\n", "\\n")
    more = " …" if len(content) > BYTES_SHOWN else ""
    return content[:BYTES_SHOWN].hex(" ").upper() + more
