"""The packets between client and session: changes of values as JSON, one or a batch."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from connectors._api import times
from connectors.opcua import status
from schemas.errors import Reject

MOST: Final = 10_000
"""Changes one packet may hold."""


class Change(msgspec.Struct, frozen=True):
    """One change: node id, value, times of source and server (RFC 3339), status as number or name."""

    node: str
    value: Any = None
    source_timestamp: str | None = None
    server_timestamp: str | None = None
    status: int | str = 0


class Moment(msgspec.Struct, frozen=True):
    """When a change happened (µs UTC), and its status as a number."""

    ts: int
    status: int


_decoder = msgspec.json.Decoder(Change | list[Change])
_time = times.reader("iso", "UTC")


def read(packet: bytes) -> list[Change]:
    """Give the changes of a packet; what is none is a ``bad_frame``."""
    try:
        found = _decoder.decode(packet)
    except UnicodeDecodeError as error:
        raise Reject("bad_encoding", f"not UTF-8: {error.reason}", packet) from error
    except (msgspec.MsgspecError, RecursionError) as error:
        raise Reject("bad_frame", f"no change of a value: {error}", packet) from error
    changes = found if isinstance(found, list) else [found]
    if len(changes) > MOST:
        raise Reject("too_large", f"{len(changes)} changes; the limit is {MOST}", packet)
    return changes


def moment(change: Change, seen_at: int) -> Moment:
    """Give time and status of a change: the source's time, or else the server's, or else that of arrival."""
    code = status.CODES.get(change.status) if isinstance(change.status, str) else change.status
    if code is None or not 0 <= code < status.LIMIT:
        raise Reject("bad_field", f"{change.node}: status {str(change.status)[:40]!r} is no StatusCode")
    text = change.source_timestamp or change.server_timestamp
    if text is None:
        return Moment(seen_at, code)
    try:
        return Moment(_time(text), code)
    except (ValueError, OverflowError):
        raise Reject("bad_field", f"{change.node}: {text[:40]!r} is no time as RFC 3339 has it") from None


def shown(change: Change, code: int) -> dict[str, Any]:
    """Give a change as a message shows it: what it says, and the name of its status."""
    return {
        "node": change.node,
        "value": change.value,
        "source_timestamp": change.source_timestamp,
        "server_timestamp": change.server_timestamp,
        "status": code,
        "status_name": status.name(code),
    }
