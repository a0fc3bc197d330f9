"""TALQ: a gateway's requests against the published API and data model, readings of its reports, answers and their status."""

from __future__ import annotations

import gzip
import importlib
import json
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors._api import registry
from connectors._api.session import Peer, Received, Session, describe
from connectors.talq import encoder, register, requests
from connectors.talq.encoder import Gateway

jsonschema: Any = importlib.import_module("jsonschema")  # it ships no annotations

NOW: Final = 1_793_491_200_000_000
SECOND: Final = 1_000_000
LAMP: Final = "11111111-2222-4333-8444-555555555501"
MONITOR: Final = f"{LAMP}/fLampMonitor_1"
PUBLISHED: Final = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "feeds" / "talq"


def session(**given_settings: Any) -> Session:
    connector = registry.load("talq")
    return connector.make_session(connector.manifest.resolve(given_settings, "test"), Peer("test"))


@pytest.fixture
def gateway() -> Gateway:
    return Gateway(UUID(int=7), "logger-1")


def send(cms: Session, request: tuple[str, bytes], now: int = NOW) -> Received:
    origin, body = request
    return cms.receive(body, now, origin)


def status(received: Received) -> tuple[int, Any]:
    (reply,) = received.replies
    return reply.status, json.loads(reply.data) if reply.data else None


def lamp(**functions: Any) -> dict[str, Any]:
    monitor = {"id": "fLampMonitor_1", "type": "LampMonitorFunction", **functions}
    return encoder.device(LAMP, "灯 7", [encoder.placed(121.4737, 31.2304), monitor])


def published(name: str) -> Any:
    file = PUBLISHED / f"talq-{name}-2-7-1-online.json.gz"
    if not file.is_file():
        pytest.skip(f"no published API: {file} is absent")
    return json.loads(gzip.decompress(file.read_bytes()))


def check(instance: Any, schema: str) -> None:
    model = published("data-model")
    jsonschema.Draft4Validator({"$ref": f"#/components/schemas/{schema}", "components": model["components"]}).validate(instance)


def test_every_operation_is_one_of_the_api_with_its_name_and_status() -> None:
    paths = published("api-cms")["paths"]
    found = {
        f"{method.upper()} {'/'.join('{}' if part.startswith('{') else part for part in path.split('/'))}": operation
        for path, operations in paths.items()
        for method, operation in operations.items()
        if isinstance(operation, dict) and "responses" in operation
    }
    for pattern, (name, success) in requests.OPERATIONS.items():
        operation = found[pattern]
        assert (operation["operationId"], str(success) in operation["responses"]) == (name, True), pattern
    left = {pattern for pattern in found if pattern not in requests.OPERATIONS}
    assert all("-types" in p or p in ("GET /groups/{}", "GET /data-packages/{}", "GET /logger-configs/{}") for p in left)


def test_what_a_simulated_gateway_sends_is_of_the_data_model(gateway: Gateway) -> None:
    entries = [
        encoder.measured(MONITOR, "activePower", encoder.attribute("AttributeFloat", 81.5, NOW), NOW),
        encoder.event(MONITOR, "lampFailure", NOW, begins=True),
        encoder.state_change(MONITOR, 80, NOW, 60),
    ]
    check(json.loads(gateway.log_report(entries)[1]), "LogReport")
    for entry, schema in zip(entries, ("AttributeLogData", "EventLogData", "StateChangeEventLogData"), strict=True):
        check(entry["data"], schema)
    check(lamp(), "Device")
    check(encoder.placed(121.4737, 31.2304), "LocationSensorFunction")


def test_errors_are_of_the_data_model(gateway: Gateway) -> None:
    for request in (("POST /devices", b"[]"), gateway.request("GET /devices/x"), gateway.request("PUT /devices", [1])):
        code, errors = status(send(session(), request))
        assert code in (400, 404)
        for error in errors:
            check(error, "TALQErrorMessage")


def test_a_report_is_answered_201_and_read_with_the_place_of_its_lamp(gateway: Gateway) -> None:
    cms = session()
    assert status(send(cms, gateway.announce([lamp()]))) == (201, [lamp()])
    entries = [
        encoder.measured(MONITOR, "activePower", encoder.attribute("AttributeFloat", 81.5), NOW),
        encoder.measured(MONITOR, "activeEnergy", encoder.attribute("AttributeFloat", 2.5), NOW),
        encoder.state_change(f"{LAMP}/fLampActuator_1", 80, NOW + SECOND, 60),
    ]
    received = send(cms, gateway.log_report(entries), NOW + 5 * SECOND)
    assert (status(received), received.rejects) == ((201, None), [])
    assert received.replies[0].when == "durable"
    found = describe(received)["readings"]
    place = {"source": LAMP, "lon": 121.4737, "lat": 31.2304}
    power, light = found
    assert power.items() >= {**place, "power": 81.5, "energy": 9e6, "ts": "2026-11-01T00:00:00Z"}.items()
    assert light.items() >= {**place, "dimming": 60, "on": True, "commanded_on": True, "ts": "2026-11-01T00:00:01Z"}.items()
    assert power["serial"] != light["serial"]


def test_faults_stand_until_they_end_whatever_order_they_come_in(gateway: Gateway) -> None:
    cms = session()
    said = [("lampPowerTooLow", 10, True), ("lampFailure", 20, True), ("lampFailure", 15, False), ("lampFailure", 30, False)]
    faults = []
    for name, second, begins in [*said, ("lampPowerTooLow", 40, False)]:
        entry = encoder.event(MONITOR, name, NOW + second * SECOND, begins=begins)
        (reading,) = send(cms, gateway.log_report([entry]), NOW + 60 * SECOND).readings
        faults.append(reading.fault)  # type: ignore[attr-defined]
    assert faults == ["lampPowerTooLow", "lampFailure", "lampFailure", "lampPowerTooLow", None]
    (momentary,) = send(cms, gateway.log_report([encoder.event(MONITOR, "lampFailure", NOW)])).readings
    (after,) = send(cms, gateway.log_report([encoder.measured(MONITOR, "activePower", {"value": 1}, NOW)])).readings
    assert (momentary.fault, after.fault) == ("lampFailure", None)  # type: ignore[attr-defined]


def test_devices_are_added_changed_asked_for_and_removed(gateway: Gateway) -> None:
    cms = session()
    assert status(send(cms, gateway.request(f"PUT /devices/{LAMP}", lamp())))[0] == 404
    assert status(send(cms, gateway.announce([lamp()])))[0] == 201
    assert status(send(cms, gateway.announce([lamp()])))[0] == 201
    other = {**lamp(), "name": "other"}
    code, (error,) = status(send(cms, gateway.announce([other])))
    assert (code, error["key"]) == (409, "resourceConflict")
    assert status(send(cms, gateway.request("PUT /devices", [other]))) == (200, [other])
    patch = {"address": LAMP, "functions": [{"id": "fLampMonitor_1", "numberOfLamps": {"type": "AttributeInteger", "value": 2}}]}
    assert status(send(cms, gateway.request("PATCH /devices", [patch]))) == (200, None)
    code, (device,) = status(send(cms, gateway.request("GET /devices")))
    assert (code, device["name"], len(device["functions"])) == (200, "other", 2)
    asked = gateway.request(f"GET /v2/devices/{LAMP}/fLampMonitor_1/numberOfLamps")
    assert status(send(cms, asked)) == (200, {"type": "AttributeInteger", "value": 2})
    assert status(send(cms, gateway.request(f"DELETE /devices/{LAMP}")))[0] == 200
    assert status(send(cms, gateway.request("GET /devices"))) == (200, [])


def test_pages_of_devices(gateway: Gateway) -> None:
    cms = session()
    send(cms, gateway.announce([encoder.device(f"d{n}", "x", [], f"class{n % 2}") for n in range(6)]))
    line, _ = gateway.request("GET /devices")
    for query, wanted in (
        ("&offset=4", "d4 d5"),
        ("&limit=2", "d0 d1"),
        ("&offset=1&limit=1", "d1"),
        ("&deviceClasses=class1", "d1 d3 d5"),
    ):
        _, found = status(cms.receive(b"", NOW, line + query))
        assert [d["address"] for d in found] == wanted.split()
    assert status(cms.receive(b"", NOW, line + "&limit=many"))[0] == 400


def test_the_register_is_bounded(monkeypatch: pytest.MonkeyPatch, gateway: Gateway) -> None:
    monkeypatch.setattr(register, "MOST_DEVICES", 3)
    cms = session()
    for number in range(5):
        send(cms, gateway.announce([encoder.device(f"d{number}", "x", [])]))
    _, found = status(send(cms, gateway.request("GET /devices")))
    assert [d["address"] for d in found] == ["d2", "d3", "d4"]


def test_one_bad_entry_leaves_the_others_and_only_bad_ones_refuse_the_report(gateway: Gateway) -> None:
    good = encoder.measured(MONITOR, "activePower", {"value": 1.5}, NOW)
    bad = [{"data": {}}, encoder.measured(MONITOR, "activePower", {"value": "much"}, NOW), encoder.event("x", "y", NOW)]
    bad[2]["data"]["timestamp"] = "yesterday"
    received = send(session(), gateway.log_report([good, *bad[:1], bad[2]]))
    assert (status(received)[0], len(received.readings), len(received.rejects)) == (201, 1, 2)
    received = send(session(), gateway.log_report(bad))
    assert (status(received)[0], len(received.readings), len(received.rejects)) == (422, 0, 1)


@given(
    body=st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "address",
                        "name",
                        "class",
                        "functions",
                        "entries",
                        "data",
                        "type",
                        "srcAddress",
                        "timestamp",
                        "attributeName",
                        "attributeValue",
                        "value",
                        "id",
                    ]
                ),
                inner,
            )
        ),
        max_leaves=30,
    )
)
def test_any_document_is_taken_or_refused_with_an_answer(body: Any) -> None:
    gateway = Gateway(UUID(int=7), "logger-1")
    for line in (
        "POST /log-reports",
        "POST /devices",
        "PATCH /devices",
        "PUT /device-classes",
        "POST /services",
        f"PUT /devices/{LAMP}",
    ):
        code, _ = status(send(session(), gateway.request(line, body)))
        assert code in (200, 201, 400, 404, 409, 422)
