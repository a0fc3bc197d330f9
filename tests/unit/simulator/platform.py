"""The platform's end of a department's line on a fake clock: the connector's own framing and session."""

from __future__ import annotations

from typing import Any

from cityops.simulator.carriers import Feed
from cityops.simulator.estate import Counts
from cityops.simulator.links import Device
from cityops.simulator.world import Size, World
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


NOON = (1_780_243_200 + 12 * 3600) * SECOND
COUNTS = Counts(links=20, water=8, gas=9, heat=4, feeders=6, cabinets=3, meters=30)
SIZE = Size(buses=12, taxis=30, coaches=9, hazmat=9, dust=2, bike_stations=12, bikes=40, hailing=20, evs=6, fixed=COUNTS)
KEY = {"hash_key": "k"}


def make_world(now: int = NOON) -> World:
    return World(SIZE, 1405, now, 1, platform=True)


def run(world: World, device: Device, platform: Platform, seconds: int) -> None:
    for second in range(1, seconds + 1):
        now = world.started_at + second * SECOND
        world.step(now)
        exchange(device, platform, device.tick(now), now)
        exchange(device, platform, device.received(platform.tick(now), now), now)


def gathered(world: World, feed: Feed, platform: Platform, seconds: int, origin: str = "") -> None:
    for second in range(1, seconds + 1):
        now = world.started_at + second * SECOND
        world.step(now)
        for message in feed.due(now):
            before = len(platform.readings)
            platform.read(message.body, now, origin + message.to)
            assert len(platform.readings) - before >= message.rows, message.to
