"""What every transport is to its instance: a door that is opened, looked at, and closed."""

from __future__ import annotations

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial

from connectors._api.episodes import Memory
from connectors._api.manifest import Settings
from connectors._api.registry import Connector
from connectors._api.session import Peer, Received, Session
from connectors._host.builder import Delivery
from connectors._host.cut import cut
from connectors._host.intake import Intake, guarded
from schemas.errors import Reject
from schemas.events import Health

LONGEST_PAUSE_S = 60.0
HAND_OVER_TURNS = 4
"""Turns of the loop from a connection's arrival to its hand-over."""
STEADY_S = 60.0
"""What held this long is tried again without the pauses grown before."""


class Door(ABC):
    """One instance's way to the outside."""

    def __init__(self, connector: Connector, settings: Settings, intake: Intake, clock: Callable[[], int]) -> None:
        self.connector = connector
        self.settings = settings
        self.intake = intake
        self.clock = clock
        self.health: Health = "live"
        """How the outside is, as far as the transport can tell."""
        self.detail = ""

    @property
    def count(self) -> int:
        """How many connections or peers there are."""
        return 0

    @abstractmethod
    async def serve(self, ready: Callable[[], None]) -> None:
        """Work until cancelled; ``ready`` is called once input can come."""

    def halt(self) -> None:  # noqa: B027 - a door that only asks has nothing to halt
        """Take in nothing more; replies that wait for their readings may still go out until ``close``."""

    async def close(self) -> None:  # noqa: B027 - nor anything to let go of
        """Let go of everything; a reply whose readings are not safe by now is not sent."""

    def make_session(self, address: str = "") -> Session:
        """Give a session for a peer at that address."""
        return open_session(self.connector, self.settings, self.intake, address)

    def decode(self, session: Session, content: bytes, now: int, origin: str) -> Received:
        """Decode a payload or body that stands for itself."""
        return decode(self.connector, self.settings, session, content, now, origin)


def open_session(connector: Connector, settings: Settings, intake: Intake, address: str = "") -> Session:
    """Give a session for a peer at that address; one that remembers beyond a connection shares the instance's memory."""
    session = connector.make_session(settings, Peer(intake.name, address))
    adopt: Callable[[Memory], None] | None = getattr(session, "adopt", None)
    if adopt is not None:
        adopt(intake.keeper.memory)
    return session


def decode(connector: Connector, settings: Settings, session: Session, content: bytes, now: int, origin: str) -> Received:
    """Decode what stands for itself: one packet, or those its connector's framing finds in it."""
    found = [
        Received(rejects=[packet])
        if isinstance(packet, Reject)
        else guarded(connector.type, partial(session.receive, packet, now, origin), packet)
        for packet in cut(connector.make_framing, settings, content)
    ]
    return found[0] if len(found) == 1 else _together(found)


async def stop_listening(server: asyncio.Server) -> None:
    """Close a listener; a connection that is being accepted at this moment is handed over first.

    Before Python 3.12 asyncio forgets, with its socket open, a connection whose server is closed in between.
    """
    loop = server.get_loop()
    for listening in server.sockets:
        loop.remove_reader(listening.fileno())
    for _ in range(HAND_OVER_TURNS):
        await asyncio.sleep(0)
    server.close()


async def safe(delivery: Delivery) -> None:
    """Wait until every row of a packet is safe."""
    done = asyncio.Event()
    delivery.then(done.set)
    await done.wait()


def _together(found: list[Received]) -> Received:
    """Give several packets' results as one; if one was late all are, and page nobody."""
    return Received(
        message=next((r.message for r in reversed(found) if r.message is not None), None),
        readings=[reading for r in found for reading in r.readings],
        replies=[reply for r in found for reply in r.replies],
        rejects=[reject for r in found for reject in r.rejects],
        lane=next((r.lane for r in found if r.lane != "live"), "live"),
        close=any(r.close for r in found),
    )


class Backoff:
    """Pauses before trying again: they grow to a minute, with jitter, until something held."""

    def __init__(self) -> None:
        self._failures = 0

    def pause(self, held_s: float) -> float:
        """Give the seconds to wait after an attempt that held so long."""
        self._failures = 1 if held_s > STEADY_S else self._failures + 1
        return min(2.0 ** min(self._failures - 1, 10), LONGEST_PAUSE_S) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
