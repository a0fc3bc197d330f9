"""What the HTTP and websocket sides stand on; tests put other parts in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from starlette.requests import HTTPConnection

from gateway.commands import Commander
from gateway.live.hub import Hub
from gateway.sessions import Sessions
from schemas.config import Config
from storage.accounts import Actor
from storage.connect import Pool


@dataclass(slots=True)
class Parts:
    """Everything a request may need; ``trouble`` gives the reasons why the gateway is not ready."""

    config: Config
    pool: Pool
    hub: Hub
    sessions: Sessions
    commander: Commander
    clock: Callable[[], int]
    trouble: Callable[[], Awaitable[list[str]]]
    build: str
    static: Path | None = None
    sockets: dict[str, int] = field(default_factory=dict)
    """Open websockets by user."""
    log_ins: dict[str, list[int]] = field(default_factory=dict)
    """Times of the last minute's log-in attempts by network address."""

    @property
    def data_dir(self) -> Path:
        """Folder of the installation's own files."""
        return Path(self.config.data_dir)


def parts_of(connection: HTTPConnection) -> Parts:
    """Give the parts of the app that serves a request."""
    found: Parts = connection.app.state.parts
    return found


def address(connection: HTTPConnection) -> str:
    """Give the network address a request comes from."""
    return connection.client.host if connection.client else "unknown"


def actor(connection: HTTPConnection, name: str) -> Actor:
    """Give who acts, from where, now."""
    return Actor(name, address(connection), parts_of(connection).clock())
