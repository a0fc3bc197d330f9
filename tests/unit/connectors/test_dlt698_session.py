"""DL/T 698.45: framing, data types, fragments, polling and the frames others published."""

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
from connectors.dlt698 import apdu, axdr, encoder, objects
from connectors.dlt698.checksum import x25
from connectors.dlt698.fragments import word
from connectors.dlt698.framing import Framing, build
from schemas.errors import Fatal

DLT698 = load("dlt698")
SETTINGS = DLT698.manifest.resolve({}, "test")
METER = "000000000001"
NOW = 1_793_491_200_000_000
SECOND = 1_000_000


def session(**given_settings: Any) -> Any:
    return DLT698.make_session(DLT698.manifest.resolve(given_settings, "test"), Peer("test"))


def packets(stream: bytes) -> list[bytes | Reject]:
    framing = Framing(SETTINGS)
    return [*framing.feed(stream), *framing.flush()]


def from_meter(content: bytes, **rest: Any) -> bytes:
    return encoder.frame(METER, content, from_server=True, **rest)


ENERGY: encoder.Typed = ("array", [("u32", 123456), ("u32", 100)])
FRAMES = [
    from_meter(encoder.get_response(5, {"00100200": ENERGY})),
    from_meter(encoder.link_request(0, NOW), by_server=True, function=1),
    encoder.frame(METER, encoder.get_request(1, ["00100200", "20000200"])),
]


@given(st.binary(max_size=300))
def test_the_check_is_the_x25_of_the_annex(content: bytes) -> None:
    register = 0xFFFF
    for byte in content:
        register ^= byte
        for _ in range(8):
            register = (register >> 1) ^ 0x8408 if register & 1 else register >> 1
    assert x25(content) == register ^ 0xFFFF


@given(
    pieces=st.lists(st.sampled_from(FRAMES) | st.binary(max_size=40) | st.just(b"\x68" * 30), max_size=8),
    cuts=st.lists(st.integers(0, 2000), max_size=12),
)
def test_any_split_gives_the_same_packets_and_rejects(pieces: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(pieces)
    edges = [0, *sorted(c for c in cuts if c < len(stream)), len(stream)]
    framing = Framing(SETTINGS)
    found = [p for start, stop in pairwise(edges) for p in framing.feed(stream[start:stop])]
    assert [*found, *framing.flush()] == packets(stream)


@given(st.binary(max_size=3).map(lambda b: b.replace(b"\x68", b"")), st.integers(0, 7), st.booleans())
def test_addresses_and_scrambled_bytes_come_out_as_they_went_in(extra: bytes, logical: int, scrambled: bool) -> None:
    address = b"\x01" + extra
    content = bytes.fromhex("0501150010020000")
    sent = bytes((b + 0x33) & 0xFF for b in content) if scrambled else content
    (packet,) = packets(build(0x43 | (8 if scrambled else 0), address, 7, sent, 1, logical))
    assert isinstance(packet, bytes)
    message = session().receive(packet, NOW).message
    assert message["oad"] == "00100200"
    assert message["server_addr"] == address[::-1].hex().upper()
    assert (message["logical_addr"], message["addr_type"], message["client_addr"]) == (logical, "wildcard", 7)


TYPES: list[tuple[str, Any, Any]] = [
    ("00", None, None),
    ("0301", True, ("bool", True)),
    ("040AFF40", "1111111101", None),
    ("05FFFFFFFF", -1, ("i32", -1)),
    ("060001E240", 123456, ("u32", 123456)),
    ("0902ABCD", "ABCD", ("octets", b"\xab\xcd")),
    ("0A024142", "AB", ("visible", "AB")),
    ("0C03E7A9BA", "空", ("utf8", "空")),
    ("0FFF", -1, ("i8", -1)),
    ("10FF9C", -100, ("i16", -100)),
    ("11FF", 255, ("u8", 255)),
    ("1208FC", 2300, ("u16", 2300)),
    ("14FFFFFFFFFFFFFFFF", -1, ("i64", -1)),
    ("150000000000000001", 1, ("u64", 1)),
    ("1603", 3, ("enum", 3)),
    ("173FC00000", 1.5, ("f32", 1.5)),
    ("183FF8000000000000", 1.5, ("f64", 1.5)),
    ("19" + "07EA0B0100080000007B", "2026-11-01 08:00:00.123", None),
    ("1A07EA0B0100", "2026-11-01", None),
    ("1B0C22FF", "12:34:--", None),
    ("1C07EA0B01080000", "2026-11-01 08:00:00", ("date_time_s", NOW)),
    ("1CFFFFFFFFFFFFFF", None, None),
    ("502000", "2000", None),
    ("5120000200", "20000200", ("oad", "20000200")),
    ("525004020001" + "00100200", {"oad": "50040200", "related": ["00100200"]}, None),
    ("5343000300", "43000300", None),
    ("5401000F", {"unit": "minute", "count": 15}, None),
    ("550705000000000001", METER, ("tsa", METER)),
    ("5602AABB", "AABB", None),
    ("57021122", "1122", None),
    ("5802" + "1201" + "00" + "1202" + "00", {"bounds": "[begin,end]", "begin": 256, "end": 512}, None),
    ("59FF26", {"scale": -1, "unit": 38}, None),
    ("5A00", {"selector": 0}, None),
    ("5A0903", {"selector": 9, "last": 3}, None),
    ("5B0000100200", "00100200", None),
    ("5C01", "all", None),
    ("5C03" + "01" + "0705000000000001", {"addresses": [METER]}, None),
    ("5D0000000102AABB", {"id": 1, "attached": "AABB"}, None),
    ("5E000000010002CCDD", {"id": 1, "attached": "", "mac": "CCDD"}, None),
    ("5F0602080100", "0602080100", None),
    ("60010000100200", ["00100200"], None),
    ("0102" + "1101" + "1102", [1, 2], ("array", [("u8", 1), ("u8", 2)])),
    ("0202" + "1101" + "00", [1, None], ("structure", [("u8", 1), ("null", None)])),
]


@pytest.mark.parametrize(("raw", "value", "typed"), TYPES)
def test_every_data_type_is_read_to_its_last_byte(raw: str, value: Any, typed: encoder.Typed | None) -> None:
    cursor = axdr.Cursor(bytes.fromhex(raw))
    assert axdr.data(cursor) == value
    assert cursor.left == 0
    if typed is not None:
        assert encoder.data(typed).hex().upper() == raw


def test_every_data_type_of_the_table_is_tried_above() -> None:
    assert {int(raw[:2], 16) for raw, _, _ in TYPES} == set(axdr.READERS)


@pytest.mark.parametrize(
    "raw", ["", "01", "0102", "06000000", "0985" + "00" * 5, "6305", "02" * 40, "5A0304" * 3, "5A0120000200" * 900]
)
def test_data_that_ends_early_or_nests_too_deep_is_refused(raw: str) -> None:
    with pytest.raises(Reject):
        axdr.data(axdr.Cursor(bytes.fromhex(raw)))


@given(st.binary(max_size=120))
def test_any_apdu_is_read_or_refused(raw: bytes) -> None:
    try:
        apdu.parse(raw)
    except Reject as reject:
        assert reject.detail


@given(st.sampled_from(sorted({*apdu.CHOICES, 0x10, 0x90})), st.integers(0, 8), st.binary(max_size=120))
def test_any_service_is_read_or_refused(tag: int, choice: int, rest: bytes) -> None:
    try:
        apdu.parse(bytes((tag, choice)) + rest)
    except Reject as reject:
        assert reject.detail


@pytest.mark.parametrize(
    ("oad", "zh", "divisor", "unit"),
    [
        ("00100200", "正向有功电能", 100, "kWh"),
        ("00120201", "B相正向有功电能", 100, "kWh"),
        ("00100400", "正向有功电能", 10_000, "kWh"),
        ("00300200", "组合无功1电能", 100, "kvarh"),
        ("10100200", "正向有功最大需量", 10_000, "kW"),
        ("20000200", "电压", 10, "V"),
        ("200F0200", "电网频率", 100, "Hz"),
        ("40000200", "日期时间", 1, ""),
        ("0F000200", "", 1, ""),
    ],
)
def test_objects_have_the_names_and_scales_of_the_annex(oad: str, zh: str, divisor: int, unit: str) -> None:
    assert objects.attribute(oad) == (zh, divisor, unit)


def test_fragments_make_one_apdu_and_are_acknowledged() -> None:
    line = session()
    content = encoder.get_response(5, {"00100200": ENERGY})
    frames = encoder.fragmented(METER, content, 7)
    assert len(frames) > 3
    *parts, last = [line.receive(frame, NOW) for frame in frames]
    assert [r.data for one in parts for r in one.replies] == [
        build(0x63, bytes.fromhex(METER)[::-1], 0x10, word("ack", n)) for n in range(len(parts))
    ]
    assert last.message["name"] == "get_response_normal"
    assert [r.energy for r in last.readings] == [pytest.approx(1234.56 * 3.6e6), pytest.approx(3.6e6)]


def test_a_fragment_out_of_turn_is_refused_and_one_repeated_is_not() -> None:
    line = session()
    frames = encoder.fragmented(METER, bytes(40), 7)
    line.receive(frames[0], NOW)
    assert line.receive(frames[0], NOW).replies
    line.receive(frames[1], NOW)
    assert line.receive(frames[1], NOW).replies
    with pytest.raises(Reject, match="incomplete"):
        line.receive(frames[3], NOW)
    assert line.receive(frames[5], NOW).message["awaited"] is False


def test_fragments_that_never_end_are_bounded_and_expire() -> None:
    line = session()
    for number in range(100):
        (start, *_) = encoder.fragmented(f"{number:012d}", bytes(40), 20)
        line.receive(start, NOW)
    rejects = line.tick(NOW + 61 * SECOND).rejects
    assert [r.reason for r in rejects] == ["incomplete"] * 8


def test_whoever_logs_in_is_answered_and_polled() -> None:
    line = session(registers=["00100200", "200F0200"], interval_s=60.0)
    assert not line.start(NOW).replies
    login = encoder.frame(METER, encoder.link_request(0, NOW, piid=3), client=5, from_server=True, by_server=True, function=1)
    (answer,) = line.receive(login, NOW).replies
    assert answer.data == encoder.frame(
        METER, encoder.link_response(encoder.link_request(0, NOW, piid=3), NOW), client=5, by_server=True, function=1
    )
    (asked,) = line.tick(NOW).replies
    assert asked.data == encoder.frame(METER, encoder.get_request(1, ["00100200", "200F0200"]), client=5)
    done = line.receive(from_meter(encoder.get_response(1, {"00100200": ENERGY, "200F0200": ("u16", 4998)})), NOW)
    assert [(r.register, r.energy, r.frequency) for r in done.readings] == [
        (None, pytest.approx(1234.56 * 3.6e6), 49.98),
        ("00100202", pytest.approx(3.6e6), None),
    ]
    assert not line.tick(NOW + 59 * SECOND).replies
    assert line.tick(NOW + 60 * SECOND).replies


def test_an_association_goes_before_the_poll_where_wanted() -> None:
    line = session(meters={METER: {}}, registers=["00100200"], associate=True)
    assert [r.data for r in line.start(NOW).replies] == [encoder.frame(METER, encoder.connect_request(1))]
    limits = bytes(32) + (16).to_bytes(2) + bytes(24) + bytes.fromhex("040004000108000000001C")
    accepted = bytes((0x82, 1)) + limits + bytes(4)
    received = line.receive(from_meter(accepted), NOW)
    assert received.message["result"]["code"] == 0
    assert [r.data for r in received.replies] == [encoder.frame(METER, encoder.get_request(2, ["00100200"]))]


def test_a_long_answer_is_asked_for_block_by_block() -> None:
    line = session(meters={METER: {}}, registers=["00100200", "20000200"])
    line.start(NOW)
    first = line.receive(from_meter(encoder.get_response_next(1, 0, {"00100200": ENERGY}, last=False)), NOW)
    assert [r.data for r in first.replies] == [encoder.frame(METER, encoder.get_request_next(1, 0))]
    last = line.receive(from_meter(encoder.get_response_next(1, 1, {"20000200": ("array", [("u16", 2300)])}, last=True)), NOW)
    assert next((r.energy, r.voltage) for r in last.readings) == (pytest.approx(1234.56 * 3.6e6), 230.0)


def test_a_silent_server_is_asked_again_and_then_left_for_the_round() -> None:
    line = session(meters={METER: {}}, registers=["00100200"], timeout_s=2.0, retries=1)
    assert line.start(NOW).replies
    assert line.tick(NOW + 2 * SECOND).replies
    assert not line.tick(NOW + 4 * SECOND).replies
    assert line.tick(NOW + 901 * SECOND).replies


def test_a_report_is_confirmed_only_when_durable() -> None:
    (reply,) = session().receive(from_meter(encoder.report(9, {"00100200": ENERGY}), by_server=True), NOW).replies
    assert reply.when == "durable"
    assert reply.data == encoder.frame(METER, encoder.report_response(9, 1, ["00100200"]), by_server=True)


def test_rows_of_a_record_belong_to_their_meter_and_time() -> None:
    columns = ["202A0200", "20210200", "00100200"]
    rows: list[list[encoder.Typed]] = [[("tsa", "000000000011"), ("date_time_s", NOW - SECOND), ENERGY]]
    received = session().receive(from_meter(encoder.report_record(1, "50040200", columns, rows), by_server=True), NOW)
    assert [(r.source, r.ts, r.register) for r in received.readings] == [
        ("000000000011", NOW - SECOND, "50040200"),
        ("000000000011", NOW - SECOND, "00100202"),
    ]


def test_a_row_whose_meter_is_no_address_belongs_to_the_sender() -> None:
    rows: list[list[encoder.Typed]] = [[("array", []), ENERGY]]
    received = session().receive(from_meter(encoder.report_record(1, "50040200", ["202A0200", "00100200"], rows)), NOW)
    assert {r.source for r in received.readings} == {METER}


def test_an_apdu_without_its_link_is_explained() -> None:
    (packet,) = packets(encoder.link_request(1, NOW))
    assert isinstance(packet, bytes)
    received = session().receive(packet, NOW)
    assert received.message["type_name"] == "heartbeat"
    assert not received.replies


@pytest.mark.parametrize("bad", [{"meters": {"123": {}}}, {"meters": {METER: {"x": 1}}}, {"registers": ["0010"]}])
def test_wrong_settings_are_fatal(bad: dict[str, Any]) -> None:
    with pytest.raises(Fatal, match="dlt698"):
        session(**bad)


EXPECTED = {
    "length": "length",
    "dir": "dir",
    "prm": "prm",
    "server_addr_bytes": "server_addr",
    "client_addr": "client_addr",
    "hcs": "hcs",
    "fcs": "fcs",
    "fragment": "fragment",
}
REQUESTS = {"GetRequestNormal piid=0x15 OAD=F1010200": (21, "F1010200"), "0010/2/0": (0, "00100200")}


def test_published_frames(recordings: Path) -> None:
    found: Counter[str] = Counter()
    for line in (recordings / "vectors" / "dlt698_mixed_half.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        results = packets(bytes.fromhex(row["hex"]))
        if row["kind"] == "A-XDR":
            found["bare"] += 1  # pieces of an APDU: the second is a whole one
            continue
        (packet,) = results
        assert isinstance(packet, bytes), row
        result = describe(session().receive(packet, NOW))
        assert not result["rejects"], row
        found["fields"] += compare(row, result["message"])
        found["decoded"] += 1
    print(dict(found))
    assert (found["decoded"], found["bare"]) == (5, 2)
    assert found["fields"] >= 25


def compare(row: dict[str, Any], message: dict[str, Any]) -> int:
    """Compare every field others derive or expect with ours; gives how many."""
    derived, expected = row.get("derived", {}), row.get("expect", {})
    pairs = [(value, message[EXPECTED[name]]) for name, value in expected.items() if name in EXPECTED]
    pairs += [(REQUESTS[v], (message["piid"], message["oad"])) for v in expected.values() if v in REQUESTS]
    if derived:
        pairs += [(derived["length"], message["length"]), (derived["control"], f"0x{message['control']}")]
        pairs += [(derived["server_addr"], message["server_addr"]), (derived["client_addr"], f"0x{message['client_addr']:x}")]
    for wanted, shown in pairs:
        assert wanted == shown, (row["hex"], wanted, shown)
    return len(pairs)


@given(tag=st.sampled_from([5, 6, 15, 16, 17, 18]), raw=st.binary(max_size=60), odd=st.booleans())
def test_arrays_of_equal_numbers_read_as_their_elements_do(tag: int, raw: bytes, odd: bool) -> None:
    size = {5: 4, 6: 4, 15: 1, 16: 2, 17: 1, 18: 2}[tag]
    elements = [bytes((tag,)) + raw[at : at + size] for at in range(0, len(raw) - size + 1, size)]
    elements += [b"\x00"] if odd else []
    whole = axdr.data(axdr.Cursor(bytes((1, len(elements))) + b"".join(elements)))
    assert whole == [axdr.data(axdr.Cursor(element)) for element in elements]
    if elements:
        with pytest.raises(Reject):
            axdr.data(axdr.Cursor(bytes((1, len(elements))) + b"".join(elements)[:-1]))
