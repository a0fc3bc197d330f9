"""When a run is over: every agent has read everything, and what it made of it no longer changes."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psycopg

from cityops.ledger import read
from cityops.topics import open_consumer
from schemas import topics
from schemas.config import Config
from schemas.errors import Fatal
from tests.chaos.outcome import connect
from tests.chaos.system import OURS

ROOT = Path(__file__).parents[2]
STILL_S = 5.0
"""So long nothing may change before the run counts as over; open windows are shown every second."""
DUE = "SELECT count(*) FROM due_windows WHERE ts + size * interval '1 second' <= now()"
DUE_FINDINGS = "SELECT count(*) FROM due_findings WHERE newest IS NULL"
CHECKPOINTS = "SELECT agent, topic, partition, next_offset FROM checkpoints"
FIGURES = (
    "SELECT (SELECT count(*) FROM windows), (SELECT sum(count) FROM windows), (SELECT count(*) FROM alert_events),"
    " (SELECT sum(received) FROM ledger)"
)


def ends(bootstrap: str) -> dict[tuple[str, int], int]:
    """Give where every partition of every topic ends."""
    from kafka import TopicPartition

    consumer = open_consumer(bootstrap)
    try:
        spots = [TopicPartition(t, p) for t in topics.all_topics() for p in consumer.partitions_for_topic(t) or ()]
        return {(s.topic, s.partition): n for s, n in consumer.end_offsets(spots).items()}
    finally:
        consumer.close()


def behind(config: Config) -> list[str]:
    """Name what some agent has not brought into the database yet; agents that never spoke count nothing.

    Connectors tell their state for ever, so that topic is left out.
    """
    end = ends(config.kafka.bootstrap)
    with connect(config) as db:
        reached = {(a, t, p): n for a, t, p, n in db.execute(CHECKPOINTS)}
        due = [f"{n} longer windows are due" for (n,) in db.execute(DUE) if n]
        due += [f"findings of {n} sources are to be judged again" for (n,) in db.execute(DUE_FINDINGS) if n]
    return due + [
        f"{agent} is at {reached.get((agent, topic, partition), 0)} of {last} in {topic}/{partition}"
        for (topic, partition), last in sorted(end.items())
        if topic != topics.CONNECTOR_STATES
        for agent in sorted({a for a, t, _ in reached if t == topic})
        if last > reached.get((agent, topic, partition), 0)
    ]


def state(config: Config) -> tuple[object, ...]:
    """Give the figures that must stand still."""
    with connect(config) as db:
        figures = db.execute(FIGURES).fetchall()
    written = {spot: n for spot, n in ends(config.kafka.bootstrap).items() if spot[0] != topics.CONNECTOR_STATES}
    return (*figures, *sorted(written.items()))


async def wait_until_still(config: Config, timeout_s: float) -> str:
    """Return when the ledger is settled, no agent is behind and nothing changes; gives what is amiss at the timeout."""
    deadline = time.monotonic() + timeout_s
    before: tuple[object, ...] = ()
    since = time.monotonic()
    while True:
        amiss, now = await asyncio.to_thread(_look, config)
        if amiss or now != before:
            before, since = now, time.monotonic()
        elif time.monotonic() - since >= STILL_S:
            return ""
        if time.monotonic() > deadline:
            return amiss or "windows or alerts still change"
        await asyncio.sleep(0.5)


def _look(config: Config) -> tuple[str, tuple[object, ...]]:
    """Give what is still amiss, and the figures as they stand."""
    try:
        book = read(config)
        if not all(b.in_flight == 0 for b in book.by.values()):
            return f"{book.whole.in_flight} rows in flight", ()
        late = behind(config)
        return ("; ".join(late), ()) if late else ("", state(config))
    except (Fatal, psycopg.OperationalError) as error:
        return str(error), ()


def ledger(data_dir: Path) -> dict[str, Any]:
    """Give what ``cityops ledger --json`` says."""
    argv = [sys.executable, "-m", "cityops", "ledger", "--json", "--data-dir", str(data_dir)]
    env = {k: v for k, v in os.environ.items() if k not in OURS}
    done = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, timeout=180, check=False)
    if not done.stdout.strip():
        return {"error": done.stderr.strip()[-500:]}
    found: dict[str, Any] = json.loads(done.stdout)
    return found
