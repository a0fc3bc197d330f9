"""Pages of a database table to readings."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec

from connectors._api import sheets, tables
from connectors._api.manifest import Settings
from connectors._api.session import Peer, Received

HERE: Final = Path(__file__).resolve().parent
SERIALS: Final = 1 << 63


class Session:
    """Decodes the pages of one table as the profile of the instance says."""

    def __init__(self, settings: Settings, peer: Peer) -> None:
        self._key = str(settings["key"])
        self._table = tables.compiled(HERE, settings)

    def start(self, now: int) -> Received:
        """Give nothing: the client reads."""
        return Received()

    def tick(self, now: int) -> Received:
        """Give nothing: no page waits for another."""
        return Received()

    def receive(self, packet: bytes, seen_at: int, origin: str = "") -> Received:
        """Decode a page; rows that cannot be read are refused one by one, the others kept."""
        page = sheets.page_of(packet)
        received = self._table.decode(page, seen_at, self._serial)
        message = {**(received.message or {}), "name": "page", "watermark": page.watermark}
        return msgspec.structs.replace(received, message=message)

    def _serial(self, record: dict[str, Any]) -> dict[str, Any]:
        """Give a row's key as serial where it is a whole number: two rows of one source and time stay two."""
        key = record.get(self._table.declared.rename.get(self._key, self._key))
        return {"serial": key} if type(key) is int and -SERIALS <= key < SERIALS else {}
