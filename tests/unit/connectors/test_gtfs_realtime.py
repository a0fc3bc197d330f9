"""GTFS-Realtime: feeds to readings, polling, refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from google.transit import gtfs_realtime_pb2 as proto
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors._api import golden, registry
from connectors._api.session import Peer, Received, describe
from connectors.gtfs_realtime import encoder
from connectors.gtfs_realtime.decoder import Session
from schemas.kinds.transport import BusPosition, ServiceAlert, TripUpdate

SECOND = 1_000_000
NOW = 1_793_491_200 * SECOND
"""2026-11-01 00:00:00 UTC, the golden cases' time of arrival."""
URL = "https://transit.example/vehicles.pb"
GTFS = registry.load("gtfs_realtime")
GOLDEN = golden.cases(GTFS.path)


def session(**given_settings: Any) -> Session:
    return Session(GTFS.manifest.resolve(given_settings, "test"), Peer("gtfs"))


def reasons(received: Received) -> list[str]:
    return [reject.reason for reject in received.rejects]


@pytest.mark.parametrize("name", GOLDEN)
def test_golden(name: str) -> None:
    case = GOLDEN[name]
    one = session(**case.settings)
    for step in case.steps:
        result = describe(one.receive(golden.packet(step, GTFS.path), NOW, step.origin))
        assert {k: (result["message"] or {}).get(k) for k in step.message or {}} == (step.message or {})
        assert [r["reason"] for r in result["rejects"]] == step.rejects
        assert len(result["readings"]) == len(step.readings)
        for wanted, reading in zip(step.readings, result["readings"], strict=True):
            assert {k: reading.get(k) for k in wanted} == wanted


def test_asks_at_once_and_then_at_each_interval_whatever_came() -> None:
    one = session(url=URL, interval_s=20)
    (first,) = one.start(NOW).requests
    assert (first.url, first.at) == (URL, NOW)
    for body in (encoder.feed(NOW), encoder.feed(NOW - SECOND), b"\xff\xff", b""):
        (request,) = one.receive(body, NOW, URL).requests
        assert (request.url, request.at) == (URL, NOW + 20 * SECOND)
    assert not session().start(NOW).requests
    assert not session().receive(encoder.feed(NOW), NOW, "file.pb").requests


def test_time_goes_forward_per_feed_and_not_far_ahead() -> None:
    one = session()
    assert not reasons(one.receive(encoder.feed(NOW), NOW, "a"))
    assert not reasons(one.receive(encoder.feed(NOW - 60 * SECOND), NOW, "b"))
    assert reasons(one.receive(encoder.feed(NOW - SECOND), NOW, "a")) == ["stale_feed"]
    assert reasons(one.receive(encoder.feed(NOW + 7200 * SECOND), NOW, "a")) == ["future_time"]
    assert not reasons(one.receive(encoder.feed(NOW), NOW, "a"))


def test_a_bad_entity_is_refused_alone() -> None:
    bad = encoder.vehicle("B1")
    bad.vehicle.timestamp = 1 << 60
    received = session().receive(encoder.feed(NOW, [bad, encoder.vehicle("B2", ts=NOW)]), NOW)
    assert reasons(received) == ["bad_field"]
    assert received.rejects[0].raw == bad.SerializeToString()
    assert [reading.source for reading in received.readings] == ["B2"]


def test_last_stop_stands_when_all_are_past_and_skipped_ones_are_passed_over() -> None:
    past = encoder.trip_update("T1", [("S1", NOW - 90 * SECOND, None), ("S2", NOW - 30 * SECOND, -5)])
    skipping = encoder.trip_update("T2", [("S1", NOW + 10 * SECOND, None), ("S2", NOW + 30 * SECOND, None)])
    skipping.trip_update.stop_time_update[0].schedule_relationship = proto.TripUpdate.StopTimeUpdate.SKIPPED
    skipping.trip_update.delay = 12
    none = encoder.trip_update("T3", [])
    found = session().receive(encoder.feed(NOW, [past, skipping, none]), NOW).readings
    trips = [t for t in found if isinstance(t, TripUpdate)]
    assert [(t.stop, t.stops_left, t.delay) for t in trips] == [("S2", 0, -5.0), ("S2", 1, 12.0), (None, None, None)]


def test_notices_come_when_new_changed_or_an_hour_old() -> None:
    one = session(language="en")
    road = {"zh": "施工", "en": "Road works"}

    def read(minutes: int, header: dict[str, str]) -> list[str | None]:
        feed = encoder.feed(NOW + minutes * 60 * SECOND, [encoder.alert("A1", header)])
        found = one.receive(feed, NOW + minutes * 60 * SECOND).readings
        return [a.header for a in found if isinstance(a, ServiceAlert)]

    assert [read(m, road) for m in (0, 1, 59, 60, 61)] == [["Road works"], [], [], ["Road works"], []]
    assert read(62, {"en": "Road closed"}) == ["Road closed"]
    assert one.receive(encoder.feed(NOW + 63 * 60 * SECOND), NOW + 63 * 60 * SECOND).readings == []
    assert read(64, {"en": "Road closed"}) == ["Road closed"]


POSITIONS = st.builds(
    encoder.vehicle,
    st.text("ABC123", min_size=1, max_size=6),
    ts=st.integers(0, 3600).map(lambda s: NOW - s * SECOND),
    place=st.tuples(st.integers(-180, 180).map(float), st.integers(-90, 90).map(float)),
    route=st.text("0123", max_size=3),
    speed=st.none() | st.integers(0, 40).map(float),
    bearing=st.none() | st.integers(0, 359).map(float),
    occupancy=st.none() | st.integers(0, 120),
)


@settings(max_examples=80, deadline=None)
@given(st.lists(POSITIONS, max_size=5))
def test_what_is_encoded_is_decoded(vehicles: list[Any]) -> None:
    received = session().receive(encoder.feed(NOW, vehicles), NOW)
    assert not received.rejects
    assert len(received.readings) == len(vehicles)
    for reading, entity in zip(received.readings, vehicles, strict=True):
        told = entity.vehicle
        assert isinstance(reading, BusPosition)
        assert (reading.source, reading.ts) == (told.vehicle.id, told.timestamp * SECOND)
        assert (reading.lon, reading.lat) == (told.position.longitude, told.position.latitude)
        assert reading.speed == (told.position.speed if told.position.HasField("speed") else None)
        assert reading.occupancy == (told.occupancy_percentage if told.HasField("occupancy_percentage") else None)


FEEDS = [golden.packet(step, GTFS.path) for case in GOLDEN.values() for step in case.steps]


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(FEEDS), st.data())
def test_every_cut_and_mutation_is_decoded_or_refused(feed: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, max(len(feed) - 1, 0)))
    torn = feed[:at] if data.draw(st.booleans()) else feed[:at] + data.draw(st.binary(max_size=3)) + feed[at + 1 :]
    received = session(url=URL).receive(torn, NOW, URL)
    assert received.message is not None or received.rejects
    assert all(reject.raw or not torn for reject in received.rejects)
    assert len(received.requests) == 1


def test_recorded_feeds(recordings: Path) -> None:
    files = sorted((recordings / "feeds" / "gtfs_realtime").glob("*.pb"))
    assert files, "no feeds in the recordings"
    one, rows = session(), 0
    for path in files:
        feed = proto.FeedMessage.FromString(path.read_bytes())
        received = one.receive(path.read_bytes(), 1_795_000_000 * SECOND, path.name)
        assert received.message is not None and not received.rejects, path.name
        planned = sum(e.vehicle.timestamp > feed.header.timestamp + 60 for e in feed.entity if feed.header.timestamp)
        told = sum(e.HasField("vehicle") + e.HasField("trip_update") + e.HasField("alert") for e in feed.entity)
        assert len(received.readings) == told - planned, path.name
        assert received.message["entities"]["all"] == len(feed.entity)
        json.dumps(describe(received))
        rows += len(received.readings)
    print(f"{len(files)} feeds decoded, {rows} readings, none refused")


def test_recorded_feeds_in_order_are_one_session(recordings: Path) -> None:
    one = session()
    for path in sorted((recordings / "feeds" / "gtfs_realtime").glob("nyct_*.pb")):
        assert not one.receive(path.read_bytes(), 1_795_000_000 * SECOND, URL).rejects, path.name


def test_json_and_protocol_buffer_forms_agree(recordings: Path) -> None:
    folder = recordings / "feeds" / "gtfs_realtime"
    forms = [session().receive((folder / f"transitland_example.pb{end}").read_bytes(), NOW) for end in ("", ".json")]
    assert forms[0].readings == forms[1].readings and len(forms[0].readings) == 26
    enhanced = folder / "mbta_VehiclePositions_enhanced.json"
    vehicles = json.loads(enhanced.read_bytes())["entity"]
    found = session().receive(enhanced.read_bytes(), NOW).readings
    assert [r.source for r in found] == [v["vehicle"]["vehicle"]["id"] for v in vehicles]
    for reading, row in zip(found, vehicles, strict=True):
        assert isinstance(reading, BusPosition)
        place = row["vehicle"]["position"]
        assert (reading.lon, reading.lat) == pytest.approx((place["longitude"], place["latitude"]), abs=1e-5)
        assert reading.ts == row["vehicle"]["timestamp"] * SECOND
