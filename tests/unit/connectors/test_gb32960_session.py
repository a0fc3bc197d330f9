"""A GB/T 32960.3 connection: answers, lanes, alarms, vehicles, platforms, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from connectors._api import Peer, load
from connectors._api.coordinates import wgs84_to_gcj02
from connectors.gb32960 import encoder, messages
from connectors.gb32960.framing import Framing
from connectors.gb32960.readings import CODES
from schemas.errors import Fatal
from schemas.kinds.services import EvBattery, VehicleAlarmEpisode
from schemas.reading import kind_of

GB = load("gb32960")
VIN = "LTEST00000BUS0001"
S = 1_000_000
TS = 1_793_448_030 * S
NOW = TS + 10 * S
VEHICLE = {
    "state": 1,
    "charge_state": 3,
    "mode": 1,
    "speed": 36.0,
    "mileage": 1000.0,
    "voltage": 600.0,
    "current": -20.0,
    "soc": 80,
}
POSITION = {"status": 0, "longitude": 121.5, "latitude": 31.2}


def session(**given: Any) -> Any:
    return GB.make_session(GB.manifest.resolve(given, "test"), Peer("test"))


def packet(frame: bytes) -> bytes:
    (found,) = Framing({}).feed(frame)
    assert isinstance(found, bytes)
    return found


def record(ts: int = TS, *, replay: bool = False, edition: Any = "2016", **blocks: Any) -> bytes:
    return packet(encoder.record(VIN, ts, blocks, edition=edition, replay=replay))


def alarm(flags: int, level: int = 1, *, levels: Sequence[int] = ()) -> dict[str, Any]:
    lists = dict.fromkeys(("storage_faults", "motor_faults", "engine_faults", "other_faults"), ())
    return {"max_level": level, "flags": flags, **lists, "levels": levels}


def told(received: Any) -> list[tuple[str, str]]:
    return [(r.code, r.phase) for r in received.readings if isinstance(r, VehicleAlarmEpisode)]


def answer(received: Any) -> tuple[int, bytes, str]:
    """Mark, data unit and time of sending of the one answer."""
    (reply,) = received.replies
    head = packet(reply.data)
    return head[3], head[24:], reply.when


def test_records_wait_for_durability_and_carry_their_own_time_back() -> None:
    held = session()
    for replay, lane in ((False, "live"), (True, "late")):
        received = held.receive(record(replay=replay, vehicle=VEHICLE), 7)
        assert received.lane == lane
        assert answer(received) == (1, messages.from_instant(TS), "durable")
        (battery,) = received.readings
        assert isinstance(battery, EvBattery)
        assert (battery.source, battery.ts, battery.seen_at) == (VIN, TS, 7)
        assert (battery.mileage, battery.current, battery.charging) == (1e6, -20.0, "none")
        assert battery.speed == pytest.approx(10)


def test_others_are_answered_at_once() -> None:
    held = session()
    stamp = messages.from_instant(TS)
    assert answer(held.receive(packet(encoder.login(VIN, TS, 3, "8986")), 7)) == (1, stamp, "now")
    assert answer(held.receive(packet(encoder.logout(VIN, TS, 3)), 7)) == (1, stamp, "now")
    assert answer(held.receive(packet(encoder.heartbeat(VIN)), 7)) == (1, b"", "now")
    assert answer(held.receive(packet(encoder.ask_time(VIN)), TS + 5 * S)) == (1, messages.from_instant(TS + 5 * S), "now")


def test_nobody_answers_an_answer() -> None:
    held = session()
    for received in (held.receive(record(vehicle=VEHICLE), NOW), held.receive(packet(encoder.heartbeat(VIN)), NOW)):
        assert held.receive(packet(received.replies[0].data), 2).replies == ()


@pytest.mark.parametrize("edition", ["2016", "2025"])
def test_alarms_rise_and_fall_once_and_reserved_bits_are_none(edition: str) -> None:
    known = [code for bit, code in CODES.items() if edition == "2025" or bit < 19]
    held = session()
    first = held.receive(record(edition=edition, alarm=alarm(0xFFFFFFFF)), NOW)
    assert told(first) == [(code, "rise") for code in known]
    assert told(held.receive(record(TS + S, edition=edition, alarm=alarm(0xFFFFFFFF)), NOW)) == []
    assert told(held.receive(record(TS - S, edition=edition, replay=True, alarm=alarm(0)), NOW)) == []
    assert told(held.receive(record(TS + 2 * S, edition=edition, vehicle=VEHICLE), NOW)) == []
    last = held.receive(record(TS + 3 * S, edition=edition, alarm=alarm(0, 0)), NOW)
    assert told(last) == [(code, "fall") for code in known]
    assert {r.started_at for r in last.readings if isinstance(r, VehicleAlarmEpisode)} == {TS}


def test_a_record_from_the_future_silences_no_alarm_that_follows() -> None:
    held = session()
    assert told(held.receive(record(NOW + 61 * S, alarm=alarm(2)), NOW)) == []
    assert told(held.receive(record(NOW + S, alarm=alarm(1)), NOW)) == [("battery_temperature_difference", "rise")]


def test_the_level_is_the_alarms_own_where_the_record_lists_it() -> None:
    old = session().receive(record(alarm=alarm(1 << 4 | 1 << 11, 3)), NOW)
    assert [r.level for r in old.readings[1:]] == [3, 3]
    new = session().receive(record(edition="2025", alarm=alarm(1 << 4 | 1 << 11, 3, levels=[4 << 8 | 1])), NOW)
    assert [r.level for r in new.readings[1:]] == [1, 3]


def test_positions_are_of_the_kind_of_their_vehicle_and_only_with_a_fix() -> None:
    known = {VIN: {"source": "bus-7", "plate": "沪AD1", "kind": "taxi_position"}}
    battery, position = session(vehicles=known).receive(record(vehicle=VEHICLE, position=POSITION), NOW).readings
    assert (kind_of(position), position.source, position.plate, position.lon, position.lat) == (
        "taxi_position",
        "bus-7",
        "沪AD1",
        121.5,
        31.2,
    )
    assert (battery.source, battery.lon) == ("bus-7", 121.5)
    lost = {**POSITION, "status": 1}
    (alone,) = session(vehicles=known).receive(record(vehicle=VEHICLE, position=lost), NOW).readings
    assert alone.lon is None
    assert [kind_of(r) for r in session(default_kind="").receive(record(vehicle=VEHICLE, position=POSITION), NOW).readings] == [
        "ev_battery"
    ]
    south_west = {**POSITION, "status": 0b110}
    assert [(r.lon, r.lat) for r in session().receive(record(position=south_west), NOW).readings] == [(-121.5, -31.2)]


def test_the_coordinate_system_is_the_records_own_or_the_setting() -> None:
    lon, lat = (round(v, 6) for v in wgs84_to_gcj02(121.5, 31.2))
    sent = {"status": 0, "longitude": lon, "latitude": lat}
    for received in (
        session(crs="gcj02").receive(record(position=sent), NOW),
        session().receive(record(edition="2025", position={**sent, "coordinate_system": 2}), NOW),
        session(crs="gcj02").receive(record(edition="2025", position={**sent, "coordinate_system": 3}), NOW),
    ):
        (found,) = received.readings
        assert (found.lon, found.lat) == (pytest.approx(121.5, abs=2e-6), pytest.approx(31.2, abs=2e-6))
        assert (found.raw_lon, found.raw_lat, found.raw_crs) == (lon, lat, "gcj02")


def test_extremes_come_from_several_subsystems_where_none_are_sent() -> None:
    cells = [{"subsystem": n, "cells": 2, "first_cell": 1, "cell_voltages": v} for n, v in ((1, [3.3, None]), (2, [3.4, 3.2]))]
    probes = [{"subsystem": 1, "temperatures": [20, None]}, {"subsystem": 2, "temperatures": [31, -4]}]
    (battery,) = session().receive(record(storage_voltages=cells, storage_temperatures=probes), NOW).readings
    assert (battery.cell_voltage_max, battery.cell_voltage_min) == (3.4, 3.2)
    assert (battery.temperature_max, battery.temperature_min) == (31, -4)


def test_a_record_without_known_blocks_gives_no_reading_and_is_answered() -> None:
    received = session().receive(record(custom=[{"type": 0x80, "content": b"\1"}]), NOW)
    assert received.readings == []
    assert answer(received)[0] == 1


@pytest.mark.parametrize(
    ("edition", "command", "content", "given", "reason", "mark"),
    [
        ("2016", 0x02, b"\x1a\x0a\x1f\x14\x00\x1e\x01\x01", {}, "bad_length", 2),
        ("2025", 0x02, b"\x1a\x0a\x1f\x14\x00\x1e\x01\x01", {}, "bad_length", 6),
        ("2016", 0x02, b"\x1a\x0a", {}, "bad_length", 2),
        ("2016", 0x01, b"\x1a\x0a\x1f\x14\x00\x1e\x00\x01", {}, "bad_length", 2),
        ("2016", 0x03, b"\x1a\x0a\x20\x14\x00\x1e", {}, "bad_field", 2),
        ("2016", 0x02, b"\x1a\x0a\x1f\x14\x3c\x1e", {}, "bad_field", 2),
        ("2016", 0x04, b"\x1a\x0a\x1f\x14\x00\x1e\x00\x01", {"registered": ["X"]}, "unregistered", 2),
        ("2025", 0x04, b"\x1a\x0a\x1f\x14\x00\x1e\x00\x01", {"registered": ["X"]}, "unregistered", 4),
        ("2016", 0x07, b"", {"users": {"a": "b"}}, "unauthenticated", 2),
    ],
)
def test_refusals_are_answered_and_keep_their_bytes(
    edition: Any, command: int, content: bytes, given: dict[str, Any], reason: str, mark: int
) -> None:
    held = session(**given)
    sent = packet(encoder.message({"command": command, "edition": edition, "vin": VIN}, content))
    received = held.receive(sent, 1)
    assert [(r.reason, r.raw) for r in received.rejects] == [(reason, sent)]
    assert answer(received) == (mark, content[:6] if len(content) >= 6 else b"", "now")
    assert received.readings == ()


def test_a_vin_that_is_no_text_is_refused_and_a_platform_needs_none() -> None:
    held = session()
    frame = encoder.message({"command": 0x02, "vin": ""}, messages.from_instant(TS))
    assert [r.reason for r in held.receive(packet(frame), NOW).rejects] == ["bad_field"]
    assert answer(held.receive(packet(encoder.heartbeat("")), NOW))[0] == 1


def test_passwords_are_shown_nowhere() -> None:
    held = session(users={"city": "right"})
    for password, mark in (("wrong-one", 2), ("right", 1)):
        received = held.receive(packet(encoder.platform_login("P1", TS, 1, "city", password)), NOW)
        assert answer(received)[0] == mark
        assert received.message["password"] == "***"
        assert password not in str(received.message)
        assert all(password.encode() not in r.raw for r in received.rejects)
    assert held.receive(record(vehicle=VEHICLE), NOW).readings


@pytest.mark.parametrize(
    "given", [{"vehicles": {VIN: {"kind": "tram"}}}, {"vehicles": {VIN: {"colour": 1}}}, {"vehicles": {VIN: 1}}]
)
def test_a_wrong_setting_stops_the_start(given: dict[str, Any]) -> None:
    with pytest.raises(Fatal, match=VIN):
        session(**given)
