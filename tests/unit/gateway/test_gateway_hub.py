"""The hub: numbering of events, resuming, versions of alerts, key figures, what viewers are told."""

from __future__ import annotations

import json
from typing import Any

from gateway.live.client import Client
from gateway.live.hub import RING, Hub
from gateway.live.kpis import kpis
from schemas.events import AlertEvent, ConnectorState
from schemas.messages import ALARM, NORMAL, UNKNOWN, WARNING, Kpi, Resume
from tests.unit.gateway.city import NOW, SECOND, alert, batch, bus


def listening(hub: Hub, *, coarse: bool = False) -> Client:
    client = Client(coarse=coarse, now=NOW)
    hub.clients.add(client)
    return client


def heard(client: Client) -> list[dict[str, Any]]:
    found = []
    while (part := client.take()) is not None:
        if isinstance(part, str):
            found.append(json.loads(part))
    return [m for m in found if m["op"] == "event"]


def change(name: str, version: int = 1, **more: Any) -> AlertEvent:
    told = {"change": "opened", **more}
    return AlertEvent(id=name, alert_id="a1", version=version, at=NOW, alert=alert(version=version), **told)


def test_events_are_numbered_without_gaps_and_told_once() -> None:
    hub = Hub("e1")
    client = listening(hub)
    hub.on_change(change("x1"))
    hub.on_change(change("x1"))
    hub.on_change(change("x2", 2, change="noted"))
    assert [(e["seq"], e["change"]["id"]) for e in heard(client)] == [(1, "x1"), (2, "x2")]


def test_refusals_of_one_person_are_not_told_to_all() -> None:
    hub = Hub("e1")
    client = listening(hub)
    hub.on_change(change("x1", change="conflict"))
    hub.on_change(change("x2", change="refused"))
    assert heard(client) == []
    assert hub.seq == 0


def test_an_older_version_never_replaces_a_newer_one_nor_brings_a_resolved_alert_back() -> None:
    hub = Hub("e1")
    hub.load([alert(version=5)], [])
    hub.on_alert(alert(version=4, status="acknowledged"))
    hub.tick(NOW)
    assert hub.book.open["a1"].status == "open"
    hub.on_alert(alert(version=6, status="resolved"))
    hub.on_alert(alert(version=5))
    hub.tick(NOW)
    assert hub.book.open == {}
    hub.on_change(change("x5", 5))
    assert hub.book.open == {}
    hub.on_alert(alert(version=7, reopened=1))
    hub.tick(NOW)
    assert hub.book.open["a1"].reopened == 1


def test_a_state_waits_for_its_change_so_that_people_learn_why() -> None:
    hub = Hub("e1")
    client = listening(hub)
    hub.on_alert(alert(version=1))
    hub.on_change(change("x1"))
    hub.tick(NOW)
    assert [("change" in e, "alert" in e) for e in heard(client)] == [(True, False)]
    hub.on_alert(alert(version=2, count=2))
    hub.on_alert(alert(version=3, count=3))
    hub.tick(NOW)
    assert [e["alert"]["count"] for e in heard(client)] == [3]


def test_resume_gives_exactly_what_was_missed() -> None:
    hub = Hub("e1")
    for n in range(1, 6):
        hub.on_change(change(f"x{n}", n))
    missed = hub.since(Resume(epoch="e1", events=3), coarse=False)
    assert missed is not None
    assert [json.loads(m)["seq"] for m in missed] == [4, 5]
    assert hub.since(Resume(epoch="e1", events=5), coarse=False) == []
    assert hub.since(Resume(epoch="e0", events=3), coarse=False) is None
    assert hub.since(Resume(epoch="e1", events=6), coarse=False) is None
    assert hub.since(Resume(epoch="e1", events=-1), coarse=False) is None
    assert hub.since(None, coarse=False) is None
    for n in range(6, RING + 8):
        hub.on_change(change(f"x{n}", n))
    assert hub.since(Resume(epoch="e1", events=1), coarse=False) is None


def test_viewers_are_told_coarse_places() -> None:
    hub = Hub("e1")
    duty, viewer = listening(hub), listening(hub, coarse=True)
    hub.on_change(change("x1", device="10.0.0.9"))
    (full,), (masked,) = heard(duty), heard(viewer)
    assert full["change"]["alert"]["lon"] == 112.853123
    assert masked["change"]["alert"]["lon"] == 112.853
    assert "device" not in masked["change"]
    assert json.loads(hub.alerts(coarse=True))["alerts"][0]["lat"] == 35.501
    resumed = hub.since(Resume(epoch="e1", events=0), coarse=True)
    assert resumed is not None
    assert "112.853123" not in resumed[0]


def test_open_alerts_colour_their_source_and_tickets_about_sensors_make_it_unknown() -> None:
    hub = Hub("e1")
    hub.load([alert()], [])
    assert hub.book.overlay("bus_position", "b1") == WARNING
    hub.load([alert(id="a2", severity="critical")], [])
    assert hub.book.overlay("bus_position", "b1") == ALARM
    hub.load([alert(id="a2", version=2, status="resolved"), alert(version=2, status="resolved")], [])
    assert hub.book.overlay("bus_position", "b1") == 0
    hub.load([alert(id="a3", category="data")], [])
    assert hub.book.overlay("bus_position", "b1") == UNKNOWN
    hub.state.apply("bus_position", batch("bus_position", bus("b1")))
    assert hub.state.layers[0].state().tolist() == [UNKNOWN]


def connector(**changes: Any) -> ConnectorState:
    base: dict[str, Any] = {
        "connector": "c1",
        "type": "jt808",
        "run": "r",
        "health": "live",
        "at": NOW,
        "since": NOW,
        "rate": 5.0,
    }
    return ConnectorState(**{**base, **changes})


def test_connectors_are_told_when_their_health_changes_only() -> None:
    hub = Hub("e1")
    client = listening(hub)
    hub.on_connector(connector())
    hub.on_connector(connector(at=NOW + 2))
    hub.on_connector(connector(at=NOW + 1, health="down"))
    hub.on_connector(connector(at=NOW + 3, health="down", since=NOW + 3))
    assert [e["connector"]["health"] for e in heard(client)] == ["live", "down"]
    assert hub.connectors["c1"].at == NOW + 3


def figures(hub: Hub, now: int = NOW) -> dict[str, Kpi]:
    return {k.id: k for k in kpis(hub.state, hub.book, hub.connectors.values(), now)}


def test_figures_of_an_empty_city_are_unknown_not_zero() -> None:
    found = figures(Hub("e1"))
    assert {k for k, v in found.items() if v.value is not None} == {"alerts_open"}
    assert found["alerts_open"].value == 0
    assert found["buses_online"].state == UNKNOWN


def test_figures_count_what_is_there() -> None:
    hub = Hub("e1")
    hub.state.apply("bus_position", batch("bus_position", bus("b1"), bus("b2", ts=NOW - 600 * SECOND)))
    stations = [{"source": s, "lon": 112.8, "lat": 35.5, "bikes": n, "capacity": 20} for s, n in (("s1", 3), ("s2", 4))]
    hub.state.apply("bike_station", batch("bike_station", *stations))
    dust = [{"source": s, "lon": 112.8, "lat": 35.5, "pm10": v} for s, v in (("d1", 100.0), ("d2", 51.0))]
    hub.state.apply("dust_station", batch("dust_station", *dust, {"source": "d3", "lon": 112.8, "lat": 35.5}))
    hub.load([alert(), alert(id="a2", severity="critical"), alert(id="a3", status="acknowledged", severity="critical")], [])
    hub.on_connector(connector())
    hub.on_connector(connector(connector="c2", health="down", rate=0.0))
    found = figures(hub, NOW + 10 * SECOND)
    assert (found["buses_online"].value, found["buses_online"].total, found["buses_online"].age_s) == (1, 2, 10.0)
    assert (found["bikes_available"].value, found["bikes_available"].total) == (7, 40.0)
    assert (found["dust_pm10_mean"].value, found["dust_pm10_mean"].unit) == (75.5, "µg/m³")
    assert (found["alerts_open"].value, found["alerts_open"].total, found["alerts_open"].state) == (2, 3, ALARM)
    assert (found["readings_rate"].value, found["readings_rate"].state) == (5.0, NORMAL)
    assert (found["connectors_live"].value, found["connectors_live"].total, found["connectors_live"].state) == (1, 2, WARNING)


def test_the_tick_says_time_and_age_of_data() -> None:
    hub = Hub("e1")
    client = listening(hub)
    hub.tick(NOW)
    first = json.loads(str(client.take()))
    assert (first["op"], first["nowMs"], first["dataAgeS"]) == ("tick", NOW // 1000, None)
    hub.state.apply("bus_position", batch("bus_position", bus("b1", ts=NOW - 3 * SECOND)))
    hub.tick(NOW)
    assert json.loads(str(client.take()))["dataAgeS"] == 3.0
