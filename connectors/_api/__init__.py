"""The contract of a connector: what its folder holds and what its parts promise.

A connector is a folder beside this one with ``connector.toml`` (see ``manifest``), ``framing.py`` with a
``Framing`` class where bytes come as a stream, and ``decoder.py`` with a ``Session`` class. None of them
has a clock, socket, file or thread of its own.
"""

from connectors._api.manifest import Manifest, Setting, Settings
from connectors._api.mapping import Mapping
from connectors._api.registry import Connector, installed, load
from connectors._api.session import (
    Framing,
    Message,
    Peer,
    Received,
    Reply,
    Request,
    Session,
    describe,
)
from schemas.errors import Reject
from schemas.reading import Lane, Reading

__all__ = [
    "Connector",
    "Framing",
    "Lane",
    "Manifest",
    "Mapping",
    "Message",
    "Peer",
    "Reading",
    "Received",
    "Reject",
    "Reply",
    "Request",
    "Session",
    "Setting",
    "Settings",
    "describe",
    "installed",
    "load",
]
