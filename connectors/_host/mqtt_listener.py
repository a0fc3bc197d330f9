"""MQTT 3.1.1 as devices publish it to us: control packets cut and answered without a broker in between.

A PUBLISH is decoded by the connector's own session and acknowledged once its readings are safe. Of the connector's
own messages those it wants retained are kept for clients that subscribe later; nothing else is kept for absent
clients, and nothing is passed from one client to another: this is no broker. Clause numbers are those of the OASIS
standard MQTT Version 3.1.1.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import msgspec
from aiomqtt import Topic, Wildcard

from connectors._api.manifest import Settings
from connectors._api.registry import Connector
from connectors._api.session import Framing, Received, Reply, Session
from connectors._host.intake import Intake, guarded
from connectors._host.mqtt_packets import (
    CONNACK,
    CONNECT,
    DISCONNECT,
    PINGREQ,
    PINGRESP,
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    SUBACK,
    SUBSCRIBE,
    UNSUBACK,
    UNSUBSCRIBE,
    Fields,
    MqttFraming,
    packet,
)
from connectors._host.options import MqttOptions
from connectors._host.tcp import TcpServer
from schemas.errors import Reject

ACCEPTED, BAD_VERSION, BAD_CLIENT_ID, BAD_LOGIN = 0, 1, 2, 4
"""Table 3.1."""
HEADROOM = 70_000
"""Bytes a PUBLISH may have besides its payload: the longest topic and its identifier."""
FILTERS_LIMIT, LEVELS_LIMIT = 100, 100
RETAINED_LIMIT = 1000
"""Topics whose last message is kept; with so many the one kept longest is forgotten for a new one."""
RETAIN = 1
"""Flag of a PUBLISH that was kept for a new subscription (3.3.1.3)."""
SECOND = 1_000_000
Decode = Callable[[bytes, int, str], Received]
"""Decodes a payload that arrived at a time on a topic."""


@dataclass(frozen=True, slots=True)
class Will:
    """What a client wants said when it is lost (3.1.2.5)."""

    topic: str
    payload: bytes


class MqttSession:
    """One client's side of MQTT around a session of the connector."""

    def __init__(
        self,
        inner: Session,
        decode: Decode,
        options: MqttOptions,
        clients: dict[str, MqttSession],
        retained: dict[str, bytes],
        connector: str,
    ) -> None:
        self._inner = inner
        self._decode_payload = decode
        self._options = options
        self._clients = clients
        self._retained = retained
        self._connector = connector
        self._client_id: str | None = None
        self.replaced = False
        """Whether the same client has connected anew."""
        self._will: Will | None = None
        self._filters: set[str] = set()
        self._silence_us = 0
        self._heard_at = 0

    def start(self, now: int) -> Received:
        """Note when the connection opened; the connector's session starts when the client has logged in."""
        self._heard_at = now
        return Received()

    def receive(self, packet: bytes, seen_at: int, origin: str = "") -> Received:
        """Answer one control packet; one that breaks the standard ends the connection (4.8)."""
        self._heard_at = seen_at
        kind, flags, fields = packet[0] >> 4, packet[0] & 15, Fields(packet[1:])
        if (kind == CONNECT) == (self._client_id is not None):
            return Received(rejects=[Reject("bad_frame", "CONNECT comes first, and once", packet)], close=True)
        if kind != PUBLISH and flags != (2 if kind in (PUBREL, SUBSCRIBE, UNSUBSCRIBE) else 0):
            return Received(rejects=[Reject("bad_frame", f"packet type {kind} with flags {flags}", packet)], close=True)
        try:
            return self._answer(kind, flags, fields, seen_at)
        except Reject as reject:
            return Received(rejects=[Reject(reject.reason, reject.detail, reject.raw or packet)], close=True)

    def tick(self, now: int) -> Received:
        """End the connection of a client that is silent (3.1.2.10) or has connected anew (3.1.4); else pass the time on."""
        if self.replaced or (self._silence_us and now - self._heard_at > self._silence_us):
            return Received(close=True)
        if self._client_id is None:
            return Received()
        return self._outward(guarded(self._connector, partial(self._inner.tick, now), b""))

    def end(self, now: int) -> Received:
        """Take in the will of a client that was lost without a DISCONNECT."""
        if self._client_id is not None and self._clients.get(self._client_id) is self:
            del self._clients[self._client_id]
        will, self._will = self._will, None
        if will is None or self._client_id is None:
            return Received()
        return self._outward(self._decode(will.payload, will.topic, now))

    def _answer(self, kind: int, flags: int, fields: Fields, now: int) -> Received:
        if kind == CONNECT:
            return self._connect(fields, now)
        if kind == PUBLISH:
            return self._publish(flags, fields, now)
        if kind == DISCONNECT:
            self._will = None
            return Received(close=True)
        if kind == SUBSCRIBE:
            return Received(replies=[Reply(sent, "now") for sent in self._subscribe(fields)])
        return Received(replies=[Reply(self._confirm(kind, fields), "now")])

    def _confirm(self, kind: int, fields: Fields) -> bytes:
        """Give the answer to a packet that needs nothing but one."""
        if kind == PINGREQ:
            return packet(PINGRESP, b"")
        if kind not in (PUBREL, UNSUBSCRIBE):
            raise Reject("bad_frame", f"packet type {kind} is none that a client sends here")
        number = fields.take(2)
        if kind == PUBREL:
            return packet(PUBCOMP, number)
        while fields.left:
            self._filters.discard(fields.text())
        return packet(UNSUBACK, number)

    def _connect(self, fields: Fields, now: int) -> Received:
        """Log a client in (3.1)."""
        name, level, flags, keepalive = fields.block(), fields.number(1), fields.number(1), fields.number(2)
        if name != b"MQTT" or level != 4:
            return _refused(BAD_VERSION, "unsupported", f"protocol {name[:8]!r} level {level}: MQTT 3.1.1 is spoken here")
        if flags & 1:
            raise Reject("bad_frame", "the lowest flag of CONNECT is reserved")
        client_id = fields.text()
        if flags & 4:
            self._will = Will(fields.text(), fields.block())
        username = fields.text() if flags & 128 else ""
        password = fields.block() if flags & 64 else b""
        if not client_id and not flags & 2:
            return _refused(BAD_CLIENT_ID, "bad_field", "a client without an identifier must ask for a clean session")
        if not self._known(username, password):
            return _refused(BAD_LOGIN, "unauthenticated", f"user {username[:64]!r} with a wrong password, or none")
        self._client_id, self._silence_us = client_id, round(keepalive * 1.5 * SECOND)
        if client_id:
            if client_id in self._clients:
                self._clients[client_id].replaced = True
            self._clients[client_id] = self
        started = self._outward(guarded(self._connector, partial(self._inner.start, now), b""))
        hello = Reply(packet(CONNACK, bytes((0, ACCEPTED))), "now")
        return msgspec.structs.replace(started, replies=(hello, *started.replies))

    def _known(self, username: str, password: bytes) -> bool:
        options = self._options
        if not options.username and not options.password:
            return True
        same = hmac.compare_digest(username.encode(), options.username.encode())
        return hmac.compare_digest(password, options.password.reveal().encode()) and same

    def _subscribe(self, fields: Fields) -> Iterator[bytes]:
        """Remember filters, for replies that a connector sends on topics; all are granted at most once (3.9.3).

        SUBACK is followed by the retained messages that they match, each once (3.8.4).
        """
        number, granted, asked = fields.take(2), bytearray(), []
        while fields.left:
            wanted = fields.text()
            fields.number(1)
            if len(self._filters) < FILTERS_LIMIT and _is_filter(wanted):
                self._filters.add(wanted)
            granted.append(0 if wanted in self._filters else 0x80)
            asked += [wanted] if wanted in self._filters else []
        yield packet(SUBACK, number + granted)
        for topic, payload in self._retained.items():
            if _matches(topic, asked):
                yield packet(PUBLISH, _text(topic) + payload, RETAIN)

    def _publish(self, flags: int, fields: Fields, now: int) -> Received:
        """Decode a message, and acknowledge it once its readings are safe (3.3)."""
        quality, topic = flags >> 1 & 3, fields.text()
        if quality == 3 or not topic or "+" in topic or "#" in topic or topic.count("/") > LEVELS_LIMIT:
            raise Reject("bad_frame", f"PUBLISH of quality {quality} on topic {topic[:64]!r}")
        number = fields.take(2) if quality else b""
        received = self._outward(self._decode(fields.take(fields.left), topic, now))
        if not quality:
            return received
        done = Reply(packet(PUBACK if quality == 1 else PUBREC, number), "durable")
        return msgspec.structs.replace(received, replies=(done, *received.replies))

    def _decode(self, payload: bytes, topic: str, now: int) -> Received:
        if self._options.topics and not _matches(topic, self._options.topics):
            detail = f"topic {topic[:256]} matches none of the settings' topics"
            return Received(rejects=[Reject("unsupported", detail, payload)])
        return too_large(payload, topic, self._options.max_bytes) or self._decode_payload(payload, now, topic)

    def _outward(self, received: Received) -> Received:
        """Make the connector's replies messages on their topics, where this client has subscribed to them (quality 0)."""
        for reply in received.replies:
            if reply.to and reply.retain:
                self._retain(reply)
        wanted = [r for r in received.replies if r.to and _matches(r.to, self._filters)]
        replies = [Reply(packet(PUBLISH, _text(r.to) + r.data), r.when) for r in wanted]
        return msgspec.structs.replace(received, replies=replies)

    def _retain(self, reply: Reply) -> None:
        """Keep a topic's last message for those who subscribe later; an empty one ends that (3.3.1.3)."""
        self._retained.pop(reply.to, None)
        if not reply.data:
            return
        if len(self._retained) >= RETAINED_LIMIT:
            del self._retained[next(iter(self._retained))]
        self._retained[reply.to] = reply.data


def too_large(payload: bytes, topic: str, limit: int) -> Received | None:
    """Refuse a payload beyond the limit; None for one that may be decoded."""
    if len(payload) <= limit:
        return None
    detail = f"payload of {len(payload)} bytes on {topic[:256]}; max_bytes is {limit}"
    return Received(rejects=[Reject("too_large", detail, payload[:4096])])


def _is_filter(text: str) -> bool:
    try:
        Wildcard(text)
    except ValueError:
        return False
    return True


def _matches(topic: str, filters: Iterable[str]) -> bool:
    return any(Topic(topic).matches(f) for f in filters)


def _text(text: str) -> bytes:
    content = text.encode()
    return len(content).to_bytes(2, "big") + content


def _refused(code: int, reason: str, detail: str) -> Received:
    return Received(rejects=[Reject(reason, detail)], replies=[Reply(packet(CONNACK, bytes((0, code))), "now")], close=True)


class MqttListener(TcpServer):
    """Devices publish to it directly; each connection has a session of the connector."""

    options: MqttOptions

    def __init__(
        self, connector: Connector, settings: Settings, options: MqttOptions, intake: Intake, clock: Callable[[], int]
    ) -> None:
        super().__init__(connector, settings, options, intake, clock)
        self._clients: dict[str, MqttSession] = {}
        self._retained: dict[str, bytes] = {}

    def make_framing(self) -> Framing:
        """Give the framing of MQTT; a connector's own knows only what is inside the messages."""
        return MqttFraming(self.options.max_bytes + HEADROOM)

    def make_session(self, address: str = "") -> Session:
        """Give MQTT's session around one of the connector."""
        inner = super().make_session(address)
        decode = partial(self.decode, inner)
        return MqttSession(inner, decode, self.options, self._clients, self._retained, self.connector.type)
