"""The demo as a person runs it: it gets ready, survives kill -9 of its parts, stops by itself, and its ledger balances."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from schemas.kinds import all_kinds
from tests.conftest import REPO
from tests.integration.stack import Stack

READY_S = 240.0
KINDS = {name for name, kind in all_kinds().items() if kind.__module__ != "schemas.kinds.derived"}
"""What sources send; the other kinds are made of these."""
CHILDREN = ("kafka", "postgres", "stream", "store", "serve", "connect", "simulate")


@contextmanager
def demo(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "cityops", "demo", "--headless", "--json", "--data-dir", str(folder), *arguments]
    process = subprocess.Popen(command, cwd=REPO, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(90)
            except subprocess.TimeoutExpired:
                process.kill()
        process.communicate()


def ready(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, process.stderr.read() if process.stderr else ""
    found: dict[str, Any] = json.loads(line)["ready"]
    return found


def pid(folder: Path, part: str) -> int:
    return int((folder / "run" / f"{part}.pid").read_text(encoding="ascii"))


def wait_replaced(folder: Path, part: str, old: int) -> None:
    deadline = time.monotonic() + 60
    while pid(folder, part) == old:
        assert time.monotonic() < deadline, f"{part} was not started again"
        time.sleep(0.1)


def gone(pids: list[int]) -> bool:
    deadline = time.monotonic() + 40
    while any(psutil.pid_exists(p) and psutil.Process(p).status() != psutil.STATUS_ZOMBIE for p in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


@pytest.fixture
def folder(tmp_path: Path, stack: Stack) -> Path:
    """A data folder; the session's stack proves that embedded parts can run here."""
    assert stack.kafka
    return tmp_path / "city"


def test_nothing_is_lost_or_doubled_when_parts_are_killed(folder: Path) -> None:
    with demo(folder, "--for", "45") as process:
        told = ready(process)
        assert told.keys() == {"url", "user", "password"}
        assert urllib.request.urlopen(f"{told['url']}readyz", timeout=10).status == 200  # noqa: S310 - the loopback
        for part in ("stream", "store", "connect", "kafka"):
            old = pid(folder, part)
            os.kill(old, signal.SIGKILL)
            wait_replaced(folder, part, old)
        out, err = process.communicate(timeout=400)
        book = json.loads(out.splitlines()[-1])["ledger"]
        assert process.returncode == 0, (book, err)
    assert (book["lost"], book["in_flight"]) == (0, 0)
    assert book["stored"] > 1000
    truth = json.loads((folder / "simulator" / "ground-truth.json").read_text(encoding="utf-8"))
    taken: Counter[str] = Counter()
    for row in book["by"]:
        taken[row["connector"]] += row["stored"] + row["duplicates"] + row["rejected"]
    why = "a device was told that a reading is safe, and it is not stored"
    assert taken["jt808"] + taken["hj212"] >= truth["totals"]["acked"], why
    for name, department in truth["departments"].items():
        assert taken[name] >= department["acked"], f"{name}: {why}"


def test_every_kind_is_alive_and_every_connector_live(folder: Path) -> None:
    with demo(folder, "--for", "75") as process:
        ready(process)
        time.sleep(60.0)  # the promise is that every department is seen within a minute
        shown = subprocess.run(
            [sys.executable, "-m", "cityops", "connectors", "--json", "--data-dir", str(folder)],
            cwd=REPO, capture_output=True, text=True, check=True,
        )  # fmt: skip
        out, err = process.communicate(timeout=400)
        book = json.loads(out.splitlines()[-1])["ledger"]
        assert process.returncode == 0, (book, err)
    spoken = json.loads((folder / "simulator" / "ground-truth.json").read_text(encoding="utf-8"))["departments"]
    states = {row["name"]: row["state"] for row in json.loads(shown.stdout)}
    configured = {"jt808", "hj212", "gbfs", "datex2", "gtfs_realtime", *spoken}
    assert {name: states.get(name) for name in configured if states.get(name) != "live"} == {}
    rows = {row["kind"] for row in book["by"] if row["stored"]}
    assert sorted(KINDS - rows) == []
    labels = (folder / "simulator" / "ground-truth.jsonl").read_text(encoding="utf-8").splitlines()
    assert len({json.loads(line)["fault"] for line in labels}) >= 30


def test_a_signal_stops_everything_and_the_folder_can_be_used_again(folder: Path) -> None:
    with demo(folder) as process:
        first = ready(process)
        pids = [pid(folder, part) for part in CHILDREN]
        process.terminate()
        assert process.wait(90) == 0
        assert gone(pids)
        assert not list((folder / "run").glob("*.pid"))
    with demo(folder) as process:
        again = ready(process)
        assert again == first, "the same page and the same password"
        pids = [pid(folder, part) for part in CHILDREN]
        process.kill()
        process.wait(10)
        assert gone(pids), "children outlived a kill -9 of the demo"
