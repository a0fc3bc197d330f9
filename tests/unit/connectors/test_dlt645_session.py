"""DL/T 645: framing, tables, polling and the frames others published."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors._api import Peer, Reject, describe, load
from connectors.dlt645 import encoder, items
from connectors.dlt645.framing import Framing
from schemas.errors import Fatal

DLT645 = load("dlt645")
SETTINGS = DLT645.manifest.resolve({}, "test")
METER = "000000190101"
OTHER = "000000190102"
SECOND = 1_000_000


def session(**given_settings: Any) -> Any:
    return DLT645.make_session(DLT645.manifest.resolve(given_settings, "test"), Peer("test"))


def packets(stream: bytes) -> list[bytes | Reject]:
    framing = Framing(SETTINGS)
    return [*framing.feed(stream), *framing.flush()]


def decoded(frame: bytes) -> dict[str, Any]:
    (packet,) = packets(frame)
    assert isinstance(packet, bytes), packet
    return describe(session().receive(packet, 1))


FRAMES = [
    encoder.reply(METER, {"00010000": 123456.78}),
    encoder.read(OTHER, "02010100"),
    encoder.error(METER, 0x11, 2),
    encoder.read_address(),
    encoder.raw_reply(METER, "0001FF00", bytes(200)),
]
PIECES = st.lists(st.sampled_from(FRAMES) | st.binary(max_size=40) | st.just(b"\x68" * 30), max_size=8)


@given(pieces=PIECES, cuts=st.lists(st.integers(0, 2000), max_size=12))
def test_any_split_gives_the_same_packets_and_rejects(pieces: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(pieces)
    edges = [0, *sorted(c for c in cuts if c < len(stream)), len(stream)]
    framing = Framing(SETTINGS)
    found = [p for start, stop in pairwise(edges) for p in framing.feed(stream[start:stop])]
    assert [*found, *framing.flush()] == packets(stream)


@given(st.lists(st.binary(max_size=30).map(lambda b: b.replace(b"\x68", b"")), min_size=1, max_size=5))
def test_garbage_between_frames_loses_none(garbage: list[bytes]) -> None:
    found = packets(b"".join(g + FRAMES[0] for g in garbage))
    assert [p for p in found if isinstance(p, bytes)] == [FRAMES[0][4:]] * len(garbage)
    assert all(p.reason == "bad_frame" for p in found if isinstance(p, Reject))


def test_a_damaged_length_swallows_no_frame_behind_it() -> None:
    damaged = bytearray(FRAMES[0])
    damaged[4 + 9] = 0xFF
    found = packets(bytes(damaged) + FRAMES[0] + FRAMES[1])
    assert [type(p) for p in found] == [Reject, bytes, bytes]


def test_a_long_stretch_of_rubbish_is_given_in_pieces() -> None:
    framing = Framing(SETTINGS)
    found = [p for _ in range(50) for p in framing.feed(b"rubbish " * 100)]
    assert len(found) > 30
    assert all(isinstance(p, Reject) and len(p.raw) == 1024 for p in found)


VALUES = {
    "00000000": -12.5,
    "00010C0A": 7.25,
    "00020001": 99.99,
    "00030000": -0.01,
    "02010100": 230.5,
    "02020300": -799.999,
    "02030000": 79.9999,
    "02060000": -0.999,
    "020A0203": 1.25,
    "02800007": -40.5,
    "0280000A": 12345678,
    "04000409": 6400,
    "04000E03": 253.0,
    "04000101": "2026-11-01 00",
    "04000102": "23:59:59",
    "04000401": "000000190101",
    "04000403": "ASSET-0001",
    "04000501": "8004",
    "04000B01": "01 00",
}


@pytest.mark.parametrize(("di", "value"), VALUES.items())
def test_a_value_survives_encoding_and_decoding(di: str, value: Any) -> None:
    message = decoded(encoder.reply(METER, {di: value}))["message"]
    assert message["value"] == value
    assert message["di"] == di
    assert message["di_name"]


def test_a_demand_survives_with_its_time() -> None:
    message = decoded(encoder.reply(METER, {"01010000": [1.5, "2026-07-01 08:30"]}))["message"]
    assert (message["value"], message["time"], message["unit"]) == (1.5, "2026-07-01 08:30", "kW")


def test_a_value_that_does_not_fit_is_not_sent() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        encoder.reply(METER, {"02010100": 12345.6})
    with pytest.raises(ValueError, match="does not fit"):
        encoder.reply(METER, {"02010100": -1.0})
    with pytest.raises(ValueError, match="no item"):
        encoder.reply(METER, {"F0F0F0F0": 1})


@pytest.mark.parametrize(
    ("di", "name"),
    [
        ("00010000", "当前正向有功总电能"),
        ("00010100", "当前正向有功费率1电能"),
        ("00020003", "上3结算日反向有功总电能"),
        ("00290000", "当前B相正向有功电能"),
        ("00BC0000", "当前C相关联电能"),
        ("01010000", "当前正向有功总最大需量及发生时间"),
        ("02030000", "总有功功率"),
        ("02010200", "B相电压"),
        ("020B0315", "C相21次电流谐波含量"),
        ("05060101", "（上1次）日冻结正向有功电能"),
        ("0203FF00", "总有功功率等数据块"),
        ("03010001", "A相失压"),
    ],
)
def test_identifiers_have_the_names_of_the_annex(di: str, name: str) -> None:
    assert items.name(di) == name


def test_a_block_of_kinds_with_separators_is_expanded() -> None:
    content = b"".join(bytes((n, 0, 0, 0, 0xAA)) for n in range(1, 4))
    message = decoded(encoder.raw_reply(METER, "00FF0000", content))["message"]
    assert [(i["di"], i["value"]) for i in message["items"]] == [("00000000", 0.01), ("00010000", 0.02), ("00020000", 0.03)]


def test_a_line_is_polled_one_request_at_a_time() -> None:
    line = session(meters={METER: {}, OTHER: {"source": "M-2"}}, registers=["00010000", "02010100"], interval_s=60.0)
    first = line.start(0)
    assert [r.data for r in first.replies] == [encoder.read(METER, "00010000")]
    assert not line.tick(SECOND).replies
    sent = [line.receive(encoder.reply(METER, {"00010000": 1.0}), SECOND)]
    sent.append(line.receive(encoder.reply(METER, {"02010100": 220.0}), 2 * SECOND))
    assert [r.data for r in sent[0].replies] == [encoder.read(METER, "02010100")]
    (reading,) = sent[1].readings
    assert (reading.source, reading.ts, reading.energy, reading.voltage) == (METER, 2 * SECOND, 3.6e6, 220.0)
    assert [(r.data, r.when) for r in sent[1].replies] == [(encoder.read(OTHER, "00010000"), "durable")]
    line.receive(encoder.error(OTHER, 0x11, 2), 3 * SECOND)
    last = line.receive(encoder.reply(OTHER, {"02010100": 221.0}), 4 * SECOND)
    assert [(r.source, r.energy, r.voltage) for r in last.readings] == [("M-2", None, 221.0)]
    assert not last.replies
    assert not line.tick(59 * SECOND).replies
    assert [r.data for r in line.tick(60 * SECOND).replies] == [encoder.read(METER, "00010000")]


def test_a_silent_meter_is_asked_again_and_then_passed_over() -> None:
    line = session(meters={METER: {}, OTHER: {}}, registers=["00010000", "02010100"], timeout_s=2.0, retries=1)
    line.start(0)
    assert [r.data for r in line.tick(2 * SECOND).replies] == [encoder.read(METER, "00010000")]
    assert [r.data for r in line.tick(4 * SECOND).replies] == [encoder.read(OTHER, "00010000")]


def test_a_meter_that_falls_silent_keeps_what_it_said() -> None:
    line = session(meters={METER: {}}, registers=["00010000", "02010100"], timeout_s=2.0, retries=0)
    line.start(0)
    line.receive(encoder.reply(METER, {"00010000": 1.0}), SECOND)
    (reading,) = line.tick(9 * SECOND).readings
    assert (reading.energy, reading.voltage, reading.ts) == (3.6e6, None, SECOND)


def test_an_answer_in_parts_is_asked_for_and_joined() -> None:
    line = session(meters={METER: {}}, registers=["0001FF00"])
    line.start(0)
    whole = bytes.fromhex("00030000 00010000 00020000")
    asked = line.receive(encoder.raw_reply(METER, "0001FF00", whole[:6], follows=True), SECOND)
    assert [r.data for r in asked.replies] == [encoder.read_next(METER, "0001FF00", 1)]
    asked = line.receive(encoder.reply_next(METER, "0001FF00", whole[6:10], 1, follows=True), SECOND)
    assert [r.data for r in asked.replies] == [encoder.read_next(METER, "0001FF00", 2)]
    done = line.receive(encoder.reply_next(METER, "0001FF00", whole[10:], 2), SECOND)
    assert [i["value"] for i in done.message["items"]] == [3.0, 1.0, 2.0]
    assert [(r.register, r.energy) for r in done.readings] == [(None, 3 * 3.6e6), ("00010100", 3.6e6), ("00010200", 7.2e6)]


def test_what_others_ask_and_get_is_decoded_beside_the_poll() -> None:
    line = session(meters={METER: {}})
    line.start(0)
    heard = line.receive(encoder.reply(OTHER, {"02010100": 219.5}), SECOND)
    assert [(r.source, r.voltage) for r in heard.readings] == [(OTHER, 219.5)]
    assert not heard.replies


@pytest.mark.parametrize("control", [*range(0x80, 0xA0), *range(0xA0, 0xC0), *range(0xC0, 0xE0)])
def test_any_answer_without_data_is_read_or_refused(control: int) -> None:
    try:
        assert session().receive(encoder.frame(METER, control), SECOND).message["control"] == f"{control:02X}"
    except Reject as reject:
        assert reject.reason == "bad_length"


def test_unfinished_answers_are_bounded() -> None:
    line = session()
    for number in range(500):
        line.receive(encoder.raw_reply(f"{number:012d}", "0001FF00", bytes(200), follows=True), SECOND)
    assert len(line._parts) <= 64


@pytest.mark.parametrize("bad", [{"meters": {"12": {}}}, {"meters": {METER: {"x": 1}}}, {"registers": ["00010"]}])
def test_wrong_settings_are_fatal(bad: dict[str, Any]) -> None:
    with pytest.raises(Fatal, match="dlt645"):
        session(**bad)


def test_published_frames(recordings: Path) -> None:
    found: Counter[str] = Counter()
    for line in (recordings / "vectors" / "dlt645_mixed_half.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        results = packets(bytes.fromhex(row["hex"]))
        if not all(row["checks"].values()):
            assert [p.reason for p in results if isinstance(p, Reject)] == ["bad_checksum"], row
            found["refused"] += 1
            continue
        (packet,) = results
        assert isinstance(packet, bytes), row
        result = describe(session().receive(packet, 1))
        assert not result["rejects"], row
        found["fields"] += compare(row, result["message"])
        found["readings"] += len(result["readings"])
        found["decoded"] += 1
    print(dict(found))
    assert (found["decoded"], found["refused"]) == (24, 1)
    assert found["fields"] >= 110
    assert found["readings"] == 20


SAME = {
    "地址域": "address",
    "控制码": "control",
    "数据域长度": "length",
    "数据项标识": "di",
    "A相电压 V": "value",
    "hid": "address",
    "control_code": "control",
    "cmd": "control",
    "meter_number": "address",
    "data_id": "di",
    "data": "data",
    "value": "value",
    "address": "address",
    "di": "di",
}
"""What the authors of the frames call a field, to what we call it."""


def compare(row: dict[str, Any], message: dict[str, Any]) -> int:
    """Compare every field others expect of a frame with ours; gives how many."""
    derived = row["derived"]
    pairs = [
        (derived["address"], message["address"]),
        (derived["control"], f"0x{message['control']}"),
        (derived["data_len"], message["length"]),
    ]
    if "value_decoded_by_spec" in derived:
        name, unit = derived["di_name"].rsplit(" ", 1)
        pairs += [(derived["value_decoded_by_spec"], message["value"]), (name, message["di_name"]), (unit, message["unit"])]
    expected = row.get("expect", {})
    pairs += [(value, message[SAME[name]]) for name, value in expected.items() if name in SAME]
    if "sn" in expected:
        pairs.append((expected["sn"], message["address"].lstrip("0")))
    if expected.get("kind") or "response" in expected.get("meaning", ""):
        pairs.append((expected.get("kind") or expected["meaning"], message["kind"].replace("read error", "error")))
    for wanted, shown in pairs:
        assert wanted == shown, (row["hex"], wanted, shown)
    return len(pairs)
