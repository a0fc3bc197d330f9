"""Packets in a line, file, datagram, payload or body that stands for itself."""

from __future__ import annotations

from collections.abc import Callable

from connectors._api.manifest import Settings
from connectors._api.session import Framing
from schemas.errors import Reject


def cut(make_framing: Callable[[Settings], Framing] | None, settings: Settings, content: bytes) -> list[bytes | Reject]:
    """Give the packets in a line or file that stands for itself."""
    if make_framing is None:
        return [content]
    framing = make_framing(settings)
    packets = [*framing.feed(content), *flush(framing)]
    return packets or [Reject("bad_frame", f"no packet in {len(content)} bytes", content)]


def flush(framing: Framing) -> list[bytes | Reject]:
    """Give what a framing still holds when its stream ends, where it has a ``flush`` for that."""
    end: Callable[[], list[bytes | Reject]] | None = getattr(framing, "flush", None)
    return end() if end is not None else []
