"""Alerts, rules, series and retention on a real database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from importlib import resources
from pathlib import Path

import msgspec
import pyarrow as pa
import pytest

from schemas import topics
from schemas.events import Alert, AlertEvent
from schemas.frame import from_readings
from schemas.kinds.derived import RejectRow
from schemas.rules import load as load_rules
from storage import maintenance, queries
from storage.alerts_store import load_alerts, save_alerts, save_rules
from storage.connect import Pool, create_pool
from storage.ledger import ledger_row
from storage.migrate import migrate
from storage.staging import copy
from storage.writer import Writer
from tests.integration.stack import Stack
from tests.unit.storage.rows import NOON, SECOND, buses, clean, header

DAY = 86_400 * SECOND


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    await asyncio.to_thread(migrate, database)
    found = await create_pool(database, size=2)
    yield found
    await found.close()


async def put(pool: Pool, kind: str, batch: pa.RecordBatch) -> None:
    async with pool.acquire() as connection:
        await copy(connection, kind, batch)


def opened(number: int, **more: object) -> Alert:
    told = {"version": 1, "status": "open", "severity": "major", "source": f"B{number}", **more}
    return msgspec.convert(
        {
            "id": f"a{number:03d}", "rule": "overspeed", "rule_version": 1, "kind": "bus_position", "started": NOON,
            "last": NOON, "opened_at": NOON + number * SECOND, "evidence": {"最高": 27.5, "readings": [1, 2]}, **told,
        },
        Alert,
    )  # fmt: skip


def event(alert: Alert, change: str = "opened") -> AlertEvent:
    told = {
        "id": f"{alert.id}/{alert.version}",
        "alert_id": alert.id,
        "version": alert.version,
        "change": change,
        "at": NOON + alert.version,
    }
    return msgspec.convert({**told, "alert": msgspec.to_builtins(alert)}, AlertEvent)


async def save(pool: Pool, *alerts: Alert) -> None:
    async with pool.acquire() as connection, connection.transaction():
        await save_alerts(connection, alerts, [event(a) for a in alerts])


async def test_an_alert_comes_back_as_it_was_and_only_newer_versions_replace_it(pool: Pool) -> None:
    first = opened(1, lon=112.85, lat=35.49, zone=140502, value=27.5, limit=22.2, unit="m/s", detected_late=True)
    third = msgspec.structs.replace(
        first, version=3, status="acknowledged", acked_by="王芳", acked_at=NOON + 5, note="已派员", count=4
    )
    await save(pool, first)
    await save(pool, third, msgspec.structs.replace(first, version=2))
    await save(pool, first)
    assert await load_alerts(pool, ids=["a001", "none"]) == [third]
    found = await queries.alert(pool, "a001")
    assert found is not None
    assert found[0] == third
    assert [msgspec.convert(e, AlertEvent) for e in found[1]] == [
        event(first),
        event(msgspec.structs.replace(first, version=2)),
        event(third),
    ]
    assert await queries.alert(pool, "none") is None


async def test_open_alerts_are_loaded_by_partition_and_resolved_ones_on_request(pool: Pool) -> None:
    closed = opened(9, status="resolved", resolved_at=NOON + DAY, version=2)
    await save(pool, *(opened(i) for i in range(8)), closed)
    assert [a.id for a in await load_alerts(pool)] == [f"a{i:03d}" for i in range(8)]
    assert closed in await load_alerts(pool, resolved_since=NOON + DAY)
    assert closed not in await load_alerts(pool, resolved_since=NOON + DAY + 1)
    parts = [await load_alerts(pool, partition=(p, 4)) for p in range(4)]
    assert sum(len(p) for p in parts) == 8
    assert all(topics.bucket(a.source, 4) == p for p, part in enumerate(parts) for a in part)


async def test_pages_of_alerts_follow_each_other_without_holes(pool: Pool) -> None:
    same_time = [opened(i, opened_at=NOON + i // 3 * SECOND, severity="minor" if i % 2 else "critical") for i in range(11)]
    await save(pool, *same_time)
    seen: list[Alert] = []
    while page := await queries.alerts(pool, before=(seen[-1].opened_at, seen[-1].id) if seen else None, limit=4):
        seen += page
    assert seen == sorted(same_time, key=lambda a: (a.opened_at, a.id), reverse=True)
    assert [a.id for a in await queries.alerts(pool, severity=["critical"], status=["open"])] == [
        a.id for a in seen if a.severity == "critical"
    ]
    assert await queries.alerts(pool, status=["resolved"]) == []


async def test_the_table_of_rules_says_what_is_in_force(pool: Pool) -> None:
    packs = sorted(Path(str(resources.files("streams") / "rules")).glob("*.toml"))
    rules = list(load_rules(packs).values())
    await save_rules(pool, rules)
    before = await queries.rules(pool)
    await save_rules(pool, rules)
    assert await queries.rules(pool) == before
    assert [r["id"] for r in before] == sorted(r.id for r in rules)
    await save_rules(pool, [msgspec.structs.replace(rules[0], version=99)])
    (left,) = await queries.rules(pool)
    assert (left["id"], left["version"], left["kinds"], left["pack"]["zh"]) == (rules[0].id, 99, rules[0].kinds, rules[0].zh)


async def test_a_history_keeps_its_gaps(pool: Pool) -> None:
    await put(pool, "bus_position", buses(4))
    await put(pool, "bus_position", buses(1, start=NOON + 8 * SECOND))
    await put(pool, "bus_position", buses(9, source="other"))
    points = await queries.history(pool, "bus_position", "B", "speed", NOON, NOON + 10 * SECOND, 2 * SECOND)
    assert [(p["ts"] - NOON) // SECOND for p in points] == [0, 2, 4, 6, 8]
    assert [(p["mean"], p["low"], p["high"], p["last"], p["count"]) for p in points] == [
        (0.5, 0.0, 1.0, 1.0, 2), (2.5, 2.0, 3.0, 3.0, 2), (None,) * 4 + (0,), (None,) * 4 + (0,), (0.0, 0.0, 0.0, 0.0, 1),
    ]  # fmt: skip


async def test_a_history_of_yes_and_no_is_a_share(pool: Pool) -> None:
    rows = [{"source": "T", "ts": NOON + i, "occupied": o} for i, o in enumerate([True, False, True, True, None])]
    await put(pool, "taxi_position", clean("taxi_position", rows))
    (point,) = await queries.history(pool, "taxi_position", "T", "occupied", NOON, NOON + SECOND, SECOND)
    assert (point["mean"], point["last"], point["count"]) == (0.75, 1.0, 4)


async def test_a_track_is_in_order_and_leaves_out_rows_without_a_fix(pool: Pool) -> None:
    rows = [{"source": "B", "ts": NOON + i, "lon": 112.0 + i if i != 2 else None, "lat": 35.0} for i in (3, 0, 2, 1)]
    await put(pool, "bus_position", clean("bus_position", rows))
    assert [p["lon"] for p in await queries.track(pool, "bus_position", "B", NOON, NOON + 9)] == [112.0, 113.0, 115.0]
    assert [p["lon"] for p in await queries.track(pool, "bus_position", "B", NOON, NOON + 9, limit=2)] == [113.0, 115.0]
    with pytest.raises(ValueError, match="no positions"):
        await queries.track(pool, "env_factor", "E", NOON, NOON + 9)


async def test_key_figures_count_who_is_heard(pool: Pool) -> None:
    batches = [
        ("bus_position", "live", buses(1, source="old")),
        ("bus_position", "live", buses(1, source="new", start=NOON + 600 * SECOND)),
    ]
    rows = [ledger_row(header(b, seen_at=NOON), "clean-transport", 0) for _, _, b in batches]
    await Writer(pool).write(
        agent="store", topic="clean-transport", partition=0, expected=None, next_offset=1, batches=batches, ledger=rows
    )
    await save(
        pool,
        opened(1),
        opened(2, status="acknowledged"),
        opened(3, status="resolved", resolved_at=NOON),
        opened(4, category="data"),
    )
    found = await queries.kpis(pool, NOON + 600 * SECOND)
    assert found["sources"] == [{"kind": "bus_position", "known": 2, "online": 1, "newest": NOON + 600 * SECOND}]
    assert found["alerts"] == [
        {"severity": "major", "status": "acknowledged", "n": 1},
        {"severity": "major", "status": "open", "n": 1},
    ]
    assert (await queries.kpis(pool, NOON + 61 * SECOND))["minute"] == {"received": 2, "rejected": 0}
    assert [s["source"] for s in await queries.silent_sources(pool, "bus_position", NOON + SECOND)] == ["old"]
    assert [s["source"] for s in await queries.latest_sources(pool, since=NOON + SECOND)] == ["new"]


async def test_settings_are_kept(pool: Pool) -> None:
    assert await queries.setting(pool, "theme") is None
    for value in ({"底图": "dark"}, ["a", 1], None, "text"):
        await queries.store_setting(pool, "theme", value)
        assert await queries.setting(pool, "theme") == value


async def test_retention_drops_what_is_older_and_nothing_else(pool: Pool, stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maintenance, "PIECE", 10)
    await put(pool, "bus_position", buses(25, start=NOON - 40 * DAY))
    await put(pool, "bus_position", buses(5, source="C", start=NOON - 20 * DAY))
    refused = RejectRow(
        source="x", ts=NOON + 900 * DAY, seen_at=NOON - 50 * DAY, connector="c", stage="decode", reason="future_time"
    )
    whole = pa.Table.from_batches([from_readings([refused], "reject")])
    whole = whole.append_column("quality", pa.array([0], pa.int32()))
    await put(pool, "reject", whole.combine_chunks().to_batches()[0])
    gone = await maintenance.retain(pool, {"bus_position": 30}, now=NOON)
    assert gone["bus_position"] == (1 if stack.timescale else 25)
    assert await queries.counts(pool, ["bus_position", "reject"]) == {"bus_position": 5, "reject": 0}
    assert sum((await maintenance.retain(pool, {"bus_position": 30}, now=NOON)).values()) == 0


async def test_closed_chunks_get_their_index_once(pool: Pool, stack: Stack) -> None:
    await put(pool, "bus_position", buses(3, start=NOON - 5 * DAY))
    await put(pool, "bus_position", buses(3, start=NOON))
    done = await maintenance.index_closed(pool, now=NOON + 3600 * SECOND)
    assert len(done) == (1 if stack.timescale else 0)
    assert await maintenance.index_closed(pool, now=NOON + 3600 * SECOND) == []
    assert len(await queries.track(pool, "bus_position", "B", NOON - 9 * DAY, NOON + DAY)) == 6
