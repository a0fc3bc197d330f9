"""Modbus: every function read and written in both directions, and ADUs cut from any stream, TCP and RTU."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors._api import Reject, load
from connectors.modbus import encoder, pdu
from connectors.modbus.crc import crc16
from connectors.modbus.framing import STRETCH, Framing
from connectors.modbus.pdu import Direction

MODBUS = load("modbus")
TCP = MODBUS.manifest.resolve({}, "test")
RTU = MODBUS.manifest.resolve({"mode": "rtu"}, "test")

EXAMPLES: list[tuple[str, Direction]] = [
    ("0100130013", "request"),
    ("0103CD6B05", "response"),
    ("0200C40016", "request"),
    ("0203ACDB35", "response"),
    ("03006B0003", "request"),
    ("0306022B00000064", "response"),
    ("0400080001", "request"),
    ("0402000A", "response"),
    ("0500ACFF00", "request"),
    ("0500ACFF00", "response"),
    ("0600010003", "request"),
    ("0600010003", "response"),
    ("07", "request"),
    ("076D", "response"),
    ("080000A537", "request"),
    ("080000A537", "response"),
    ("0B", "request"),
    ("0BFFFF0108", "response"),
    ("0C", "request"),
    ("0C08000001080121" + "2000", "response"),
    ("0F0013000A02CD01", "request"),
    ("0F0013000A", "response"),
    ("100001000204000A0102", "request"),
    ("1000010002", "response"),
    ("11", "request"),
    ("110409FF4142", "response"),
    ("140E06000400010002" + "06000300090002", "request"),
    ("140C05060DFE0020" + "050633CD0040", "response"),
    ("150D0600040007000306AF04BE100D", "request"),
    ("150D0600040007000306AF04BE100D", "response"),
    ("16000400F20025", "request"),
    ("16000400F20025", "response"),
    ("1700030006000E00030600FF00FF00FF", "request"),
    ("170C00FE0ACD00010003000D00FF", "response"),
    ("1804DE", "request"),
    ("180006000201B81284", "response"),
    ("2B0E0100", "request"),
    ("2B0E01010000030016436F6D70616E79206964656E74696669636174696F6E0102505801055631302E31", "response"),
    ("8102", "response"),
]
"""Exchanges as the specification's examples have them (MODBUS Application Protocol V1.1b3 clause 6)."""


@pytest.mark.parametrize(("octets", "direction"), EXAMPLES)
def test_the_examples_of_the_specification_are_read_and_written_again(octets: str, direction: Direction) -> None:
    body = bytes.fromhex(octets)
    assert pdu.size(body, direction) == len(body)
    fields = pdu.read(body, direction)
    assert "trailing" not in fields
    assert pdu.write(body[0] & ~pdu.ERROR, direction, fields) == body


@pytest.mark.parametrize(("octets", "direction"), EXAMPLES)
def test_cut_short_they_are_refused_or_another_message(octets: str, direction: Direction) -> None:
    body = bytes.fromhex(octets)
    for end in range(1, len(body)):
        if pdu.size(body[:end], direction) != end:
            with pytest.raises(Reject, match="bad_length"):
                pdu.read(body[:end], direction)


def test_every_function_is_among_the_examples() -> None:
    assert {bytes.fromhex(octets)[0] for octets, _ in EXAMPLES} - {0x81} == set(pdu.FUNCTIONS)


@pytest.mark.parametrize(
    ("octets", "direction", "shown"),
    [
        ("0103CD6B05", "response", {"byte_cnt": 3, "bits": [int(b) for b in "101100111101011010100000"]}),
        ("0306022B00000064", "response", {"byte_cnt": 6, "regval_uint16": [555, 0, 100]}),
        ("080000A537", "request", {"diagnostic_code": 0, "diagnostic_data": 0xA537}),
        ("8306", "response", {"exception_code": 6, "exception": "server_device_busy"}),
        ("83FF", "response", {"exception_code": 255, "exception": "unknown"}),
        ("64AABB", "request", {"rest": b"\xaa\xbb"}),
        ("0300010002FF", "request", {"reference_num": 1, "word_cnt": 2, "trailing": b"\xff"}),
    ],
)
def test_fields(octets: str, direction: Direction, shown: dict[str, Any]) -> None:
    assert pdu.read(bytes.fromhex(octets), direction) == shown


def test_a_device_says_who_it_is() -> None:
    body = next(bytes.fromhex(octets) for octets, side in EXAMPLES if octets.startswith("2B") and side == "response")
    texts = [one["object_str_value"] for one in pdu.read(body, "response")["objects"]]
    assert texts == ["Company identification", "PX", "V10.1"]


def test_the_check_code_is_the_specifications() -> None:
    assert crc16(bytes.fromhex("0207")).hex() == "4112"
    assert crc16(bytes.fromhex("1103006B0003")).hex() == "7687"


def adus(settings: Any) -> list[bytes]:
    serial = settings["mode"] == "rtu"
    bodies = [bytes.fromhex(octets) for octets, _ in EXAMPLES]
    return [encoder.frame(None if serial else 0x1000 + n, 17, body) for n, body in enumerate(bodies)]


@pytest.mark.parametrize("settings", [TCP, RTU], ids=["tcp", "rtu"])
def test_a_stream_of_all_examples_is_cut_into_them(settings: Any) -> None:
    wanted = adus(settings)
    for size in (1, 3, 1400):
        framing, stream = Framing(settings), b"".join(wanted)
        assert [p for at in range(0, len(stream), size) for p in framing.feed(stream[at : at + size])] == wanted


@pytest.mark.parametrize("settings", [TCP, RTU], ids=["tcp", "rtu"])
@given(
    chunks=st.lists(st.integers(1, 30), min_size=1, max_size=30),
    order=st.lists(st.integers(0, len(EXAMPLES) - 1), min_size=1, max_size=8),
    strays=st.lists(st.binary(max_size=10), min_size=8, max_size=8),
)
def test_any_split_gives_the_same_packets(settings: Any, chunks: list[int], order: list[int], strays: list[bytes]) -> None:
    wanted = adus(settings)
    stream = b"".join(stray + wanted[n] for stray, n in zip(strays, order, strict=False)) + bytes(600)
    whole = Framing(settings).feed(stream)
    framing, at, found = Framing(settings), 0, []
    for size in chunks * len(stream):
        found += framing.feed(stream[at : at + size])
        at += size
        if at >= len(stream):
            break
    assert found == whole


@pytest.mark.parametrize("settings", [TCP, RTU], ids=["tcp", "rtu"])
def test_strays_between_are_refused_and_nothing_is_lost(settings: Any) -> None:
    wanted = [adus(settings)[n] for n in (4, 5, 25, 37)]
    found = Framing(settings).feed(b"".join(b"\xfe\xff\xff" + one for one in wanted))
    assert [p for p in found if isinstance(p, bytes)] == wanted
    assert all(p.reason == "bad_frame" for p in found if isinstance(p, Reject))


def test_a_damaged_rtu_frame_does_not_hold_back_the_next() -> None:
    good = encoder.rtu(17, bytes.fromhex("0306022B00000064"))
    for place in (0, 3, 4, 5, 6, 9, 10):
        damaged = bytearray(good)
        damaged[place] ^= 0x55
        found = Framing(RTU).feed(bytes(damaged) + good)
        assert [p for p in found if isinstance(p, bytes)] == [good], place


def test_a_wrong_length_does_not_swallow_what_follows() -> None:
    good = encoder.tcp(0x1234, 1, encoder.read(3, 100, 2))
    damaged = bytearray(good)
    damaged[5] = 0xF0
    assert Framing(TCP).feed(bytes(damaged) + good)[-1] == good


@pytest.mark.parametrize("settings", [TCP, RTU], ids=["tcp", "rtu"])
def test_endless_rubbish_is_refused_in_stretches(settings: Any) -> None:
    framing = Framing(settings)
    found = [p for _ in range(40) for p in framing.feed(b"\x63" * 1000)]
    assert {len(p.raw) for p in found if isinstance(p, Reject)} == {STRETCH}
    assert len(found) == (40000 - 1) // STRETCH


@pytest.mark.parametrize(
    ("settings", "packet", "reason"),
    [
        (TCP, "00010000000601030064", "bad_length"),
        (TCP, "000100000006", "bad_frame"),
        (TCP, "00010001000601030064", "bad_frame"),
        (RTU, "110300", "bad_checksum"),
    ],
)
def test_what_is_left_at_the_end_is_refused(settings: Any, packet: str, reason: str) -> None:
    framing = Framing(settings)
    (left,) = [*framing.feed(bytes.fromhex(packet)), *framing.flush()]
    assert isinstance(left, Reject)
    assert left.reason == reason


def test_a_whole_adu_at_the_end_is_left_to_the_decoder() -> None:
    for settings, odd in ((TCP, encoder.tcp(1, 1, b"\x03\x04\x00\x01")), (RTU, encoder.rtu(1, b"\x64\x01"))):
        framing = Framing(settings)
        assert [*framing.feed(odd), *framing.flush()] == [odd]
