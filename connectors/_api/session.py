"""What a connector's decoder takes and gives: bytes in; readings, replies, rejects and requests out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

import msgspec

from schemas.derive import TIMES
from schemas.errors import Reject
from schemas.reading import Lane, Reading, as_row, kind_of

Message = Mapping[str, Any]
"""A packet in the standard's own terms and units; its key ``name`` tells which message it is."""


class Reply(msgspec.Struct, frozen=True):
    """Bytes owed to the device.

    ``durable`` waits until Kafka, or the fsynced spool, holds the readings of the same packet;
    ``now`` goes out at once. The host keeps the order of replies within a connection.
    """

    data: bytes
    when: Literal["now", "durable"] = "durable"
    to: str = ""
    """Topic to publish on, where the transport has topics; empty is the connection it came by."""
    status: int = 200
    """HTTP status of the answer, where the transport is HTTP."""
    retain: bool = False
    """The broker keeps it for those who subscribe later, where the transport is MQTT."""
    qos: Literal[0, 1, 2] | None = None
    """MQTT's quality of service; by itself that of the host's option."""


class Request(msgspec.Struct, frozen=True):
    """A document a polled session wants, not before ``at`` (microseconds UTC; 0 is at once)."""

    url: str
    at: int = 0


class Received(msgspec.Struct, frozen=True):
    """All that follows from one packet, or from the passing of time."""

    message: Message | None = None
    readings: Sequence[Reading] = ()
    replies: Sequence[Reply] = ()
    rejects: Sequence[Reject] = ()
    requests: Sequence[Request] = ()
    lane: Lane = "live"
    close: bool = False
    """The peer must be disconnected once the replies are out."""


class Peer(msgspec.Struct, frozen=True):
    """Who is at the other end: the connector instance and the remote address."""

    connector: str
    address: str = ""


class Framing(Protocol):
    """Cuts a byte stream into packets: knows delimiters, lengths, escapes and checksums, never fields."""

    def feed(self, data: bytes) -> list[bytes | Reject]:
        """Give the packets completed by ``data``, and a ``Reject`` for each stretch that is none.

        Any split of the same bytes gives the same packets. It never raises and holds a bounded buffer.
        """
        ...


class Session(Protocol):
    """One connection's, or one polled feed's, side of a protocol.

    A session is made as ``Session(settings, peer)`` and holds, bounded in size and age, what the
    protocol binds to a connection. What stands on its sources beyond that it compares by the memory that its host
    hands to its method ``adopt(memory)``, where it has one, before ``start``.
    """

    def start(self, now: int) -> Received:
        """Give what is due when the connection opens (a polled feed's first requests)."""
        ...

    def receive(self, packet: bytes, seen_at: int, origin: str = "") -> Received:
        """Decode one packet that arrived at ``seen_at`` (microseconds UTC).

        ``origin`` is the URL, topic or file name it came from, where the transport has one. A packet
        that cannot be used gives rejects; only ``Reject`` may be raised, for the packet as a whole.
        """
        ...

    def tick(self, now: int) -> Received:
        """Give what follows from the passing of time: expired sub-packages, due requests."""
        ...


def describe(received: Received) -> dict[str, Any]:
    """Give the JSON form of a result: message, readings in SI and WGS-84, replies in hex, rejects."""
    return {
        "message": plain(received.message),
        "readings": [_reading(r) for r in received.readings],
        "replies": [r.data.hex().upper() for r in received.replies],
        "rejects": [{"reason": r.reason, "detail": r.detail} for r in received.rejects],
    }


def _reading(reading: Reading) -> dict[str, Any]:
    row = {
        name: iso(value) if name in TIMES or name.endswith("_at") else plain(value)
        for name, value in as_row(reading).items()
        if value is not None and name != "seen_at"
    }
    return {"kind": kind_of(reading), **row}


def iso(ts: int) -> str:
    """Give a time as RFC 3339 in UTC, with the fraction only where there is one."""
    seconds, fraction = divmod(ts, 1_000_000)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{fraction:06d}".rstrip("0").rstrip(".") + "Z" if fraction else f"{text}Z"


def plain(value: Any) -> Any:
    """Give a value JSON can hold: bytes become upper-case hex, mappings and sequences are walked."""
    if isinstance(value, bytes):
        return value.hex().upper()
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return value
