"""JT/T 808 alarms as episodes, active-safety items, drivers, waybills, and pictures that nothing keeps."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors._api import Peer, Reading, describe, load
from connectors._api.coordinates import wgs84_to_gcj02
from connectors._api.episodes import MOST_AT_ONCE
from connectors._api.pseudonym import pseudonym
from connectors.jt808 import alarms, encoder, location
from connectors.jt808.framing import Framing
from connectors.jt808.header import build
from schemas.kinds.services import DriverDuty, HazmatWaybill, VehicleAlarmEpisode
from schemas.reading import kind_of

JT808 = load("jt808")
S = 1_000_000
PHONE = "13912345678"
PHONE_BCD = bytes.fromhex("013912345678")
START = 1_730_209_143 * S
NOW = START + 3600 * S
BITS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)), max_size=30)


def session(**given: Any) -> Any:
    return JT808.make_session(JT808.manifest.resolve(given, "test"), Peer("test"))


def report(ts: int, **fields: Any) -> bytes:
    (packet,) = Framing({}).feed(encoder.location(PHONE, 1, version="2013", ts=ts, lat=31.2, lon=121.5, **fields))
    assert isinstance(packet, bytes)
    return packet


def told(readings: list[Reading]) -> list[tuple[str, str]]:
    return [(r.code, r.phase) for r in readings if isinstance(r, VehicleAlarmEpisode)]


def test_every_alarm_bit_and_every_state_has_its_own_code_that_fits_the_kind() -> None:
    assert len(alarms.TABLE.alarm) == 32
    codes = [*alarms.CODES.values()]
    assert len(set(codes)) == len(codes)
    assert all(len(code) <= 48 for code in codes)
    positions = sum(1 << bit for bit in (1, 2, 3, 5, 18, 19, 20, 21))
    assert not alarms.STATUS_MASK & positions


@pytest.mark.parametrize(("bit", "code"), alarms.TABLE.alarm.items())
def test_an_alarm_rises_and_falls_once(bit: int, code: str) -> None:
    held = session()
    assert told(held.receive(report(START, status=2), NOW).readings) == []
    rise = held.receive(report(START + S, alarm=1 << bit, status=2), NOW).readings
    assert told(rise) == [(code, "rise")]
    assert told(held.receive(report(START + 2 * S, alarm=1 << bit, status=2), NOW).readings) == []
    fall = held.receive(report(START + 3 * S, status=2), NOW).readings
    assert told(fall) == [(code, "fall")]
    assert (fall[1].started_at, fall[1].ts, fall[1].lon, fall[1].lat) == (START + S, START + 3 * S, fall[0].lon, fall[0].lat)


@pytest.mark.parametrize(("bit", "code"), alarms.TABLE.status.items())
def test_a_state_is_told_when_it_changes_not_when_it_is_first_seen(bit: int, code: str) -> None:
    held = session()
    assert told(held.receive(report(START, status=1 << bit), NOW).readings) == []
    assert told(held.receive(report(START + S, status=0), NOW).readings) == [(code, "fall")]
    assert told(held.receive(report(START + 2 * S, status=1 << bit), NOW).readings) == [(code, "rise")]


@given(BITS)
def test_told_edges_add_up_to_the_newest_bits(reports: list[tuple[int, int, int]]) -> None:
    standing: set[str] = set()
    held, newest, bits, stood = alarms.Alarms(), -1, 0, set[int]()
    for ts, alarm, status in reports:
        now = alarms.bits(alarm, status)
        for edge in held.observe("a", ts, now, 30):
            assert (edge.code in standing) == (edge.phase == "fall")
            standing ^= {edge.code}
        if newest < 0:
            standing |= {code for bit, code in alarms.CODES.items() if code in alarms.STATES and now >> bit & 1}
        if ts > newest:
            newest, stood = ts, {bits} if newest >= 0 else set()
        if ts == newest and now not in stood and len(stood) < MOST_AT_ONCE:
            bits = now
            stood.add(now)
    assert standing == {code for bit, code in alarms.CODES.items() if bits >> bit & 1}


def test_a_replay_from_before_changes_nothing_and_one_from_after_does() -> None:
    held = session()
    held.receive(report(START, alarm=2), NOW)
    old, new = (encoder.location_body(ts=START + t * S, lat=31, lon=121, alarm=0) for t in (-60, 60))
    packets = Framing({}).feed(encoder.batch(PHONE, 2, [old, new], kind=1, version="2013"))
    received = held.receive(packets[0], NOW)
    assert received.lane == "late"
    assert told(received.readings) == [("overspeed", "fall")]
    assert received.readings[-1].ts == START + 60 * S


def test_a_report_from_the_future_silences_nothing_that_follows() -> None:
    held = session()
    assert told(held.receive(report(NOW + 61 * S, alarm=4), NOW).readings) == []
    assert told(held.receive(report(NOW + 60 * S, alarm=2), NOW).readings) == [("overspeed", "rise")]


def active(item: int, values: dict[str, Any]) -> list[Any]:
    name = next(name for name, number in location.IDS.items() if number == item)
    body = encoder.location_body(ts=START, lat=31.2, lon=121.5, status=2) + location.write_items({name: values})
    return list(session().receive(build(0x0200, PHONE_BCD, 1, body), NOW).readings[1:])


PLACE = {"speed": 36, "altitude": 3, "latitude": 31_000_000, "longitude": 121_000_000, "time": "2024-10-29 21:39:00"}
IDENTIFIER = {"terminal_id": "1", "time": "2024-10-29 21:39:00", "sequence": 1, "files": 0, "reserved": 0}
DSM = {"alarm_id": 9, "type": 1, "level": 2, "fatigue": 7, "reserved": 0, "alarm_identifier": IDENTIFIER}


@pytest.mark.parametrize(("flag", "phase"), [(0, "moment"), (1, "rise"), (2, "fall"), (7, "moment")])
def test_an_active_safety_alarm_tells_its_own_time_and_place(flag: int, phase: str) -> None:
    (episode,) = active(0x65, {**DSM, "flag": flag, "place": {**PLACE, "vehicle_status": 0}})
    assert (episode.code, episode.phase, episode.level, episode.number) == ("dsm_fatigue", phase, 2, 9)
    assert (episode.ts, episode.lon, episode.lat, episode.speed) == (START - 3 * S, 121.0, 31.0, 10.0)
    assert episode.started_at == (START - 3 * S if phase == "rise" else None)


def test_what_an_active_safety_alarm_leaves_out_is_the_locations() -> None:
    place = {**PLACE, "latitude": 0, "longitude": 0, "time": "2024-13-29 21:39:00", "vehicle_status": 0}
    (episode,) = active(0x65, {**DSM, "type": 0xE0, "level": 99, "flag": 1, "place": place})
    assert (episode.code, episode.level) == ("dsm_0xe0", None)
    assert (episode.ts, episode.lon, episode.lat) == (START, 121.5, 31.2)


def test_gcj02_episodes_are_in_wgs84() -> None:
    lon, lat = wgs84_to_gcj02(121.5, 31.2)
    packet = encoder.location(PHONE, 1, version="2013", ts=START, lat=lat, lon=lon, alarm=2)
    readings = session(crs="gcj02").receive(Framing({}).feed(packet)[0], NOW).readings
    assert [(round(r.lon, 5), round(r.lat, 5)) for r in readings] == [(121.5, 31.2)] * 2


CARD = bytes.fromhex("012410292139030004") + "张三".encode("gbk") + b"310101199001011234".ljust(20, b"\0") + b"\0"


def test_the_driver_is_named_only_by_a_keyed_hash() -> None:
    packet = build(0x0702, PHONE_BCD, 1, CARD)
    received = session(hash_key="k").receive(packet, 5)
    (duty,) = received.readings
    assert isinstance(duty, DriverDuty)
    assert (duty.event, duty.ts, duty.driver, duty.name) == ("on", START, pseudonym("310101199001011234", "k"), None)
    assert [r.when for r in received.replies] == ["durable"]
    (nobody,) = session().receive(packet, 5).readings
    assert nobody.driver is None


def test_waybills_are_readings_of_hazmat_vehicles_only() -> None:
    packet = build(0x0701, PHONE_BCD, 1, (4).to_bytes(4) + "汽油".encode("gbk"))
    hazmat = session(default_kind="hazmat_position").receive(packet, 5)
    (waybill,) = hazmat.readings
    assert isinstance(waybill, HazmatWaybill)
    assert (waybill.content, waybill.ts, waybill.source) == ("汽油", 5, PHONE)
    bus = session().receive(packet, 5)
    assert (bus.readings, [r.when for r in bus.replies]) == ([], ["now"])
    long = session(default_kind="hazmat_position")
    wire = encoder.message(0x0701, PHONE, 1, (20_000).to_bytes(4) + b"x" * 20_000, version="2013")
    results = [long.receive(p, 5) for p in Framing({}).feed(wire)]
    assert [r.reason for result in results for r in result.rejects] == ["too_large"]


def test_pictures_are_answered_and_not_kept() -> None:
    head = bytes.fromhex("0000002A00000102") + encoder.location_body(ts=START, lat=31, lon=121)
    wire = encoder.message(0x0801, PHONE, 1, head + b"PICTURE" * 400, version="2013")
    packets = [p for p in Framing({}).feed(wire) if isinstance(p, bytes)]
    whole = session()
    last = [whole.receive(p, 1) for p in packets][-1]
    assert (last.message["media_id"], len(last.replies), last.readings) == (42, 2, [])
    assert b"PICTURE".hex().upper() not in str(describe(last))
    halted = session()
    for packet in packets[:-1]:
        halted.receive(packet, 1)
    (late,) = halted.tick(100 * S).rejects
    assert late.reason == "incomplete"
    assert late.raw == head
    stranger = session(registered=["9"]).receive(packets[0], NOW)
    assert b"PICTURE" not in stranger.rejects[0].raw


def test_positions_come_first_among_the_readings_of_a_packet() -> None:
    readings = session().receive(report(START, alarm=0xFFFFFFFF), NOW).readings
    assert kind_of(readings[0]) == "bus_position"
    assert len(readings) == 33
