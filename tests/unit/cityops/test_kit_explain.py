"""A packet explained byte by byte: in the connector's words, or found by changing bytes and decoding again."""

from __future__ import annotations

from typing import Any

import pytest

from cityops.connector_kit import explain as kit
from cityops.connector_kit import packets, seals
from cityops.connector_kit.conformance import run, session_of
from cityops.connector_kit.explain import Explained, explain
from connectors._api import golden, registry
from connectors._api.registry import Connector
from connectors._api.session import Received
from connectors._api.spans import Span
from connectors.hj212 import encoder as hj212
from connectors.jt808 import encoder as jt808
from schemas.errors import Fatal

NOW = 1_793_491_200_000_000
LONGEST = 150
"""Only so short golden packets are explained here, to stay quick."""
CATALOGUE = {
    "CRC16/MODBUS": 0x4B37,
    "CRC16/CCITT": 0x29B1,
    "CRC16/XMODEM": 0x31C3,
    "CRC16/X25": 0x906E,
    "CRC16/ARC": 0xBB3D,
    "CRC32": 0xCBF43926,
    "CRC8": 0xF4,
    "SUM8": 0xDD,
    "XOR": 0x31,
}
"""Check values of the nine digits 123456789, as catalogues of check codes list them."""


def first_good(name: str) -> tuple[golden.Case, bytes] | None:
    """Give a case whose first packet gives readings and is short, and that packet."""
    folder = registry.load(name).path
    for case in golden.cases(folder).values():
        content = golden.packet(case.steps[0], folder)
        if case.steps[0].readings and len(content) <= LONGEST:
            return case, content
    return None


def gb32960() -> tuple[Connector, Any, bytes]:
    """Give a connector without an explain.py, settings and a packet of it."""
    case, content = first_good("gb32960") or pytest.fail("no packet")
    connector = registry.load("gb32960")
    return connector, connector.manifest.resolve(case.settings, "test"), content


def decoded(connector: Connector, settings: Any, packet: bytes) -> list[Received]:
    """Give what a packet brings in a session of its own."""
    return run(connector, settings, session_of(connector, settings), packet, NOW, "")


def values(explained: Explained) -> dict[str, Any]:
    return {s.name: s.value for s in explained.spans if s.name}


def by_mutation(name: str, packet: bytes) -> Explained:
    connector = registry.load(name)
    return explain(connector, connector.manifest.resolve({}, "test"), packet, NOW)


@pytest.mark.parametrize("name", list(registry.installed()))
def test_every_byte_belongs_to_one_span(name: str) -> None:
    connector = registry.load(name)
    found = first_good(name)
    if found is None:
        pytest.skip(f"{name}: no golden packet of at most {LONGEST} bytes gives readings")
    case, content = found
    settings = connector.manifest.resolve(case.settings, "test")
    told = explain(connector, settings, content, NOW, case.steps[0].origin)
    assert b"".join(content[s.start : s.end] for s in told.spans) == content
    assert any(s.name for s in told.spans), "nothing was explained"
    assert told.check in ("right", "none known")


def test_fields_are_found_without_any_words_of_the_connector() -> None:
    connector, settings, content = gb32960()
    told = explain(connector, settings, content, NOW)
    assert (told.by, told.check) == ("mutation", "right")
    by_name = {s.name: s for s in told.spans}
    assert (by_name["vin"].start, by_name["vin"].end) == (4, 21)
    assert by_name["vin"].value == content[4:21].decode()
    assert (by_name["time"].start, by_name["time"].end) == (24, 30)
    code = told.spans[-1]
    assert code.name.endswith("check code") and code.note.startswith("XOR") and "right" in code.note


def test_a_wrong_check_code_is_told_with_the_right_one() -> None:
    connector, settings, content = gb32960()
    wrong = content[:-1] + bytes((content[-1] ^ 0x55,))
    told = explain(connector, settings, wrong, NOW)
    assert told.check == "wrong" and list(told.rejects) == ["bad_checksum"]
    assert f"computed {content[-1]:02X}" in told.spans[-1].note
    assert values(told)["vin"] == content[4:21].decode(), "the fields are found all the same"


def test_an_unknown_check_code_is_said_to_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seals, "CODES", {})
    connector, settings, content = gb32960()
    told = explain(connector, settings, content, NOW)
    assert told.notes and "seal(packet)" in told.notes[0]
    assert any("only the check code" in s.note for s in told.spans)


@pytest.mark.parametrize("name", CATALOGUE)
def test_check_codes_are_those_of_the_catalogues(name: str) -> None:
    assert seals.CODES[name][1](b"123456789") == CATALOGUE[name]


def test_jt808_is_explained_through_its_escapes() -> None:
    packet = jt808.location("13912345678", 0x7E7D, version="2013", ts=NOW, lat=35.5, lon=112.8)
    assert b"\x7d\x02\x7d\x01" in packet
    told = by_mutation("jt808", packet)
    assert told.by == "connector" and told.check == "right"
    spans = {s.name: s for s in told.spans}
    assert spans["serial"].value == 0x7E7D
    assert packet[spans["serial"].start : spans["serial"].end] == b"\x7d\x02\x7d\x01"
    assert (spans["latitude"].value, spans["latitude"].unit) == (35.5, "°")
    assert "right" in spans["check"].note
    bare = by_mutation("jt808", bytes.fromhex("0200001C"))
    assert "bad_frame" in next(s.note for s in bare.spans if s.name == "packet")


def test_hj212_names_values_units_and_the_kind_of_check_code() -> None:
    packet = hj212.realtime("MN1", ts=NOW, values={"a34002": 85.5}, crc="modbus")
    told = by_mutation("hj212", packet)
    spans = {s.name: s for s in told.spans}
    assert (spans["CP[1].a34002-Rtd"].value, spans["CP[1].a34002-Rtd"].unit) == (85.5, "µg/m³")
    assert spans["MN"].value == "MN1"
    assert "modbus" in spans["crc"].note and "right" in spans["crc"].note
    short = by_mutation("hj212", packet.replace(b"##0", b"##1", 1))
    assert "bytes are there" in next(s.note for s in short.spans if s.name == "length")


def test_packets_before_it_belong_to_the_same_session() -> None:
    connector = registry.load("jt808")
    settings = connector.manifest.resolve({"authentication": "required", "secret": "s"}, "test")
    position = jt808.location("13912345678", 1, version="2013", ts=NOW, lat=35.5, lon=112.8)
    register = jt808.register("13912345678", 0, version="2013")
    (answer,) = decoded(connector, settings, register)[0].replies
    code = answer.data[16:-2].decode()
    authenticate = jt808.authenticate("13912345678", 2, code, version="2013")
    assert list(explain(connector, settings, position, NOW).rejects) == ["unauthenticated"]
    assert list(explain(connector, settings, position, NOW, before=[register, authenticate]).rejects) == []


def test_gaps_and_overlaps_become_one_row_of_spans() -> None:
    found = kit.whole(b"abcdef", [Span(1, 3, "x"), Span(2, 4, "y")])
    assert [(s.start, s.end, s.name) for s in found] == [(0, 1, ""), (1, 3, "x"), (3, 4, "y"), (4, 6, "")]


def test_packets_come_in_any_spelling(tmp_path: Any) -> None:
    assert packets.from_hex("7E 00:01,0x02\n03") == bytes.fromhex("7E00010203")
    with pytest.raises(Fatal, match="--text"):
        packets.from_hex("7E0G")
    assert packets.from_text("##0001") == b"##0001\r\n"
    assert packets.from_text('{"a":1}') == b'{"a":1}'
    file = tmp_path / "two.hex"
    file.write_text("7E01\n7E02\n", encoding="ascii")
    assert [p for p, _ in packets.given(None, file, text=False)] == [b"\x7e\x01", b"\x7e\x02"]
    assert packets.given(str(file), None, text=False)[0] == (b"\x7e\x01", "two.hex"), "a file may stand for the packet"
    with pytest.raises(Fatal, match="both"):
        packets.given("7E", file, text=False)
