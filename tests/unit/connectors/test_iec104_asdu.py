"""IEC 60870-5-104: every type identification read and written, and APDUs cut from any stream."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors._api import Reject, load
from connectors.iec104 import apci, asdu
from connectors.iec104.elements import ELEMENTS
from connectors.iec104.framing import STRETCH, Framing

SETTINGS = load("iec104").manifest.resolve({}, "test")
ALL = [*range(1, 22), *range(30, 41), *range(45, 52), *range(58, 65), 70, *range(100, 108), *range(110, 114), *range(120, 128)]

SEGMENT = 125
"""Stands alone: its size is its own."""


def test_every_type_of_the_standard_is_there() -> None:
    assert sorted(asdu.TYPES) == ALL


def octets_of(name: str, chance: random.Random) -> bytes:
    """Octets of an element as a station sends them: times that exist, reserved bits 0."""
    cp56 = bytes([*chance.randrange(60000).to_bytes(2, "little"), chance.randrange(60) | chance.choice((0, 0x80))])
    cp56 += bytes([chance.randrange(24) | chance.choice((0, 0x80)), chance.randint(1, 28) | chance.randrange(8) << 5])
    cp56 += bytes([chance.randint(1, 12), chance.randrange(100)])
    masks = {"SIQ": 0xF1, "DIQ": 0xF3, "QDS": 0xF1, "QDP": 0xF8, "SEP": 0xFB, "SPE": 0x3F, "OCI": 0x0F, "SCO": 0xFD}
    if name in ("CP56", "FROM", "TO"):
        return cp56
    if name == "CP24":
        return cp56[:3]
    if name == "R32":
        return chance.randbytes(3) + bytes([chance.choice((0x41, 0xC2))])
    if name == "SEGMENT":
        size = chance.randrange(200)
        return bytes([size]) + chance.randbytes(size)
    return bytes(octet & masks.get(name, 0xFF) for octet in chance.randbytes(ELEMENTS[name].size))


def elements_of(type_id: int) -> list[str]:
    names = {element: name for name, element in ELEMENTS.items()}
    return [names[element] for element in asdu.TYPES[type_id].elements]


@pytest.mark.parametrize(("type_id", "sq"), [(t, sq) for t in ALL for sq in (False, True) if (t, sq) != (SEGMENT, True)])
def test_what_is_read_is_written_again(type_id: int, sq: bool) -> None:
    chance = random.Random(type_id)  # noqa: S311 - a repeatable choice, no secret
    grows = asdu.TYPES[type_id].grows
    for count in (1, 1 if grows else 3):
        objects = [b"".join(octets_of(name, chance) for name in elements_of(type_id)) for _ in range(count)]
        if sq:
            body = (700).to_bytes(3, "little") + b"".join(objects)
        else:
            body = b"".join((700 + n).to_bytes(3, "little") + one for n, one in enumerate(objects))
        unit = bytes([type_id, count | (0x80 if sq else 0), 0xC0 | 20, 7, 0x34, 0x12]) + body
        fields, flaw = asdu.read(unit)
        assert not flaw
        assert (fields["ca"], fields["oa"], fields["cot"], fields["negative"], fields["test"]) == (0x1234, 7, 20, 1, 1)
        assert fields["ioa"] == [700 + n for n in range(count)]
        again = asdu.write(type_id, fields["objects"], cot=20, ca=0x1234, oa=7, sq=sq, negative=True, test=True)
        assert again == unit
        if not grows:
            assert asdu.length(unit) == len(unit)


@pytest.mark.parametrize(
    ("octets", "element", "shown"),
    [
        ("F1", "SIQ", {"value": 1, "quality": ("iv", "nt", "sb", "bl")}),
        ("42", "DIQ", {"value": 2, "quality": ("nt",)}),
        ("C0", "VTI", {"value": -64, "transient": 1}),
        ("3F", "VTI", {"value": 63, "transient": 0}),
        ("0080", "NVA", {"value": -1.0}),
        ("FF7F", "NVA", {"value": 32767 / 32768}),
        ("0080", "SVA", {"value": -32768}),
        ("FFFFFFFF", "BSI", {"value": 4294967295}),
        ("FFFFFFFFE3", "BCR", {"value": -1, "sequence": 3, "carry": 1, "adjusted": 1, "quality": ("iv",)}),
        ("0A", "SEP", {"value": 2, "quality": ("ei",)}),
        ("05008000", "SCD", {"value": 5, "changed": 128}),
        ("86", "RCO", {"value": 2, "qu": 1, "se": 1}),
        ("45", "QCC", {"rqt": 5, "frz": 1}),
        ("C1", "QPM", {"kpa": 1, "lpc": 1, "pop": 1}),
        ("AA55", "FBP", {"fbp": 0x55AA}),
        ("2A76A5", "CP24", {"time": "37:30.250", "time_quality": ("iv",)}),
        ("2A760588E10B1A", "CP56", {"time": "2026-11-01T08:05:30.250", "time_quality": ("su",), "time_weekday": 7}),
        ("0000000001014", "CP56", None),
    ],
)
def test_elements_as_the_standard_draws_them(octets: str, element: str, shown: dict[str, Any] | None) -> None:
    if shown is None:
        with pytest.raises(ValueError):
            ELEMENTS[element].read(bytes.fromhex(octets + "0")[:5], 0, {})
        return
    fields: dict[str, Any] = {}
    ELEMENTS[element].read(bytes.fromhex(octets), 0, fields)
    assert fields == shown
    assert ELEMENTS[element].write(fields) == bytes.fromhex(octets)


def test_an_unknown_type_keeps_its_octets() -> None:
    fields, flaw = asdu.read(bytes.fromhex("800103000100AABBCC"))
    assert (fields["name"], fields["type_id"], fields["rest"], flaw) == ("unknown", 128, bytes.fromhex("AABBCC"), "")


def test_objects_that_are_there_are_read_before_a_wrong_length_is_told() -> None:
    fields, flaw = asdu.read(bytes.fromhex("0D0203000100 010000 0000803F 00 020000 0000".replace(" ", "")))
    assert fields["value_float"] == [1.0]
    assert fields["rest"] == bytes.fromhex("0200000000")
    assert "2 objects" in flaw


def test_what_does_not_fit_one_asdu_is_refused() -> None:
    with pytest.raises(Reject, match="too_large"):
        asdu.write(36, [{"ioa": n, "value": 0.0, "time": "2026-11-01T00:00:00.000"} for n in range(17)], cot=3, ca=1)
    assert asdu.capacity(36) == 16


GOOD = [
    apci.i_frame(0, 0, bytes.fromhex("010203000100010000010200009" + "0")),
    apci.s_frame(1),
    apci.u_frame("TESTFR act"),
    apci.i_frame(1, 0, bytes.fromhex("800103000100AABBCC")),
    apci.i_frame(32767, 32767, bytes.fromhex("0B8314000200000700580200 9CFF00 0A0041".replace(" ", ""))),
]


@given(
    chunks=st.lists(st.integers(1, 25), min_size=1, max_size=30), strays=st.lists(st.binary(max_size=8), min_size=5, max_size=5)
)
def test_any_split_gives_the_same_packets(chunks: list[int], strays: list[bytes]) -> None:
    stream = b"".join(stray + good for stray, good in zip(strays, GOOD, strict=True)) + bytes(300)
    whole = Framing(SETTINGS).feed(stream)
    framing, at, found = Framing(SETTINGS), 0, []
    for size in chunks * len(stream):
        found += framing.feed(stream[at : at + size])
        at += size
        if at >= len(stream):
            break
    assert found == whole


def test_strays_between_are_refused_and_nothing_is_lost() -> None:
    stream = b"".join(b"\x00\x68\xff" + good for good in GOOD)
    found = Framing(SETTINGS).feed(stream)
    assert [p for p in found if isinstance(p, bytes)] == GOOD
    assert [(p.reason, p.raw) for p in found if isinstance(p, Reject)] == [("bad_frame", b"\x00\x68\xff")] * len(GOOD)


def test_a_wrong_length_does_not_swallow_what_follows() -> None:
    damaged = bytearray(GOOD[0])
    damaged[1] = 0xF0
    found = Framing(SETTINGS).feed(bytes(damaged) + GOOD[0])
    assert found[-1] == GOOD[0]
    assert isinstance(found[0], Reject)


def test_endless_rubbish_is_refused_in_stretches() -> None:
    framing = Framing(SETTINGS)
    found = [p for _ in range(40) for p in framing.feed(b"\xaa" * 1000)]
    assert {len(p.raw) for p in found if isinstance(p, Reject)} == {STRETCH}
    assert len(found) == 40000 // STRETCH


@pytest.mark.parametrize(
    ("packet", "reason"),
    [("680E000000000D02030001000100", "bad_length"), ("68", "bad_frame"), ("FFFF", "bad_frame"), ("6802", "bad_frame")],
)
def test_what_is_left_at_the_end_is_refused(packet: str, reason: str) -> None:
    framing = Framing(SETTINGS)
    (left,) = [*framing.feed(bytes.fromhex(packet)), *framing.flush()]
    assert isinstance(left, Reject)
    assert left.reason == reason


def test_a_whole_apdu_at_the_end_is_left_to_the_decoder() -> None:
    framing = Framing(SETTINGS)
    odd = bytes.fromhex("680E000000000D020300010001000000")
    assert [*framing.feed(odd), *framing.flush()] == [odd]
