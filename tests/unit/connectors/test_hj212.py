"""HJ 212: framing, decoding and encoding belong together, whatever the bytes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors._api import golden, registry
from connectors._api.session import Peer, Received, describe
from connectors.hj212 import encoder
from connectors.hj212.checksum import VARIANTS, annex_a, variant_of
from connectors.hj212.decoder import Session
from connectors.hj212.framing import Framing
from connectors.hj212.segment import time_of
from schemas.errors import Fatal, Reject
from schemas.kinds.environment import DustStation

MN = "010000A8900016F000169DC0"
NOON = 1_793_505_600_000_000
"""2026-11-01 04:00:00 UTC, noon in Beijing."""
HJ212 = registry.load("hj212")
GOLDEN = golden.cases(HJ212.path)
FRAMES = [golden.packet(step, HJ212.path) for case in GOLDEN.values() for step in case.steps if not step.rejects]


def configured(**given_settings: Any) -> dict[str, Any]:
    return dict(HJ212.manifest.resolve(given_settings, "test"))


def session(**given_settings: Any) -> Session:
    return Session(configured(**given_settings), Peer("hj212"))


def frames(wire: bytes, *, crc: str = "auto") -> list[bytes | Reject]:
    framing = Framing(configured(crc=crc))
    return [*framing.feed(wire), *framing.flush()]


def receive(one: Session, wire: bytes) -> Received:
    (packet,) = frames(wire)
    assert isinstance(packet, bytes)
    return one.receive(packet, NOON)


def dust(received: Received) -> DustStation:
    (reading,) = received.readings
    assert isinstance(reading, DustStation)
    return reading


@pytest.mark.parametrize("name", GOLDEN)
def test_golden(name: str) -> None:
    case = GOLDEN[name]
    settings_of = configured(**case.settings)
    one = Session(settings_of, Peer("hj212"))
    for step in case.steps:
        framing = Framing(settings_of)
        (packet,) = [*framing.feed(golden.packet(step, HJ212.path)), *framing.flush()]
        try:
            if isinstance(packet, Reject):
                raise packet
            result = describe(one.receive(packet, NOON))
        except Reject as reject:
            assert reject.raw
            result = {"message": {}, "readings": [], "replies": [], "rejects": [{"reason": reject.reason}]}
        assert {k: result["message"].get(k) for k in step.message or {}} == (step.message or {})
        assert [r["reason"] for r in result["rejects"]] == step.rejects
        assert result["replies"] == step.replies
        assert len(result["readings"]) == len(step.readings)
        for wanted, reading in zip(step.readings, result["readings"], strict=True):
            assert {k: reading.get(k) for k in wanted} == wanted


NOISE = st.one_of(
    st.sampled_from(FRAMES),
    st.sampled_from([b"#", b"##", b"##0101", b"##9999QN=", b"\r\n", b"&&", b"##00a1", "##0012清洗管路&&".encode()]),
    st.binary(max_size=30),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(NOISE, max_size=6), st.data())
def test_any_split_gives_the_same_packets(parts: list[bytes], data: st.DataObject) -> None:
    wire = b"".join(parts)
    whole = Framing(configured())
    expected = [*whole.feed(wire), *whole.flush()]
    framing, found, at = Framing(configured()), [], 0
    while at < len(wire):
        size = data.draw(st.integers(1, 60))
        found += framing.feed(wire[at : at + size])
        at += size
    found += framing.flush()
    assert found == expected
    assert sum(len(p.raw) if isinstance(p, Reject) else len(p) for p in found) <= len(wire)


def test_byte_by_byte() -> None:
    wire = b"noise" + b"".join(FRAMES) + b"##0010short\r\n" + FRAMES[0]
    framing = Framing(configured())
    found = [item for byte in wire for item in framing.feed(bytes([byte]))]
    assert found == frames(wire)
    assert sum(isinstance(p, bytes) for p in found) == len(FRAMES) + 1


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(FRAMES), st.data())
def test_every_cut_and_mutation_is_decoded_or_refused(frame: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(frame) - 1))
    torn = frame[:at] if data.draw(st.booleans()) else frame[:at] + data.draw(st.binary(max_size=3)) + frame[at + 1 :]
    for packet in [*frames(torn), torn]:
        if isinstance(packet, bytes):
            try:
                session().receive(packet, NOON)
            except Reject as reject:
                assert reject.raw == packet


@pytest.mark.parametrize("frame", FRAMES)
def test_every_cut_is_refused(frame: bytes) -> None:
    body = frame.rstrip(b"\r\n")
    for at in range(1, len(body)):
        assert all(isinstance(packet, Reject) for packet in frames(body[:at])), at


def test_every_changed_byte_is_refused_by_annex_a() -> None:
    frame = encoder.realtime(MN, ts=NOON, values={"a34002": 85.5})
    for at in range(6, len(frame) - 6):
        torn = frame[:at] + bytes([frame[at] ^ 1]) + frame[at + 1 :]
        assert all(isinstance(packet, Reject) for packet in frames(torn, crc="annex_a")), at


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=400).map(lambda b: b"##0100QN=1;CP=&&" + b + b"&&"))
def test_any_segment_is_decoded_or_refused(segment: bytes) -> None:
    for packet in frames(encoder.frame(segment)):
        if isinstance(packet, bytes):
            try:
                session().receive(packet, NOON)
            except Reject as reject:
                assert reject.reason in ("bad_frame", "bad_field", "bad_encoding", "missing_field", "bad_length")


TEXT = st.text(
    st.characters(codec="utf-8", exclude_characters=";,=&\r\n \t", exclude_categories=["Z", "C"]), min_size=1, max_size=12
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.dictionaries(TEXT, TEXT, min_size=1, max_size=3), max_size=5), st.sampled_from(sorted(VARIANTS)))
def test_what_is_encoded_is_decoded(items: list[dict[str, str]], crc: str) -> None:
    wire = encoder.upload(qn="20261101120000000", st="91", cn="9013", pw="1", mn=MN, flag=4, cp=items, crc=crc, part=(2, 1))
    received = receive(session(), wire)
    assert received.message is not None
    assert received.message["CP"] == items
    assert (received.message["PNUM"], received.message["PNO"]) == ("2", "1")
    assert variant_of(wire[6:-6], wire[-6:-2], crc) == crc


@settings(max_examples=100, deadline=None)
@given(
    st.integers(0, 4_000_000_000).map(lambda s: s * 1_000_000),
    st.floats(0.5, 20000).map(lambda v: float(f"{v:.10g}")),
    st.sampled_from(["realtime", "hourly", "daily"]),
)
def test_encoded_values_come_back(ts: int, value: float, what: str) -> None:
    wire = getattr(encoder, what)(MN, ts=ts, values={"a34002": value, "a01006": 101.3, "LA": None})
    reading = dust(receive(session(), wire))
    assert (reading.ts, reading.pm10, reading.noise, reading.source) == (ts, value, None, MN)
    assert reading.pressure == pytest.approx(101300)
    assert reading.period == {"realtime": 0, "hourly": 3600, "daily": 86400}[what]


def test_length_counted_in_bytes_or_characters() -> None:
    segment = f"QN=20261101120000000;ST=39;CN=3020;PW=1;MN={MN};Flag=4;CP=&&i11001-Info=//清洗管路//&&"
    for encoding in ("utf-8", "gbk"):
        body = segment.encode(encoding)
        for count in (len(body), len(segment)):
            wire = b"##%04d%s%04X\r\n" % (count, body, annex_a(body))
            message = receive(session(), wire).message
            assert message is not None
            assert message["CP"] == [{"i11001-Info": "//清洗管路//"}]


def test_resynchronises_after_garbage_and_keeps_it() -> None:
    good = encoder.realtime(MN, ts=NOON, values={"a34002": 85})
    found = frames(b"\x00\x01garbage" + good[:40] + good + b"##00" + good.replace(b"=85", b"=86") + good)
    assert [p.reason if isinstance(p, Reject) else "ok" for p in found] == [
        "bad_frame",
        "bad_length",
        "ok",
        "bad_length",
        "bad_checksum",
        "ok",
    ]
    refused = [p.raw for p in found if isinstance(p, Reject)]
    assert refused == [b"\x01garbage", good[:40], b"##00", good.replace(b"=85", b"=86")]


def test_garbage_is_given_in_bounded_pieces() -> None:
    framing = Framing(configured())
    found = [item for _ in range(100) for item in framing.feed(b"x" * 1000)]
    assert all(isinstance(item, Reject) and len(item.raw) <= 2048 for item in found)
    assert sum(len(item.raw) for item in found if isinstance(item, Reject)) > 95_000


def test_configured_variant_is_the_only_one_taken() -> None:
    wire = encoder.realtime(MN, ts=NOON, values={"a34002": 85}, crc="modbus")
    (refused,) = frames(wire, crc="annex_a")
    assert isinstance(refused, Reject) and refused.reason == "bad_checksum"
    with pytest.raises(Reject, match="crc=annex_a"):
        receive(session(devices={MN: {"crc": "annex_a"}}), wire)
    assert dust(receive(session(devices={MN: {"crc": "modbus"}}), wire)).pm10 == 85


def test_reply_waits_for_durability_and_repeats_qn_and_variant() -> None:
    for crc in VARIANTS:
        (reply,) = receive(session(), encoder.realtime(MN, ts=NOON, values={"a34002": 85}, crc=crc)).replies
        assert reply.when == "durable"
        (packet,) = frames(reply.data, crc=crc)
        message = session().receive(bytes(packet), NOON).message if isinstance(packet, bytes) else None
        assert message is not None
        assert (message["CN"], message["ST"], message["QN"]) == ("9014", "91", "20261101120000000")
    assert not receive(session(), encoder.realtime(MN, ts=NOON, values={"a34002": 85}, ack=False)).replies


def test_readings_of_one_packet_and_of_two_commands_differ_and_repeats_do_not() -> None:
    values = {"w01018": 1.0, "w21003": 2.0}
    wires = [getattr(encoder, what)(MN, ts=NOON, values=values, st="32") for what in ("realtime", "minute", "hourly")]
    identities = [(r.source, r.ts, r.serial) for wire in wires for r in receive(session(), wire).readings]
    assert len(set(identities)) == 6
    again = [(r.source, r.ts, r.serial) for wire in wires for r in receive(session(), wire).readings]
    assert again == identities


def test_other_stations_with_particles_are_dust_stations() -> None:
    received = receive(session(), encoder.realtime(MN, ts=NOON, values={"a34004": 12, "w01001": 7}, st="32"))
    assert [type(r).__name__ for r in received.readings] == ["DustStation", "EnvFactor"]
    received = receive(session(), encoder.realtime(MN, ts=NOON, values={"107": 12}, st="31"))
    assert [type(r).__name__ for r in received.readings] == ["EnvFactor"]


def test_better_code_wins_whatever_the_order() -> None:
    for values in ({"LA": 50.0, "Leq": 60.0}, {"Leq": 60.0, "LA": 50.0}):
        assert dust(receive(session(), encoder.realtime(MN, ts=NOON, values=values))).noise == 60.0


def test_names_in_capitals_are_read() -> None:
    segment = f"ST=22;CN=2011;PW=1;MN={MN};FLAG=1;CP=&&DATATIME=20261101120000;A34002-RTD=17,A34002-FLAG=N;LEQ-RTD=39.4&&"
    received = receive(session(), encoder.frame(segment))
    assert (dust(received).pm10, dust(received).noise, dust(received).flag, len(received.replies)) == (17.0, 39.4, "N", 1)


def test_times() -> None:
    assert time_of("20261101120000") == NOON
    assert time_of("20261101120000123") == NOON + 123_000
    for wrong in ("", "2026110112000", "20261301120000", "2026110112000x", "２０２６１１０１１２００００", "00000101000000"):
        assert time_of(wrong) is None


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"units": {"a34002": "lb"}}, "no unit 'lb'"),
        ({"units": {"w01018": "mg/L"}}, "no unit is needed"),
        ({"devices": {MN: {"unit": {}}}}, "unit"),
        ({"devices": {MN: {"crc": "crc32"}}}, "crc must be"),
    ],
)
def test_wrong_settings_stop_the_start(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(Fatal, match=said):
        session(**wrong)


@given(st.binary(max_size=300))
def test_annex_a_is_what_the_standard_computes_byte_by_byte(segment: bytes) -> None:
    register = 0xFFFF
    for byte in segment:
        register = (register >> 8) ^ byte
        for _ in range(8):
            register = (register >> 1) ^ 0xA001 if register & 1 else register >> 1
    assert annex_a(segment) == register
