"""JT/T 809 framing: escapes, CRC, length, rubbish between, frames sent unescaped, and the cipher."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from connectors.jt809 import framing, header
from connectors.jt809.framing import Framing
from schemas.errors import Reject


def packet(body: bytes, sn: int = 1) -> bytes:
    return header.build(0x1FFF, body, sn=sn, center=1, edition="2011")


def reasons(found: list[bytes | Reject]) -> list[str]:
    return [one.reason for one in found if isinstance(one, Reject)]


@given(st.binary(max_size=200))
def test_a_frame_holds_no_flag_inside_and_gives_its_packet(body: bytes) -> None:
    wire = framing.frame(packet(body))
    assert wire[1:-1].count(b"\x5b") == wire[1:-1].count(b"\x5d") == 0
    assert Framing({}).feed(wire) == [packet(body)]


@given(st.lists(st.binary(max_size=40), max_size=5), st.lists(st.integers(1, 30), min_size=1, max_size=9))
def test_any_split_gives_the_same_packets_and_rubbish_between_is_refused(bodies: list[bytes], sizes: list[int]) -> None:
    stream = b"\x00rubbish\xff".join([b"", *(framing.frame(packet(b)) for b in bodies), b""])
    whole = [*(one := Framing({})).feed(stream), *one.flush()]
    cut, found, at = Framing({}), [], 0
    while at < len(stream):
        size = sizes[at % len(sizes)]
        found += cut.feed(stream[at : at + size])
        at += size
    assert [*found, *cut.flush()] == whole
    assert [p for p in whole if isinstance(p, bytes)] == [packet(b) for b in bodies]


def test_an_unfinished_frame_does_not_swallow_the_next() -> None:
    good = framing.frame(packet(b"x"))
    found = Framing({}).feed(good[:-4] + good + b"loose\x5d" + good)
    assert [p for p in found if isinstance(p, bytes)] == [packet(b"x")] * 2
    assert reasons(found) == ["bad_frame", "bad_frame"]


def test_flags_left_unescaped_inside_a_frame_are_told_by_its_length_and_crc() -> None:
    body = bytes.fromhex("5B 5D 00 5D 5B 00 5D")
    raw = packet(body) + framing.checksum(packet(body)).to_bytes(2)
    good = framing.frame(packet(b"x"))
    stream = good + b"\x5b" + raw + b"\x5d" + good
    for size in (1, 7, 1000):
        cut, found = Framing({}), []
        for at in range(0, len(stream), size):
            found += cut.feed(stream[at : at + size])
        assert found == [packet(b"x"), packet(body), packet(b"x")]


def test_a_damaged_length_delays_no_packet_and_loses_no_reject() -> None:
    good = framing.frame(packet(b"x"))
    damaged = bytearray(good)
    damaged[3] = 0x01
    cut = Framing({})
    assert cut.feed(bytes(damaged)) == []
    assert cut.feed(good * 3) == [packet(b"x")] * 3
    assert reasons(cut.feed(good * 20)) == ["bad_checksum"]
    cut.feed(bytes(damaged))
    assert reasons(cut.flush()) == ["bad_checksum"]


def test_a_stretch_without_end_is_refused_once_and_forgotten() -> None:
    cut = Framing({})
    found = [one for _ in range(40) for one in cut.feed(b"\x5b" + bytes(65_536))]
    assert reasons(found) == ["too_large"]
    assert cut.feed(b"\x5d" + framing.frame(packet(b"x"))) == [packet(b"x")]


@given(st.binary(max_size=5000), st.integers(0, 2**32 - 1))
def test_the_cipher_undoes_itself(body: bytes, key: int) -> None:
    cipher = header.Cipher(30_000_000, 20_000_000, 20_000_000)
    assert cipher.apply(cipher.apply(body, key), key) == body


def test_key_zero_counts_as_one() -> None:
    cipher = header.Cipher(30_000_000, 20_000_000, 20_000_000)
    assert cipher.apply(b"abc", 0) == cipher.apply(b"abc", 1) != b"abc"


@given(st.binary(max_size=60), st.sampled_from(["2011", "2019"]), st.integers(946_684_800, 4_102_444_799))
def test_a_header_tells_its_edition(body: bytes, edition: header.Edition, time: int) -> None:
    built = header.build(0x1200, b"\xbd\xfa" + body, sn=7, center=9, edition=edition, time=time)
    parsed = header.parse(built)
    assert (parsed.edition, parsed.time, parsed.msg_sn) == (edition, time if edition == "2019" else 0, 7)
    assert built[parsed.start :] == b"\xbd\xfa" + body
