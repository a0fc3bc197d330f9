"""Packets built from values: what the client, the simulator and tests hand to the session."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from connectors._api.session import iso


def change(
    node: str, value: Any = None, ts: int | None = None, *, status: int = 0, server_ts: int | None = None
) -> dict[str, Any]:
    """Give one change as a packet says it; times are µs UTC, a value that JSON has no form for becomes its text."""
    return {
        "node": node,
        "value": value,
        "source_timestamp": None if ts is None else iso(ts),
        "server_timestamp": None if server_ts is None else iso(server_ts),
        "status": status,
    }


def packet(changes: Sequence[dict[str, Any]]) -> bytes:
    """Give the packet of one change, or of a batch."""
    return msgspec.json.encode(changes[0] if len(changes) == 1 else changes, enc_hook=str)
