"""Only a packet that came by no topic or address may bring one along: a device cannot speak in another's name."""

from __future__ import annotations

import json

import pytest

from connectors._api import registry
from connectors._api.session import Peer, Session
from connectors.hfp import encoder as hfp
from connectors.mqtt_json import encoder as mqtt_json
from schemas.errors import Fatal, Reject

NOW = 1_793_491_200_000_000


def session(name: str, **settings: object) -> Session:
    connector = registry.load(name)
    return connector.make_session(connector.manifest.resolve(settings, "test"), Peer(name))


def test_a_logger_is_known_by_its_own_topic() -> None:
    row = {"source": "W1", "ts": NOW, "pressure": 330_000.0}
    topic, payload = mqtt_json.message("water_logger", "water_node", [row])
    (by_file,) = session("mqtt_json", profile="water_logger").receive(mqtt_json.packet(topic, payload), NOW).readings
    assert by_file.source == "W1"
    forged = session("mqtt_json", profile="water_logger")
    assert not forged.receive(mqtt_json.packet(topic, payload), NOW, "water/W2/log").readings


def test_a_bus_is_known_by_its_own_topic() -> None:
    topic, payload = hfp.message({"source": "0018/00001", "ts": NOW, "lon": 112.8, "lat": 35.5})
    (by_file,) = session("hfp").receive(hfp.packet(topic, payload), NOW).readings
    assert by_file.source == "0018/00001"
    with pytest.raises(Reject):
        session("hfp").receive(hfp.packet(topic, payload), NOW, topic.replace("00001", "00002"))


def test_a_token_that_would_check_nothing_stops_the_start() -> None:
    with pytest.raises(Fatal, match="set token instead"):
        session("http_json", profile="aep", kind="water_node", onenet_token="t")


def test_the_head_of_bike_rows_may_begin_with_any_column() -> None:
    row = {"LNG": "112.85", "LAT": "35.49", "BIKE_ID": "b1", "DATA_TIME": "2026-11-01 08:00:00", "LOCK_STATUS": "1"}
    body = f"{','.join(row)}\n{','.join(row.values())}\n".encode()
    received = session("bike_events").receive(body, NOW, "POST /")
    assert [r.source for r in received.readings] == ["b1"], received.rejects
    as_json = session("bike_events").receive(json.dumps([row]).encode(), NOW, "POST /")
    assert as_json.readings == received.readings
