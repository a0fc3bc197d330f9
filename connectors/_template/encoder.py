"""The same lines built from fields: answers, simulated stations and round-trip tests use it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from connectors._template.framing import check_code


def line(text: bytes) -> bytes:
    """Give a text as a line."""
    return b"#" + text + b"*" + check_code(text) + b"\r\n"


def report(station: str, time: int, serial: int, values: Mapping[str, float]) -> bytes:
    """Give a station's report; ``time`` in microseconds UTC is cut to whole seconds."""
    at = datetime.fromtimestamp(time // 1_000_000, UTC).strftime("%Y%m%d%H%M%S")
    return line(",".join([station, at, str(serial), *(f"{k}={v:g}" for k, v in values.items())]).encode("ascii"))


def acknowledgement(serial: int, *, accepted: bool = True) -> bytes:
    """Give the platform's answer to a report."""
    return line(b"%s,%d" % (b"OK" if accepted else b"NO", serial))
