"""The same lines built from fields: answers, simulated devices and round-trip tests use it."""

from __future__ import annotations

from collections.abc import Mapping

from connectors._api import times
from connectors._template.framing import check_code


def line(text: str) -> bytes:
    """Give a text as a line."""
    content = text.encode()
    return b"#" + content + b"*" + check_code(content) + b"\r\n"


def report(device: str, ts: int, serial: int, values: Mapping[str, object]) -> bytes:
    """Give a device's report; ``ts`` is microseconds UTC, written in Beijing time."""
    written = (str(value).lower() if isinstance(value, bool) else str(value) for value in values.values())
    pairs = [f"{name}={text}" for name, text in zip(values, written, strict=True)]
    return line(",".join([device, str(times.write(ts, "compact")), str(serial), *pairs]))


def acknowledgement(serial: object) -> bytes:
    """Give the answer to a report."""
    return line(f"OK,{serial}")
