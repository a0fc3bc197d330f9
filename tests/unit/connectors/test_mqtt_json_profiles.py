"""Vendor JSON: profiles, envelopes, OneNET's signature and question, round trips."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors._api import manifest, profiles, registry
from connectors._api.envelopes import is_signed, opened, signed
from connectors._api.session import Peer, Received, Session
from connectors.http_json import encoder as http
from connectors.mqtt_json import encoder
from schemas.errors import Fatal, Reject
from schemas.kinds.utilities import GasNode, WaterNode

NOW = 1_793_491_200_000_000
GENERAL = ("chirpstack_v4", "ttn_v3", "onenet", "telecom", "aep")
OWN = {
    "streetlight": (
        "streetlight",
        {"source": "C1-7", "cabinet": "C1", "power": 12.5, "on": True, "fault": "lamp", "energy": 7.2e6},
    ),
    "gas_detector": (
        "gas_node",
        {"source": "G1", "lel": 12.5, "inlet_pressure": 2e5, "valve_open": False, "flag": "good", "serial": 4},
    ),
    "water_logger": ("water_node", {"source": "W1", "pressure": 3.5e5, "volume": 12.5, "flag": "ok"}),
}


def session(name: str, **given_settings: Any) -> Session:
    connector = registry.load(name)
    return connector.make_session(connector.manifest.resolve(given_settings, "test"), Peer(name))


def test_every_built_in_profile_compiles_and_is_tested_here() -> None:
    assert set(profiles.built_in()) == {*GENERAL, *OWN}
    for name in profiles.built_in():
        declared = profiles.load(name, {}, "water_node").declared
        assert declared.zh
        assert declared.en


@pytest.mark.parametrize("profile", OWN)
def test_a_message_built_by_a_profile_is_read_by_it(profile: str) -> None:
    kind, values = OWN[profile]
    topic, payload = encoder.message(profile, kind, [{**values, "ts": NOW}])
    for packet, origin in ((payload, topic), (encoder.packet(topic, payload), "line 1")):
        (reading,) = session("mqtt_json", profile=profile).receive(packet, NOW, origin).readings
        assert {name: getattr(reading, name) for name in values} == values
        assert reading.ts == NOW


@pytest.mark.parametrize("profile", GENERAL)
@given(lel=st.integers(0, 1000).map(lambda v: v / 10), battery=st.integers(0, 100).map(float))
def test_an_envelope_closed_is_opened_again(profile: str, lel: float, battery: float) -> None:
    row = {"source": "868744000000001", "ts": NOW, "lel": lel, "battery": battery}
    origin, body = http.push(profile, "gas_node", [row], parts={"count": 3})
    readings = session("http_json", profile=profile, kind="gas_node").receive(body, NOW, origin).readings
    assert {r.source for r in readings} == {row["source"]}
    assert {r.ts for r in readings} == {NOW}
    assert [r.lel for r in readings if isinstance(r, GasNode) and r.lel is not None] == [lel]
    assert [r.battery for r in readings if isinstance(r, GasNode) and r.battery is not None] == [battery]


def test_streams_of_one_device_and_time_differ_in_serial() -> None:
    row = {"source": "1", "ts": NOW, "lel": 1.0, "battery": 2.0}
    origin, body = http.push("onenet", "gas_node", [row])
    once, again = (session("http_json", profile="onenet", kind="gas_node").receive(body, NOW, origin).readings for _ in range(2))
    assert len({(r.source, r.ts, r.serial) for r in once}) == 2
    assert once == again


def test_rows_of_a_list_are_read_in_order() -> None:
    rows = [{"source": "W1", "ts": NOW + i * 1_000_000, "pressure": 1000.0 * i} for i in range(5)]
    topic, payload = encoder.message("water_logger", "water_node", rows)
    readings = session("mqtt_json", profile="water_logger").receive(payload, NOW, topic).readings
    assert [r.pressure for r in readings if isinstance(r, WaterNode)] == [r["pressure"] for r in rows]


def test_a_profile_may_come_from_a_file_and_be_changed(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('topic = "t/{device}"\n[kinds.gas_node]\nsource = { from = "@device" }\nlel = { from = "v" }\n')
    changes = {"topic": "u/{device}", "kinds": {"gas_node": {"lel": {"from": "w", "scale": 2.0}}}}
    received = session("mqtt_json", profile=str(file), changes=changes).receive(b'{"v": 1, "w": 2}', NOW, "u/9")
    assert received.readings == [GasNode(source="9", ts=NOW, seen_at=NOW, lel=4.0)]


@pytest.mark.parametrize(
    "given_settings",
    [
        {"profile": "nothing"},
        {"profile": "nothing.toml"},
        {"profile": ""},
        {"profile": "onenet"},
        {"profile": "onenet", "kind": "unknown_kind"},
        {"profile": "onenet", "kind": "bill_payment"},
        {"changes": {"crs": "mars"}},
        {"changes": {"zone": "Mars/Olympus"}},
        {"changes": {"topic": "a/{x}/{x}"}},
        {"changes": {"envelope": "paper"}},
        {"changes": {"unknown": 1}},
        {"changes": {"records": "a[["}},
        {"changes": {"kinds": {"streetlight": {"nothing": {"from": "a"}}}}},
        {"changes": {"kinds": {"streetlight": {"power": {"from": "a", "scale": "much"}}}}},
    ],
)
def test_a_wrong_profile_is_fatal(given_settings: dict[str, Any]) -> None:
    for name in ("mqtt_json", "http_json"):
        with pytest.raises(Fatal):
            session(name, **given_settings)


def test_both_connectors_declare_the_same_kinds() -> None:
    one, two = (manifest.read(registry.ROOT / name / "connector.toml") for name in ("mqtt_json", "http_json"))
    assert one.kinds == two.kinds


def test_wildcards_in_a_topic_match_levels() -> None:
    changes = {"topic": "+/{cabinet}/#"}
    row = b'{"lamps": [{"addr": 1, "p": 10}]}'
    rule = {"kinds": {"streetlight": {"ts": {"from": "@none"}}}}
    received = session("mqtt_json", changes=changes | rule).receive(row, NOW, "any/C1/a/b")
    assert [r.detail for r in received.rejects] == ["record 0: streetlight.ts: @none is absent, or a code without meaning"]
    assert received.message is not None
    assert received.message["cabinet"] == "C1"


@pytest.mark.parametrize("form", GENERAL)
@given(
    document=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3)
    )
)
def test_what_is_no_envelope_is_refused(form: Any, document: Any) -> None:
    with pytest.raises(Reject):
        opened(form, document)


ENVELOPES = {
    "onenet": ["msg", "type", "ds_id", "value", "at", "enc_msg"],
    "telecom": ["service", "services", "data", "eventTime", "serviceId", "notifyType"],
    "aep": ["payload", "APPdata", "eventContent", "timestamp"],
    "chirpstack_v4": ["deviceInfo", "object", "data", "time", "devEui", "devAddr"],
    "ttn_v3": ["end_device_ids", "uplink_message", "decoded_payload", "frm_payload", "application_ids", "received_at"],
}


@pytest.mark.parametrize("form", GENERAL)
@given(chance=st.data())
def test_any_document_of_an_envelopes_keys_is_read_or_refused(form: str, chance: st.DataObject) -> None:
    leaf = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["eyJhIjoxfQ==", 1, 2, 7])
    keys = st.sampled_from(ENVELOPES[form])
    deep = st.recursive(leaf, lambda inner: st.dictionaries(keys, inner, max_size=4) | st.lists(inner, max_size=2), max_leaves=12)
    body = msgspec.json.encode(chance.draw(st.dictionaries(keys, deep, max_size=5)))
    try:
        received = session("http_json", profile=form, kind="water_node").receive(body, NOW, "POST /")
    except Reject:
        return
    assert isinstance(received, Received)


def test_onenets_signature_is_that_of_its_rule() -> None:
    assert signed("t", "abcdefgh", b"msg") == "9FjYp6HPtL2PX7wh0nUl9A=="
    plus = next(n for n in (f"{i:08d}" for i in range(1000)) if "+" in signed("t", n, b"m"))
    assert is_signed("t", plus, b"m", signed("t", plus, b"m").replace("+", " "))
    assert not is_signed("t", plus, b"m", "")
    assert not is_signed("t", plus, b"m", "é")


def test_onenet_asks_and_is_answered() -> None:
    with_token = session("http_json", profile="onenet", kind="gas_node", onenet_token="secret")
    received = with_token.receive(b"", NOW, http.question("a+b c中", "secret"))
    assert [(r.data, r.when) for r in received.replies] == [("a+b c中".encode(), "now")]
    with pytest.raises(Reject, match="unauthenticated"):
        with_token.receive(b"", NOW, http.question("a", "another"))
    assert session("http_json").receive(b"", NOW, "GET /?msg=x").replies[0].data == b"x"


def test_a_onenet_push_is_taken_only_if_signed() -> None:
    origin, body = http.push("onenet", "gas_node", [{"source": "1", "ts": NOW, "lel": 2.5}])
    checked = session("http_json", profile="onenet", kind="gas_node", onenet_token="secret")
    assert len(checked.receive(http.onenet(body, "secret"), NOW, origin).readings) == 1
    for wrong in (body, http.onenet(body, "other"), http.onenet(body, "secret").replace(b"2.5", b"2.6")):
        with pytest.raises(Reject, match="unauthenticated"):
            checked.receive(wrong, NOW, origin)


def test_a_message_sent_as_text_is_signed_as_text() -> None:
    text = '{"type":1,"dev_id":7,"ds_id":"lel","at":1793491200000,"value":1}'
    body = json.dumps({"msg": text, "nonce": "n", "msg_signature": signed("secret", "n", text.encode())}).encode()
    checked = session("http_json", profile="onenet", kind="gas_node", onenet_token="secret")
    assert checked.receive(body, NOW, "POST /").readings[0].source == "7"


@pytest.mark.parametrize("origin", ["GET /?" + "a=1&" * 50, "POST http://[", "GET", "", "POST /x?%ff", "GET /?msg=%ff"])
def test_odd_addresses_are_refused_or_served(origin: str) -> None:
    try:
        session("http_json").receive(b"{}", NOW, origin)
    except Reject as reject:
        assert reject.reason in ("bad_frame", "missing_field")
