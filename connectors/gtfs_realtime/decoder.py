"""GTFS-Realtime feeds to readings: vehicle positions, trip updates and service notices."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from google.protobuf.json_format import MessageToDict, Parse, ParseError
from google.protobuf.message import DecodeError
from google.transit import gtfs_realtime_pb2 as proto

from connectors._api.manifest import Settings
from connectors._api.session import Peer, Received, Request
from connectors.gtfs_realtime import entities
from connectors.gtfs_realtime.entities import Times
from schemas.errors import Reject
from schemas.kinds.transport import ServiceAlert
from schemas.reading import Reading

FEEDS: Final = 64
"""Most origins whose newest time is remembered."""
AHEAD: Final = 3_600_000_000
"""A header further ahead of arrival than this (an hour, in microseconds) has no usable time."""
REPEAT: Final = 3_600_000_000
"""An unchanged notice is given again after this long (an hour, in microseconds)."""
SECOND: Final = 1_000_000


class Session:
    """One feed, read whole at every poll; without a ``url`` it only decodes."""

    def __init__(self, settings: Settings, peer: Peer) -> None:
        self._url = str(settings["url"])
        self._interval = max(int(settings["interval_s"]), 1) * SECOND
        self._language = str(settings["language"])
        self._newest: dict[str, int] = {}
        self._notices: dict[str, tuple[bytes, int]] = {}

    def start(self, now: int) -> Received:
        """Ask for the feed."""
        return Received(requests=(Request(self._url, now),)) if self._url else Received()

    def tick(self, now: int) -> Received:
        """Give nothing: every answer asks for the next one."""
        return Received()

    def receive(self, packet: bytes, seen_at: int, origin: str = "") -> Received:
        """Decode one feed, protocol buffer or JSON; whatever it holds, the next poll is asked for."""
        try:
            received = self._decode(_read(packet), seen_at, origin)
        except Reject as error:
            received = Received(rejects=(Reject(error.reason, error.detail, error.raw or packet),))
        again = (Request(self._url, seen_at + self._interval),) if self._url else ()
        return msgspec.structs.replace(received, requests=again)

    def _decode(self, feed: Any, seen_at: int, origin: str) -> Received:
        sent_at = feed.header.timestamp * SECOND
        if sent_at > seen_at + AHEAD:
            raise Reject("future_time", f"header timestamp {feed.header.timestamp} lies more than an hour ahead")
        newest = self._newest.get(origin, 0)
        if 0 < sent_at < newest:
            late = (newest - sent_at) // SECOND
            raise Reject(
                "stale_feed", f"header timestamp {feed.header.timestamp} lies {late} s before that of the feed before it"
            )
        if sent_at and (origin in self._newest or len(self._newest) < FEEDS):
            self._newest[origin] = sent_at
        readings, rejects = self._readings(feed, Times(sent_at or None, seen_at))
        return Received(message=_message(feed), readings=readings, rejects=rejects)

    def _readings(self, feed: Any, times: Times) -> tuple[list[Reading], list[Reject]]:
        found: list[Reading] = []
        rejects: list[Reject] = []
        notices: dict[str, tuple[bytes, int]] = {}
        for entity in feed.entity:
            if entity.is_deleted:
                continue
            try:
                if entity.HasField("vehicle") and not entities.is_upcoming(entity, times):
                    found.append(entities.legible(entities.position(entity, times)))
                if entity.HasField("trip_update"):
                    found.append(entities.legible(entities.trip(entity, times)))
                if entity.HasField("alert"):
                    notice = entities.legible(entities.notice(entity, self._language, times))
                    found += self._news(entity, notice, notices)
            except Reject as error:
                rejects.append(Reject(error.reason, f"entity {entity.id}: {error.detail}", entity.SerializePartialToString()))
        if notices or feed.header.incrementality == proto.FeedHeader.FULL_DATASET:
            self._notices = notices
        return found, rejects

    def _news(self, entity: Any, notice: ServiceAlert, notices: dict[str, tuple[bytes, int]]) -> list[Reading]:
        """Give the notice where it is new, has changed or was last given an hour ago."""
        digest = entity.alert.SerializeToString(deterministic=True)
        known = self._notices.get(entity.id)
        if known is not None and known[0] == digest and notice.ts < known[1] + REPEAT:
            notices[entity.id] = known
            return []
        notices[entity.id] = (digest, notice.ts)
        return [notice]


def _read(packet: bytes) -> Any:
    """Give the feed; a message that is no GTFS-Realtime, or lacks what the standard requires, is refused."""
    feed = proto.FeedMessage()
    try:
        if packet.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{"):
            Parse(packet.decode("utf-8-sig"), feed, ignore_unknown_fields=True, max_recursion_depth=32)
        else:
            feed.ParseFromString(packet)
    except (DecodeError, ParseError, UnicodeDecodeError, RecursionError) as error:
        raise Reject("bad_frame", f"no GTFS-Realtime feed: {str(error)[:200]}") from error
    if not feed.IsInitialized():
        raise Reject("bad_frame", "no GTFS-Realtime feed: a required field (header, its version, an entity's id) is absent")
    return feed


def _message(feed: Any) -> dict[str, Any]:
    fields: dict[str, Any] = MessageToDict(feed, preserving_proto_field_name=True)
    rows = fields.get("entity", [])
    header = {**fields["header"], "incrementality": proto.FeedHeader.Incrementality.Name(feed.header.incrementality)}
    if feed.header.timestamp:
        header["timestamp"] = feed.header.timestamp
    counts = {name: sum(name in row for row in rows) for name in ("vehicle", "trip_update", "alert")}
    return {"name": "feed", **header, "entities": {"all": len(rows), **counts}, "entity": rows}
