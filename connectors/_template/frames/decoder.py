"""Frames to readings: device, time, serial, then the values in their order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from connectors._api import Peer, Received, Reply, Settings, rules
from connectors._template.frames.encoder import REPORT, VALUES, acknowledgement
from schemas.errors import Reject

KIND = "dust_station"


class Session:
    """One connection. A report is answered once its reading is durable."""

    def __init__(self, settings: Settings, peer: Peer) -> None:
        self._fields = rules.read(Path(__file__).parent / "mapping.toml")[KIND]

    def start(self, now: int) -> Received:
        """Give nothing: the device speaks first."""
        return Received()

    def tick(self, now: int) -> Received:
        """Give nothing: every frame stands alone."""
        return Received()

    def receive(self, packet: bytes, seen_at: int, origin: str = "") -> Received:
        """Decode the body of one frame; one that cannot be read raises ``Reject``."""
        message = parse(packet)
        reading = self._fields.reading(self._fields.values(message), seen_at)
        return Received(message=message, readings=(reading,), replies=(Reply(acknowledgement(message["serial"])),))


def parse(packet: bytes) -> dict[str, Any]:
    """Give the fields of a body as numbers; which of them fill the kind, and how, says ``mapping.toml``."""
    if len(packet) != REPORT.size:
        raise Reject("bad_length", f"a report has {REPORT.size} bytes, there are {len(packet)}", packet)
    device, time, serial, *values = REPORT.unpack(packet)
    return {"name": "report", "device": device, "time": time, "serial": serial, **dict(zip(VALUES, values, strict=True))}
