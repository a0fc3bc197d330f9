"""Packets tried on a connector that may not be installed: the same results as ``cityops decode`` gives."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from cityops.decode import pairs
from cityops.parts import now
from connectors._api.manifest import Settings
from connectors._api.registry import Connector
from connectors._api.session import Peer, Received, describe
from connectors._host.cut import cut
from connectors._host.decode import settings_from_text
from connectors._host.intake import guarded
from schemas.errors import Reject


def settings_of(connector: Connector, given: Sequence[str]) -> Settings:
    """Give complete settings from ``key=value`` options."""
    return settings_from_text(connector.manifest, pairs(given))


def tried(connector: Connector, given: Sequence[str], inputs: Sequence[tuple[bytes, str]]) -> list[dict[str, Any]]:
    """Decode packets with their origins as one session."""
    settings = settings_of(connector, given)
    session = connector.make_session(settings, Peer(connector.type))
    session.start(now())
    found = []
    for content, origin in inputs:
        for packet in cut(connector.make_framing, settings, content):
            if isinstance(packet, Reject):
                found.append(describe(Received(rejects=[packet])))
            else:
                found.append(describe(guarded(connector.type, partial(session.receive, packet, now(), origin), packet)))
    return found
