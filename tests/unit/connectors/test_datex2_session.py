"""DATEX II: the real documents, lanes by table, what is no data, polling, round trips, hostile XML."""

from __future__ import annotations

import gzip
import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors._api import registry
from connectors._api.session import Peer, Received
from connectors.datex2 import encoder
from connectors.datex2.decoder import Session
from connectors.datex2.encoder import Channel, Measured, Place, Value, Version
from schemas.kinds.traffic import TrafficDetector, TrafficLink

NOW = 1_793_491_200_000_000
MINUTE = 60_000_000
CONNECTOR = registry.load("datex2")
DATA, TABLE = "https://roads.example/data.xml", "https://roads.example/table.xml"


def session(**given_settings: Any) -> Session:
    return Session(CONNECTOR.manifest.resolve(given_settings, "test"), Peer("datex2"))


def detectors(received: Received) -> dict[tuple[str, int | None], tuple[float | None, float | None, float | None]]:
    """Speed, flow and occupancy by site and lane."""
    assert received.rejects == []
    found = [r for r in received.readings if isinstance(r, TrafficDetector)]
    return {(r.source, r.lane): (r.speed, r.flow, r.occupancy) for r in found}


def shown(received: Received) -> list[tuple[str, int, Any]]:
    """Every value of a message: site, index, value."""
    assert received.message is not None
    leaves = ("vehicle_flow", "vehicle_flow_rate"), ("average_vehicle_speed", "speed"), ("travel_time", "duration")
    return [
        (site["id"], value["index"], value[outer][leaf])
        for site in received.message["sites"]
        for value in site["values"]
        for outer, leaf in leaves
        if outer in value
    ]


def test_real_speed_of_version_2(recordings: Path) -> None:
    received = session().receive((recordings / "feeds/datex2/ndw/trafficspeed.xml").read_bytes(), NOW, "trafficspeed.xml")
    assert shown(received) == [("PZH01_MST_0690_00", 1, 540)]
    assert received.message is not None
    assert (received.message["country"], received.message["national_identifier"]) == ("nl", "NLNDW")
    assert received.message["measurement_site_table_reference"]["version"] == "1060"
    (reading,) = received.readings
    assert isinstance(reading, TrafficDetector)
    assert (reading.source, reading.ts, reading.flow, reading.speed) == ("PZH01_MST_0690_00", 1_547_128_740_000_000, 540.0, None)
    assert reading.sent_at == 1_547_128_842_007_000


def test_real_travel_time_of_version_2(recordings: Path) -> None:
    received = session().receive((recordings / "feeds/datex2/ndw/traveltime.xml").read_bytes(), NOW, "traveltime.xml")
    assert shown(received) == [("RWS09_017", 1, 288.403)]
    (reading,) = received.readings
    assert isinstance(reading, TrafficLink)
    assert (reading.source, reading.travel_time, reading.free_travel_time) == ("RWS09_017", 288.403, 272.397)


def test_real_data_of_version_3(recordings: Path) -> None:
    received = session().receive((recordings / "feeds/datex2/ndw_v3/ndw_v3_measured_3sites.xml").read_bytes(), NOW, "v3.xml")
    assert [value for _, _, value in shown(received)] == [240, 360, 127.0, 600, 107.0, 0, -1.0]
    assert detectors(received) == {
        ("GAD02_Amstd_31_0", 0): (None, 240.0, None),
        ("RWS01_MONIBAS_0271hrl0063ra", 1): (pytest.approx(127 / 3.6), 360.0, None),
        ("RWS01_MONIBAS_0271hrl0063ra", 2): (pytest.approx(107 / 3.6), 600.0, None),
        ("RWS01_MONIBAS_0270vwd0063ra", 0): (None, 0.0, None),
    }


CHANNELS = [
    Channel(index=1, type="trafficFlow", lane=1),
    Channel(index=2, type="trafficSpeed", lane=1),
    Channel(index=3, type="trafficFlow", lane=2),
    Channel(index=4, type="trafficSpeed", lane=2),
    Channel(index=5, type="trafficFlow", lane=2, vehicles="lorry"),
    Channel(index=6, type="trafficConcentration", lane=1),
    Channel(index=7, type="trafficConcentration", lane=2),
]


def lanes(version: Version, *values: Value, channels: list[Channel] = CHANNELS) -> dict[Any, Any]:
    """What a site with that table gives for these values."""
    made = session()
    table = encoder.table([Place(site="S", lon=121.5, lat=31.25, channels=channels)], version, published=NOW)
    assert made.receive(table, NOW, TABLE).rejects == []
    received = made.receive(encoder.measured([Measured(site="S", at=NOW - MINUTE, values=values)], version, published=NOW), NOW)
    assert all(r.lon == 121.5 and r.lat == 31.25 and r.period == 60 for r in received.readings if isinstance(r, TrafficDetector))
    return {lane: values for (_, lane), values in detectors(received).items()}


@pytest.mark.parametrize("version", ["2", "3"])
def test_table_pairs_lanes_and_keeps_lorries_out(version: Version) -> None:
    found = lanes(
        version,
        *(Value(index=1, flow=600), Value(index=2, speed=36.0), Value(index=3, flow=300), Value(index=4, speed=72.0)),
        *(Value(index=5, flow=120), Value(index=6, occupancy=20.0), Value(index=7, occupancy=10.0)),
    )
    assert found == {
        0: (pytest.approx(40 / 3), 900.0, 15.0),
        1: (pytest.approx(10.0), 600.0, 20.0),
        2: (pytest.approx(20.0), 300.0, 10.0),
    }


def test_a_lane_without_data_leaves_no_total() -> None:
    found = lanes("3", Value(index=1, flow=600), Value(index=2, speed=36.0), Value(index=3, flow=300, error=True))
    assert found == {1: (pytest.approx(10.0), 600.0, None)}


def test_an_empty_lane_does_not_slow_the_section() -> None:
    found = lanes("2", Value(index=1, flow=600), Value(index=2, speed=36.0), Value(index=3, flow=0), Value(index=4, speed=-1.0))
    assert found == {0: (pytest.approx(10.0), 600.0, None), 1: (pytest.approx(10.0), 600.0, None), 2: (None, 0.0, None)}


def test_what_the_table_gives_for_the_whole_section_is_taken_as_it_is() -> None:
    whole = [*CHANNELS, Channel(index=8, type="trafficFlow")]
    found = lanes("3", Value(index=1, flow=600), Value(index=3, flow=300), Value(index=8, flow=870), channels=whole)
    assert found[0] == (None, 870.0, None)


def test_a_site_with_lorries_only_gives_nothing() -> None:
    assert lanes("3", Value(index=1, flow=60), channels=[Channel(index=1, type="trafficFlow", vehicles="lorry")]) == {}


@pytest.mark.parametrize(
    "value", [Value(index=1, speed=-1.0), Value(index=1, speed=50.0, error=True), Value(index=1, flow=0, error=True)]
)
@pytest.mark.parametrize("version", ["2", "3"])
def test_errors_and_minus_one_give_no_reading(version: Version, value: Value) -> None:
    received = session().receive(encoder.measured([Measured(site="S", at=NOW, values=[value])], version, published=NOW), NOW)
    assert (received.readings, received.rejects) == ([], [])


def test_every_status_has_a_state() -> None:
    known = {
        **{"freeFlow": "free", "heavy": "basic", "slow": "moderate", "queuing": "severe", "congested": "severe"},
        **{
            "stationary": "blocked",
            "impossible": "blocked",
            "unspecifiedAbnormal": "unknown",
            "unknown": "unknown",
            "new": "unknown",
        },
    }
    sites = [Measured(site=status, at=NOW, values=[Value(index=1, status=status)]) for status in known]
    received = session().receive(encoder.measured(sites, published=NOW), NOW)
    assert {r.source: r.state for r in received.readings if isinstance(r, TrafficLink)} == known


def test_gzip_is_read_and_bounded() -> None:
    plain = encoder.measured([Measured(site="S", at=NOW, values=[Value(index=1, flow=60)])], published=NOW)
    packed = gzip.compress(plain)
    assert session().receive(packed, NOW).readings == session().receive(plain, NOW).readings
    for content, reason in (
        (packed[:-12], "incomplete"),
        (packed[:20] + b"\xff" * 20 + packed[40:], "bad_frame"),
        (gzip.compress(b"<a>" + b" " * (2 << 20) + b"</a>"), "too_large"),
    ):
        assert [r.reason for r in session(max_mb=1).receive(content, NOW).rejects] == [reason]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ('<!DOCTYPE a [<!ENTITY b "bbbbbbbb"><!ENTITY c "&b;&b;&b;&b;">]><a>&c;</a>', "bad_frame"),
        ('<!DOCTYPE a SYSTEM "file:///etc/hostname"><a/>', "bad_frame"),
        ("<a>" * 100, "bad_frame"),
        ("<a>" + "<b/>" * 60_000 + "</a>", "too_large"),
        ('<?xml version="1.0" encoding="klingon"?><a/>', "bad_frame"),
        ("", "bad_frame"),
    ],
)
def test_hostile_xml_is_refused(body: str, reason: str) -> None:
    assert [r.reason for r in session().receive(body.encode(), NOW).rejects] == [reason]


def test_data_wait_for_the_table_and_both_are_polled_again() -> None:
    made = session(url=DATA, site_table_url=TABLE, interval_s=60, site_table_interval_s=3600)
    assert [r.url for r in made.start(NOW).requests] == [TABLE]
    refused = made.receive(b"<broken", NOW, TABLE)
    assert [(r.url, r.at) for r in refused.requests] == [(TABLE, NOW + MINUTE)]
    table = encoder.table([Place(site="S", lon=1.0, lat=2.0, channels=CHANNELS)], published=NOW)
    received = made.receive(table, NOW, TABLE)
    assert [(r.url, r.at) for r in received.requests] == [(TABLE, NOW + 60 * MINUTE), (DATA, NOW)]
    assert [(r.url, r.at) for r in made.receive(table, NOW, TABLE).requests] == [(TABLE, NOW + 60 * MINUTE)]
    assert [(r.url, r.at) for r in made.receive(b"", NOW, DATA).requests] == [(DATA, NOW + MINUTE)]


def test_a_publication_that_goes_backwards_is_refused_per_address() -> None:
    made = session()
    new, old = (encoder.measured([], published=at) for at in (NOW, NOW - MINUTE))
    assert made.receive(new, NOW, "a").rejects == []
    assert [r.reason for r in made.receive(old, NOW, "a").rejects] == ["stale_feed"]
    assert made.receive(old, NOW, "b").rejects == []
    assert made.receive(new, NOW, "a").rejects == []


SITE = st.fixed_dictionaries(
    {
        "flow": st.integers(1, 4000),
        "speed": st.floats(1, 250).map(lambda v: round(v, 1)),
        "occupancy": st.floats(0, 100).map(lambda v: round(v, 1)),
    }
)


@settings(deadline=None)
@given(st.lists(SITE, max_size=5), st.sampled_from(["2", "3"]))
def test_encoded_sites_are_decoded_again(sites: list[dict[str, Any]], version: Version) -> None:
    measured = [
        Measured(
            site=f"S<{n}>",
            at=NOW + n,
            values=[Value(index=1, flow=s["flow"]), Value(index=2, speed=s["speed"]), Value(index=3, occupancy=s["occupancy"])],
        )
        for n, s in enumerate(sites)
    ]
    found: Any = detectors(session().receive(encoder.measured(measured, version, published=NOW), NOW))
    assert found == {
        (f"S<{n}>", 0): (pytest.approx(s["speed"] / 3.6), float(s["flow"]), s["occupancy"]) for n, s in enumerate(sites)
    }


def test_mutated_documents_never_raise() -> None:
    chance = random.Random(7)  # noqa: S311 - a repeatable choice, no secret
    table = encoder.table([Place(site="S", lon=1.0, lat=2.0, channels=CHANNELS)], "2", published=NOW)
    values = [Value(index=1, flow=60), Value(index=2, speed=50.0), Value(index=4, travel_time=9.0), Value(index=5, status="slow")]
    data = encoder.measured([Measured(site="S", at=NOW, values=values)], "3", published=NOW)
    names = [b"basicData", b"index", b"measurementSiteReference", b"id", b"type", b"", b"siteMeasurements", b"-1", b"1e9"]
    made = session()
    for _ in range(3000):
        packet = bytearray(chance.choice((table, data)))
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(len(packet))
            packet[at : at + chance.randint(0, 12)] = chance.choice(names)
        msgspec.json.encode(made.receive(bytes(packet), NOW, "x").message)
