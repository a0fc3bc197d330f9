"""What a JT/T 809 link remembers: logins, vehicles, standing alarms; the sub link; messages from fields and back."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from connectors._api import Peer, Received, describe, load
from connectors._api.coordinates import wgs84_to_gcj02
from connectors.jt809 import encoder, header, location, messages
from connectors.jt809.framing import Framing
from schemas.errors import Fatal

JT809 = load("jt809")
S = 1_000_000
TS = 1_730_180_343 * S
HEAD: dict[str, Any] = {"sn": 7, "center": 20180920, "time": TS // S}


def session(address: str = "", **given: Any) -> Any:
    return JT809.make_session(JT809.manifest.resolve(given, "test"), Peer("test", address))


def packet(wire: bytes) -> bytes:
    (one,) = Framing({}).feed(wire)
    assert isinstance(one, bytes)
    return one


def answer(received: Received) -> dict[str, Any]:
    (reply,) = received.replies
    raw = packet(reply.data)
    parsed = header.parse(raw)
    return {**messages.head(parsed), **messages.read(parsed.msg_id, parsed.edition, raw[parsed.start :])}


def place(edition: header.Edition = "2019", **more: Any) -> dict[str, Any]:
    given = {"ts": TS, "lat": 37.857014, "lon": 112.549248, "speed": 10.0, "direction": 90.0, "mileage": 5000.0}
    return encoder.location_fields(edition=edition, **{**given, **more})


@pytest.mark.parametrize(
    ("user", "password", "center", "address", "result"),
    [
        (1, "right", 20180920, "10.1.2.3", 0),
        (1, "right", 20180920, "10.2.2.3", 1),
        (1, "right", 5, "10.1.2.3", 2),
        (2, "right", 20180920, "10.1.2.3", 3),
        (1, "wrong", 20180920, "10.1.2.3", 4),
    ],
)
def test_a_login_is_answered_with_what_is_wrong_with_it(user: int, password: str, center: int, address: str, result: int) -> None:
    users = {"1": {"password": "right", "gnss_center_id": 20180920, "addresses": ["10.1."]}}
    held = session(address, users=users)
    received = held.receive(packet(encoder.login(user, password, "10.1.2.3", 9001, sn=1, center=center, time=TS // S)), TS)
    reply = answer(received)
    assert (reply["name"], reply["result"], received.replies[0].when) == ("up_connect_rsp", result, "now")
    assert bool(reply["verify_code"]) == (result == 0)
    assert [r.reason for r in received.rejects] == (["unauthenticated"] if result else [])
    after = held.receive(packet(encoder.waybill("晋B00001", 2, "UN1203", **HEAD)), TS)
    assert bool(after.readings) == (result == 0)


def test_a_logout_ends_the_admission() -> None:
    held = session(users={"1": "right"})
    held.receive(packet(encoder.login(1, "right", "", 0, **HEAD)), TS)
    assert answer(held.receive(packet(encoder.logout(1, "right", **HEAD)), TS))["name"] == "up_disconnect_rsp"
    assert held.receive(packet(encoder.waybill("晋B00001", 2, "UN1203", **HEAD)), TS).rejects[0].reason == "unauthenticated"


@pytest.mark.parametrize(
    "given", [{"users": {"1": {"secret": "x"}}}, {"m1": "1", "ia1": "x", "ic1": "3"}, {"vehicles": [{"kind": "ship"}]}]
)
def test_a_wrong_setting_is_fatal_and_named(given: dict[str, Any]) -> None:
    with pytest.raises(Fatal, match=next(iter(given))):
        session(**given)


@pytest.mark.parametrize("edition", ["2011", "2019"])
def test_a_location_survives_encoder_framing_and_session(edition: header.Edition) -> None:
    wire = encoder.real_location("晋A12345", 2, place(edition), edition=edition, **HEAD)
    received = session().receive(packet(wire), TS)
    (reading,) = describe(received)["readings"]
    assert reading["ts"] == "2024-10-29T05:39:03Z"
    assert (reading["lon"], reading["lat"], reading["mileage"]) == (112.549248, 37.857014, 5000.0)
    assert reading["speed"] == pytest.approx(10.0)
    assert not received.replies


@pytest.mark.parametrize("edition", ["2011", "2019"])
def test_southern_and_western_points_are_negative(edition: header.Edition) -> None:
    wire = encoder.real_location("晋A1", 2, place(edition, lat=-1.5, lon=-2.5), edition=edition, **HEAD)
    (reading,) = session().receive(packet(wire), TS).readings
    assert (reading.lon, reading.lat) == (-2.5, -1.5)


def test_a_shifted_point_is_given_back_and_kept() -> None:
    lon, lat = wgs84_to_gcj02(112.549248, 37.857014)
    shifted = {**place(), "encrypt": 1, "lon": lon, "lat": lat}
    (reading,) = session().receive(packet(encoder.real_location("晋A1", 2, shifted, **HEAD)), TS).readings
    assert (reading.lon, reading.lat) == (pytest.approx(112.549248, abs=2e-6), pytest.approx(37.857014, abs=2e-6))
    assert (reading.raw_lon, reading.raw_crs) == (pytest.approx(lon, abs=1e-6), "gcj02")


def test_alarm_bits_become_one_rise_and_one_fall_per_vehicle() -> None:
    held, codes = session(), []
    for n, (plate, alarm) in enumerate([("晋A1", 0b11), ("晋A1", 0b10), ("晋A2", 0b10), ("晋A1", 0b10), ("晋A1", 0)]):
        wire = encoder.real_location(plate, 2, place(ts=TS + n * S, alarm=alarm), **HEAD)
        found = held.receive(packet(wire), TS).readings[1:]
        codes += [(r.source, r.code, r.phase, (r.started_at - TS) // S) for r in found]
    assert codes == [
        ("晋A1_2", "emergency", "rise", 0),
        ("晋A1_2", "overspeed", "rise", 0),
        ("晋A1_2", "emergency", "fall", 0),
        ("晋A2_2", "overspeed", "rise", 2),
        ("晋A1_2", "overspeed", "fall", 0),
    ]


def test_history_goes_to_the_late_lane() -> None:
    wire = encoder.history("晋A1", 2, [place(ts=TS - n * 60 * S, alarm=1) for n in range(5)], **HEAD)
    received = session().receive(packet(wire), TS)
    assert (received.lane, len(received.readings)) == ("late", 5)
    assert len({r.serial for r in received.readings}) == 5


def test_a_sub_link_connects_tests_itself_and_is_given_up_when_silent() -> None:
    given: dict[str, Any] = {"sub_link": True, "user_id": 20180920, "verify_secret": "shared", "gnss_center_id": 14}
    held = session(**given)
    first = answer(held.start(TS))
    login = answer(session(verify_secret="shared").receive(packet(encoder.login(20180920, "x", "", 0, **HEAD)), TS))
    assert (first["name"], first["verify_code"]) == ("down_connect_req", login["verify_code"])
    assert first["header"]["msg_gnsscenterid"] == 14
    ready = held.receive(packet(encoder.message(0x9002, {"result": 0}, **HEAD)), TS)
    assert (ready.message["name"], ready.close) == ("down_connect_rsp", False)
    assert held.tick(TS + 59 * S) == Received()
    assert answer(held.tick(TS + 60 * S))["name"] == "down_linktest_req"
    assert not held.tick(TS + 180 * S).close
    assert held.tick(TS + 181 * S).close


def test_a_refused_sub_link_is_closed() -> None:
    held = session(sub_link=True, user_id=1)
    held.start(TS)
    assert held.receive(packet(encoder.message(0x9002, {"result": 1}, **HEAD)), TS).close


def test_a_silent_main_link_is_given_up_after_three_minutes() -> None:
    held = session()
    held.start(TS)
    held.receive(packet(encoder.link_test(**HEAD)), TS + 100 * S)
    assert not held.tick(TS + 280 * S).close
    assert held.tick(TS + 281 * S).close


FIELDS: list[tuple[int, dict[str, Any]]] = [
    *((number, {}) for number in (0x1004, 0x1005, 0x1006, 0x9004, 0x9005, 0x9006)),
    (0x1002, {"result": 0, "verify_code": 54456}),
    (0x1007, {"error_code": 1}),
    (0x1008, {"reason_code": 0}),
    (0x9001, {"verify_code": 54456}),
    (0x9002, {"result": 3}),
    (0x9003, {"verify_code": 54456}),
    (0x9007, {"error_code": 0}),
    (0x9008, {"reason_code": 1}),
    (0x9101, {"dynamic_info_total": 9, "start_time": "2024-10-29 00:00:00", "end_time": "2024-10-29 13:39:03"}),
]


@pytest.mark.parametrize("edition", ["2011", "2019"])
@pytest.mark.parametrize(("number", "fields"), FIELDS, ids=lambda v: f"{v:04X}" if isinstance(v, int) else "")
def test_link_messages_survive_encoder_and_session(number: int, fields: dict[str, Any], edition: header.Edition) -> None:
    wire = encoder.message(number, fields, edition=edition, **HEAD)
    shown = session().receive(packet(wire), TS).message
    assert shown["edition"] == edition
    assert {k: v for k, v in shown.items() if k not in ("name", "header", "edition")} == fields


SAMPLES = {"u8": 7, "u16": 515, "u32": 67_305_985, "u64": 2**40, "time": "2024-10-29 13:39:03", "utc": "2024-10-29 13:39:03"}


def sample(kind: str) -> Any:
    """Give a value of a layout's type."""
    if kind in SAMPLES:
        return SAMPLES[kind]
    if kind.startswith("gnss"):
        return place("2011" if kind == "gnss2011" else "2019")
    if kind.startswith("bytes"):
        return bytes(range(int(kind[5:] or 3)))
    if kind.startswith("bcd"):
        return "12" * int(kind[3:])
    return "14" if kind.startswith(("str", "platform")) else None


def declared() -> list[tuple[int, header.Edition, int]]:
    known = messages.bodies().data
    return [(n, e, i) for n in sorted({n for n, _ in known}) for e in messages.EDITIONS for i in range(len(known[n, e].forms))]


@pytest.mark.parametrize(("sub_type", "edition", "form"), declared(), ids=lambda v: f"{v:04X}" if isinstance(v, int) else v)
def test_every_form_of_every_sub_type_is_written_and_read_back(sub_type: int, edition: header.Edition, form: int) -> None:
    layout = messages.bodies().data[sub_type, edition].forms[form]
    table = msgspec.toml.decode((JT809.path / "messages.toml").read_bytes(), type=messages.Table)
    values: dict[str, Any] = {}
    lines = table.data[f"0x{sub_type:04X}"]
    own, other = (lines.v2011, lines.v2019) if edition == "2011" else (lines.v2019, lines.v2011)
    for line in [*own, *lines.any, *other][form : form + 1]:
        for field in line:
            name, _, rest = field.partition(":")
            kind = rest.rstrip("?").partition("#")[0]
            if kind.endswith("*"):
                inner = table.types.get(kind[:-1])
                one = (
                    sample(kind[:-1])
                    if inner is None
                    else {f.split(":")[0]: sample(f.split(":")[1]) for f in inner if "?" not in f}
                )
                values[name] = [one, one] if "section_property" not in one else [{**one, "section_property": 0}]
            elif "?route_property" not in rest:
                values[name] = 0 if name == "route_property" else sample(kind)
    for by in [f.by for f in layout.fields if f.by]:
        values.pop(by, None)
    raw = layout.write(values)
    shown, end = layout.read(raw, 0)
    assert end == len(raw)
    assert layout.write(shown) == raw
    known = messages.read_data(sub_type, edition, raw)
    assert known["name"] == messages.bodies().data[sub_type, edition].name
    assert "rest" not in known


def test_a_header_of_2019_needs_its_time() -> None:
    with pytest.raises(ValueError, match="time"):
        encoder.link_test(sn=1, center=1)


def test_an_envelope_is_written_and_read_back_with_and_without_vehicle() -> None:
    fields = {"data_type": 0x9301, "object_type": 1, "object_id": "14", "info_id": 5, "info_content": "在岗"}
    body = messages.write(0x9300, "2011", fields)
    assert messages.read(0x9300, "2011", body) == {
        "name": "down_platform_msg_post_query_req",
        **fields,
        "data_length": 1 + 12 + 8 + 4,
        "info_length": 4,
    }
    warn = {
        "vehicle_no": "晋A1",
        "vehicle_color": 2,
        "data_type": 0x9402,
        "warn_src": 1,
        "warn_type": 1,
        "warn_time": SAMPLES["utc"],
    }
    shown = messages.read(0x9400, "2011", messages.write(0x9400, "2011", {**warn, "warn_content": "超速"}))
    assert (shown["vehicle_no"], shown["warn_length"]) == ("晋A1", 4)


def test_a_location_too_short_for_any_form_is_refused() -> None:
    wire = encoder.message(0x1200, {"vehicle_no": "晋A1", "vehicle_color": 2, "data_type": 0x12FE, "data": bytes(30)}, **HEAD)
    raw = bytearray(packet(wire))
    raw[30 + 22 : 30 + 24] = b"\x12\x02"
    received = session().receive(bytes(raw), TS)
    assert [r.reason for r in received.rejects] == ["bad_length"]
    assert location.read(bytes(36))["vec1"] == 0
