"""Framing of JT/T 808: splits, garbage, bounds, and what a mutated packet may do to decoder and session."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors._api import Peer, Reject, describe, load
from connectors._api.flagged import check_byte, frame
from connectors._api.golden import cases, packet
from connectors.jt808 import encoder
from connectors.jt808.framing import Framing
from connectors.jt808.header import PACKET_MAX, build, parse

JT808 = load("jt808")
SETTINGS = JT808.manifest.resolve({}, "test")
GOLDEN = {
    f"{name}-{i}": packet(step, JT808.path) for name, case in cases(JT808.path).items() for i, step in enumerate(case.steps)
}
PHONES = st.integers(0, 10**11 - 1).map(str)
BODIES = st.binary(max_size=60) | st.lists(st.sampled_from([0x7D, 0x7E, 0x01, 0x02]), max_size=40).map(bytes)


@given(body=BODIES, phone=PHONES, serial=st.integers(0, 0xFFFF), version=st.sampled_from(["2011", "2013", "2019"]))
def test_what_is_framed_comes_out_again(body: bytes, phone: str, serial: int, version: str) -> None:
    (found,) = Framing(SETTINGS).feed(encoder.message(0x0900, phone, serial, body, version=version))
    assert isinstance(found, bytes)
    head = parse(found)
    assert (head.message_id, head.serial, head.phone.lstrip("0")) == (0x0900, serial, phone.lstrip("0"))
    assert found[head.start :] == body
    assert head.version == ("2019" if version == "2019" else "2013")


@given(data=st.binary(max_size=300))
def test_the_check_byte_is_the_xor_of_all_bytes(data: bytes) -> None:
    plain = 0
    for octet in data:
        plain ^= octet
    assert check_byte(data) == plain


@settings(deadline=None)
@given(st.data())
def test_any_split_gives_the_same_packets_and_rejects(data: st.DataObject) -> None:
    pieces = data.draw(st.lists(st.sampled_from(list(GOLDEN.values())) | st.binary(max_size=30), max_size=8))
    stream = b"".join(pieces)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    framing, found = Framing(SETTINGS), []
    for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += framing.feed(stream[start:stop])
    found += framing.flush()
    whole = Framing(SETTINGS)
    assert found == [*whole.feed(stream), *whole.flush()]


@given(st.lists(st.binary(max_size=40).map(lambda b: b.replace(b"\x7e", b"")), min_size=1, max_size=6))
def test_garbage_between_packets_loses_no_packet(garbage: list[bytes]) -> None:
    packets = [build(0x0002, bytes.fromhex("013912345678"), i, b"") for i in range(len(garbage))]
    stream = b"".join(g + frame(p) for g, p in zip(garbage, packets, strict=True))
    found = Framing(SETTINGS).feed(stream)
    assert [f for f in found if isinstance(f, bytes) and f in packets] == packets
    assert all(f.raw for f in found if isinstance(f, Reject))


def test_adjacent_packets_may_share_a_flag() -> None:
    one, two = (frame(build(0x0002, bytes.fromhex("013912345678"), i, b"")) for i in range(2))
    apart, shared = Framing(SETTINGS).feed(one + two), Framing(SETTINGS).feed(one + two[1:])
    assert apart == shared
    assert len(shared) == 2


def test_an_endless_stretch_is_rejected_once_and_never_grows() -> None:
    framing = Framing(SETTINGS)
    found = [f for _ in range(100) for f in framing.feed(b"\x7e"[:0] + b"\x55" * 4000)]
    (reject,) = found
    assert isinstance(reject, Reject)
    assert reject.reason == "too_large"
    assert len(reject.raw) == 2 * (PACKET_MAX + 1) + 1
    heartbeat = build(0x0002, bytes.fromhex("013912345678"), 1, b"")
    assert framing.feed(frame(heartbeat)) == [heartbeat]


def test_the_longest_packet_with_every_byte_escaped_passes() -> None:
    longest = build(0x0900, b"\x7e" * 10, 0x7E7E, b"\x7e" * 1023, protocol_version=0x7D, part=(0x7D7D, 0x7E7E))
    assert Framing(SETTINGS).feed(frame(longest)) == [longest]


def test_an_unescaped_7d_is_taken_where_the_check_byte_proves_it() -> None:
    (found,) = Framing(SETTINGS).feed(bytes.fromhex("7E0002000000000000067900007D7E"))
    assert found == bytes.fromhex("000200000000000006790000")


@pytest.mark.parametrize("name", GOLDEN)
def test_no_cut_and_no_changed_byte_raises(name: str) -> None:
    """At the wire, where the check byte catches it, and behind it, where the decoder must."""
    wire = GOLDEN[name]
    for cut in range(len(wire)):
        outcome(wire[:cut])
    inner = [f for f in Framing(SETTINGS).feed(wire) if isinstance(f, bytes)]
    for at in range(len(wire)):
        for octet in (wire[at] ^ 0x01, wire[at] ^ 0x80, 0x7E, 0x7D, 0xFF, 0x00):
            outcome(wire[:at] + bytes((octet,)) + wire[at + 1 :])
    for sound in inner:
        session = JT808.make_session(SETTINGS, Peer("fuzz"))
        for at in range(len(sound)):
            session.receive(sound[:at], 1)
            for octet in (sound[at] ^ 0x01, sound[at] ^ 0x80, 0xFF, 0x00):
                session.receive(sound[:at] + bytes((octet,)) + sound[at + 1 :], 1)
        session.tick(10**12)


@settings(deadline=None)
@given(
    message_id=st.integers(0, 0xFFFF) | st.sampled_from([0x0100, 0x0102, 0x0104, 0x0200, 0x0702, 0x0704, 0x0802, 0x0900]),
    body=st.binary(max_size=200),
    version=st.sampled_from([None, 1]),
)
def test_any_body_of_any_message_is_described(message_id: int, body: bytes, version: int | None) -> None:
    phone = bytes(6 if version is None else 10)
    received = JT808.make_session(SETTINGS, Peer("fuzz")).receive(build(message_id, phone, 1, body, protocol_version=version), 1)
    assert describe(received)["message"]["message_id"] == message_id


def outcome(stream: bytes) -> None:
    session, framing = JT808.make_session(SETTINGS, Peer("fuzz")), Framing(SETTINGS)
    for found in [*framing.feed(stream), *framing.flush()]:
        if isinstance(found, bytes):
            session.receive(found, 1)
