"""The platform's end of a department's line on a fake clock: the connector's own framing and session."""

from __future__ import annotations

from typing import Any

from cityops.simulator.links import Device
from connectors._api import Peer, Received
from connectors._api.registry import load
from schemas.errors import Reject
from schemas.reading import Lane, Reading

SECOND = 1_000_000


class Platform:
    """Answers at once, as if every reading were stored; refusals are kept."""

    def __init__(self, name: str, **settings: Any) -> None:
        connector = load(name)
        resolved = connector.manifest.resolve(settings, "test")
        self._framing = connector.make_framing(resolved) if connector.make_framing else None
        self._session = connector.make_session(resolved, Peer(name, "127.0.0.1"))
        self.readings: list[Reading] = []
        self.rejects: list[Reject] = []
        self.lanes: list[Lane] = []

    def keep(self, received: Received) -> bytes:
        """Note what was received; gives the replies."""
        self.readings += received.readings
        self.rejects += received.rejects
        self.lanes += [received.lane] * len(received.readings)
        return b"".join(reply.data for reply in received.replies)

    def start(self, now: int) -> bytes:
        """Begin a connection."""
        return self.keep(self._session.start(now))

    def tick(self, now: int) -> bytes:
        """Let time pass."""
        return self.keep(self._session.tick(now))

    def take(self, chunk: bytes, now: int) -> bytes:
        """Take bytes of a stream."""
        assert self._framing is not None
        out = b""
        for packet in self._framing.feed(chunk):
            if isinstance(packet, Reject):
                self.rejects.append(packet)
            else:
                out += self.keep(self._session.receive(packet, now))
        return out

    def read(self, body: bytes, now: int, origin: str) -> bytes:
        """Take a whole document."""
        return self.keep(self._session.receive(body, now, origin))

    def of(self, kind: type[Any]) -> list[Any]:
        """Give the readings of a kind."""
        return [reading for reading in self.readings if isinstance(reading, kind)]


def exchange(device: Device, platform: Platform, chunk: bytes, now: int) -> None:
    """Carry bytes of the device, and all that follow from them."""
    while chunk:
        chunk = device.received(platform.take(chunk, now), now)


def dialled(device: Device, platform: Platform, now: int) -> None:
    """Let the platform dial a device that listens."""
    exchange(device, platform, device.opened(now), now)
    exchange(device, platform, device.received(platform.start(now), now), now)
