"""The language of message layouts, the text and times it shows, and the shared 808 location body."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors._api import bcd, layouts, position808
from connectors._api.flagged import Flagged, check_byte, frame
from schemas.errors import Fatal, Reject

MESSAGE = layouts.layout(
    [
        "number:u16",
        "flags:u8",
        "when:time?flags.0",
        "length:u8",
        "note:str#length",
        "count:u8",
        "points:u16*#count",
        "name:cstr",
        "amount:dec2",
        "plate:str8",
        "seen:utc",
        "tail:bytes?",
    ],
    {},
)
VALUES: dict[str, Any] = {
    "number": 515,
    "flags": 1,
    "when": "2024-10-29 13:39:03",
    "length": 4,
    "note": "汽油",
    "count": 2,
    "points": [1, 258],
    "name": "火车站",
    "amount": 163,
    "plate": "晋A12345",
    "seen": "2024-10-29 13:39:03",
}
BYTES = bytes.fromhex("020301 241029133903 04 C6FBD3CD 02 00010102 BBF0B3B5D5BE00 0163 BDFA41313233343500000000672074F7")


def test_a_layout_reads_its_fields_and_writes_them_back() -> None:
    values, end = MESSAGE.read(BYTES, 0)
    assert (values, end) == (VALUES, len(BYTES))
    assert MESSAGE.write(VALUES) == BYTES


def test_lengths_and_counts_are_filled_in_and_optional_fields_left_out() -> None:
    short = {k: v for k, v in VALUES.items() if k not in ("length", "count", "when")} | {"flags": 0}
    assert MESSAGE.write(short) == BYTES[:2] + b"\0" + BYTES[9:]


@pytest.mark.parametrize("cut", range(len(BYTES)))
def test_a_body_cut_short_is_refused(cut: int) -> None:
    with pytest.raises(Reject, match="bad_length"):
        MESSAGE.read(BYTES[:cut], 0)


@pytest.mark.parametrize("line", ["x", "x:u9", "x:str#n", "x:u8?n.0", "x:bcd", "x:str4.u8"])
def test_a_wrong_line_is_fatal_and_quoted(line: str) -> None:
    with pytest.raises(Fatal, match="x"):
        layouts.layout([line], {})


def test_a_lying_count_ends_with_the_body() -> None:
    with pytest.raises(Reject, match="bad_length"):
        layouts.layout(["points:u16*u32"], {}).read(b"\xff\xff\xff\xff\0\1", 0)


def test_the_form_that_takes_the_whole_body_wins_else_the_first_with_a_rest() -> None:
    forms = [layouts.layout(["a:u8"], {}), layouts.layout(["a:u8", "b:u16"], {})]
    assert layouts.fit(forms, b"\1\0\2") == {"a": 1, "b": 2}
    assert layouts.fit(forms, b"\1\2") == {"a": 1, "rest": b"\2"}
    assert layouts.build(forms, {"a": 1, "b": 2}) == b"\1\0\2"
    with pytest.raises(ValueError, match="no form"):
        layouts.build(forms, {"c": 1})


def test_text_is_shown_without_padding_and_never_fails() -> None:
    assert layouts.text("晋A 1".encode("gbk") + b"\0\0") == "晋A 1"
    assert layouts.text(b"a\0b") == "a b"
    assert layouts.padded_text(b"\0A1\0rubbish") == "A1"
    assert layouts.text(b"\xff\xff") == "\\xff\\xff"


@given(st.integers(0, layouts.LAST_SECOND + 10))
def test_seconds_survive_their_text(seconds: int) -> None:
    raw = seconds.to_bytes(8)
    shown = layouts.local_text(raw)
    assert isinstance(shown, str) == (seconds <= layouts.LAST_SECOND)
    assert layouts.local_bytes(shown) == raw


@given(st.integers(946_656_000, 4_102_415_999))
def test_a_local_time_is_the_same_instant_as_bcd_and_as_text(seconds: int) -> None:
    ts = seconds * 1_000_000
    raw = bcd.from_instant(ts)
    assert bcd.instant(raw) == ts == bcd.text_instant(bcd.time_text(raw))
    assert bcd.time_bytes(bcd.time_text(raw)) == raw


@pytest.mark.parametrize("text", ["", "2024-02-30 00:00:00", "2024-10-29 13:60:00", "2024-10-29 13:39", "24102913390F"])
def test_a_text_no_calendar_has_is_refused(text: str) -> None:
    with pytest.raises(Reject, match="bad_field"):
        bcd.text_instant(text)


def test_the_location_of_808_reads_items_raw_and_keeps_what_is_cut_off() -> None:
    body = bytes.fromhex("00000002 00000003 0241A8F6 06B55E80 030C 016D 010E 241029133903 0104 00003039 E102ABCD 3001")
    values = position808.read(body)
    assert (values["lat"], values["lon"], values["speed"]) == (37.857526, 112.549504, 365)
    assert (values["mileage"], values["items"]["0xE1"], values["items"]["rest"]) == (12345, b"\xab\xcd", b"\x30\x01")
    assert position808.write(values) == body
    assert position808.ALARMS[1] == "overspeed"
    with pytest.raises(Reject, match="bad_length"):
        position808.read(body[:27])


def test_a_flag_may_be_shared_and_an_unescaped_7d_is_taken_where_the_check_byte_proves_it() -> None:
    packets = [b"\x01\x7d\x09", b"\x7e\x7d\x01"]
    wire = b"".join(map(frame, packets))
    sloppy = b"\x7e" + packets[0] + bytes((check_byte(packets[0]),)) + b"\x7e"
    framing = Flagged(lambda packet: None, 1, 100)
    assert framing.feed(wire.replace(b"\x7e\x7e", b"\x7e")) == packets
    assert framing.feed(sloppy) == packets[:1]
    (reject,) = framing.feed(sloppy.replace(b"\x09", b"\x08"))
    assert isinstance(reject, Reject)
    assert reject.reason == "bad_escape"


@given(st.binary(max_size=300))
def test_the_check_byte_is_the_xor_of_all_bytes(raw: bytes) -> None:
    plain = 0
    for byte in raw:
        plain ^= byte
    assert check_byte(raw) == plain


def test_a_line_holds_only_in_its_editions() -> None:
    lines = ["old:u8@2011,2013", "day:date", "new:u16@2019"]
    for edition, shown in (("2013", {"old": 1, "day": "2024-10-29"}), ("2019", {"day": "2024-10-29", "new": 2})):
        form = layouts.layout(lines, {}, edition)
        body = form.write(shown)
        assert form.read(body, 0) == (shown, len(body))
    assert [f.name for f in layouts.layout(lines, {}).fields] == ["day"]
