"""CJ/T 188: framing, fields both ways, polling and the frames others published."""

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
from connectors.cj188 import encoder, fields
from connectors.cj188.framing import Framing
from schemas.errors import Fatal

CJ188 = load("cj188")
SETTINGS = CJ188.manifest.resolve({}, "test")
METER = "00201809230001"
OTHER = "00201809230002"
SECOND = 1_000_000
WATER: dict[str, Any] = {
    "current": 123.45,
    "current_unit": "m³",
    "settlement": 100.0,
    "settlement_unit": "m³",
    "time": "2026-10-31 08:22:30",
    "status": "0400",
}
HEAT: dict[str, Any] = {
    "settlement": 5000.0,
    "settlement_unit": "kWh",
    "current": 5100.25,
    "current_unit": "kWh",
    "heat_power": 12.5,
    "heat_power_unit": "kW",
    "flow_rate": 0.5678,
    "flow_rate_unit": "m³/h",
    "accumulated_flow": 120.0,
    "accumulated_flow_unit": "m³",
    "supply_temperature": 45.67,
    "return_temperature": 40.0,
    "working_hours": 1234,
    "time": "2026-10-31 08:22:30",
    "status": "0000",
}


def session(**given_settings: Any) -> Any:
    return CJ188.make_session(CJ188.manifest.resolve(given_settings, "test"), Peer("test"))


def packets(stream: bytes, **given_settings: Any) -> list[bytes | Reject]:
    framing = Framing(CJ188.manifest.resolve(given_settings, "test"))
    return [*framing.feed(stream), *framing.flush()]


def decoded(frame: bytes, **given_settings: Any) -> dict[str, Any]:
    (packet,) = packets(frame)
    assert isinstance(packet, bytes), packet
    return describe(session(**given_settings).receive(packet, 1))


FRAMES = [
    encoder.reply(0x10, METER, "901F", WATER, preambles=3),
    encoder.reply(0x20, OTHER, "901F", HEAT, order="low_first"),
    encoder.read(0x10, METER),
    encoder.error(0x10, METER, 4, 1, "0300"),
]


@given(
    pieces=st.lists(st.sampled_from(FRAMES) | st.binary(max_size=40) | st.just(b"\x68\x10" * 20), max_size=8),
    cuts=st.lists(st.integers(0, 2000), max_size=12),
    encoding=st.sampled_from(["binary", "hex"]),
)
def test_any_split_gives_the_same_packets_and_rejects(pieces: list[bytes], cuts: list[int], encoding: str) -> None:
    stream = b"".join(pieces)
    stream = stream.hex().encode() if encoding == "hex" else stream
    edges = [0, *sorted(c for c in cuts if c < len(stream)), len(stream)]
    framing = Framing(CJ188.manifest.resolve({"encoding": encoding}, "test"))
    found = [p for start, stop in pairwise(edges) for p in framing.feed(stream[start:stop])]
    assert [*found, *framing.flush()] == packets(stream, encoding=encoding)
    assert [p for p in found if isinstance(p, bytes)] == [p for p in packets(b"".join(pieces)) if isinstance(p, bytes)]


def test_a_damaged_length_swallows_no_frame_behind_it() -> None:
    damaged = bytearray(FRAMES[2])
    damaged[3 + 10] = 0xFF
    assert [type(p) for p in packets(bytes(damaged) + FRAMES[0] + FRAMES[1])] == [Reject, bytes, bytes]


@pytest.mark.parametrize("unit_first", [False, True])
@pytest.mark.parametrize("order", ["high_first", "low_first"])
@pytest.mark.parametrize(("kind", "values"), [(0x10, WATER), (0x20, HEAT)])
def test_an_answer_survives_encoding_and_decoding(kind: int, values: dict[str, Any], order: str, unit_first: bool) -> None:
    shown = decoded(encoder.reply(kind, METER, "901F", values, ser=7, order=order, unit_first=unit_first))["message"]
    assert {name: shown[name] for name in values} == values
    assert (shown["di"], shown["di_order"], shown["ser"], shown.get("unit_first", False)) == ("901F", order, 7, unit_first)


@pytest.mark.parametrize("code", fields.UNITS)
def test_every_unit_is_converted_to_si(code: int) -> None:
    unit = fields.UNITS[code]
    values = {**WATER, "current": 2.0, "current_unit": unit["unit"], "settlement_unit": unit["unit"]}
    (reading,) = decoded(encoder.reply(0x40, METER, "901F", values))["readings"] or [{}]
    if unit["quantity"] in ("energy", "volume"):
        assert reading[unit["quantity"]] == pytest.approx(2.0 * unit["factor"])


def test_a_valve_command_is_built_and_read() -> None:
    frame = encoder.write(0x10, METER, "A017", {"command": "close"}, ser=9)
    assert frame.hex().upper() == "FEFEFE68100100230918200004" + "04A0170999" + f"{sum(frame[3:-2]) & 255:02X}16"
    assert decoded(frame)["message"]["command"] == "close"
    assert decoded(encoder.reply(0x10, METER, "A017", {"status": "0100"}))["message"]["valve"] == "closed"


def test_a_unit_first_meter_can_be_configured() -> None:
    values = {**WATER, "current": 5.05, "settlement": 5.05}
    frame = encoder.reply(0x10, METER, "901F", values, unit_first=True)
    assert decoded(frame, unit_first=["0020"])["message"]["current"] == 5.05


def test_the_clock_of_arrival_can_be_chosen() -> None:
    (reading,) = decoded(FRAMES[0], clock="arrival")["readings"]
    assert (reading["ts"], reading["sent_at"]) == ("1970-01-01T00:00:00.000001Z", "2026-10-31T00:22:30Z")


def test_a_line_is_polled_one_request_at_a_time() -> None:
    line = session(meters={METER: {}, OTHER: {"type": 0x20, "source": "H"}}, interval_s=60.0, timeout_s=2.0, retries=1)
    assert [r.data for r in line.start(0).replies] == [encoder.read(0x10, METER, ser=1)]
    assert not line.tick(SECOND).replies
    assert [r.data for r in line.tick(2 * SECOND).replies] == [encoder.read(0x10, METER, ser=2)]
    received = line.receive(encoder.reply(0x10, METER, "901F", WATER), 3 * SECOND)
    assert [(r.data, r.when) for r in received.replies] == [(encoder.read(0x20, OTHER, ser=3), "durable")]
    assert line.receive(encoder.reply(0x20, OTHER, "901F", HEAT), 4 * SECOND).readings[0].source == "H"
    assert not line.tick(59 * SECOND).replies
    assert line.tick(60 * SECOND).replies


@pytest.mark.parametrize("bad", [{"meters": {"12": {}}}, {"meters": {METER: {"x": 1}}}, {"registers": ["0000"]}])
def test_wrong_settings_are_fatal(bad: dict[str, Any]) -> None:
    with pytest.raises(Fatal, match="cj188"):
        session(**bad)


def test_published_frames(recordings: Path) -> None:
    found: Counter[str] = Counter()
    for line in (recordings / "vectors" / "cj188_mixed_half.jsonl").read_text(encoding="utf-8").splitlines():
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
    assert (found["decoded"], found["refused"], found["readings"]) == (10, 2, 9)
    assert found["fields"] >= 60


def compare(row: dict[str, Any], message: dict[str, Any]) -> int:
    """Compare every field others derive or expect with ours; gives how many."""
    derived = row["derived"]
    pairs: list[tuple[Any, Any]] = [
        (derived["meter_type"], f"0x{message['type']}"),
        (derived["address_le_bcd"], message["address"]),
        (derived["control"], f"0x{message['control']}"),
        (derived["data_len"], message["length"]),
        (derived["ser"], message["ser"]),
        (derived["di"] == "901F", message["di_order"] == "high_first"),
    ]
    if "current_m3_if_2C" in derived:
        digits = message.get("time_digits") or "".join(c for c in message["time"] if c.isdigit())
        pairs += [(derived["current_m3_if_2C"], message["current"]), (derived["time"].upper(), digits)]
        pairs += [(derived["status"].upper(), message["status"]), ("m³", message["current_unit"])]
    if "current_m3" in row.get("expect", {}):
        pairs.append((row["expect"]["current_m3"], message["current"]))
    for wanted, shown in pairs:
        assert wanted == shown, (row["hex"], wanted, shown)
    return len(pairs)
