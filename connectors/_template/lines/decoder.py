"""Lines to readings: ``device,time,serial,name=value,...``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from connectors._api import Peer, Received, Reply, Settings, rules
from connectors._template.lines.encoder import acknowledgement
from schemas.errors import Reject

KIND = "dust_station"


class Session:
    """One connection. A line is answered once its reading is durable."""

    def __init__(self, settings: Settings, peer: Peer) -> None:
        self._fields = rules.read(Path(__file__).parent / "mapping.toml")[KIND]

    def start(self, now: int) -> Received:
        """Give nothing: the device speaks first."""
        return Received()

    def tick(self, now: int) -> Received:
        """Give nothing: every line stands alone."""
        return Received()

    def receive(self, packet: bytes, seen_at: int, origin: str = "") -> Received:
        """Decode one line; one that cannot be read raises ``Reject``."""
        message = parse(packet)
        reading = self._fields.reading(self._fields.values(message), seen_at)
        return Received(message=message, readings=(reading,), replies=(Reply(acknowledgement(message["serial"])),))


def parse(packet: bytes) -> dict[str, Any]:
    """Give the fields of a line as texts; which of them fill the kind says ``mapping.toml``."""
    try:
        device, time, serial, *pairs = packet.decode("utf-8").split(",")
        values = dict(pair.split("=", 1) for pair in pairs)
    except ValueError as error:
        raise Reject("bad_frame", f"not device,time,serial,name=value,...: {error}", packet) from error
    return {"name": "report", **values, "device": device, "time": time, "serial": serial}
