"""Lines to readings: ``station,time,serial,code=value,...``; times are UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from connectors._api import Peer, Received, Reply, Settings
from connectors._api.mapping import read as read_mapping
from connectors._template.encoder import acknowledgement
from schemas.errors import Reject


class Session:
    """One station's connection. A line is answered once its reading is durable; a bad one at once."""

    def __init__(self, settings: Settings, peer: Peer) -> None:
        self._mapping = read_mapping(Path(__file__).parent / "mapping.toml")
        self._stations = frozenset(settings["stations"])
        self._silence_us = round(settings["silence_s"] * 1e6)
        self._heard_at = 0

    def start(self, now: int) -> Received:
        """Note when the connection opened."""
        self._heard_at = now
        return Received()

    def receive(self, packet: bytes, seen_at: int, origin: str = "") -> Received:
        """Decode one line; a line that cannot be read raises ``Reject``."""
        self._heard_at = seen_at
        message = _parse(packet)
        station, serial = message["station"], message["serial"]
        if self._stations and station not in self._stations:
            refusal = Reject("unregistered", f"station {station} is not among the stations of the settings", packet)
            return Received(message=message, rejects=(refusal,), replies=(Reply(acknowledgement(serial, accepted=False), "now"),))
        reading = self._mapping.reading(
            "dust_station", message, source=station, ts=message["time"], seen_at=seen_at, serial=serial
        )
        return Received(message=message, readings=(reading,), replies=(Reply(acknowledgement(serial)),))

    def tick(self, now: int) -> Received:
        """Ask for the connection to be closed once it has been silent too long."""
        return Received(close=True) if now - self._heard_at > self._silence_us else Received()


def _parse(packet: bytes) -> dict[str, Any]:
    try:
        station, time, serial, *pairs = packet.decode("ascii").split(",")
        at = datetime.strptime(time, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
        message: dict[str, Any] = {
            "name": "report",
            "station": station,
            "time": round(at.timestamp() * 1e6),
            "serial": int(serial),
        }
        for pair in pairs:
            code, _, value = pair.partition("=")
            message[_new(code, message)] = float(value)
    except ValueError as error:
        raise Reject("bad_field", str(error), packet) from error
    if not station or not 0 <= message["serial"] < 2**32:
        raise Reject("bad_field", "station is empty or serial is not within 0..2^32-1", packet)
    return message


def _new(code: str, message: dict[str, Any]) -> str:
    if code in message:
        msg = f"{code!r} is there twice"
        raise ValueError(msg)
    return code
