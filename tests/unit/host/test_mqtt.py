"""MQTT: packets are cut and answered by the standard, and no PUBACK goes out before its readings are safe."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import aiomqtt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors._api.session import Received, Reply
from connectors._host.intake import guarded
from connectors._host.mqtt import Client, MqttSubscriber, Waiting
from connectors._host.mqtt_listener import RETAINED_LIMIT, MqttListener, MqttSession
from connectors._host.mqtt_packets import MqttFraming, packet
from connectors._host.options import MqttOptions
from connectors._template import encoder
from schemas.config import Secret
from schemas.errors import Reject
from tests.contract.test_connectors import TEMPLATE, with_session
from tests.unit.host.fakes import START, Bench, bus, until

SECOND = 1_000_000


class Vendor:
    """A connector of messages: the payload names a bus; ``bad`` is refused, ``ask`` is answered on a topic of its own."""

    def __init__(self, settings: Any, peer: Any) -> None:
        self.origins: list[str] = []

    def start(self, now: int) -> Received:
        return Received()

    def tick(self, now: int) -> Received:
        return Received()

    def receive(self, payload: bytes, seen_at: int, origin: str = "") -> Received:
        self.origins.append(origin)
        if payload == b"bad":
            raise Reject("bad_field", "no bus")
        replies = [Reply(b"done", to="cmd/1")] if payload == b"ask" else []
        if payload.startswith(b"keep "):
            topic, _, content = payload[5:].partition(b" ")
            replies = [Reply(content, to=topic.decode(), retain=True)]
        return Received(message={"name": "bus"}, readings=[bus(payload.decode())], replies=replies)


VENDOR = with_session(Vendor, None)
HELLO = packet(1, b"\0\4MQTT\4\2\0\x0a\0\2c1")
"""3.1: protocol MQTT level 4, clean session, keep alive 10 s, client c1."""
ACCEPTED, REFUSED_LOGIN, REFUSED_VERSION = bytes.fromhex("20020000"), bytes.fromhex("20020004"), bytes.fromhex("20020001")


def publish(topic: str, payload: bytes, number: int | None = 1) -> bytes:
    body = len(topic).to_bytes(2, "big") + topic.encode() + (number.to_bytes(2, "big") if number else b"") + payload
    return packet(3, body, 2 if number else 0)


def session(
    clients: dict[str, MqttSession] | None = None, retained: dict[str, bytes] | None = None, **options: Any
) -> MqttSession:
    inner = Vendor({}, None)

    def decode(payload: bytes, now: int, topic: str) -> Received:
        return guarded("vendor", partial(inner.receive, payload, now, topic), payload)

    known, kept = {} if clients is None else clients, {} if retained is None else retained
    return MqttSession(inner, decode, MqttOptions(**options), known, kept, "vendor")


def fed(s: MqttSession, *packets: bytes, now: int = START) -> list[Received]:
    found = MqttFraming(1 << 20).feed(b"".join(packets))
    return [Received(rejects=[p]) if isinstance(p, Reject) else s.receive(p, now) for p in found]


@given(cuts=st.lists(st.integers(1, 30), max_size=12), size=st.sampled_from([0, 1, 127, 128, 200, 20_000]))
def test_any_split_of_the_stream_gives_the_same_packets(cuts: list[int], size: int) -> None:
    stream = HELLO + publish("a/b", b"x" * size) + packet(12, b"") + publish("a", b"y" * 40_000) + packet(14, b"")
    whole = MqttFraming(30_000)
    expected = whole.feed(stream)
    parted = MqttFraming(30_000)
    found, at = [], 0
    for cut in cuts:
        found += parted.feed(stream[at : at + cut])
        at += cut
    assert found + parted.feed(stream[at:]) == expected
    kinds = [p.reason if isinstance(p, Reject) else p[0] >> 4 for p in expected]
    assert kinds == [1, 3, 12, "too_large", 14]


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_or_answered(content: bytes) -> None:
    for s in (session(), session()):
        fed(s, HELLO)
        for received in fed(s, content):
            assert received.readings or received.rejects or received.replies or received.close
    assert len(MqttFraming(100)._buffer) == 0


def test_length_that_is_none_ends_the_search_for_packets() -> None:
    framing = MqttFraming(1000)
    assert [p.reason for p in framing.feed(b"\x30\xff\xff\xff\xff\x01") if isinstance(p, Reject)] == ["bad_length"]
    assert framing.feed(HELLO) == []


def test_login_is_checked() -> None:
    login = b"\0\4MQTT\4\xc2\0\x0a\0\2c1\0\4user\0\4pass"
    asked = {"username": "user", "password": Secret("pass")}
    assert fed(session(**asked), packet(1, login))[0].replies[0].data == ACCEPTED
    for wrong in (login[:-1] + b"S", login.replace(b"user", b"anna"), HELLO[2:]):
        (refused,) = fed(session(**asked), packet(1, wrong))
        assert (refused.replies[0].data, refused.close, refused.rejects[0].reason) == (REFUSED_LOGIN, True, "unauthenticated")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (publish("a", b"B1"), "bad_frame"),
        (packet(12, b""), "bad_frame"),
        (packet(1, b"\0\4MQTT\4\3\0\0\0\0"), "bad_frame"),
        (packet(1, b"\0\4MQTT\4\2\0"), "bad_length"),
        (packet(1, b"\0\4MQTT\4\2\0\0\0\2\xff\xfe"), "bad_encoding"),
    ],
)
def test_what_may_not_come_first_ends_the_connection(content: bytes, reason: str) -> None:
    (received,) = fed(session(), content)
    assert ([r.reason for r in received.rejects], received.close, received.readings) == ([reason], True, ())


def test_other_versions_are_told_so() -> None:
    (refused,) = fed(session(), packet(1, b"\0\4MQTT\5\2\0\x0a\0\0\2c1"))
    assert (refused.replies[0].data, refused.close) == (REFUSED_VERSION, True)


@pytest.mark.parametrize(
    "content", [HELLO, publish("a/#", b"B1"), packet(8, b"\0\1\0\1a\0"), packet(3, b"\0\1aB1", 6), packet(2, b"")]
)
def test_what_may_not_come_later_ends_the_connection(content: bytes) -> None:
    hello, received = fed(session(), HELLO, content)
    assert hello.replies[0].data == ACCEPTED
    assert ([r.reason for r in received.rejects], received.close) == (["bad_frame"], True)


def test_publish_waits_for_its_readings_and_a_refused_one_is_acknowledged_too() -> None:
    _, good, bad, loose, exact = fed(
        session(), HELLO, publish("a", b"B1", 5), publish("a", b"bad", 6), publish("a", b"B2", None), packet(3, b"\0\1a\0\7B3", 4)
    )
    assert [(r.data.hex(), r.when) for r in good.replies] == [("40020005", "durable")]
    assert [(r.data.hex(), r.when) for r in bad.replies] == [("40020006", "durable")]
    assert [(r.reason, r.raw) for r in bad.rejects] == [("bad_field", b"bad")]
    assert (len(loose.readings), loose.replies) == (1, [])
    assert [r.data.hex() for r in exact.replies] == ["50020007"]
    s = session()
    assert [r.replies[0].data.hex() for r in fed(s, HELLO, packet(6, b"\0\7", 2))] == ["20020000", "70020007"]


def test_limits_of_topic_and_size() -> None:
    s = session(topics=["city/+/bus"], max_bytes=10)
    _, good, wrong, large = fed(
        s, HELLO, publish("city/1/bus", b"B1"), publish("city/1", b"B1"), publish("city/1/bus", b"x" * 11)
    )
    assert len(good.readings) == 1
    assert [r.rejects[0].reason for r in (wrong, large)] == ["unsupported", "too_large"]
    assert [r.replies[0].data.hex() for r in (wrong, large)] == ["40020001"] * 2


def test_replies_on_topics_reach_a_client_that_subscribed() -> None:
    s = session()
    subscribe = packet(8, b"\0\3\0\5cmd/+\1\0\3a#b\0", 2)
    _, alone, granted, asked = fed(s, HELLO, publish("a", b"ask"), subscribe, publish("a", b"ask", 2))
    assert [r.data.hex() for r in alone.replies] == ["40020001"]
    assert granted.replies[0].data.hex() == "900400030080"
    assert [r.data for r in asked.replies] == [bytes.fromhex("40020002"), publish("cmd/1", b"done", None)]
    unsubscribed, silent = fed(s, packet(10, b"\0\4\0\5cmd/+", 2), publish("a", b"ask"))
    assert unsubscribed.replies[0].data.hex() == "b0020004"
    assert len(silent.replies) == 1


def subscribe(*filters: str) -> bytes:
    return packet(8, b"\0\3" + b"".join(len(f).to_bytes(2, "big") + f.encode() + b"\1" for f in filters), 2)


def test_retained_replies_are_kept_for_those_who_subscribe_later() -> None:
    kept: dict[str, bytes] = {}
    first, later = session(retained=kept), session(retained=kept)
    _, suback, told, *_ = fed(
        first,
        HELLO,
        subscribe("state/1"),
        publish("a", b"keep state/1 old"),
        publish("a", b"keep state/1 on"),
        publish("a", b"keep state/2 on"),
        publish("a", b"keep other on"),
    )
    assert len(suback.replies) == 1
    assert told.replies[1].data == publish("state/1", b"old", None), "to a subscription that stands it has no RETAIN flag"
    for _ in range(2):  # a filter that is there already brings them again (3.8.4)
        (granted,) = fed(later, *([] if later._client_id else [HELLO]), subscribe("state/+", "state/#"))[-1:]
        assert [r.data.hex() for r in granted.replies] == [
            "900400030000",
            *(packet(3, f"\0\7state/{n}on".encode(), 1).hex() for n in (1, 2)),
        ]
    fed(first, publish("a", b"keep state/1 "))
    assert [r.data for r in fed(later, subscribe("state/1"))[0].replies] == [packet(9, b"\0\3\0")]


def test_topics_that_are_retained_are_bounded() -> None:
    kept: dict[str, bytes] = {}
    fed(session(retained=kept), HELLO, *(publish("a", b"keep t/%d x" % n) for n in range(RETAINED_LIMIT + 5)))
    assert len(kept) == RETAINED_LIMIT
    assert ("t/4" in kept, "t/5" in kept) == (False, True)


def test_client_that_is_silent_or_comes_anew_is_closed_and_its_will_is_taken_in() -> None:
    clients: dict[str, MqttSession] = {}
    old, new = session(clients), session(clients)
    willing = packet(1, b"\0\4MQTT\4\6\0\x0a\0\2c1\0\4dead\0\2B9")
    assert fed(old, willing)[0].replies[0].data == ACCEPTED
    assert not old.tick(START + 15 * SECOND).close
    assert old.tick(START + 16 * SECOND).close
    assert not fed(new, HELLO)[0].close
    assert old.tick(START).close
    ended = old.end(START)
    assert [r.source for r in ended.readings] == ["B9"]
    assert clients == {"c1": new}
    assert not new.end(START).readings
    polite = session()
    fed(polite, willing, packet(14, b""))
    assert not polite.end(START).readings


@pytest.mark.parametrize(
    ("options", "start"),
    [
        ({"username": "u"}, packet(1, b"\0\4MQTT\4\6\0\x0a\0\2c1\0\4dead\0\2B9")),
        ({}, packet(1, b"\0\4MQTT\4\4\0\x0a\0\0\0\4dead\0\2B9")),
        ({}, packet(1, b"\0\4MQTT\4\x86\0\x0a\0\2c1\0\4dead\0\2B9")),
    ],
)
def test_will_of_a_client_that_was_not_let_in_is_not_taken(options: dict[str, Any], start: bytes) -> None:
    stranger = session(**options)
    assert fed(stranger, start)[0].close
    assert not stranger.end(START).readings


@asynccontextmanager
async def listening(bench: Bench, **options: Any) -> AsyncIterator[MqttListener]:
    door = MqttListener(VENDOR, {}, MqttOptions(listen="127.0.0.1:0", **options), bench.intake, bench.clock)
    async with bench.opened(door):
        yield door


async def test_no_puback_before_the_readings_are_safe() -> None:
    bench = Bench()
    async with listening(bench) as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(HELLO + publish("a", b"B1", 5) + publish("a", b"bad", 6) + packet(12, b""))
        assert await asyncio.wait_for(reader.readexactly(4), 10) == ACCEPTED
        await until(lambda: bench.intake.packets == 4)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.05)
        bench.confirm()
        assert (await asyncio.wait_for(reader.readexactly(10), 10)).hex() == "4002000540020006d000"
        writer.close()
        await writer.wait_closed()


async def test_client_of_the_same_name_takes_over_and_a_lost_one_leaves_its_will() -> None:
    bench = Bench()
    async with listening(bench) as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(packet(1, b"\0\4MQTT\4\6\0\x0a\0\2c1\0\4dead\0\2B9"))
        assert await asyncio.wait_for(reader.readexactly(4), 10) == ACCEPTED
        writer.transport.abort()
        await until(lambda: bench.intake.readings == 1 and not door.count)


class Broker:
    """Stands in for the connection to a broker: remembers what was acknowledged and published."""

    def __init__(self) -> None:
        self.done: list[object] = []

    def acknowledge(self, message: aiomqtt.Message) -> None:
        self.done.append(message.mid)

    async def publish(self, topic: str, payload: bytes, qos: int, retain: bool) -> None:
        self.done.append((topic, payload, qos))


def message(mid: int, payload: bytes, qos: int = 1) -> aiomqtt.Message:
    return aiomqtt.Message("a/b", payload, qos, False, mid, None)


async def test_subscriber_acknowledges_in_order_once_readings_are_safe() -> None:
    bench, broker = Bench(), Broker()
    options = MqttOptions(broker="127.0.0.1:1", topics=["a/#"], max_bytes=10)
    door = MqttSubscriber(VENDOR, {}, options, bench.intake, bench.clock)
    door._client = broker  # type: ignore[assignment]
    for mid, payload in enumerate([b"B1", b"bad", b"ask", b"x" * 11], 1):
        door.take(message(mid, payload))
    door.take(message(0, b"B2", 0))
    await asyncio.sleep(0)
    assert broker.done == []
    assert (bench.intake.readings, bench.intake.rejects) == (3, 2)
    bench.confirm()
    await asyncio.sleep(0)
    assert [d for d in broker.done if isinstance(d, int)] == [1, 2, 3, 4]
    assert ("cmd/1", b"done", 1) in broker.done
    await door.close()


async def test_subscriber_forgets_acknowledgements_of_a_connection_that_ended() -> None:
    bench, broker, next_broker = Bench(), Broker(), Broker()
    door = MqttSubscriber(VENDOR, {}, MqttOptions(broker="127.0.0.1:1", topics=["a"]), bench.intake, bench.clock)
    door._client = broker  # type: ignore[assignment]
    door.take(message(1, b"B1"))
    await door.close()
    door._client = next_broker  # type: ignore[assignment]
    bench.confirm()
    assert broker.done == next_broker.done == []


async def test_subscriber_without_a_broker_says_so_and_tries_again() -> None:
    bench, tried = Bench(), asyncio.Event()

    async def sleep(seconds: float) -> None:
        tried.set()
        await asyncio.Event().wait()

    options = MqttOptions(broker="127.0.0.1:1", topics=["a"])
    door = MqttSubscriber(VENDOR, {}, options, bench.intake, bench.clock, sleep=sleep)
    assert door.health == "starting"
    async with bench.opened(door):
        await asyncio.wait_for(tried.wait(), 10)
        assert door.health == "down"
        assert "127.0.0.1:1" in door.detail


async def test_messages_that_the_broker_sends_again_always_have_room() -> None:
    waiting = Waiting()
    for _ in range(10_000):
        waiting.put_nowait(message(0, b"", 0))
    with pytest.raises(asyncio.QueueFull):
        waiting.put_nowait(message(0, b"", 0))
    waiting.put_nowait(message(1, b""))


async def test_options_reach_the_client() -> None:
    bench = Bench()
    for version in ("3.1.1", "5"):
        options = MqttOptions(
            broker="b:1", topics=["a"], version=version, username="u", password=Secret("p"), will_topic="w", will="x"
        )
        client = MqttSubscriber(VENDOR, {}, options, bench.intake, bench.clock)._make_client()
        assert isinstance(client, Client)
        assert client.identifier == "cityops-c1"
        assert client._client._password == b"p"
        assert client._client._will_topic == b"w"


async def test_connector_with_a_framing_finds_its_packets_inside_a_payload() -> None:
    bench = Bench()
    line = encoder.report("S1", START, 7, {"PM10": 5.0})
    settings = {"stations": [], "silence_s": 300.0}
    door = MqttSubscriber(TEMPLATE, settings, MqttOptions(broker="b:1", topics=["a"]), bench.intake, bench.clock)
    door.take(message(1, line + b"rubbish\n" + line))
    assert (bench.intake.readings, bench.intake.rejects, bench.intake.packets) == (2, 1, 1)
