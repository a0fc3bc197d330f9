"""What a JT/T 905 connection owes and remembers: answers, plates, alarms; trips and duty; messages and back."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from connectors._api import Peer, Received, describe, load
from connectors._api.coordinates import wgs84_to_gcj02
from connectors._api.flagged import frame
from connectors.jt905 import encoder, header, messages, position
from connectors.jt905.framing import Framing
from schemas.errors import Reject

JT905 = load("jt905")
S = 1_000_000
TS = 1_730_180_343 * S
ISU = "103456789012"
CERTIFICATE = "140101199001011234"


def session(**given: Any) -> Any:
    return JT905.make_session(JT905.manifest.resolve(given, "test"), Peer("test"))


def packet(wire: bytes) -> bytes:
    (one,) = Framing({}).feed(wire)
    assert isinstance(one, bytes)
    return one


def take(held: Any, wire: bytes) -> Received:
    received: Received = held.receive(packet(wire), TS)
    return received


def answer(received: Received) -> dict[str, Any]:
    (reply,) = received.replies
    return messages.explain(packet(reply.data))


def place(**more: Any) -> dict[str, Any]:
    return encoder.position_fields(**{"ts": TS, "lat": 37.857015, "lon": 112.54925, **more})


def trip(began: int, ended: int, **meter: Any) -> bytes:
    record = encoder.Meter(**{"plate": "A1T234", "fare": 1630, "distance": 8500.0, "certificate": CERTIFICATE, **meter})
    return encoder.trip(ISU, 1, place(ts=began), place(ts=ended, lat=37.9), 7, record, order_id=55)


def test_answers_keep_order_and_wait_only_for_readings() -> None:
    held = session()
    wires = [
        encoder.heartbeat(ISU, 1),
        encoder.location(ISU, 2, **{"ts": TS, "lat": 37.8, "lon": 112.5}),
        encoder.heartbeat(ISU, 3),
    ]
    received = [take(held, wire) for wire in wires]
    assert [(answer(r)["serial"], answer(r)["ack_serial"]) for r in received] == [(0, 1), (1, 2), (2, 3)]
    assert [r.replies[0].when for r in received] == ["now", "durable", "now"]


def test_a_position_survives_encoder_framing_and_session() -> None:
    wire = encoder.location(ISU, 9, ts=TS, lat=-1.5, lon=-2.5, occupied=True, speed=10.0, direction=271.0, mileage=12_300.0)
    (reading,) = describe(take(session(), wire))["readings"]
    assert (reading["lat"], reading["lon"], reading["occupied"], reading["mileage"]) == (-1.5, -2.5, True, 12_300.0)
    assert (reading["ts"], reading["heading"]) == ("2024-10-29T05:39:03Z", 272.0)
    assert reading["speed"] == pytest.approx(10.0)


def test_gcj02_terminals_are_converted_and_the_raw_pair_kept() -> None:
    lon, lat = wgs84_to_gcj02(112.54925, 37.857015)
    (reading,) = describe(take(session(crs="gcj02"), encoder.location(ISU, 1, ts=TS, lat=lat, lon=lon)))["readings"]
    assert (reading["lon"], reading["lat"]) == (pytest.approx(112.54925, abs=3e-6), pytest.approx(37.857015, abs=3e-6))
    assert reading["raw_crs"] == "gcj02"


def test_a_trip_has_fen_metres_and_the_seconds_of_its_positions() -> None:
    (reading,) = describe(take(session(hash_key="key"), trip(TS, TS + 1149 * S, surcharge=100, waiting_minutes=61)))["readings"]
    assert (reading["fare"], reading["surcharge"], reading["distance"], reading["waiting"]) == (1630, 100, 8500, 3660)
    assert (reading["started_at"], reading["ts"]) == ("2024-10-29T05:39:03Z", "2024-10-29T05:58:12Z")
    assert (reading["serial"], reading["order"], reading["plate"], reading["lat"]) == (7, "55", "A1T234", 37.9)
    assert CERTIFICATE not in str(reading)
    assert len(reading["driver"]) == 32


def test_a_driver_has_one_pseudonym_in_duty_and_trips_and_none_without_a_key() -> None:
    sign = {"company": "140100", "certificate": CERTIFICATE, "plate": "A1T234"}
    wires = [
        encoder.sign_in(ISU, 1, place(), **sign),
        encoder.sign_out(ISU, 2, place(ts=TS + 3600 * S), began="2024-10-29 13:39", **sign),
        trip(TS, TS + 60 * S),
    ]
    for key in ("key", ""):
        held = session(hash_key=key, plate_prefix="晋")
        found = [reading for wire in wires for reading in describe(take(held, wire))["readings"]]
        assert [r.get("event") for r in found] == ["on", "off", None]
        assert len({r.get("driver") for r in found}) == 1
        assert (found[0].get("driver") is None) == (key == "")
        assert {r["plate"] for r in found} == {"晋A1T234"}


def test_a_plate_from_the_messages_goes_with_later_positions_but_the_setting_wins() -> None:
    for plates, expected in (({}, "A1T234"), ({ISU: "晋A00001"}, "晋A00001")):
        held = session(plates=plates)
        take(held, trip(TS, TS + 60 * S))
        (reading,) = describe(take(held, encoder.location(ISU, 2, ts=TS, lat=37.8, lon=112.5)))["readings"]
        assert reading["plate"] == expected


@pytest.mark.parametrize(("days", "expected"), [(0, "2024-10-29T05:58:00Z"), (400, "2024-10-29T05:58:00Z")])
def test_a_position_far_from_the_meters_minute_is_not_believed(days: int, expected: str) -> None:
    wire = bytearray(packet(trip(TS, TS + 1149 * S)))
    start = header.FORM.size + position.FORM.size
    wire[start + 19 : start + 25] = bytes(6) if not days else bytes.fromhex("251203135812")
    (reading,) = describe(session().receive(bytes(wire), TS))["readings"]
    assert reading["ts"] == expected


def test_a_trip_over_midnight_ends_on_the_next_day() -> None:
    midnight = 1_730_217_600 * S
    wire = bytearray(packet(trip(midnight - 600 * S, midnight + 600 * S)))
    for n in (0, 1):
        start = header.FORM.size + n * position.FORM.size
        wire[start + 19 : start + 25] = bytes(6)
    (reading,) = describe(session().receive(bytes(wire), TS))["readings"]
    assert (reading["started_at"], reading["ts"]) == ("2024-10-29T15:50:00Z", "2024-10-29T16:10:00Z")


def test_alarms_are_episodes_and_a_supplement_tells_none() -> None:
    held, found = session(), []
    for n, alarm in enumerate([0b1, 0b1, 0b100, 0]):
        received = take(held, encoder.location(ISU, n, ts=TS + n * S, lat=37.8, lon=112.5, alarm=alarm))
        found += [(r["code"], r["phase"]) for r in describe(received)["readings"][1:]]
    assert found == [("emergency", "rise"), ("emergency", "fall"), ("gnss_fault", "rise"), ("gnss_fault", "fall")]
    late = take(held, encoder.message(0x0203, ISU, 9, {"positions": [place(ts=TS + 9 * S, alarm=1)] * 10}))
    assert (late.lane, len(late.readings)) == ("late", 10)
    assert len({r.serial for r in late.readings}) == 10


@pytest.mark.parametrize("number", [0x0001, *(n for n in messages.bodies() if n >= header.CENTRE_IDS)])
def test_what_is_owed_no_answer_gets_none(number: int) -> None:
    received = session().receive(header.build(number, bytes(6), 1, bytes(5)), TS)
    assert not received.replies


@pytest.mark.parametrize("number", [n for n in messages.bodies() if 0x0001 < n < header.CENTRE_IDS])
def test_a_body_cut_to_nothing_is_answered_and_the_session_lives(number: int) -> None:
    held = session()
    received = held.receive(header.build(number, bytes(6), 1, b""), TS)
    shown = answer(received)
    assert (shown["ack_message_id"], shown["result"]) == (number, 2 if received.rejects else 0)
    assert take(held, encoder.heartbeat(ISU, 2)).replies


def sample(kind: str) -> Any:
    """Give a value of a layout's type."""
    if kind in ("u8", "u16", "u32"):
        return 7
    fixed = {"time": "2024-10-29 13:39:03", "minute": "2024-10-29 13:39", "position": place()}
    fixed |= {"parameters": {"volume": 5, "0x7777": b"\1"}, "parameters4": {"main_server": "a.example", "main_port": 9}}
    if kind in fixed:
        return fixed[kind]
    if kind.startswith("bcd"):
        return "12" * int(kind[3:])
    if kind.startswith("dec"):
        return 12
    return b"\1\2" if kind.startswith("bytes") else "14"


def forms() -> list[tuple[int, list[str]]]:
    table = msgspec.toml.decode((JT905.path / "messages.toml").read_bytes(), type=messages.Table)
    all_of_them = {**table.terminal, **table.centre}
    return [(int(n, 16), lines) for n, one in all_of_them.items() for lines in one.forms or [one.fields]]


def build(lines: list[str], types: dict[str, list[str]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for line in lines:
        name, _, rest = line.partition(":")
        kind = rest.partition("?")[0].partition("#")[0]
        one = kind.rstrip("*")
        value = build(types[one], types) if one in types else sample(one)
        values[name] = [value, value] if kind.endswith("*") else value
    return values


@pytest.mark.parametrize(("number", "lines"), forms(), ids=lambda v: f"{v:04X}" if isinstance(v, int) else str(len(v)))
def test_every_form_of_every_message_is_written_and_read_back(number: int, lines: list[str]) -> None:
    table = msgspec.toml.decode((JT905.path / "messages.toml").read_bytes(), type=messages.Table)
    values = build(lines, table.types)
    for line in lines:
        values.pop(line.partition("#")[2].partition("?")[0], None)
    if number in messages.BY_HAND:
        values = {**({"ack_serial": 7} if number in (0x0201, 0x0500) else {}), **place(), "items": {"mileage": 5, "0x0F": b"\1"}}
    if number == 0x8105 and "content" not in values:
        values["command"] = 1
    wire = encoder.message(number, ISU, 3, values)
    shown = messages.explain(packet(wire))
    assert shown["name"] == messages.bodies()[number].name
    assert "rest" not in shown
    fields = {k: v for k, v in shown.items() if k not in ("name", "message_id", "isu", "serial", "body_length")}
    assert encoder.message(number, ISU, 3, fields) == wire


def test_items_of_any_kind_survive_and_what_is_cut_off_stays() -> None:
    raw = bytes.fromhex("0104000030390202012C0302FFF011010011050100000007120601000000080113070000000900140114040000000A0F021234")
    items = position.read_items(raw + b"\x01", 0)
    assert (items["altitude"], items["segment_time"]["seconds"], items["0x0F"], items["rest"]) == (-16, 20, b"\x12\x34", b"\x01")
    assert position.write_items(items) == raw + b"\x01"


def test_a_body_beyond_the_bound_is_no_packet() -> None:
    with pytest.raises(ValueError, match="exceeds"):
        header.build(0x0800, bytes(6), 1, bytes(header.BODY_MAX + 1))
    found = Framing({}).feed(frame(b"x" * 40_000))
    assert [one.reason for one in found if isinstance(one, Reject)] == ["too_large"]
