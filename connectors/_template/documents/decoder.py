"""JSON documents to readings: one record, or a list of them."""

from __future__ import annotations

from pathlib import Path

from connectors._api import Peer, Received, Settings, rules
from connectors._api.paths import document
from schemas.errors import Reject

KIND = "dust_station"


class Session:
    """What one instance receives; every document stands alone."""

    def __init__(self, settings: Settings, peer: Peer) -> None:
        self._fields = rules.read(Path(__file__).parent / "mapping.toml")[KIND]

    def start(self, now: int) -> Received:
        """Give nothing: the other side speaks first."""
        return Received()

    def tick(self, now: int) -> Received:
        """Give nothing: no document waits for another."""
        return Received()

    def receive(self, packet: bytes, seen_at: int, origin: str = "") -> Received:
        """Decode one document that came by ``origin``; each record that cannot be read is refused by itself."""
        read = document(packet)
        records = read if isinstance(read, list) else [read]
        readings, rejects = [], []
        for record in records:
            try:
                readings.append(self._fields.reading(self._fields.values(record, {"origin": origin}), seen_at))
            except Reject as reject:
                rejects.append(reject)
        return Received(message={"name": "report", "records": records}, readings=readings, rejects=rejects)
