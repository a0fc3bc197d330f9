"""GB/T 32960.3 packets in a byte stream: any split, garbage, damage, start bytes within the data."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.gb32960 import encoder
from connectors.gb32960.framing import STRETCH, Framing
from connectors.gb32960.packet import FORM
from schemas.errors import Reject

VIN = "LTEST00000BUS0001"
TS = 1_793_448_030 * 1_000_000
COLD = {"storage_temperatures": [{"subsystem": 1, "temperatures": [-5] * 60}]}
"""Minus five degrees on all probes is a row of start bytes."""
FRAMES = [
    encoder.heartbeat(VIN),
    encoder.ask_time(VIN, edition="2025"),
    encoder.login(VIN, TS, 1, "8986", ["A1"]),
    encoder.record(VIN, TS, COLD),
    encoder.record(VIN, TS, {"custom": [{"type": 0x80, "content": b"##\x02\xfe" + VIN.encode() + b"\x01\xff\xff"}]}),
]
NOISE = st.binary(max_size=40) | st.sampled_from(
    [b"#", b"$$", b"###", b"##\x02\xfe" + VIN.encode() + b"\x01\x00\x40", b"\x00" * 30]
)


def raw(items: list[bytes | Reject]) -> bytes:
    """The bytes of a stream, from what became of them; packets lack their check byte."""
    return b"".join(item.raw if isinstance(item, Reject) else item + whole(item)[-1:] for item in items)


def whole(packet: bytes) -> bytes:
    return next(frame for frame in FRAMES if frame[:-1] == packet)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.sampled_from(FRAMES) | NOISE, max_size=8), st.lists(st.integers(1, 60), min_size=1, max_size=6))
def test_any_split_gives_the_same_and_no_byte_is_lost(parts: list[bytes], sizes: list[int]) -> None:
    stream = b"".join(parts)
    once, bits = Framing({}), Framing({})
    expected = [*once.feed(stream), *once.flush()]
    found: list[bytes | Reject] = []
    at, turn = 0, 0
    while at < len(stream):
        size = sizes[turn % len(sizes)]
        found += bits.feed(stream[at : at + size])
        at, turn = at + size, turn + 1
    found += bits.flush()
    assert found == expected
    assert raw(found) == stream


@given(st.lists(st.sampled_from(FRAMES), max_size=6))
def test_sound_packets_come_out_whole(frames: list[bytes]) -> None:
    framing = Framing({})
    assert framing.feed(b"".join(frames)) == [frame[:-1] for frame in frames]
    assert framing.flush() == []


def test_what_is_refused_says_why() -> None:
    frame, framing = FRAMES[2], Framing({})
    (wrong,) = framing.feed(frame[:-1] + bytes((frame[-1] ^ 1,)))
    assert isinstance(wrong, Reject)
    assert (wrong.reason, wrong.raw[:-1]) == ("bad_checksum", frame[:-1])
    assert framing.feed(frame[:40]) == []
    cut, packet = framing.feed(frame)
    assert isinstance(cut, Reject)
    assert (cut.reason, cut.raw, packet) == ("bad_checksum", frame[:40], frame[:-1])
    assert framing.feed(b"garbage") == []
    strays, packet = framing.feed(frame)
    assert isinstance(strays, Reject)
    assert (strays.reason, strays.raw, packet) == ("bad_frame", b"garbage", frame[:-1])


def test_a_length_that_is_too_great_does_not_hold_up_the_stream() -> None:
    frame = FRAMES[0]
    lying = frame[: FORM.size - 2] + b"\xf0\x00" + frame[FORM.size :]
    framing = Framing({})
    assert framing.feed(lying) == []
    refused, packet = framing.feed(frame)
    assert isinstance(refused, Reject)
    assert (refused.reason, refused.raw, packet) == ("bad_length", lying, frame[:-1])


def test_garbage_is_refused_in_stretches_and_memory_is_bounded() -> None:
    framing = Framing({})
    rejects = framing.feed(bytes(10 * STRETCH + 100))
    assert [len(r.raw) for r in rejects if isinstance(r, Reject)] == [STRETCH] * 10
    assert len(framing._buffer) == 100
    endless = b"##\x02\xfe" + VIN.encode() + b"\x01\xff\xff"
    for _ in range(400):
        framing.feed(endless * 40)
        assert len(framing._buffer) < 2**17
