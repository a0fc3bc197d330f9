"""Messages of a vendor's devices, read as the profile of the instance says."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from connectors._api import manifest, profiles
from connectors._api.manifest import Settings
from connectors._api.paths import document
from connectors._api.session import Peer, Received

HERE: Final = Path(__file__).resolve().parent
WHOLE: Final = frozenset({"topic", "payload"})
"""Keys of a packet that brings its topic along, for decoding without a broker."""


class Session:
    """Decodes messages one by one; it remembers nothing."""

    def __init__(self, settings: Settings, peer: Peer) -> None:
        kinds = manifest.read(HERE / "connector.toml").kinds
        self._profile = profiles.load(str(settings["profile"]), settings["changes"], str(settings["kind"]), kinds)

    def start(self, now: int) -> Received:
        """Give nothing: the host subscribes."""
        return Received()

    def tick(self, now: int) -> Received:
        """Give nothing: no message waits for another."""
        return Received()

    def receive(self, packet: bytes, seen_at: int, origin: str = "") -> Received:
        """Decode a payload that came by the topic ``origin``; one that came by none may be ``{"topic": ..., "payload": ...}``."""
        body = document(packet)
        came_by_topic = self._profile.names(origin)
        if not came_by_topic and isinstance(body, dict) and body.keys() == WHOLE and isinstance(body["topic"], str):
            return self._profile.decode(body["payload"], body["topic"], seen_at)
        return self._profile.decode(body, origin, seen_at)
