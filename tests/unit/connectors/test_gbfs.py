"""GBFS: documents to readings, polling, and which hosts are asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors._api import golden, registry
from connectors._api.session import Peer, Received, describe
from connectors.gbfs import encoder
from connectors.gbfs.decoder import Session
from connectors.gbfs.document import choose, time_of
from schemas.errors import Fatal, Reject
from schemas.kinds.bikes import BikeStation, BikeVehicle

SECOND = 1_000_000
NOW = 1_793_491_200 * SECOND
"""2026-11-01 00:00:00 UTC, the golden cases' time of arrival."""
BASE = "https://bikes.example/gbfs"
URL = f"{BASE}/gbfs.json"
VERSIONS: tuple[encoder.Version, ...] = ("2.3", "3.0")
GBFS = registry.load("gbfs")
GOLDEN = golden.cases(GBFS.path)


def session(**given_settings: Any) -> Session:
    return Session(GBFS.manifest.resolve(given_settings, "test"), Peer("gbfs"))


def body(document: encoder.Document) -> bytes:
    return json.dumps(document).encode()


def asked(received: Received) -> dict[str, int]:
    return {request.url: request.at for request in received.requests}


STATION = encoder.Station(
    station_id="s1", name="人民广场", lon=121.47, lat=31.23, capacity=20, bikes=5, docks=14, docks_disabled=1, reported=NOW
)
VEHICLE = encoder.Vehicle(vehicle_id="b1", lon=121.4, lat=31.2, range=4500.0, reported=NOW)


def documents(version: encoder.Version) -> dict[str, encoder.Document]:
    vehicles = "vehicle_status" if version == "3.0" else "free_bike_status"
    return {
        "gbfs": encoder.discovery(BASE, version, updated=NOW),
        "station_information": encoder.station_information([STATION], version, updated=NOW),
        "station_status": encoder.station_status([STATION], version, updated=NOW),
        vehicles: encoder.vehicle_status([VEHICLE], version, updated=NOW),
        "vehicle_types": encoder.vehicle_types(version, updated=NOW),
        "system_information": encoder.system_information("sh", "上海", version, updated=NOW),
    }


@pytest.mark.parametrize("name", GOLDEN)
def test_golden(name: str) -> None:
    case = GOLDEN[name]
    one = session(**case.settings)
    for step in case.steps:
        result = describe(one.receive(golden.packet(step, GBFS.path), NOW, step.origin))
        assert {k: (result["message"] or {}).get(k) for k in step.message or {}} == (step.message or {})
        assert [r["reason"] for r in result["rejects"]] == step.rejects
        assert len(result["readings"]) == len(step.readings)
        for wanted, reading in zip(step.readings, result["readings"], strict=True):
            assert {k: reading.get(k) for k in wanted} == wanted


@pytest.mark.parametrize("version", VERSIONS)
def test_encoded_documents_follow_the_published_schemas(recordings: Path, version: encoder.Version) -> None:
    for name, document in documents(version).items():
        schema = json.loads((recordings / "feeds" / "gbfs" / "schemas" / f"v{version}" / f"{name}.json").read_bytes())
        checker = jsonschema.validators.validator_for(schema)(schema, format_checker=jsonschema.FormatChecker())
        assert not [error.message for error in checker.iter_errors(document)], name


@pytest.mark.parametrize("version", VERSIONS)
def test_polls_discovery_then_its_feeds_each_at_its_ttl(version: encoder.Version) -> None:
    one, sent = session(url=URL), documents(version)
    assert asked(one.start(NOW)) == {URL: NOW}
    vehicles = "vehicle_status" if version == "3.0" else "free_bike_status"
    first = asked(one.receive(body(sent["gbfs"]), NOW, URL))
    feeds = {f"{BASE}/{name}.json": NOW for name in ("station_information", "station_status", vehicles)}
    assert first == {URL: NOW + 60 * SECOND, **feeds}
    information = one.receive(body(sent["station_information"]), NOW, f"{BASE}/station_information.json")
    assert asked(information) == {f"{BASE}/station_information.json": NOW + 3600 * SECOND}
    status = one.receive(body(sent["station_status"]), NOW, f"{BASE}/station_status.json")
    assert asked(status) == {f"{BASE}/station_status.json": NOW + 10 * SECOND}
    (reading,) = status.readings
    assert isinstance(reading, BikeStation)
    assert (reading.name, reading.capacity, reading.lon) == ("人民广场", 20, 121.47)
    assert asked(one.receive(body(sent["gbfs"]), NOW, URL)) == {URL: NOW + 60 * SECOND}


def test_a_feed_no_longer_named_is_no_longer_polled_and_comes_back_when_named_again() -> None:
    one, status = session(url=URL), f"{BASE}/station_status.json"
    one.receive(body(encoder.discovery(BASE, feeds=["station_status"])), NOW, URL)
    one.receive(body(encoder.discovery(BASE, feeds=["system_information"])), NOW, URL)
    assert asked(one.receive(body(encoder.station_status([STATION])), NOW, status)) == {}
    again = asked(one.receive(body(encoder.discovery(BASE, feeds=["station_status"])), NOW, URL))
    assert again == {status: NOW, URL: NOW + 60 * SECOND}


@pytest.mark.parametrize(
    ("ttl", "wait"), [(0, 10), (5, 10), (60, 60), (10**7, 86_400), (-1, 10), ("60", 10), (True, 10), (None, 10)]
)
def test_ttl_is_kept_within_limits(ttl: Any, wait: int) -> None:
    one = session(url=URL)
    assert asked(one.receive(body({**encoder.discovery(BASE, feeds=["x"]), "ttl": ttl}), NOW, URL)) == {URL: NOW + wait * SECOND}


@pytest.mark.parametrize(
    "answer", [b"", b"<html>", b"[]", b'{"data": {}}', b'{"data": {"feeds": 1}}', b'{"data": {"stations": 1}}']
)
def test_a_bad_answer_is_asked_for_again(answer: bytes) -> None:
    assert asked(session(url=URL).receive(answer, NOW, URL)) == {URL: NOW + 10 * SECOND}


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data",
        "https://bikes.example.evil.example/x",
        "https://bikes.example@evil.example/x",
        "https://evil.example\\@bikes.example/x",
        "https://bikes.example:8443/x",
        "file:///etc/passwd",
        "//evil.example/x",
        "https://[::1/x",
        "https://bikes.example:99999/x",
        "",
    ],
)
def test_other_hosts_are_never_asked(url: str) -> None:
    document = {"version": "3.0", "data": {"feeds": [{"name": "station_status", "url": url}]}}
    received = session(url=URL).receive(body(document), NOW, URL)
    assert set(asked(received)) == {URL}
    assert [reject.reason for reject in received.rejects] == ["bad_field"]


def test_allowed_hosts_are_asked() -> None:
    document = {"version": "3.0", "data": {"feeds": [{"name": "station_status", "url": "https://cdn.example/s.json"}]}}
    for allowed in ("https://cdn.example", "cdn.example", "cdn.example:443"):
        received = session(url=URL, allow_hosts=[allowed]).receive(body(document), NOW, URL)
        assert "https://cdn.example/s.json" in asked(received) and not received.rejects


def test_wrong_url_stops_the_start() -> None:
    with pytest.raises(Fatal, match="http or https"):
        session(url="ftp://bikes.example/gbfs.json")
    assert not session().start(NOW).requests


def test_times() -> None:
    assert time_of(1_793_491_200) == time_of("2026-11-01T08:00:00+08:00") == time_of("1793491200") == NOW
    assert time_of(None) is None and time_of(0) is None
    for wrong in ("", "yesterday", "2026-11-01T08:00:00", -5, 1_793_491_200_000, True, [], float("inf")):
        with pytest.raises(Reject):
            time_of(wrong)


def test_language() -> None:
    assert choose({"en": 1, "zh-CN": 1}, "zh") == "zh-CN"
    assert choose({"fr": 1, "zh": 1}, "zh-CN") == "zh"
    assert choose({"fr": 1, "en": 1}, "zh") == "en"
    assert choose({"fr": 1}, "zh") == "fr"
    assert choose({}, "zh") == ""


COUNT = st.integers(0, 10_000)
STATIONS = st.builds(
    encoder.Station,
    station_id=st.text(min_size=1, max_size=8),
    name=st.text(max_size=20),
    lon=st.floats(-180, 180),
    lat=st.floats(-90, 90),
    capacity=COUNT,
    bikes=COUNT,
    docks=COUNT,
    bikes_disabled=COUNT,
    is_renting=st.booleans(),
    reported=st.integers(1, 4_000_000_000).map(lambda s: s * SECOND),
)


@settings(max_examples=80, deadline=None)
@given(st.lists(STATIONS, max_size=4, unique_by=lambda s: s.station_id), st.sampled_from(VERSIONS))
def test_what_is_encoded_is_decoded(stations: list[encoder.Station], version: encoder.Version) -> None:
    one = session()
    assert not one.receive(body(encoder.station_information(stations, version, updated=NOW)), NOW).rejects
    received = one.receive(body(encoder.station_status(stations, version, updated=NOW)), NOW, "station_status.json")
    assert not received.rejects
    for station, reading in zip(stations, received.readings, strict=True):
        assert isinstance(reading, BikeStation)
        assert (reading.source, reading.ts, reading.name) == (station.station_id, station.reported, station.name)
        assert (reading.lon, reading.lat, reading.capacity) == (station.lon, station.lat, station.capacity)
        assert (reading.bikes, reading.docks, reading.bikes_disabled) == (station.bikes, station.docks, station.bikes_disabled)
        assert reading.is_renting == station.is_renting


@pytest.mark.parametrize("version", VERSIONS)
def test_vehicles_come_back(version: encoder.Version) -> None:
    (reading,) = session().receive(body(encoder.vehicle_status([VEHICLE], version, updated=NOW)), NOW).readings
    assert isinstance(reading, BikeVehicle)
    assert (reading.source, reading.ts, reading.lon, reading.range) == ("b1", NOW, 121.4, 4500.0)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
ROWS = st.lists(
    st.dictionaries(
        st.sampled_from(
            ["station_id", "vehicle_id", "bike_id", "name", "lat", "num_bikes_available", "last_reported", "is_renting", "url"]
        ),
        JSON,
        max_size=5,
    )
    | JSON,
    max_size=3,
)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["stations", "bikes", "vehicles", "feeds", "en"]), ROWS | JSON, JSON, st.sampled_from(["", URL]))
def test_any_document_is_decoded_or_refused(key: str, rows: Any, last_updated: Any, url: str) -> None:
    document = {"last_updated": last_updated, "ttl": 1, "version": "2.3", "data": {key: rows}}
    received = session(url=url).receive(body(document), NOW, URL)
    assert received.message is not None or received.rejects
    assert all(reject.raw for reject in received.rejects)


GOLDEN_BODIES = [golden.packet(step, GBFS.path) for case in GOLDEN.values() for step in case.steps]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(GOLDEN_BODIES), st.data())
def test_every_cut_and_mutation_is_decoded_or_refused(sent: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, max(len(sent) - 1, 0)))
    torn = sent[:at] if data.draw(st.booleans()) else sent[:at] + data.draw(st.binary(max_size=3)) + sent[at + 1 :]
    received = session(url=URL).receive(torn, NOW, URL)
    assert received.message is not None or received.rejects
    assert URL in asked(received)


def test_recorded_documents(recordings: Path) -> None:
    folder = recordings / "feeds" / "gbfs"
    files = [*sorted((folder / "entur").glob("*/*.json")), *sorted((folder / "spec-examples").glob("*/*.json"))]
    assert files, "no documents in the recordings"
    rows = refused = 0
    for path in files:
        sent = json.loads(path.read_bytes())
        received = session().receive(path.read_bytes(), NOW, path.name)
        assert received.message is not None, path
        assert bool(received.rejects) == ("with_error" in path.stem), path
        assert path.stem.startswith(received.message["name"]), path
        told = sent["data"].get("bikes", sent["data"].get("vehicles", []))
        if received.message["name"] == "station_status":
            told = sent["data"]["stations"]
        assert len(received.readings) + len(received.rejects) == len(told), path
        rows += len(received.readings)
        refused += len(received.rejects)
    print(f"{len(files)} documents decoded, {rows} readings, {refused} row refused")
    assert refused == 1
