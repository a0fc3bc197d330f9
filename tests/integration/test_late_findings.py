"""Late readings on the real stack: findings of record as if all had come in order, alerts corrected, nobody paged."""

from __future__ import annotations

import signal
import time

import pytest

from schemas.config import Config
from schemas.kinds.transport import BusPosition
from storage.migrate import migrate
from tests.integration.workers import Feeder, query, until, workers

pytestmark = pytest.mark.stack
S = 1_000_000
FAST = {"created": range(200, 270, 10), "longer": range(150, 270, 10), "split": [*range(150, 210, 10), *range(260, 410, 10)]}
"""When each bus drives at 80 km/h; at 40 km/h otherwise."""
LATE = {"created": range(200, 270, 10), "longer": range(150, 200, 10), "split": range(210, 260, 10)}
"""Which of its readings come late."""
RECORD = {
    ("created", 200, 220, 300, True),
    ("longer", 150, 170, 300, False),
    ("split", 150, 170, 240, False),
    ("split", 260, 280, 440, False),
}


def reading(bus: str, start: int, t: int, seen: int) -> BusPosition:
    speed = (80.0 if t in FAST[bus] else 40.0) / 3.6
    ts = start + t * S
    return BusPosition(source=bus, ts=ts, seen_at=start + seen * S, serial=t, lon=112.85, lat=35.5, speed=speed, status=3)


def seconds(value: object, start: int) -> int | None:
    return None if value is None else (round(value.timestamp() * 1e6) - start) // S  # type: ignore[attr-defined]


def record(config: Config, start: int) -> set[tuple[object, ...]]:
    sql = "SELECT source, started, raised, cleared, detected_late FROM findings WHERE rule = 'bus-overspeed'"
    return {(row[0], *(seconds(t, start) for t in row[1:4]), row[4]) for row in query(config, sql)}


def alerts(config: Config, start: int) -> set[tuple[object, ...]]:
    sql = "SELECT source, started, cleared, status, detected_late FROM alerts WHERE rule = 'bus-overspeed'"
    return {(row[0], seconds(row[1], start), seconds(row[2], start), *row[3:]) for row in query(config, sql)}


def test_a_late_batch_creates_lengthens_and_splits_findings_and_pages_nobody(config: Config) -> None:
    migrate(config.database.url, config.database.schema)
    now = time.time_ns() // 1000 - 1800 * S
    start = now - now % (60 * S)
    with workers(config) as crew, Feeder(config) as feeder:
        crew.start("clean,watch,alerts")
        store = crew.start("store")
        for t in range(0, 610, 10):
            feeder.push([reading(b, start, t, t + 1) for b in FAST if t not in LATE[b]])
        feeder.flush()
        live = {("longer", 200, 220, 300, False), ("split", 150, 170, 440, False)}
        until("what was found live", lambda: record(config, start) == live, crew)
        for bus, times in LATE.items():
            feeder.push([reading(bus, start, t, 900) for t in times], lane="late")
        feeder.flush()
        until("sources due", lambda: len(query(config, "SELECT 1 FROM due_findings")) == 3, crew)
        due = query(config, "SELECT * FROM due_findings")
        crew.kill(store, signal.SIGKILL)
        crew.start("store")
        until("findings of record", lambda: record(config, start) == RECORD, crew)
        until("nothing due any more", lambda: query(config, "SELECT 1 FROM due_findings") == [], crew)
        assert alerts(config, start) == {
            ("created", 200, 300, "resolved", True),
            ("longer", 150, 300, "resolved", False),
            ("split", 150, 440, "resolved", False),
        }
        events = "SELECT id, change FROM alert_events WHERE event #>> '{alert,rule}' = 'bus-overspeed' ORDER BY id"
        before = query(config, events)
        assert sorted(str(change) for _, change in before) == sorted(
            ["opened", *["opened", "cleared"] * 2, "corrected", *(str(c) for _, c in before if c == "merged")]
        )
        for row in due:
            query(config, "INSERT INTO due_findings VALUES (%s, %s, %s, %s, %s, %s, %s) RETURNING 1", *row[:7])
        until("judged once more", lambda: query(config, "SELECT 1 FROM due_findings") == [], crew)
        assert record(config, start) == RECORD
        assert query(config, events) == before
