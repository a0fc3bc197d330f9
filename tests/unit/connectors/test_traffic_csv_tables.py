"""Traffic tables: METR-LA's real values re-framed, long and wide layouts, faults, encodings, bad rows."""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors._api import registry, times
from connectors._api.session import Peer, Received
from connectors.traffic_csv import encoder, pages
from connectors.traffic_csv.decoder import Session
from schemas.errors import Fatal, Reject
from schemas.kinds.traffic import TrafficDetector

NOW = 1_793_491_200_000_000
STEP = 300_000_000
MPH = 0.44704
CONNECTOR = registry.load("traffic_csv")
MILES = {"kinds": {"traffic_detector": {"speed": {"from": "value", "scale": MPH}}}}


def session(**given_settings: Any) -> Session:
    return Session(CONNECTOR.manifest.resolve(given_settings, "test"), Peer("traffic_csv"))


def speeds(received: Received) -> dict[tuple[str, int], float | None]:
    assert received.rejects == []
    return {(r.source, r.ts): r.speed for r in received.readings if isinstance(r, TrafficDetector)}


def metrla(recordings: Path) -> tuple[list[str], list[list[str]]]:
    lines = csv.reader(
        io.StringIO(gzip.decompress((recordings / "series/metrla_los_speed_2016x207.csv.gz").read_bytes()).decode())
    )
    return next(lines), list(lines)


def test_real_speeds_of_los_angeles_come_out_equal(recordings: Path) -> None:
    sensors, rows = metrla(recordings)
    begin = times.reader("text")("2026-10-01 00:00:00")
    real = {
        (s, begin + n * STEP): float(v) * MPH for n, row in enumerate(rows) for s, v in zip(sensors, row, strict=True) if float(v)
    }
    assert len(real) == 207 * 2016
    framed = encoder.wide_body([(begin + n * STEP, dict(zip(sensors, row, strict=True))) for n, row in enumerate(rows)])
    made = session(profile="wide", changes=MILES)
    found: dict[tuple[str, int], float | None] = {}
    for page in pages.pages(CONNECTOR.manifest.resolve({"profile": "wide"}, "test"), io.BytesIO(framed), "metrla.csv"):
        found |= speeds(made.receive(page, NOW, "metrla.csv"))
    assert found == real


def test_a_real_table_without_times_and_the_places_of_its_sensors(recordings: Path) -> None:
    body = gzip.decompress((recordings / "series/metrla_los_speed_2016x207.csv.gz").read_bytes())
    head = b"\n".join(body.splitlines()[:13])
    wide = {"time": "", "begin": "2026-10-01 00:00:00", "interval_s": 300.0}
    made = session(profile="wide", changes={**MILES, "wide": wide}, places=str(recordings / "series/metrla_sensor_locations.csv"))
    readings = [r for r in made.receive(head, NOW).readings if isinstance(r, TrafficDetector)]
    assert len({r.ts for r in readings}) == 12
    assert max(r.ts for r in readings) - min(r.ts for r in readings) == 11 * STEP
    first = next(r for r in readings if r.source == "773869")
    assert (first.lon, first.lat, first.speed) == (-118.31829, 34.15497, 64.375 * MPH)


DETECTOR = st.fixed_dictionaries(
    {
        "source": st.from_regex(r"[A-Z][0-9]{3}", fullmatch=True),
        "ts": st.integers(1_600_000_000, 1_900_000_000).map(lambda s: s * 1_000_000),
        "lane": st.integers(0, 8),
        "period": st.sampled_from([60, 300]),
        "speed": st.integers(1, 1800).map(lambda v: v / 36),
        "flow": st.integers(1, 4000).map(float),
        "occupancy": st.integers(0, 1000).map(lambda v: v / 10),
    }
)


@settings(deadline=None)
@given(st.lists(DETECTOR, min_size=1, max_size=5), st.booleans())
def test_encoded_rows_are_decoded_again(readings: list[dict[str, Any]], as_json: bool) -> None:
    rows = encoder.rows("traffic_detector", readings)
    received = session().receive(encoder.json_body(rows) if as_json else encoder.csv_body(rows), NOW)
    assert received.rejects == []
    for found, values in zip(received.readings, readings, strict=True):
        assert {name: getattr(found, name) for name in values} == pytest.approx(values)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_encodings_and_delimiters_are_found(encoding: str, delimiter: str) -> None:
    text = "设备编号,采集时间,速度,流量\r\n东一路,2026-11-01 08:00:00,36,600\r\n".replace(",", delimiter)
    (reading,) = session().receive(text.encode(encoding), NOW).readings
    assert isinstance(reading, TrafficDetector)
    assert (reading.source, reading.flow) == ("东一路", 600.0)


def test_a_row_in_another_encoding_is_refused_by_its_line() -> None:
    body = "detector,time,speed,flow\n东,2026-11-01 08:00:00,36,600\n".encode() + b"\xff\xfe,2026-11-01 08:00:00,36,600\n"
    received = session(changes={"encoding": "utf-8"}).receive(body + b"W,2026-11-01 08:05:00,36,600\n", NOW)
    assert [(r.reason, r.detail.split(":")[0]) for r in received.rejects] == [("bad_encoding", "line 3")]
    assert [r.source for r in received.readings] == ["东", "W"]


def test_a_count_becomes_a_flow_by_its_own_period() -> None:
    body = b"detector,time,period,speed,count\nA,2026-11-01 08:00:00,60,36,10\nA,2026-11-01 08:01:00,0,36,10\nA,2026-11-01 08:01:00,,36,10\n"
    received = session().receive(body, NOW)
    assert [r.flow for r in received.readings if isinstance(r, TrafficDetector)] == [600.0]
    assert [r.reason for r in received.rejects] == ["bad_field", "bad_field"]


def test_a_quote_that_is_never_closed_costs_its_rows_only() -> None:
    row = "D,2026-11-01 08:00:00,36,600\n"
    body = "detector,time,speed,flow\n" + row + '"D,2026-11-01 08:00:00,36,600\n' + row * 9000
    received = session().receive(body.encode(), NOW)
    assert received.rejects[0].detail.startswith("line 3: ")
    assert len(received.rejects) < 10
    assert 3000 < len(received.readings) < 9001


def test_a_json_document_in_lines_or_whole() -> None:
    row = {"detector": "A", "time": 1_793_491_200, "speed": 36, "flow": 600}
    for body in (
        json.dumps(row),
        json.dumps([row]),
        json.dumps({"data": [row]}),
        json.dumps([row], indent=1),
        json.dumps(row) + "\n\n",
    ):
        assert [r.source for r in session().receive(body.encode(), NOW).readings] == ["A"]


def test_pages_of_a_large_file_bring_what_the_whole_brings_with_the_same_lines() -> None:
    lines = [f"D{n},2026-11-01 08:00:00,{'x' if n % 700 == 0 else 36},600" for n in range(3000)]
    body = "\n".join(["detector,time,speed,flow", *lines]).encode()
    whole = session().receive(body, NOW)
    complete = CONNECTOR.manifest.resolve({}, "test")
    parts = [session().receive(page, NOW) for page in pages.pages(complete, io.BytesIO(body), "a.csv")]
    assert len(parts) == 6
    assert [r for p in parts for r in p.readings] == whole.readings
    assert [r.detail for p in parts for r in p.rejects] == [r.detail for r in whole.rejects]
    assert [r.detail.split(":")[0] for r in whole.rejects] == ["line 2", "line 702", "line 1402", "line 2102", "line 2802"]


@pytest.mark.parametrize(
    "given_settings",
    [
        {"profile": "none"},
        {"profile": ""},
        {"changes": {"crs": "moon"}},
        {"changes": {"colour": 1}},
        {"changes": {"delimiter": ",,"}},
        {"changes": {"kinds": {"bill_payment": {"source": {"from": "a"}}}}},
        {"changes": {"kinds": {"traffic_detector": {"colour": {"from": "a"}}}}},
        {"profile": "wide", "changes": {"wide": {"time": ""}}},
        {"profile": "wide", "places": "/no/such/file.csv"},
    ],
)
def test_flaws_of_a_profile_are_named(given_settings: dict[str, Any]) -> None:
    with pytest.raises(Fatal):
        session(**given_settings)


def test_mutated_tables_never_raise() -> None:
    chance = random.Random(7)  # noqa: S311 - a repeatable choice, no secret
    rows = [
        {"detector": f"D{n}", "time": "2026-11-01 08:00:00", "period": 60, "speed": 36, "count": 5, "lane": 1} for n in range(4)
    ]
    bodies = [encoder.csv_body(rows), encoder.json_body(rows)]
    made = [session(), session(profile="wide", changes={"wide": {"time": "time"}}), session(profile="links")]
    for _ in range(3000):
        packet = bytearray(chance.choice(bodies))
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(len(packet))
            packet[at : at + chance.randint(0, 6)] = chance.choice(
                [b"", b'"', b"\xff", b"{", b"\n", b",", b"1e999", b"null", b"[]", b"\x00"]
            )
        try:
            chance.choice(made).receive(bytes(packet), NOW, "x")
        except Reject:
            continue
