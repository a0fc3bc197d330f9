"""Replaying a recording, with nothing running and into a running demo: it ends when all is stored, with its own ledger."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from connectors.jt808 import encoder
from tests.conftest import REPO
from tests.integration.stack import Stack
from tests.integration.test_demo import demo, ready

PACKETS = 300


def recording(path: Path) -> Path:
    """Write positions of ten terminals, one of them sent twice, and a damaged one."""
    now = int(time.time()) * 1_000_000
    lines = [
        encoder.location(f"1391000000{n % 10}", n, version="2013", ts=now - (PACKETS - n) * 1_000_000, lat=35.5, lon=112.8).hex()
        for n in range(PACKETS)
    ]
    path.write_text("\n".join([*lines, lines[-1], lines[0][:-4] + "007e"]), encoding="ascii")
    return path


def replay(path: Path, folder: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "cityops", "replay", str(path), "--connector", "jt808", "--json", "--data-dir", str(folder)]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, (done.stdout, done.stderr)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def check(book: dict[str, Any]) -> None:
    assert (book["packets"], book["lost"], book["in_flight"]) == (PACKETS + 2, 0, 0)
    assert (book["stored"], book["duplicates"], book["rejected"]) == (PACKETS, 1, 1)
    assert {row["connector"] for row in book["by"]} == {"replay-jt808"}


def test_replay_starts_and_stops_what_it_needs(stack: Stack, tmp_path: Path) -> None:
    assert stack.kafka
    folder = tmp_path / "city"
    check(replay(recording(tmp_path / "positions.hex"), folder))
    assert not list((folder / "run").glob("*.pid"))
    again = replay(recording(tmp_path / "later.hex"), folder)
    assert again["received"] == PACKETS + 2, "the ledger of a replay is its own, not the sum of all"


def test_replay_into_a_running_demo_does_not_wait_for_its_devices(stack: Stack, tmp_path: Path) -> None:
    assert stack.kafka
    folder = tmp_path / "city"
    with demo(folder) as process:
        ready(process)
        check(replay(recording(tmp_path / "positions.hex"), folder))
