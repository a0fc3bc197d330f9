"""The same frames built from fields: answers, simulated devices and round-trip tests use it."""

from __future__ import annotations

from collections.abc import Mapping
from struct import Struct

from connectors._template.frames.framing import HEAD, check_byte

VALUES = ("pm10", "pm25", "noise")
"""Names of the values of a report, in their order."""
REPORT = Struct(f">IIH{len(VALUES)}i")
"""Device, seconds since 1970 UTC, serial, values."""


def frame(body: bytes) -> bytes:
    """Give a body as a frame."""
    content = bytes((len(body),)) + body
    return HEAD + content + bytes((check_byte(content),))


def report(device: int, ts: int, serial: int, values: Mapping[str, int]) -> bytes:
    """Give a device's report; ``ts`` is microseconds UTC, values are as on the wire."""
    return frame(REPORT.pack(device, ts // 1_000_000, serial, *(values[name] for name in VALUES)))


def acknowledgement(serial: int) -> bytes:
    """Give the answer to a report."""
    return frame(serial.to_bytes(2))
