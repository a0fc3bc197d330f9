"""Changes of values, as the client brings them, to readings with their quality."""

from __future__ import annotations

from connectors._api import Peer, Received, Settings
from connectors.opcua.change import Change, Moment, moment, read, shown
from connectors.opcua.points import Points
from schemas.errors import Reject


class Session:
    """Decodes packets one by one; it remembers nothing, for the client keeps the subscription."""

    def __init__(self, settings: Settings, peer: Peer) -> None:
        self._points = Points(settings, peer.connector)

    def start(self, now: int) -> Received:
        """Give nothing: the client subscribes."""
        return Received()

    def tick(self, now: int) -> Received:
        """Give nothing: no packet waits for another."""
        return Received()

    def receive(self, packet: bytes, seen_at: int, origin: str = "") -> Received:
        """Decode one change or a batch of them; one that cannot be read leaves the others."""
        rejects: list[Reject] = []
        changes: list[tuple[Change, Moment]] = []
        for change in read(packet):
            try:
                changes.append((change, moment(change, seen_at)))
            except Reject as reject:
                rejects.append(reject)
        rows = [shown(change, at.status) for change, at in changes]
        readings, unread = self._points.readings(changes, seen_at)
        message = {"name": "data_change", **rows[0]} if len(rows) == 1 else {"name": "data_changes", "changes": rows}
        return Received(message=message, readings=readings, rejects=rejects + unread)
