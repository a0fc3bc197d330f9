"""What a JT/T 808 connection remembers: sub-packages in time, terminals, settings, coordinates, columns."""

from __future__ import annotations

from typing import Any

import pytest

from connectors._api import Peer, load
from connectors._api.coordinates import wgs84_to_gcj02
from connectors.jt808 import encoder, messages, subpackages, terminals
from connectors.jt808.framing import Framing
from connectors.jt808.header import build
from schemas.errors import Fatal

JT808 = load("jt808")
S = 1_000_000
PHONE = "13912345678"
BODY = encoder.location_body(ts=1_730_209_143 * S, lat=31.173672, lon=121.532712, speed=10, direction=90)


def session(**given: Any) -> Any:
    return JT808.make_session(JT808.manifest.resolve(given, "test"), Peer("test"))


def packets(wire: bytes) -> list[bytes]:
    return [p for p in Framing({}).feed(wire) if isinstance(p, bytes)]


def answers(received: Any) -> list[dict[str, Any]]:
    return [messages.explain(p) for reply in received.replies for p in packets(reply.data)]


def parts(version: Any = "2013") -> list[bytes]:
    return packets(encoder.message(0x0704, PHONE, 100, encoded_batch(), version=version, part_bytes=40))


def encoded_batch() -> bytes:
    return b"\0\2\0" + 2 * (len(BODY).to_bytes(2) + BODY)


@pytest.mark.parametrize("version", ["2013", "2019"])
def test_missing_sub_packages_are_asked_for_three_times_then_given_up(version: str) -> None:
    held, (first, _) = session(), parts(version)
    held.receive(first, 0)
    assert held.tick(9 * S).replies == []
    for at in (10, 20, 30):
        asked = held.tick(at * S)
        (request,) = answers(asked)
        assert request["name"] == "sub_package_request"
        assert (request["first_serial"], request["packages"], request["version"]) == (100, [2], version)
        assert asked.replies[0].when == "now"
    assert held.tick(40 * S).replies == []
    (reject,) = held.tick(60 * S).rejects
    assert reject.reason == "incomplete"
    assert reject.raw == first[-40:]
    assert held.tick(120 * S).rejects == []


def test_a_part_that_comes_after_being_asked_for_completes_the_message() -> None:
    held, (first, second) = session(), parts()
    held.receive(first, 0)
    held.tick(10 * S)
    received = held.receive(second, 12 * S)
    assert len(received.readings) == 2
    assert [r.when for r in received.replies] == ["durable"]
    assert held.tick(200 * S) == held.tick(201 * S)


def test_a_part_arriving_in_time_renews_the_wait() -> None:
    held = session()
    one, two, _ = packets(encoder.message(0x0704, PHONE, 100, encoded_batch(), version="2013", part_bytes=25))
    held.receive(one, 0)
    held.receive(two, 50 * S)
    assert held.tick(70 * S).rejects == []
    assert [r.reason for r in held.tick(110 * S).rejects] == ["incomplete"]


def test_sub_packages_are_bounded_in_number_and_bytes() -> None:
    held = session()
    rejects = []
    for serial in range(100, 100 + 3 * subpackages.OPEN_MAX, 3):
        packet = build(0x0704, bytes.fromhex("013912345678"), serial, b"x", part=(3, 1))
        rejects += held.receive(packet, 0).rejects
    assert len(rejects) == 0
    over = held.receive(build(0x0704, bytes.fromhex("013912345678"), 9000, b"x", part=(3, 1)), 0)
    assert [r.reason for r in over.rejects] == ["incomplete"]
    many = held.receive(build(0x0704, bytes.fromhex("013912345678"), 9999, b"x", part=(60000, 1)), 0)
    assert [r.reason for r in many.rejects] == ["too_large"]
    store = subpackages.SubPackages(60 * S, 10 * S)
    for number in range(1, 2000):
        for series in range(4):
            head = messages.parse(build(1, bytes(6), number + 10000 * series, b"x" * 1023, part=(2048, number)))
            store.add(head, b"x" * 1023, 0)
    assert store._size <= subpackages.BYTES_MAX


def test_a_message_whose_parts_do_not_read_keeps_all_its_bytes() -> None:
    held = session()
    one, two = packets(encoder.message(0x0104, PHONE, 5, b"\0\1\xff" + b"\0" * 40, version="2013", part_bytes=30))
    held.receive(one, 0)
    refused = held.receive(two, 0)
    assert refused.rejects[0].reason == "bad_length"
    assert refused.rejects[0].raw.endswith(b"\0\1\xff" + b"\0" * 40)
    assert answers(refused)[0]["result"] == 2


def test_locations_wait_for_durability_and_others_do_not() -> None:
    held = session()
    for wire, when in (
        (encoder.message(0x0200, PHONE, 1, BODY, version="2013"), "durable"),
        (encoder.batch(PHONE, 2, [BODY], version="2013"), "durable"),
        (encoder.heartbeat(PHONE, 3, version="2013"), "now"),
        (encoder.register(PHONE, 4, version="2013"), "now"),
    ):
        received = held.receive(packets(wire)[0], 1)
        assert [r.when for r in received.replies] == [when]


def test_platform_serials_wrap() -> None:
    held = session()
    (packet,) = packets(encoder.heartbeat(PHONE, 1, version="2019"))
    held._serial = 0xFFFF
    assert [answers(held.receive(packet, 1))[0]["serial"] for _ in range(2)] == [0xFFFF, 0]


def test_the_code_depends_on_secret_and_terminal_and_is_the_same_after_a_restart() -> None:
    def code(secret: str, phone: str) -> Any:
        (packet,) = packets(encoder.register(phone, 1, version="2013"))
        return answers(session(authentication="required", secret=secret).receive(packet, 1))[0]["code"]

    assert code("s", PHONE) == code("s", PHONE)
    assert len({code("s", PHONE), code("t", PHONE), code("s", "13912345679")}) == 3
    assert len(code("s", PHONE)) == 32
    again = session(authentication="required", secret="s")
    (packet,) = packets(encoder.authenticate(PHONE, 1, code("s", PHONE), version="2019", imei="1", software="1"))
    assert answers(again.receive(packet, 1))[0]["result"] == 0


def test_gcj02_is_turned_into_wgs84_and_the_raw_pair_kept() -> None:
    lon, lat = wgs84_to_gcj02(121.5, 31.2)
    (packet,) = packets(encoder.location(PHONE, 1, version="2013", ts=10**15, lat=lat, lon=lon))
    (reading,) = session(crs="gcj02").receive(packet, 1).readings
    assert (reading.lon, reading.lat) == (pytest.approx(121.5, abs=2e-6), pytest.approx(31.2, abs=2e-6))
    assert (reading.raw_lon, reading.raw_lat, reading.raw_crs) == (round(lon, 6), round(lat, 6), "gcj02")


def test_another_time_zone_shifts_the_instant() -> None:
    (packet,) = packets(encoder.message(0x0200, PHONE, 1, BODY, version="2013"))
    (beijing,), (utc,) = (session(**s).receive(packet, 1).readings for s in ({}, {"timezone_offset_h": 0}))
    assert utc.ts - beijing.ts == 8 * 3600 * S


@pytest.mark.parametrize(
    "given",
    [
        {"authentication": "required"},
        {"groups": [{"kind": "spaceship", "prefix": "1"}]},
        {"groups": [{"kind": "bus_position", "phone": "1"}]},
        {"messages": {"0x0B01": {"name": "x", "fields": ["line"]}}},
        {"messages": {"0x0B01": {"name": "x", "fields": ["line:u16?stop.0"]}}},
        {"messages": {"0x0B01": {"name": "x", "fields": ["line:word"]}}},
        {"messages": {"arrival": {"name": "x", "fields": []}}},
        {"messages": {"0x0B01": {"fields": []}}},
    ],
)
def test_a_wrong_setting_stops_the_start(given: dict[str, Any]) -> None:
    with pytest.raises(Fatal, match=r"."):
        session(**given)


def test_the_readme_names_every_setting_as_declared() -> None:
    readme = (JT808.path / "README.md").read_text()
    for name, setting in JT808.manifest.settings.items():
        row = next(line for line in readme.splitlines() if line.startswith(f"| `{name}` |"))
        assert all(part in row for part in (setting.type, setting.unit, setting.zh, setting.en))


def test_connections_of_an_instance_share_what_its_settings_say_of_terminals() -> None:
    one, other = (JT808.manifest.resolve({"plates": {"14050000001": plate}}, "test") for plate in ("晋E00001", "晋E00002"))
    shared, again, apart = terminals.rules(one), terminals.rules(one), terminals.rules(other)
    assert again is shared
    assert [r.terminal("14050000001").plate for r in (shared, apart)] == ["晋E00001", "晋E00002"]
