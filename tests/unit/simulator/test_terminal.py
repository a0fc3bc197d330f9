"""A terminal against the real JT/T 808 session, on a fake clock: login, acknowledgement, repetition, replay."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest

from cityops.simulator import identity
from cityops.simulator.tempo import Kind
from cityops.simulator.terminal import BATCH, REPEATS, Identity, Terminal
from connectors._api import Peer, Reply
from connectors._api.registry import load
from connectors.jt808 import encoder, header
from connectors.jt808.framing import Framing
from connectors.jt808.header import Version
from schemas.reading import Reading, kind_of

SECOND = 1_000_000
START = 1_780_243_200 * SECOND
SETTINGS = {"groups": identity.jt808_groups(), "default_kind": "", "authentication": "required", "secret": "s"}


class Platform:
    """The platform's end of one connection: the connector's own framing and session."""

    def __init__(self) -> None:
        connector = load("jt808")
        settings = connector.manifest.resolve(SETTINGS, "test")
        assert connector.make_framing is not None
        self._framing = connector.make_framing(settings)
        self._session = connector.make_session(settings, Peer("jt808", "127.0.0.1"))
        self.readings: list[Reading] = []
        self.lanes: list[str] = []
        self.names: list[object] = []

    def take(self, chunk: bytes, now: int, *, durable: bool = True) -> bytes:
        out = b""
        for packet in self._framing.feed(chunk):
            assert isinstance(packet, bytes), packet
            received = self._session.receive(packet, now)
            assert not received.rejects, received.rejects
            self.readings += received.readings
            self.lanes += [received.lane] * len(received.readings)
            self.names.append((received.message or {})["name"])
            out += b"".join(self._sent(r, durable) for r in received.replies)
        return out

    @staticmethod
    def _sent(reply: Reply, durable: bool) -> bytes:
        return reply.data if durable or reply.when == "now" else b""


class Line:
    """A terminal and a platform with a clock; bytes pass at once."""

    def __init__(self, version: Version = "2013", kind: Kind = Kind.BUS) -> None:
        self.now = START
        self.terminal = Terminal(
            identity=Identity(identity.phone(kind, 1), version, identity.plate(kind, 1), 2, 502),
            sample=self._sample,
            interval=10 * SECOND,
            next_report=START + 5 * SECOND,
        )
        self.platform = Platform()

    def _sample(self) -> tuple[int, bytes]:
        return self.now, encoder.location_body(ts=self.now, lat=35.5, lon=112.85, speed=10.0)

    def exchange(self, chunk: bytes, *, durable: bool = True) -> None:
        while chunk:
            chunk = self.terminal.received(self.platform.take(chunk, self.now, durable=durable), self.now)

    def open(self) -> None:
        self.platform = Platform() if self.platform.names else self.platform
        self.exchange(self.terminal.opened(self.now))

    def close(self) -> None:
        self.terminal.closed(self.now)

    def run(self, seconds: int, carry: Callable[[bytes], None] | None = None) -> None:
        for _ in range(seconds):
            self.now += SECOND
            (carry or self.exchange)(self.terminal.tick(self.now))


@pytest.mark.parametrize("version", ["2011", "2013", "2019"])
@pytest.mark.parametrize("kind", list(Kind))
def test_a_terminal_of_every_edition_logs_in_and_reports(version: Version, kind: Kind) -> None:
    line = Line(version, kind)
    line.open()
    assert line.terminal.online
    line.run(35)
    assert line.terminal.counts.sent == line.terminal.counts.acked == len(line.platform.readings) == 4
    first = line.platform.readings[0]
    assert kind_of(first) == identity.READING_KINDS[kind]
    assert first.source == identity.phone(kind, 1)
    assert getattr(first, "plate", "") == identity.plate(kind, 1)
    assert len({r.ts for r in line.platform.readings}) == 4


def test_a_code_once_given_is_used_again_without_registration() -> None:
    line = Line()
    line.open()
    line.close()
    assert not line.terminal.online
    line.open()
    assert line.terminal.online
    assert len(line.platform.names) == 1


def test_a_refused_code_is_forgotten_and_the_line_given_up() -> None:
    line = Line()
    line.terminal.opened(line.now)
    head = header.parse(_first(line.terminal.opened(line.now)))
    line.terminal.received(encoder.register_ack(head, 1, 0, "wrong"), line.now)
    asked = header.parse(_first(encoder.authenticate(head.phone, head.serial + 1, "wrong", version="2013")))
    line.terminal.received(encoder.general_ack(asked, 2, 1), line.now)
    assert not line.terminal.wants_link(line.now)
    line.close()
    assert line.terminal.wants_link(line.now)
    assert header.parse(_first(line.terminal.opened(line.now))).message_id == 0x0100


def _first(chunk: bytes) -> bytes:
    packet = Framing({}).feed(chunk)[0]
    assert isinstance(packet, bytes)
    return packet


def test_unanswered_positions_are_repeated_with_growing_waits_and_then_replayed() -> None:
    line = Line()
    line.open()
    line.run(5)
    sent: dict[int, list[int]] = {}

    def swallow(chunk: bytes) -> None:
        for packet in Framing({}).feed(chunk):
            assert isinstance(packet, bytes)
            sent.setdefault(header.parse(packet).serial, []).append(line.now)

    line.terminal.heartbeat = 10**12
    line.run(1, swallow)
    line.run(110, swallow)
    first = min(sent)
    gaps = [(b - a) // SECOND for a, b in pairwise(sent[first])]
    assert gaps == [10, 20, 60]
    assert len(gaps) == REPEATS
    assert not line.terminal.wants_link(line.now)
    held = line.terminal.waiting
    assert held == line.terminal.counts.collected - line.terminal.counts.acked
    line.close()
    assert line.terminal.wants_link(line.now)
    line.open()
    assert line.terminal.waiting == 0
    assert line.platform.lanes.count("late") == len(line.platform.readings) == held
    assert line.terminal.counts.sent == line.terminal.counts.acked


def test_positions_of_a_blind_area_come_as_batches_in_order() -> None:
    line = Line()
    line.open()
    line.run(6)
    line.terminal.blind = True
    assert not line.terminal.wants_link(line.now)
    line.close()
    line.run(600, lambda chunk: None)
    assert line.terminal.waiting == 60
    line.terminal.blind = False
    line.open()
    assert line.terminal.waiting == 0
    replayed = [r.ts for r in line.platform.readings]
    assert replayed == sorted(set(replayed))
    assert len(replayed) == 60
    assert line.platform.names.count("location_batch") == -(-60 // BATCH)
    line.run(1)
    assert line.platform.lanes[-1] == "live"


def test_nothing_is_acknowledged_before_it_is_durable() -> None:
    line = Line()
    line.open()
    line.run(8, lambda chunk: line.exchange(chunk, durable=False))
    assert len(line.platform.readings) == 1
    assert line.terminal.counts.acked == 0
    assert line.terminal.waiting == 1


def test_without_power_nothing_is_collected_and_when_stopping_nothing_new() -> None:
    line = Line()
    line.open()
    line.run(6)
    line.terminal.silent = True
    line.run(60)
    assert line.terminal.counts.collected == 1
    line.terminal.silent = False
    line.terminal.stopping = True
    line.run(60)
    assert line.terminal.counts.collected == 1


def test_platform_commands_are_answered_as_unsupported() -> None:
    line = Line()
    line.open()
    asked = header.Header(0x0002, 0, bytes.fromhex("013910000001"), 0, 0, 0, 0, 12)
    command = encoder.reply(asked, 77, 0x8104, b"")
    answer = line.terminal.received(command, line.now)
    packet = _first(answer)
    assert packet[-5:] == (77).to_bytes(2) + (0x8104).to_bytes(2) + b"\x03"


def test_a_terminal_that_says_all_twice_is_acknowledged_once() -> None:
    line = Line()
    line.terminal.doubles = True
    line.open()
    line.run(35)
    stamps = [r.ts for r in line.platform.readings]
    assert len(stamps) == 2 * len(set(stamps)) == 8
    assert line.terminal.counts.sent == line.terminal.counts.acked == 4


def test_a_position_is_never_counted_twice_in_one_second() -> None:
    line = Line()
    line.open()
    line.terminal.interval = 1
    line.now += 10 * SECOND
    for _ in range(5):
        line.exchange(line.terminal.tick(line.now))
    assert line.terminal.counts.collected == 1
