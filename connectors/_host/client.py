"""Connectors with a client of their own: each packet it gives is safe before it is asked for the next."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import partial

from connectors._api.manifest import Settings
from connectors._api.registry import Connector
from connectors._api.session import Received
from connectors._host.door import Door, safe
from connectors._host.intake import Intake, guarded
from connectors._host.options import ClientOptions
from schemas.errors import Fatal

Packets = Callable[[Settings, Callable[[], int]], AsyncIterator[tuple[bytes, str]]]
"""A connector's ``packets(settings, clock)``: packets with their origin, for ever; it raises where the other side is away."""


class ClientDoor(Door):
    """Runs the client of one instance; its session lives as long as the client does."""

    def __init__(
        self,
        connector: Connector,
        settings: Settings,
        options: ClientOptions,
        intake: Intake,
        clock: Callable[[], int],
        *,
        packets: Packets | None = None,
    ) -> None:
        super().__init__(connector, settings, intake, clock)
        self._session = self.make_session()
        self._packets = packets or load(connector)

    async def serve(self, ready: Callable[[], None] = lambda: None) -> None:
        """Take in what the client gives until cancelled; what it raises ends the door, and its instance starts it anew."""
        ready()
        self._act(partial(self._session.start, self.clock()))
        ticking = asyncio.create_task(self._tick())
        packets = self._packets(self.settings, self.clock)
        try:
            async for packet, origin in packets:
                await self.intake.room()
                received = self.decode(self._session, packet, self.clock(), origin)
                await safe(self.intake.take(received, packet, self.clock(), origin))
        finally:
            ticking.cancel()
            close = getattr(packets, "aclose", None)
            if close is not None:
                with suppress(RuntimeError):  # it was told to end while it ran
                    await close()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            self._act(partial(self._session.tick, self.clock()))

    def _act(self, call: Callable[[], Received]) -> None:
        received = guarded(self.connector.type, call, b"")
        if received.readings or received.rejects:
            self.intake.take(received, b"", self.clock())


def load(connector: Connector) -> Packets:
    """Give the ``packets`` of a connector's ``client.py``; ``Fatal`` where there is none, or a library of it is absent."""
    try:
        found: Packets = importlib.import_module(f"{connector.package}.client").packets
    except ImportError as error:
        msg = f"connector {connector.type!r}: its client.py cannot be loaded: {error}; install what it needs"
        raise Fatal(msg) from error
    except AttributeError as error:
        msg = f"connector {connector.type!r}: its client.py has no packets(settings, clock)"
        raise Fatal(msg) from error
    return found
