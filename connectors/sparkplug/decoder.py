"""The host application's side of Sparkplug B: births give names, data readings, deaths stale ones, gaps a rebirth."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from connectors._api import Peer, Received, Reply, Settings, manifest
from connectors.sparkplug import encoder, topics
from connectors.sparkplug.mapped import Mapped, stale
from connectors.sparkplug.metrics import Definition, Metric, metric, micros, named, shown, text
from connectors.sparkplug.nodes import Node, Nodes
from connectors.sparkplug.payload import parse
from connectors.sparkplug.topics import Topic
from schemas.errors import Reject
from schemas.reading import Reading, kind_of

SECOND: Final = 1_000_000
BD_SEQ: Final = "bdSeq"
CONTROL: Final = ("Node Control/", "Device Control/")
"""Begin the names of metrics that are commands, not measurements."""
MOST: Final = 50_000
"""Metrics that one payload may hold."""


class Session:
    """All edge nodes at one broker."""

    def __init__(self, settings: Settings, peer: Peer) -> None:
        kinds = manifest.read(Path(__file__).parent / "connector.toml").kinds
        self._mapped = Mapped(settings, kinds, peer.connector)
        self._host = str(settings["host_id"])
        self._connected_ms: int | None = None
        """What STATE and the will of a connection both have as their time."""
        self._rebirth_us = round(float(settings["rebirth_interval_s"]) * SECOND)
        self._reorder_us = round(float(settings["reorder_timeout_s"]) * SECOND)
        self._nodes = Nodes()
        self._incomplete: set[tuple[str, str]] = set()
        """Nodes of which messages are missing."""
        self._by_type: dict[str, Callable[[Topic, Any, bytes, int], Received]] = {
            "NBIRTH": self._node_birth,
            "DBIRTH": self._device_birth,
            "NDATA": self._values,
            "DDATA": self._values,
            "NDEATH": self._node_death,
            "DDEATH": self._device_death,
        }

    def will(self, now: int) -> Reply | None:
        """Give what the broker is to say when the connection that begins now is lost: STATE offline (chapter 5)."""
        return self._state(now // 1000, online=False)

    def start(self, now: int) -> Received:
        """Say that we are online, since when the will says too.

        After a lost connection all is stale, and every node is asked to be born again.
        """
        readings: list[Reading] = []
        self._connected_ms = now // 1000
        replies = self._online(now)
        for key, node in self._nodes.known():
            if node.alive:
                readings += self._stale(node, list(node.told), now, now)
                node.die()
            node.asked_at = None  # a node that was dead may have been born while we were away
            replies += self._rebirth(key, node, now)
        self._incomplete.clear()
        return Received(readings=readings, replies=replies)

    def tick(self, now: int) -> Received:
        """Ask for a rebirth where missing messages did not come in time."""
        replies: list[Reply] = []
        rejects: list[Reject] = []
        for key in list(self._incomplete):
            lost, asked = self._overdue(key, now)
            rejects += lost
            replies += asked
        return Received(replies=replies, rejects=rejects)

    def receive(self, packet: bytes, seen_at: int, origin: str = "") -> Received:
        """Decode a payload that came by the topic ``origin``, or ``{"topic": ..., "payload": "<hex>"}``."""
        name, body = topics.opened(packet, origin)
        try:
            topic = topics.read(name)
        except Reject as reject:  # without a topic nobody can tell whose it is, but what it says can be shown
            bare = Topic("payload", "", "")
            return Received(message=_message(bare, parse(body), None), rejects=[reject])
        if topic.type == topics.STATE:
            return self._heard_state(topic, body, seen_at)
        payload = parse(body)
        if len(payload.metrics) > MOST:
            raise Reject("too_large", f"{len(payload.metrics)} metrics; the limit is {MOST}")
        handle = self._by_type.get(topic.type)
        if handle is None:
            return Received(message=_message(topic, payload, None))
        return handle(topic, payload, body, seen_at)

    def _heard_state(self, topic: Topic, body: bytes, now: int) -> Received:
        """Take the STATE of a host application; where ours is said to be offline, say again that we are not (chapter 5)."""
        try:
            said: Any = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Reject("bad_frame", f"STATE is no JSON: {error}") from error
        if not isinstance(said, dict) or not isinstance(said.get("online"), bool):
            raise Reject("bad_field", "STATE has no 'online' that is true or false")
        message = {"name": topics.STATE, "host_id": topic.node, "online": said["online"], "timestamp": said.get("timestamp")}
        ours = topic.node == self._host and not said["online"]
        return Received(message=message, replies=self._online(now) if ours else [])

    def _node_birth(self, topic: Topic, payload: Any, body: bytes, now: int) -> Received:
        key, node = self._node(topic)
        seq = _seq(payload, topic)
        definitions, rejects = _definitions(topic, payload)
        bd_seq = _bd_seq(payload)
        if bd_seq is None:
            rejects.append(Reject("missing_field", "NBIRTH has no bdSeq: any NDEATH of this node will be believed"))
        node.told.clear()
        node.be_born(bd_seq, seq, body, filter(None, definitions))
        self._incomplete.discard(key)
        self._nodes.grew(key)
        return self._measured(topic, node, payload, definitions, rejects, [], now)

    def _device_birth(self, topic: Topic, payload: Any, body: bytes, now: int) -> Received:
        key, node = self._node(topic)
        unknown = self._unknown(topic, payload, node, now)
        if unknown is not None:
            return unknown
        sequence = self._sequence(key, node, _seq(payload, topic), body, now)
        if sequence is None:
            return _repeated(topic, payload)
        definitions, rejects = _definitions(topic, payload)
        node.define(topic.device, filter(None, definitions))
        self._nodes.grew(key)
        return self._measured(topic, node, payload, definitions, sequence[0] + rejects, sequence[1], now)

    def _values(self, topic: Topic, payload: Any, body: bytes, now: int) -> Received:
        key, node = self._node(topic)
        unknown = self._unknown(topic, payload, node, now)
        if unknown is not None:
            return unknown
        sequence = self._sequence(key, node, _seq(payload, topic), body, now)
        if sequence is None:
            return _repeated(topic, payload)
        rejects, replies = sequence
        if topic.device and topic.device not in node.devices:
            why = f"no DBIRTH of {topic.source} came"
            message = _message(topic, payload, None)
            return Received(
                message=message,
                rejects=[*rejects, Reject("unregistered", why)],
                replies=replies or self._rebirth(key, node, now),
            )
        defined = [_defined(node, topic.device, raw) for raw in payload.metrics]
        unborn = [named(raw) for raw, one in zip(payload.metrics, defined, strict=True) if one is None]
        if unborn:
            rejects = [*rejects, Reject("bad_field", f"{', '.join(unborn[:8])}: not in the birth of {topic.source}")]
            replies = replies or self._rebirth(key, node, now)
        return self._measured(topic, node, payload, defined, rejects, replies, now)

    def _node_death(self, topic: Topic, payload: Any, body: bytes, now: int) -> Received:
        """End a node's session, by our clock (chapter 5); a death of another session than the present is not believed."""
        key, node = self._node(topic)
        message = _message(topic, payload, None)
        said = _bd_seq(payload)
        if not node.alive or (node.bd_seq is not None and said != node.bd_seq):
            return Received(message={**message, "believed": False})
        readings = self._stale(node, list(node.told), now, now)
        node.die()
        self._incomplete.discard(key)
        self._nodes.grew(key)
        return Received(message={**message, "believed": True}, readings=readings)

    def _device_death(self, topic: Topic, payload: Any, body: bytes, now: int) -> Received:
        key, node = self._node(topic)
        unknown = self._unknown(topic, payload, node, now)
        if unknown is not None:
            return unknown
        sequence = self._sequence(key, node, _seq(payload, topic), body, now)
        if sequence is None:
            return _repeated(topic, payload)
        ts = micros(payload.timestamp, "the payload") if payload.HasField("timestamp") else now
        readings = self._stale(node, [topic.device], ts, now) if topic.device in node.devices else []
        node.forget(topic.device)
        self._nodes.grew(key)
        message = _message(topic, payload, None)
        return Received(message=message, readings=readings, rejects=sequence[0], replies=sequence[1])

    def _measured(
        self,
        topic: Topic,
        node: Node,
        payload: Any,
        defined: list[Definition | None],
        rejects: list[Reject],
        replies: list[Reply],
        now: int,
    ) -> Received:
        """Give the readings of a payload's metrics; with historical ones among them the message is late."""
        sent_at = micros(payload.timestamp, "the payload") if payload.HasField("timestamp") else now
        message = _message(topic, payload, defined)
        found: list[Metric] = []
        unread: list[Reject] = []
        for raw, one, row in zip(payload.metrics, defined, message["metrics"], strict=True):
            if one is None or "is_transient" in row or one.name == BD_SEQ or one.name.startswith(CONTROL):
                continue
            try:
                found.append(metric(row, raw, one, sent_at))
            except Reject as reject:
                unread.append(reject)
        readings, unfit = self._mapped.readings(topic, found, now)
        if readings:
            node.told.setdefault(topic.device, set()).update((kind_of(r), r.source) for r in readings)
        return Received(
            message=message,
            readings=readings,
            rejects=[*rejects, *unread, *unfit],
            replies=replies,
            lane="late" if any(m.is_historical for m in found) else "live",
        )

    def _node(self, topic: Topic) -> tuple[tuple[str, str], Node]:
        key = topic.group, topic.node
        return key, self._nodes.get(key)

    def _unknown(self, topic: Topic, payload: Any, node: Node, now: int) -> Received | None:
        """Refuse a message of a node that is not alive, and ask it to be born again."""
        if node.alive:
            return None
        reject = Reject("unregistered", f"{topic.type} of {topic.source}, but no NBIRTH of its node came")
        message = _message(topic, payload, None)
        return Received(message=message, rejects=[reject], replies=self._rebirth((topic.group, topic.node), node, now))

    def _sequence(
        self, key: tuple[str, str], node: Node, seq: int, body: bytes, now: int
    ) -> tuple[list[Reject], list[Reply]] | None:
        """Take a sequence number; ``None`` for a packet that came twice, else what a gap is to be answered with."""
        if not node.follows(seq, body, now):
            return None
        if not node.missing:
            self._incomplete.discard(key)
            return [], []
        self._incomplete.add(key)
        return self._overdue(key, now)

    def _overdue(self, key: tuple[str, str], now: int) -> tuple[list[Reject], list[Reply]]:
        """Give up on missing messages whose time is over."""
        node = self._nodes.get(key)
        if node.missing and now - node.missing_since < self._reorder_us:
            return [], []
        self._incomplete.discard(key)
        if not node.missing:
            return [], []
        reject = Reject("incomplete", f"{'/'.join(key)}: {len(node.missing)} messages are missing")
        node.missing = set()
        return [reject], self._rebirth(key, node, now)

    def _rebirth(self, key: tuple[str, str], node: Node, now: int) -> list[Reply]:
        """Ask a node to be born again, but not so soon after it was asked."""
        if node.asked_at is not None and 0 <= now - node.asked_at < self._rebirth_us:
            return []
        node.asked_at = now
        group, name = key
        return [Reply(encoder.rebirth(now // 1000), to=f"{topics.NAMESPACE}/{group}/NCMD/{name}", qos=0)]

    def _stale(self, node: Node, devices: list[str], ts: int, now: int) -> list[Reading]:
        return [reading for device in devices for reading in stale(node.told.pop(device, ()), ts, now)]

    def _online(self, now: int) -> list[Reply]:
        state = self._state(now // 1000 if self._connected_ms is None else self._connected_ms, online=True)
        return [] if state is None else [state]

    def _state(self, timestamp_ms: int, *, online: bool) -> Reply | None:
        """Give our STATE, retained (chapter 6); nothing without an id to say it of."""
        if not self._host:
            return None
        body = encoder.state(online=online, timestamp_ms=timestamp_ms)
        return Reply(body, to=f"{topics.NAMESPACE}/{topics.STATE}/{self._host}", retain=True, qos=1)


def _seq(payload: Any, topic: Topic) -> int:
    if not payload.HasField("seq") or payload.seq > 255:
        raise Reject("missing_field", f"{topic.type} needs a sequence number from 0 to 255")
    return int(payload.seq)


def _bd_seq(payload: Any) -> int | None:
    """Give the birth/death sequence number among the metrics."""
    for raw in payload.metrics:
        if raw.name == BD_SEQ and raw.WhichOneof("value") in ("int_value", "long_value"):
            return int(raw.long_value or raw.int_value)
    return None


def _definitions(topic: Topic, payload: Any) -> tuple[list[Definition | None], list[Reject]]:
    """Read what a birth defines; a metric without name is refused."""
    found: list[Definition | None] = []
    rejects: list[Reject] = []
    for raw in payload.metrics:
        try:
            found.append(_definition(topic, raw))
        except Reject as reject:
            rejects.append(reject)
            found.append(None)
    return found, rejects


def _definition(topic: Topic, raw: Any) -> Definition:
    name = text(raw.name, f"name of a metric of {topic.source}")
    if not name:
        raise Reject("missing_field", f"{topic.type}: the metric with {named(raw)} has no name")
    return Definition(topic.device, name, raw.datatype, raw.alias if raw.HasField("alias") else None)


def _defined(node: Node, device: str, raw: Any) -> Definition | None:
    """Find what the birth said of a metric that comes by name or by alias; an alias of another device is none."""
    if raw.name:
        return node.names.get((device, raw.name))
    found = node.aliases.get(raw.alias) if raw.HasField("alias") else None
    return found if found is not None and found.device == device else None


def _message(topic: Topic, payload: Any, defined: list[Definition | None] | None) -> dict[str, Any]:
    """Give a message in the standard's names; ``defined`` is what the births said of its metrics, one by one."""
    whose = {"group_id": topic.group, "edge_node_id": topic.node, "device_id": topic.device}
    found: dict[str, Any] = {"name": topic.type, **{name: part for name, part in whose.items() if part}}
    for field in ("timestamp", "seq", "uuid", "body"):
        if payload.HasField(field):
            found[field] = getattr(payload, field)
    told = defined or [None] * len(payload.metrics)
    found["metrics"] = [shown(raw, one) for raw, one in zip(payload.metrics, told, strict=True)]
    return found


def _repeated(topic: Topic, payload: Any) -> Received:
    """Give a message that came twice, without its readings."""
    return Received(message={**_message(topic, payload, None), "repeated": True})
