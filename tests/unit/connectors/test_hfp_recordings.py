"""HFP: real recordings of Helsinki's buses, topics, operating days, round trips."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors._api import registry
from connectors._api.session import Peer, Received
from connectors.hfp import encoder
from connectors.hfp.decoder import Session, levels, words
from schemas.derive import violations
from schemas.frame import from_readings
from schemas.kinds.services import BusEvent
from schemas.kinds.transport import BusPosition
from schemas.reading import kind_of

NOW = 1_793_491_200_000_000
CONNECTOR = registry.load("hfp")


def session(**given_settings: Any) -> Session:
    return Session(CONNECTOR.manifest.resolve(given_settings, "test"), Peer("hfp"))


@pytest.fixture(scope="module")
def recorded(recordings: Path) -> list[tuple[str, bytes]]:
    """Give topic and payload of every recorded message."""
    feed = recordings / "feeds" / "hfp"
    lines = [line for file in sorted(feed.glob("*.hfp.dump.gz")) for line in gzip.decompress(file.read_bytes()).splitlines()]
    found = []
    for line in lines:
        head, brace, rest = line.decode().partition(" {")
        found.append((head.split(" ", 1)[1], (brace + rest).strip().encode()))
    return found


def test_every_recorded_message_is_decoded_field_by_field(recorded: list[tuple[str, bytes]]) -> None:
    received: list[tuple[dict[str, Any], Received]] = []
    for topic, payload in recorded:
        (sent,) = json.loads(payload).values()
        received.append((sent, session().receive(payload, NOW, topic)))
    assert len(received) == 1455
    assert all(not r.rejects and len(r.readings) == 1 for _, r in received)
    kinds = Counter(kind_of(r.readings[0]) for _, r in received)
    assert kinds == {"bus_position": 1361, "bus_event": 94}
    for sent, one in received:
        reading = one.readings[0]
        assert isinstance(reading, BusPosition | BusEvent)
        assert reading.delay == (None if sent["dl"] is None else -sent["dl"])
        assert (reading.lon, reading.lat) == (sent["long"], sent["lat"])
        assert reading.speed == (None if sent["spd"] == -1 else sent["spd"])
        assert (reading.mileage, reading.line) == (sent["odo"], sent["desi"])
        assert reading.ts // 1_000_000 == sent["tsi"]
        assert one.message is not None
        assert one.message["loc"] == sent["loc"]
        assert (reading.trip is None) == (sent["oday"] is None)


def test_recorded_readings_lie_within_their_bounds(recorded: list[tuple[str, bytes]]) -> None:
    readings = [r for topic, payload in recorded for r in session().receive(payload, NOW, topic).readings]
    for kind in ("bus_position", "bus_event"):
        assert violations(from_readings([r for r in readings if kind_of(r) == kind], kind), kind) == {}


def test_the_forms_of_a_packet_give_the_same(recorded: list[tuple[str, bytes]]) -> None:
    for topic, payload in recorded[:50]:
        mine = session()
        expected = mine.receive(payload, NOW, topic)
        assert mine.receive(encoder.packet(topic, payload), NOW, "line 1") == expected
        assert mine.receive(f"2024-02-13T16:33:00.005271Z {topic} ".encode() + payload + b"\r\n", NOW, "line 1") == expected


def test_recorded_passenger_counts_are_events(recordings: Path) -> None:
    lines = [line for file in (recordings / "feeds" / "hfp").glob("*.partialApc.dump") for line in file.read_bytes().splitlines()]
    assert len(lines) == 11
    events = [session().receive(line, NOW).readings[0] for line in lines]
    assert {e.event for e in events if isinstance(e, BusEvent)} == {"passengers_counted"}


def test_a_topic_has_its_levels_by_name() -> None:
    found = levels("/hfp/v2/journey/ongoing/vp/bus/0018/01029/5520/2/Matinkylä (M)/18:48/4170215/0/60;24/28/75/72")
    assert found["headsign"] == "Matinkylä (M)"
    assert found["geohash"] == "60;24/28/75/72"
    assert levels("/hfp/v2/journey/ongoing/doo/bus/0018/01029/5520/1/X/17:35/4170293/0////")["next_stop"] == "4170293"
    assert "route_id" not in levels("/hfp/v2/deadrun/ongoing/vp/bus/0018/01029")
    assert levels("something/else") == {}


@pytest.mark.parametrize(
    ("told", "start", "trip"),
    [
        ("2026-11-01T21:55:00Z", "23:50", "23:50"),
        ("2026-11-01T22:40:00Z", "24:30", "24:30"),
        ("2026-11-01T22:40:00Z", "00:30", "24:30"),
        ("2026-10-31T22:40:00Z", "00:30", "00:30"),
        ("2026-11-01T22:40:00Z", "23:50", "23:50"),
    ],
)
def test_the_trip_belongs_to_its_operating_day(told: str, start: str, trip: str) -> None:
    payload = {"VP": {"oper": 1, "veh": 2, "tst": told, "oday": "2026-11-01", "start": start, "route": "1071", "dir": "1"}}
    reading = session().receive(json.dumps(payload).encode(), NOW).readings[0]
    assert isinstance(reading, BusPosition)
    assert reading.trip == f"1071/1/2026-11-01/{trip}"


def test_an_end_of_the_line_is_no_stop() -> None:
    topic = "/hfp/v2/journey/ongoing/vp/bus/0018/01029/5520/2/X/18:48/EOL/0////"
    reading = session().receive(b'{"VP": {"tsi": 1793491200, "stop": null}}', NOW, topic).readings[0]
    assert isinstance(reading, BusPosition)
    assert reading.stop is None


@given(
    event=st.sampled_from(["vp", *words()]),
    speed=st.integers(0, 3000).map(lambda v: v / 100),
    delay=st.integers(-600, 600).map(float),
    line=st.sampled_from([None, "71"]),
)
def test_an_encoded_message_is_decoded_again(event: str, speed: float, delay: float, line: str | None) -> None:
    values = {"source": "0018/01029", "ts": NOW + 250_000, "lon": 24.85, "lat": 60.25, "speed": speed, "delay": delay}
    values |= {"line": line, "stop": "123", "trip": "1071/1/2026-11-01/25:10" if line else None, "mileage": 5.0}
    topic, payload = encoder.message(values, event=event, headsign="X")
    (reading,) = session().receive(payload, NOW, topic).readings
    for name, value in values.items():
        assert getattr(reading, name) == (value if name != "trip" or line is None else "1071/1/2026-11-01/25:10")
    assert getattr(reading, "event", "vp") == words().get(event, "vp")
