"""What the HTTP API answers about alerts and readings, on a real database."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.commands import Commander
from gateway.reads import answer_of
from storage.alerts_store import load_alerts
from tests.integration.people import City, running, save, store
from tests.unit.gateway.city import NOW, SECOND, alert, bus


@pytest.fixture
async def city(database: str, tmp_path: Path) -> AsyncIterator[City]:
    async with running(database, tmp_path) as found:
        yield found


async def test_acting_on_an_alert(city: City) -> None:
    duty, viewer = await city.person("li", "duty"), await city.person("guest", "viewer")
    await save(city, alert())
    url = "/api/alerts/a1/commands"
    acknowledge = {"cmd_id": "c1", "action": "acknowledge", "expected_version": 1}
    assert (await viewer.post(url, json=acknowledge)).status_code == 403
    done = await duty.post(url, json=acknowledge)
    assert (done.status_code, done.json()["outcome"]) == (200, "ok")
    assert done.json()["alert"]["acked_by"] == "li"
    assert (await duty.post(url, json=acknowledge)).json() == done.json()
    late = await duty.post(url, json={"cmd_id": "c2", "action": "resolve", "expected_version": 1, "cause": "false"})
    assert (late.status_code, late.json()["code"]) == (409, "conflict")
    assert (late.json()["alert"]["version"], late.json()["alert"]["status"]) == (2, "acknowledged")
    impossible = await duty.post(url, json={"cmd_id": "c3", "action": "reopen", "expected_version": 2})
    assert (impossible.status_code, impossible.json()["code"]) == (409, "refused")
    elsewhere = await duty.post("/api/alerts/nothing/commands", json={**acknowledge, "cmd_id": "c4"})
    assert (elsewhere.status_code, elsewhere.json()["code"]) == (404, "not_found")
    life = (await duty.get("/api/alerts/a1")).json()
    assert [e["change"] for e in life["events"]] == ["acknowledged", "conflict", "refused"]
    assert [r["action"] for r in await city.audits() if r["action"].startswith("alert.")] == [
        "alert.reopen",
        "alert.resolve",
        "alert.acknowledge",
    ]


async def test_the_same_command_after_a_restart_gets_the_same_answer(city: City) -> None:
    duty = await city.person("li", "duty")
    await save(city, alert())
    body = {"cmd_id": "c1", "action": "note", "expected_version": 1, "note": "已派员"}
    first = (await duty.post("/api/alerts/a1/commands", json=body)).json()
    city.app.state.parts.commander = Commander(city.agent, lambda cmd_id: answer_of(city.pool, cmd_id))
    assert (await duty.post("/api/alerts/a1/commands", json=body)).json() == first
    assert (await load_alerts(city.pool, ids=["a1"]))[0].version == 2


async def test_a_broker_that_is_away_is_said_and_nothing_is_done(city: City) -> None:
    duty = await city.person("li", "duty")
    await save(city, alert())
    city.agent.away = True
    answer = await duty.post(
        "/api/alerts/a1/commands", json={"cmd_id": "c1", "action": "note", "expected_version": 1, "note": "x"}
    )
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert "/readyz" in answer.json()["remedy"]


async def test_alerts_come_in_pages(city: City) -> None:
    viewer = await city.person("guest", "viewer")
    duty = await city.person("li", "duty")
    await save(
        city,
        *(
            alert(id=f"a{i}", source=f"b{i}", opened_at=NOW + i // 2, status="resolved" if i % 3 == 0 else "open", evidence={"plate": "晋E12345"})
            for i in range(10)
        ),
    )  # fmt: skip
    seen: list[str] = []
    before: dict[str, str] = {}
    while True:
        page = (await viewer.get("/api/alerts", params={"limit": 4, **before})).json()
        seen += [a["id"] for a in page["alerts"]]
        assert all((a["lon"], a["evidence"]["plate"]) == (112.853, "晋E·***45") for a in page["alerts"])
        if page["next"] is None:
            break
        before = {"before": page["next"]}
    assert seen == [f"a{i}" for i in range(9, -1, -1)]
    unresolved = (await duty.get("/api/alerts", params={"status": ["open", "acknowledged"], "severity": "major"})).json()
    assert len(unresolved["alerts"]) == 6
    assert unresolved["alerts"][0]["lon"] == 112.853123


MALFORMED = [
    "/api/alerts?status=gone",
    "/api/alerts?limit=0",
    "/api/alerts?limit=1001",
    "/api/alerts?limit=x",
    "/api/alerts?before=x",
    "/api/alerts?before=99999999999999999999999_a",
    "/api/alerts?before=%00",
    "/api/history/bus_position/b1",
    "/api/history/bus_position/b1?field=plate",
    "/api/history/bus_position/b1?field=speed%22%20from%20users--",
    "/api/history/users/b1?field=password",
    "/api/history/bus_position/b1?field=speed&since=5&until=4",
    "/api/history/bus_position/b1?field=speed&since=nan",
    "/api/history/bus_position/b1?field=speed&since=0",
    "/api/history/bus_position/b1?field=speed&step=0",
    "/api/history/bus_position/b1?field=speed&since=1e99",
    "/api/history/bus_position/b%00?field=speed",
    "/api/history/bus_position/%ff?field=speed&since=-1",
    "/api/track/trip_update/t1",
    "/api/ledger?since=x",
    "/api/rejects?reason=%00",
    "/api/rejects?limit=-1",
]


async def test_malformed_questions_are_400(city: City) -> None:
    duty = await city.person("li", "duty")
    for path in MALFORMED:
        answer = await duty.get(path)
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_request"), f"{path}: {answer.text}"


ODD = ["'; DROP TABLE users; --", '"', "%", "\\", "../..", "<script>", "a\u0301\u0335", "晋", "\ud7ff", "$1", "{}", "a" * 128]


async def test_odd_names_find_nothing_and_break_nothing(city: City) -> None:
    duty = await city.person("li", "duty")
    places = ("alerts", "sources/bus_position", "sources", "history/bus_position", "track/bus_position")
    for text, place in itertools.product(ODD, places):
        url = httpx.URL("http://city.example").copy_with(path=f"/api/{place}/{text}")
        assert (await duty.get(url, params={"field": "speed"})).status_code in (200, 400, 404), url
    for text in ODD:
        assert (await duty.get("/api/rejects", params={"connector": text[:64]})).json() == {"rejects": []}
    assert await city.pool.fetchval("SELECT count(*) FROM users") == 1


BAD_COMMANDS: list[dict[str, Any]] = [
    {"cmd_id": "", "action": "note", "expected_version": 1},
    {"cmd_id": "c\u0000", "action": "note", "expected_version": 1},
    {"cmd_id": "c", "action": "delete", "expected_version": 1},
    {"cmd_id": "c", "action": "note", "expected_version": "1"},
    {"cmd_id": "c", "action": "note", "expected_version": 2**40},
    {"cmd_id": "c", "action": "note", "expected_version": 1, "note": "a\u0000b"},
    {"cmd_id": "c", "action": "note", "expected_version": 1, "note": "x" * 2001},
    {"cmd_id": "c", "action": "note", "expected_version": 1, "actor": "root"},
]


async def test_malformed_commands_are_400(city: City) -> None:
    duty = await city.person("li", "duty")
    await save(city, alert())
    lone = b'{"cmd_id": "c", "action": "note", "expected_version": 1, "note": "\\ud800"}'
    for body in [*(json.dumps(b).encode() for b in BAD_COMMANDS), lone]:
        answer = await duty.post("/api/alerts/a1/commands", content=body, headers={"content-type": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_request"), f"{body!r}: {answer.text}"


# --- readings


async def test_what_a_source_said_last_is_masked_for_viewers(city: City) -> None:
    duty, viewer = await city.person("li", "duty"), await city.person("guest", "viewer")
    row = {**bus("h1", 112.853999, 35.501999), "plate": "晋E12345", "cargo": "UN1203", "quality": 8}
    await store(city, "hazmat_position", {**row, "ts": NOW - SECOND, "speed": 1.0}, row)
    full = (await duty.get("/api/sources/hazmat_position/h1")).json()
    assert (full["ts"], full["speed"], full["plate"], full["cargo"], full["lon"]) == (NOW, 10.0, "晋E12345", "UN1203", 112.853999)
    assert full["labels"]["plate"] == {"zh": "车牌", "en": "Number plate", "unit": "", "grade": "sensitive"}
    assert (full["masked"], full["grade"]) == ([], "restricted")
    assert full["quality_labels"] == [{"zh": "超出范围", "en": "outside the city"}]
    masked = (await viewer.get("/api/sources/hazmat_position/h1")).json()
    assert (masked["plate"], masked["cargo"], masked["lon"], masked["speed"]) == ("晋E·***45", None, 112.853, 10.0)
    assert set(masked["masked"]) == {"lon", "lat", "plate", "cargo"}
    for nothing in ("hazmat_position/h2", "users/h1", "window/h1"):
        assert (await duty.get(f"/api/sources/{nothing}")).status_code == 404


async def test_history_and_track(city: City) -> None:
    duty, viewer = await city.person("li", "duty"), await city.person("guest", "viewer")
    rows = [bus("b1", 112.853999, ts=NOW - n * 10 * SECOND, speed=float(n)) for n in (1, 2, 30)]
    await store(city, "bus_position", *rows)
    span = {"since": (NOW - 400 * SECOND) / 1000, "until": NOW / 1000 + 0.5, "step": 60, "field": "speed"}
    found = (await duty.get("/api/history/bus_position/b1", params=span)).json()
    assert (found["unit"], found["step_s"]) == ("m/s", 60.0)
    points = found["points"]
    assert points[0][0] == (NOW - 400 * SECOND) / 1000
    assert [(p[1], p[5]) for p in points] == [(None, 0), (30.0, 1), (None, 0), (None, 0), (None, 0), (None, 0), (1.5, 2)]
    track = {"since": span["since"], "until": span["until"]}
    exact = (await duty.get("/api/track/bus_position/b1", params=track)).json()["points"]
    assert [(p["lon"], p["speed"]) for p in exact] == [(112.853999, 30.0), (112.853999, 2.0), (112.853999, 1.0)]
    rough = (await viewer.get("/api/track/bus_position/b1", params=track)).json()["points"]
    assert {p["lon"] for p in rough} == {112.853}
    assert (await viewer.get("/api/history/bus_position/b1", params={**span, "field": "lon"})).status_code == 403
    await duty.get("/api/track/bus_position/b1", params=track)
    looks = [r for r in await city.audits() if r["action"] == "track.read"]
    assert [(r["actor"], r["object"]) for r in looks] == [("li", "bus_position/b1")]


async def test_the_ledger_and_rejects(city: City) -> None:
    engineer, viewer = await city.person("wu", "engineer"), await city.person("guest", "viewer")
    await store(city, "bus_position", bus("b1"), bus("b2"))
    ledger = (await viewer.get("/api/ledger")).json()
    assert (ledger["received"], ledger["stored"], ledger["lost"], ledger["reasons"]) == (2, 2, 0, [])
    assert ledger["by"][0]["kind"] == "bus_position"
    await city.pool.execute(
        "INSERT INTO reject (source, ts, seen_at, connector, stage, reason, detail, raw, quality)"
        " VALUES ('d1', $1, $1, 'jt808', 'decode', 'bad_checksum', 'x', '\\x7e00'::bytea, 0)",
        NOW,
    )
    (seen,) = (await viewer.get("/api/rejects")).json()["rejects"]
    assert (seen["reason"], "raw" in seen) == ("bad_checksum", False)
    (whole,) = (await engineer.get("/api/rejects", params={"connector": "jt808", "reason": "bad_checksum"})).json()["rejects"]
    assert (whole["raw"], whole["raw_size"]) == ("fgA=", 2)
    assert (await engineer.get("/api/rejects", params={"reason": "bad_length"})).json() == {"rejects": []}


async def test_the_catalogue_names_everything(city: City, tmp_path: Path) -> None:
    viewer = await city.person("guest", "viewer")
    answer = await viewer.get("/api/catalog", headers={"accept-encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    found = answer.json()
    assert found["kinds"]["bus_position"]["zh"] == "公交车位置"
    assert {
        "name": "speed",
        "zh": "速度",
        "en": "Speed over ground",
        "unit": "m/s",
        "grade": "internal",
        "ge": 0,
        "le": 100,
    } in found["kinds"]["bus_position"]["fields"]
    assert len(found["zones"]) == 6
    assert found["reasons"]["bad_checksum"]["zh"] == "校验错误"
    assert found["layers"][0] == {"layer": 0, "kind": "bus_position", "field": "speed", "factor": 10.0, "unit": "m/s"}
    assert all("name" in c or "error" in c for c in found["connectors"].values())
    outlines = (await viewer.get("/api/boundaries.geojson")).json()
    assert {f["properties"]["zh"] for f in outlines["features"]} >= {"高平市", "泽州县"}
    assert (await viewer.get("/api/roads.geojson")).json() == {"type": "FeatureCollection", "features": []}
    (tmp_path / "roads.geojson").write_text('{"type": "FeatureCollection", "features": [1]}')
    assert (await viewer.get("/api/roads.geojson")).json()["features"] == [1]


async def test_a_database_that_went_away_is_503_not_500(city: City) -> None:
    duty = await city.person("li", "duty")
    await city.pool.close()
    answer = await duty.get("/api/alerts")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert (await duty.get("/api/me")).status_code == 200, "a session looked up a moment ago is believed"
    city.clock.pass_s(61)
    assert (await duty.get("/api/me")).status_code == 503
    assert (await duty.get("/healthz")).status_code == 200
