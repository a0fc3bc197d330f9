"""Sparkplug B: what the standard asks of a host application, by the ids of its statements, and of the edge nodes we simulate."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors._api import registry
from connectors._api.session import Peer, Received, Reply, Session
from connectors.sparkplug import datatypes, encoder, nodes
from connectors.sparkplug.encoder import EdgeNode, Value
from connectors.sparkplug.payload import Payload, parse
from schemas.errors import Fatal, Reject

NOW: Final = 1_793_491_200_000_000
MS: Final = NOW // 1000
SECOND: Final = 1_000_000
LAMP: Final = {"Lamp/On": ("Boolean", True), "Lamp/Power": ("Float", 80.0), "Lamp/Temperature": ("Int16", -5)}
COVERED: set[str] = set()
"""Ids of the statements that tests here are about."""
Test = Callable[..., None]


def covers(*ids: str) -> Callable[[Test], Test]:
    COVERED.update(f"tck-id-{name}" for name in ids)
    return lambda test: test


def session(**given_settings: Any) -> Session:
    connector = registry.load("sparkplug")
    return connector.make_session(connector.manifest.resolve(given_settings, "test"), Peer("test"))


def hear(host: Session, message: tuple[str, bytes], now: int = NOW) -> Received:
    topic, payload = message
    return host.receive(payload, now, topic)


@pytest.fixture
def node() -> EdgeNode:
    return EdgeNode("City", "C12", bd_seq=3)


@pytest.fixture
def host(node: EdgeNode) -> Session:
    """A host to which the node and its lamp L7 were born."""
    made = session(host_id="cityops", rebirth_interval_s=60.0)
    made.start(NOW)
    assert not hear(made, node.birth(MS)).rejects
    assert [r.source for r in hear(made, node.device_birth("L7", MS, LAMP)).readings] == ["City/C12/L7"]
    return made


def rebirths(replies: Any) -> list[str]:
    """Topics of the rebirth requests among replies, each checked to be one."""
    found = []
    for reply in replies:
        payload = parse(reply.data)
        (metric,) = payload.metrics
        assert (metric.name, metric.boolean_value, payload.HasField("seq")) == ("Node Control/Rebirth", True, False)
        assert payload.timestamp
        found.append(reply.to)
    return found


@covers("payloads-alias-birth-requirement", "payloads-alias-data-cmd-requirement", "payloads-name-requirement")
@covers("payloads-metric-datatype-req", "payloads-metric-datatype-not-req", "payloads-name-birth-data-requirement")
def test_births_name_what_data_bring_by_alias(host: Session, node: EdgeNode) -> None:
    topic, payload = node.report(MS + 60_000, {"Lamp/Power": 40.5, "Lamp/Temperature": 7}, "L7")
    assert all(not m.name and m.HasField("alias") and not m.HasField("datatype") for m in parse(payload).metrics)
    received = host.receive(payload, NOW + 61 * SECOND, topic)
    (reading,) = received.readings
    assert (reading.source, reading.ts, reading.power, reading.temperature) == ("City/C12/L7", NOW + 60 * SECOND, 40.5, 7)  # type: ignore[attr-defined]
    assert (reading.cabinet, reading.flag, received.lane) == ("C12", None, "live")  # type: ignore[attr-defined]
    assert received.message is not None
    assert [m["name"] for m in received.message["metrics"]] == ["Lamp/Power", "Lamp/Temperature"]


@covers("payloads-sequence-num-incrementing", "payloads-ndata-seq-inc", "payloads-ddata-seq-inc", "topics-nbirth-seq-num")
def test_sequence_numbers_wrap_at_255(host: Session, node: EdgeNode) -> None:
    for number in range(600):
        received = hear(host, node.report(MS + number, {"Lamp/Power": float(number)}, "L7"))
        assert (len(received.readings), received.rejects, received.replies) == (1, [], [])


@covers("operational-behavior-data-commands-ncmd-rebirth-verb", "operational-behavior-data-commands-ncmd-rebirth-name")
@covers("operational-behavior-data-commands-ncmd-rebirth-value", "operational-behavior-data-commands-ncmd-verb")
@covers("topics-ncmd-topic", "topics-ncmd-timestamp", "topics-ncmd-payload", "payloads-ncmd-seq", "payloads-ncmd-timestamp")
def test_a_gap_asks_for_a_rebirth_once_and_keeps_what_came(host: Session, node: EdgeNode) -> None:
    asked = []
    for second in (0, 1, 59, 60, 61):
        node.report(MS, {"Lamp/Power": 1.0}, "L7")  # lost
        received = hear(host, node.report(MS + 1, {"Lamp/Power": 2.0}, "L7"), NOW + second * SECOND)
        assert len(received.readings) == 1
        assert [(r.reason, "1 messages" in r.detail) for r in received.rejects] == [("incomplete", True)]
        asked.append(rebirths(received.replies))
    assert asked == [["spBv1.0/City/NCMD/C12"], [], [], ["spBv1.0/City/NCMD/C12"], []]


@covers("operational-behavior-host-reordering-param", "operational-behavior-host-reordering-start")
@covers("operational-behavior-host-reordering-rebirth", "operational-behavior-host-reordering-success")
def test_missing_messages_are_waited_for(node: EdgeNode) -> None:
    host = session(reorder_timeout_s=5.0)
    hear(host, node.birth(MS))
    hear(host, node.device_birth("L7", MS, LAMP))
    first, second, third, fourth = (node.report(MS + n, {"Lamp/Power": float(n)}, "L7") for n in range(4))
    for message in (third, first, second):
        assert [len(hear(host, message).readings), len(hear(host, message).readings)] == [1, 0]
    assert host.tick(NOW + 9 * SECOND) == Received(replies=[], rejects=[])
    hear(host, node.report(MS, {"Lamp/Power": 9.0}, "L7"), NOW + 10 * SECOND)
    assert not host.tick(NOW + 14 * SECOND).rejects
    late = host.tick(NOW + 15 * SECOND)
    assert [r.reason for r in late.rejects] == ["incomplete"]
    assert rebirths(late.replies) == ["spBv1.0/City/NCMD/C12"]
    assert not host.tick(NOW + 30 * SECOND).rejects
    assert hear(host, fourth).readings


@covers("operational-behavior-edge-node-termination-host-action-ndeath-node-offline")
@covers("operational-behavior-edge-node-termination-host-action-ndeath-node-tags-stale")
@covers("operational-behavior-edge-node-termination-host-action-ndeath-devices-offline")
@covers("operational-behavior-edge-node-termination-host-action-ndeath-devices-tags-stale")
@covers("payloads-ndeath-bdseq", "payloads-ndeath-seq", "topics-ndeath-seq", "topics-ndeath-payload")
def test_a_nodes_death_makes_it_and_its_devices_stale(host: Session, node: EdgeNode) -> None:
    hear(host, node.device_birth("L8", MS, LAMP))
    later = NOW + 90 * SECOND
    assert not hear(host, EdgeNode("City", "C12", bd_seq=2).death(), later).readings
    assert not hear(host, EdgeNode("City", "C13", bd_seq=3).death(), later).readings
    received = hear(host, node.death(), later)
    assert [(r.source, r.ts, r.flag, r.power) for r in received.readings] == [  # type: ignore[attr-defined]
        ("City/C12/L7", later, "stale", None),
        ("City/C12/L8", later, "stale", None),
    ]
    assert not hear(host, node.death(), later).readings
    data = hear(host, node.report(MS, {"Lamp/Power": 1.0}, "L7"), later)
    assert [r.reason for r in data.rejects] == ["unregistered"]
    assert rebirths(data.replies) == ["spBv1.0/City/NCMD/C12"]
    node.connect()
    hear(host, node.birth(MS), later)
    hear(host, node.device_birth("L7", MS, LAMP), later)
    assert hear(host, node.report(MS, {"Lamp/Power": 1.0}, "L7"), later).readings


@covers("operational-behavior-edge-node-termination-host-action-ddeath-devices-offline")
@covers("operational-behavior-edge-node-termination-host-action-ddeath-devices-tags-stale")
@covers("payloads-ddeath-seq", "payloads-ddeath-seq-inc", "payloads-ddeath-timestamp")
def test_a_devices_death_makes_only_it_stale(host: Session, node: EdgeNode) -> None:
    hear(host, node.device_birth("L8", MS, LAMP))
    received = hear(host, node.device_death("L7", MS + 5000), NOW + 9 * SECOND)
    assert [(r.source, r.ts, r.flag) for r in received.readings] == [("City/C12/L7", NOW + 5 * SECOND, "stale")]  # type: ignore[attr-defined]
    assert hear(host, node.report(MS, {"Lamp/Power": 1.0}, "L8")).readings
    unborn = hear(host, node.report(MS, {"Lamp/Power": 1.0}, "L7"))
    assert ([r.reason for r in unborn.rejects], rebirths(unborn.replies)) == (["unregistered"], ["spBv1.0/City/NCMD/C12"])


@covers("payloads-alias-uniqueness", "payloads-dbirth-order", "message-flow-device-birth-publish-nbirth-wait")
def test_what_no_birth_named_asks_for_a_rebirth(host: Session) -> None:
    for stranger in (EdgeNode("City", "C9"), EdgeNode("Town", "C12")):
        stranger.birth(MS)
        received = hear(host, stranger.device_birth("L7", MS, LAMP))
        assert [r.reason for r in received.rejects] == ["unregistered"]
        assert len(rebirths(received.replies)) == 1
    values = [
        Value(alias=99, datatype="Float", value=1.0, timestamp=MS),
        Value(alias=1, datatype="Float", value=2.0, timestamp=MS),
    ]
    body = encoder.payload(MS, 2, values, with_datatype=False)
    received = host.receive(body, NOW, "spBv1.0/City/DDATA/C12/L7")
    assert [r.power for r in received.readings] == [2.0]  # type: ignore[attr-defined]
    assert ["alias 99" in r.detail for r in received.rejects] == [True]
    assert rebirths(received.replies) == ["spBv1.0/City/NCMD/C12"]


@covers("topics-nbirth-bdseq-included", "payloads-nbirth-bdseq", "payloads-nbirth-seq", "payloads-sequence-num-always-included")
def test_births_without_their_numbers_are_told_or_refused() -> None:
    host = session()
    received = host.receive(encoder.payload(MS, 0, []), NOW, "spBv1.0/City/NBIRTH/C1")
    assert ["bdSeq" in r.detail for r in received.rejects] == [True]
    assert not host.receive(encoder.payload(MS, 1, []), NOW, "spBv1.0/City/NDATA/C1").rejects
    for seq in (None, 256):
        with pytest.raises(Reject, match="sequence number"):
            host.receive(encoder.payload(MS, seq, []), NOW, "spBv1.0/City/NBIRTH/C2")
    assert [r.reason for r in host.receive(encoder.payload(MS, 1, []), NOW, "spBv1.0/City/NDATA/C2").rejects] == ["unregistered"]


@covers("host-topic-phid-birth-topic", "host-topic-phid-birth-payload", "host-topic-phid-birth-required")
@covers("message-flow-hid-sparkplug-state-message-delivered", "operational-behavior-host-application-connect-birth-topic")
@covers("operational-behavior-host-application-connect-birth-payload", "payloads-state-birth-payload")
def test_the_host_says_that_it_is_online() -> None:
    host: Any = session(host_id="cityops")
    for ms in (MS, MS + 60_000):
        offline = Reply(b'{"online":false,"timestamp":%d}' % ms, to="spBv1.0/STATE/cityops", retain=True, qos=1)
        online = [Reply(b'{"online":true,"timestamp":%d}' % ms, to="spBv1.0/STATE/cityops", retain=True, qos=1)]
        assert host.will(ms * 1000) == offline
        assert host.start(ms * 1000).replies == online
        assert not host.tick((ms + 50_000) * 1000).replies
        assert host.receive(offline.data, (ms + 50_000) * 1000, "spBv1.0/STATE/cityops").replies == online
        assert not host.receive(offline.data, (ms + 50_000) * 1000, "spBv1.0/STATE/other").replies
    unnamed: Any = session()
    assert (unnamed.will(NOW), unnamed.start(NOW).replies) == (None, [])


def test_after_a_lost_connection_all_is_stale_until_born_again(host: Session, node: EdgeNode) -> None:
    again = host.start(NOW + SECOND)
    assert [(r.source, r.flag) for r in again.readings] == [("City/C12/L7", "stale")]  # type: ignore[attr-defined]
    state, *others = again.replies
    assert (state.to, rebirths(others)) == ("spBv1.0/STATE/cityops", ["spBv1.0/City/NCMD/C12"])
    assert [(r.qos, r.retain) for r in others] == [(0, False)]
    assert not hear(host, node.report(MS, {"Lamp/Power": 1.0}, "L7")).readings
    hear(host, node.birth(MS))
    assert hear(host, node.device_birth("L7", MS, LAMP)).readings
    hear(host, node.death())
    again = host.start(NOW + 2 * SECOND)
    assert (again.readings, rebirths(again.replies[1:])) == ([], ["spBv1.0/City/NCMD/C12"])


@covers("operational-behavior-data-publish-dbirth-values", "payloads-propertyset-quality-value-value")
def test_null_says_nothing_bad_drops_the_value_and_stale_keeps_it(host: Session, node: EdgeNode) -> None:
    assert not hear(host, node.report(MS, {"Lamp/Power": None}, "L7")).readings
    for quality, flag, power in ((0, "bad", None), (500, "stale", 3.0), (192, None, 3.0), (77, "bad", None)):
        (reading,) = hear(host, node.report(MS, {"Lamp/Power": 3.0}, "L7", quality=quality)).readings
        assert (reading.flag, reading.power) == (flag, power)  # type: ignore[attr-defined]


def test_history_is_late_and_keeps_its_time(host: Session, node: EdgeNode) -> None:
    received = hear(host, node.report(MS, {"Lamp/Power": 3.0}, "L7", taken_at=MS - 3_600_000, is_historical=True))
    assert ([r.ts for r in received.readings], received.lane) == ([NOW - 3600 * SECOND], "late")


@covers("topic-structure-namespace-a", "topic-structure-namespace-device-id-associated-message-types")
@covers("topic-structure-namespace-device-id-non-associated-message-types")
@pytest.mark.parametrize(
    "topic",
    ["", "spBv1.0", "spAv1.0/C/NDATA/N", "spBv1.0/C/DDATA/N", "spBv1.0/C/NDATA/N/D", "spBv1.0//NDATA/N", "spBv1.0/C/XDATA/N"],
)
def test_topics_of_another_shape_are_refused(topic: str) -> None:
    received = session().receive(encoder.payload(MS, 0, [Value(name="a", datatype="Int8", value=-1)]), NOW, topic)
    assert [(r.reason, "no topic of Sparkplug B" in r.detail) for r in received.rejects] == [("bad_frame", True)]
    assert received.message == {
        "name": "payload",
        "timestamp": MS,
        "seq": 0,
        "metrics": [{"name": "a", "datatype": "Int8", "value": -1}],
    }


@covers("payloads-nbirth-rebirth-req", "topics-nbirth-rebirth-metric", "operational-behavior-data-commands-rebirth-name")
@covers("operational-behavior-data-commands-rebirth-name-aliases", "operational-behavior-data-commands-rebirth-value")
@covers("operational-behavior-data-commands-rebirth-datatype", "topics-nbirth-bdseq-increment", "topics-nbirth-bdseq-matching")
@covers("topics-nbirth-topic", "topics-dbirth-topic", "topics-ndata-topic", "topics-ddata-topic", "topics-ndeath-topic")
@covers("topics-ddeath-topic", "payloads-nbirth-timestamp", "payloads-dbirth-timestamp", "payloads-dbirth-seq-inc")
def test_the_simulated_node_speaks_as_it_must() -> None:
    node = EdgeNode("City", "C12", bd_seq=255)
    for bd_seq in (255, 0, 1):
        will = parse(node.death()[1])
        topic, payload = node.birth(MS, {"Supply": ("Double", 230.0)})
        birth = parse(payload)
        assert (topic, birth.seq, birth.timestamp) == ("spBv1.0/City/NBIRTH/C12", 0, MS)
        assert [m.name for m in birth.metrics] == ["bdSeq", "Node Control/Rebirth", "Supply"]
        assert (birth.metrics[0].long_value, will.metrics[0].long_value, birth.metrics[0].datatype) == (bd_seq, bd_seq, 4)
        control = birth.metrics[1]
        assert (control.datatype, control.boolean_value, control.HasField("alias")) == (11, False, False)
        node.connect()
    said = [node.device_birth("L7", MS, LAMP), node.report(MS, {"Supply": 1.0}), node.report(MS, {"Lamp/On": False}, "L7")]
    said.append(node.device_death("L7", MS))
    assert [parse(payload).seq for _, payload in said] == [1, 2, 3, 4]
    topics = [topic for topic, _ in (*said, node.death())]
    assert topics == [
        "spBv1.0/City/DBIRTH/C12/L7",
        "spBv1.0/City/NDATA/C12",
        "spBv1.0/City/DDATA/C12/L7",
        "spBv1.0/City/DDEATH/C12/L7",
        "spBv1.0/City/NDEATH/C12",
    ]


def values() -> Iterator[tuple[str, st.SearchStrategy[Any]]]:
    """Values of each datatype."""
    for datatype in datatypes.TYPES.values():
        if datatype.kind == "signed":
            yield datatype.name, st.integers(-(1 << datatype.bits - 1), (1 << datatype.bits - 1) - 1)
        elif datatype.kind == "unsigned":
            yield datatype.name, st.integers(0, (1 << datatype.bits) - 1)
        elif datatype.kind == "number":
            yield datatype.name, st.floats(width=32 if datatype.name == "Float" else 64, allow_nan=False)
        elif datatype.kind == "text":
            yield datatype.name, st.text(st.characters(codec="utf-8"))
        elif datatype.kind == "time":
            yield datatype.name, st.integers(0, 1 << 62)
        elif datatype.kind == "bool":
            yield datatype.name, st.booleans()
        elif datatype.kind == "raw":
            yield datatype.name, st.binary()
        elif datatype.format in "fd":
            yield datatype.name, st.lists(st.floats(width=32, allow_nan=False))
        else:
            yield datatype.name, st.lists(st.integers(0, 100))


@covers("payloads-metric-datatype-value", "payloads-metric-datatype-value-type")
@pytest.mark.parametrize(("name", "strategy"), list(values()), ids=lambda v: v if isinstance(v, str) else "")
def test_values_of_every_datatype_come_back(name: str, strategy: st.SearchStrategy[Any]) -> None:
    @given(value=st.none() | strategy)
    def comes_back(value: Any) -> None:
        made = Payload()
        made.ParseFromString(encoder.payload(MS, 0, [Value(name="m", datatype=name, value=value)]))
        (metric,) = made.metrics
        assert datatypes.value(metric, metric.datatype) == value

    comes_back()


@given(body=st.binary(max_size=200), kind=st.sampled_from(["NBIRTH", "NDATA", "NDEATH", "NCMD"]))
def test_any_payload_is_decoded_or_refused(body: bytes, kind: str) -> None:
    host = session()
    try:
        host.receive(body, NOW, f"spBv1.0/City/{kind}/C1")
    except Reject as reject:
        assert reject.detail


def test_nodes_and_their_metrics_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "MOST_NODES", 3)
    monkeypatch.setattr(nodes, "MOST_METRICS", 20)
    host = session()
    many = [EdgeNode("City", f"C{n}") for n in range(5)]
    for one in many:
        hear(host, one.birth(MS))
    alive = [not hear(host, one.report(MS, {})).rejects for one in many[2:]]
    assert alive == [True, True, True]
    assert hear(host, many[0].report(MS, {})).rejects
    hear(host, many[4].device_birth("L", MS, {f"m{n}": ("Int8", n) for n in range(20)}))
    assert not hear(host, many[4].report(MS, {"m1": 2}, "L")).rejects
    assert hear(host, many[3].report(MS, {})).rejects


def test_points_and_profiles_name_what_is_wrong_with_them(tmp_path: Path) -> None:
    good = {"source": "f1", "kind": "power_load", "field": "voltage_a"}
    for points, what in (
        ({"City/C12": good}, "group/node"),
        ({"City:V": good}, "group/node"),
        ({"City/C12:V": {**good, "field": "altitude"}}, "altitude"),
        ({"City/C12:V": {"source": "f1"}}, "kind"),
    ):
        with pytest.raises(Fatal, match=what):
            session(points=points)
    foreign = tmp_path / "bus.toml"
    foreign.write_text('[bus_position]\nspeed = { from = "Speed" }\n')
    for profile, what in (("tram", "streetlight"), (str(foreign), "bus_position"), (str(tmp_path / "no.toml"), "no.toml")):
        with pytest.raises(Fatal, match=what):
            session(profile=profile)


def test_a_file_may_bring_points_and_a_profile_of_its_own(tmp_path: Path, node: EdgeNode) -> None:
    points, profile = tmp_path / "points.toml", tmp_path / "pump.toml"
    points.write_text('["City/C12/P1:U"]\nsource = "f1"\nkind = "power_load"\nfield = "voltage_a"\nscale = 1000\n')
    profile.write_text('[water_node]\nsource = { join = ["@node", "@device"] }\npressure = { from = "P", scale = 1e6 }\n')
    host = session(points_file=str(points), profile=str(profile))
    hear(host, node.birth(MS))
    received = hear(host, node.device_birth("P1", MS, {"U": ("Float", 10.5), "P": ("Double", 0.4), "Other": ("Int8", 1)}))
    assert [(r.source, type(r).__name__) for r in received.readings] == [("f1", "PowerLoad"), ("C12-P1", "WaterNode")]
    stale = hear(host, node.death()).readings
    assert [(r.source, r.flag) for r in stale] == [("f1", "stale"), ("C12-P1", "stale")]  # type: ignore[attr-defined]


def test_the_readme_lists_the_statements_that_are_tested_here() -> None:
    readme = (registry.load("sparkplug").path / "README.md").read_text(encoding="utf-8")
    tested = readme.partition("## 标准条款")[2].partition("\n## ")[0]
    assert set(re.findall(r"tck-id-[A-Za-z0-9-]+", tested)) == COVERED
