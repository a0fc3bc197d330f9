"""Fetched JSON documents to readings: one record, or a list of them."""

from __future__ import annotations

from pathlib import Path

from connectors._api import Peer, Received, Request, Settings, rules
from connectors._api.paths import document
from schemas.errors import Reject

KIND = "dust_station"


class Session:
    """One feed: its document is fetched again and again; without a ``url`` it only decodes."""

    def __init__(self, settings: Settings, peer: Peer) -> None:
        self._fields = rules.read(Path(__file__).parent / "mapping.toml")[KIND]
        self._url = str(settings["url"])
        self._interval_us = round(settings["interval_s"] * 1e6)

    def start(self, now: int) -> Received:
        """Ask for the document at once."""
        return Received(requests=(Request(self._url, now),)) if self._url else Received()

    def tick(self, now: int) -> Received:
        """Give nothing: every answer asks for the next one."""
        return Received()

    def receive(self, packet: bytes, seen_at: int, origin: str = "") -> Received:
        """Decode one document and ask for the next, whatever it holds; bad records are refused by themselves."""
        again = (Request(self._url, seen_at + self._interval_us),) if self._url else ()
        readings, rejects = [], []
        try:
            read = document(packet)
        except Reject as reject:
            return Received(rejects=(reject,), requests=again)
        records = read if isinstance(read, list) else [read]
        for record in records:
            try:
                readings.append(self._fields.reading(self._fields.values(record, {"origin": origin}), seen_at))
            except Reject as reject:
                rejects.append(reject)
        return Received(message={"name": "report", "records": records}, readings=readings, rejects=rejects, requests=again)
