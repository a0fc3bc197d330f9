"""Detector and link tables to readings: whole CSV or JSON files, and pages of large ones."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Final

from connectors._api import sheets, tables
from connectors._api.manifest import Settings
from connectors._api.session import Peer, Received

HERE: Final = Path(__file__).resolve().parent


class Session:
    """Decodes tables, each for itself, as the profile of the instance says."""

    def __init__(self, settings: Settings, peer: Peer) -> None:
        self._table = tables.compiled(HERE, settings)

    def start(self, now: int) -> Received:
        """Give nothing: files are dropped."""
        return Received()

    def tick(self, now: int) -> Received:
        """Give nothing: no table waits for another."""
        return Received()

    def receive(self, packet: bytes, seen_at: int, origin: str = "") -> Received:
        """Decode a CSV or JSON table, or a page of one; rows that cannot be read are refused by line, the others kept."""
        if packet.startswith(sheets.START):
            return self._table.decode(sheets.page_of(packet), seen_at)
        pages = sheets.text_pages(io.BytesIO(packet), self._table.declared)
        return tables.together(self._table.decode(page, seen_at) for page in pages)
