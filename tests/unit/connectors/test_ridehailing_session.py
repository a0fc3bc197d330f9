"""Ride-hailing: types, personal data, answers, coordinates, round trips."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors._api import registry
from connectors._api.coordinates import wgs84_to_gcj02
from connectors._api.session import Peer, Received, describe
from connectors.ridehailing import encoder, personal
from connectors.ridehailing.decoder import Session, type_of, types
from schemas.errors import Fatal, Reject
from schemas.kinds.services import DriverDuty, RideHailingOrder, RideHailingPosition

NOW = 1_793_491_200_000_000
CONNECTOR = registry.load("ridehailing")
PUBLISHED = 3e-6
"""Degrees by which the published BD-09 formulas miss when there and back."""
PHONE, LICENCE = "13812345678", "310101199001011234"
POSITION = {"source": "沪A1", "ts": NOW, "company": "C1", "plate": "沪A1", "lon": 121.4737, "lat": 31.2304, "speed": 10.0}


def session(**given_settings: Any) -> Session:
    return Session(CONNECTOR.manifest.resolve(given_settings, "test"), Peer("ridehailing"))


def receive(body: Any, origin: str = "POST /positionVehicle", **given_settings: Any) -> Received:
    return session(**given_settings).receive(json.dumps(body).encode(), NOW, origin)


@pytest.mark.parametrize("name", types())
def test_every_type_is_told_by_each_form_of_the_path_and_by_the_document(name: str) -> None:
    group = next(g for g in ("baseInfo", "order", "operate", "position", "rated") if name.startswith(g))
    rest = name.removeprefix(group)
    for path in (f"/{name}", f"/{group}/{rest[0].lower()}{rest[1:]}", f"/api/v1/{group}_{rest}?a=b", f"/x/{name.lower()}"):
        assert type_of(f"POST {path}") == name
    for body in ({"IPCType": name, name: [{"CompanyId": "C1"}]}, {"type": name, "CompanyId": "C1"}, {"type": name, "data": [{}]}):
        received = receive(body, "line 1")
        assert received.message is not None
        assert received.message["name"] == name


def test_all_twenty_six_types_are_there() -> None:
    groups = {"baseInfo": 14, "order": 3, "operate": 5, "position": 2, "rated": 4}
    assert {g: sum(n.startswith(g) for n in types()) for g in groups} == groups


@pytest.mark.parametrize("crs", ["gcj02", "wgs84", "bd09", "cgcs2000"])
def test_the_coordinate_code_is_honoured(crs: str) -> None:
    received = receive([encoder.position(POSITION, crs=crs)])
    (reading,) = received.readings
    assert isinstance(reading, RideHailingPosition)
    assert (reading.lon, reading.lat) == pytest.approx((121.4737, 31.2304), abs=3e-5 if crs == "bd09" else PUBLISHED)
    assert reading.raw_crs == crs


def test_a_record_without_code_takes_the_setting() -> None:
    record = encoder.position({**POSITION, "lon": 121.4737, "lat": 31.2304}, crs="wgs84")
    del record["Encrypt"]
    other = receive(record).readings[0]
    assert isinstance(other, RideHailingPosition)
    assert (other.lon, other.raw_lon, other.raw_crs) == (None, 121.4737, "other")
    moved = receive(record, encrypt_default=1).readings[0]
    assert isinstance(moved, RideHailingPosition)
    assert moved.lon is not None
    assert moved.lat is not None
    assert wgs84_to_gcj02(moved.lon, moved.lat) == pytest.approx((121.4737, 31.2304), abs=1e-8)


def test_no_phone_and_no_licence_number_leaves_the_decoder() -> None:
    record = {
        "LicenseId": LICENCE,
        "DriverPhone": PHONE,
        "PassengerNote": f"打{PHONE}",
        "Nested": [{"mobile": PHONE, "text": PHONE}],
    }
    match = {**record, "CompanyId": "C1", "VehicleNo": "沪A1", "OrderId": "1", "DistributeTime": "20261101080000"}
    bodies = [json.dumps([match, {**match, "DistributeTime": "soon"}, PHONE]), f'{{"a": "{PHONE} {LICENCE}"', f'"{PHONE}"']
    for key in ("", "city"):
        for body in bodies:
            try:
                received = session(hash_key=key).receive(body.encode(), NOW, "POST /order/match")
            except Reject as reject:
                received = Received(rejects=(reject,))
                assert reject.raw
            shown = json.dumps(describe(received), ensure_ascii=False) + repr([(r.raw, r.detail) for r in received.rejects])
            shown += repr([reply.data for reply in received.replies])
            assert PHONE not in shown
            assert LICENCE not in shown


def test_one_driver_has_one_hash_under_one_key_and_none_without() -> None:
    record = encoder.position(POSITION, licence=LICENCE)
    one, two, none = (receive(record, "POST /positionDriver", hash_key=k).readings[0] for k in ("city", "other", ""))
    duty = receive(encoder.step("operateLogin", {**POSITION, "ts": NOW}, licence=LICENCE), "POST /operate/login", hash_key="city")
    assert isinstance(one, RideHailingPosition)
    assert isinstance(two, RideHailingPosition)
    assert isinstance(none, RideHailingPosition)
    assert one.driver
    assert one.driver != two.driver
    assert none.driver is None
    assert [getattr(r, "driver", "") for r in duty.readings] == [one.driver, one.driver]


def test_login_and_logout_are_duty_too() -> None:
    for type, event in (("operateLogin", "on"), ("operateLogout", "off")):
        order, duty = receive(encoder.step(type, POSITION), f"POST /{type}").readings
        assert isinstance(order, RideHailingOrder)
        assert isinstance(duty, DriverDuty)
        assert (duty.event, duty.ts, duty.plate) == (event, NOW, "沪A1")


def test_answers_are_a_list_in_order_and_wait_for_the_readings() -> None:
    good = encoder.position(POSITION)
    received = receive([good, {**good, "Speed": "fast"}, good])
    (reply,) = received.replies
    answers = json.loads(reply.data)
    assert [(a["index"], a["code"]) for a in answers] == [(0, 0), (1, 1), (2, 0)]
    assert reply.when == "durable"
    assert "Speed" in answers[1]["message"]
    assert receive([]).replies[0].data == b"[]"
    assert receive({"CompanyId": "C1"}, "POST /baseInfo/company").replies[0].when == "now"


def test_too_many_records_are_refused() -> None:
    with pytest.raises(Reject, match="too_large"):
        receive([1] * 20_001)


@given(
    lon=st.integers(121_000_000, 122_000_000),
    lat=st.integers(31_000_000, 32_000_000),
    speed=st.integers(0, 120),
    business=st.sampled_from(["carrying", "accepted", "empty", "stopped"]),
    alarm=st.integers(0, 2**32 - 1),
    order=st.sampled_from([None, "A1"]),
)
def test_an_encoded_position_is_decoded_again(
    lon: int, lat: int, speed: int, business: str, alarm: int, order: str | None
) -> None:
    values = {**POSITION, "lon": lon / 1e6, "lat": lat / 1e6, "speed": speed / 3.6, "business": business, "alarm": alarm}
    values |= {"order": order, "heading": 90.0, "altitude": 4.0, "mileage": 12000.0, "status": 3}
    body = encoder.body([encoder.position(values, crs="wgs84")], "positionVehicle")
    (reading,) = session().receive(body, NOW, "POST /").readings
    for name, value in values.items():
        assert getattr(reading, name) == (pytest.approx(value) if isinstance(value, float) else value)


@pytest.mark.parametrize("type", list(encoder.TIMES))
def test_an_encoded_step_is_decoded_again(type: str) -> None:
    values = {"source": "沪A1", "ts": NOW, "order": "A1", "company": "C1", "plate": "沪A1", "lon": 121.47, "lat": 31.23}
    values |= {"fare": 2580, "distance": 6200.0} if type == "operatePay" else {}
    received = receive([encoder.step(type, values)], encoder.address(type))
    reading = received.readings[0]
    assert received.rejects == []
    for name, value in values.items():
        assert getattr(reading, name) == (pytest.approx(value, abs=1e-6) if isinstance(value, float) else value)


@pytest.mark.parametrize(
    ("name", "snake"),
    [("CompanyId", "company_id"), ("VIN", "vin"), ("LegalID", "legal_id"), ("GPSInstallDate", "gps_install_date")],
)
def test_names_in_messages_are_the_standards_in_snake_case(name: str, snake: str) -> None:
    assert personal.snake({name: 1}) == {snake: 1}


def test_an_unknown_zone_is_fatal() -> None:
    with pytest.raises(Fatal, match="no time zone"):
        session(zone="Mars/Olympus")
