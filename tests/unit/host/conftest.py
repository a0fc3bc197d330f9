"""Connectors for tests of the host: the template under the names of several transports."""

from __future__ import annotations

import dataclasses
from typing import Any

import msgspec
import pytest

from connectors._api import registry
from connectors._api.manifest import Settings
from connectors._api.session import Peer, Received, Request
from schemas.errors import Fatal
from tests.contract.test_connectors import TEMPLATE


class Polled:
    """A feed of one-line documents, asked for one after the other."""

    def __init__(self, settings: Settings, peer: Peer) -> None:
        self._url = settings["url"]
        self._inner = TEMPLATE.make_session({"stations": [], "silence_s": 1.0}, peer)

    def start(self, now: int) -> Received:
        return Received(requests=[Request(self._url, now)])

    def tick(self, now: int) -> Received:
        return Received()

    def receive(self, packet: bytes, seen_at: int, origin: str = "") -> Received:
        again = [Request(origin, seen_at + 30_000_000)]
        return msgspec.structs.replace(self._inner.receive(packet, seen_at), replies=(), requests=again)


@pytest.fixture
def connectors(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The template under the names of three transports."""
    url = msgspec.structs.replace(TEMPLATE.manifest.settings["stations"], type="str", default="")
    polled = msgspec.structs.replace(TEMPLATE.manifest, transport="http_poll", settings={"url": url})
    topics = msgspec.structs.replace(TEMPLATE.manifest, transport="mqtt", default_port=None)
    files = msgspec.structs.replace(TEMPLATE.manifest, transport="file")
    known = {
        "line": dataclasses.replace(TEMPLATE, type="line"),
        "feed": dataclasses.replace(TEMPLATE, type="feed", manifest=polled, make_session=Polled, make_framing=None),
        "topics": dataclasses.replace(TEMPLATE, type="topics", manifest=topics),
        "lines": dataclasses.replace(TEMPLATE, type="lines", manifest=files),
    }

    def load(name: str) -> Any:
        if name not in known:
            raise Fatal(f"no connector {name!r}")
        return known[name]

    monkeypatch.setattr(registry, "load", load)
    return known
