"""Bike lock events: the real rows of Shanghai, JSON and CSV, round trips."""

from __future__ import annotations

import csv
import json
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors._api import registry
from connectors._api.session import Peer
from connectors.bike_events import encoder
from connectors.bike_events.decoder import Session
from schemas.errors import Reject
from schemas.kinds.bikes import BikeEvent

NOW = 1_793_491_200_000_000
CONNECTOR = registry.load("bike_events")


def session(**given_settings: Any) -> Session:
    return Session(CONNECTOR.manifest.resolve(given_settings, "test"), Peer("bike_events"))


def rows_of(session: Session, body: bytes) -> list[BikeEvent]:
    received = session.receive(body, NOW, "POST /")
    assert received.rejects == []
    return [reading for reading in received.readings if isinstance(reading, BikeEvent)]


def test_the_real_rows_are_read_as_csv_and_as_json(recordings: Path) -> None:
    file = recordings / "series" / "bike_shanghai_lock_events.csv"
    real = list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))
    found = rows_of(session(), file.read_bytes())
    assert len(found) == len(real) == 10
    for event, row in zip(found, real, strict=True):
        local = datetime.strptime(row["DATA_TIME"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=ZoneInfo("Asia/Shanghai"))
        assert event.ts == round(local.timestamp() * 1_000_000)
        assert event.event == {"0": "lock", "1": "unlock"}[row["LOCK_STATUS"]]
        assert (event.source, event.lon, event.lat) == (row["BIKE_ID"], float(row["LONGITUDE"]), float(row["LATITUDE"]))
    assert rows_of(session(), json.dumps(real).encode()) == found
    assert rows_of(session(), json.dumps({"data": real}).encode()) == found
    lines = file.read_bytes().splitlines()
    assert [e for line in lines[1:] for e in rows_of(session(), line)] == found


EVENT = st.fixed_dictionaries(
    {
        "source": st.from_regex(r"[0-9A-F]{8}", fullmatch=True),
        "ts": st.integers(1_600_000_000, 1_900_000_000).map(lambda s: s * 1_000_000),
        "event": st.sampled_from(["lock", "unlock"]),
        "lon": st.integers(121_000_000, 122_000_000).map(lambda v: v / 1e6),
        "lat": st.integers(31_000_000, 32_000_000).map(lambda v: v / 1e6),
    }
)


@given(st.lists(EVENT, min_size=1, max_size=5), st.sampled_from(["wgs84", "gcj02", "bd09"]), st.booleans())
def test_encoded_events_are_decoded_again(events: list[dict[str, Any]], crs: str, as_csv: bool) -> None:
    rows = [encoder.row(event, crs=crs) for event in events]
    found = rows_of(session(crs=crs), encoder.csv_body(rows) if as_csv else encoder.json_body(rows))
    for event, values in zip(found, events, strict=True):
        assert (event.source, event.ts, event.event) == (values["source"], values["ts"], values["event"])
        assert (event.lon, event.lat) == pytest.approx((values["lon"], values["lat"]), abs=3e-5)  # BD-09 there and back
        assert event.raw_crs == crs


def test_the_answer_names_what_was_refused_and_waits_for_the_rest() -> None:
    row = encoder.row({"source": "a", "ts": NOW, "event": "lock"})
    received = session().receive(json.dumps([row, {**row, "LOCK_STATUS": 9}]).encode(), NOW, "POST /")
    answer = json.loads(received.replies[0].data)
    assert (answer["accepted"], [r["index"] for r in answer["refused"]]) == (1, [1])
    assert received.replies[0].when == "durable"


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"hello", b"[1,", b"<xml/>"])
def test_what_is_neither_json_nor_csv_is_refused(body: bytes) -> None:
    with pytest.raises(Reject):
        session().receive(body, NOW, "POST /")


def test_too_many_rows_are_refused() -> None:
    with pytest.raises(Reject, match="too_large"):
        session().receive(b"[" + b",".join([b"1"] * 100_001) + b"]", NOW, "POST /")
