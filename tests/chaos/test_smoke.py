"""The harness itself on the real stack: three faults, then the comparison; also that nothing of it stays behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.conftest import REPO

pytestmark = [
    pytest.mark.stack,
    pytest.mark.skipif(os.environ.get("REQUIRE_STACK") != "1", reason="starts the whole stack twice; set REQUIRE_STACK=1"),
]
SMOKE = [sys.executable, "-m", "tests.chaos", "--schedule", "tests/chaos/smoke.toml", "--terminals", "40"]


def left_over(work: str) -> list[str]:
    """Name living processes whose arguments speak of a folder."""
    return [
        " ".join(p.info["cmdline"])[:200]
        for p in psutil.process_iter(["cmdline"])
        if any(work in a for a in p.info["cmdline"] or ())
    ]


def test_three_faults_lose_double_and_change_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [*SMOKE, "--out", str(tmp_path / "chaos.json")], cwd=REPO, env=os.environ | {"TMPDIR": str(tmp_path)},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    told = json.loads((tmp_path / "chaos.json").read_text())
    assert (told["lost"], told["doubled"], told["differs_from_fault_free"]) == (0, 0, 0)
    assert [(f["target"], f["fault"]) for f in told["faults"]] == [("connect", "kill"), ("stream-0", "kill"), ("kafka", "stop")]
    assert told["with_faults"]["restarts"]["connect"] == told["with_faults"]["restarts"]["kafka"] == 1
    assert sum(told["rows_compared"].values()) > 1000
    assert "lost 0" in done.stdout.splitlines()[-1]
    assert left_over(str(tmp_path)) == []


def test_interrupting_a_run_ends_all_that_it_started(tmp_path: Path) -> None:
    run = subprocess.Popen(
        [*SMOKE, "--out", str(tmp_path / "chaos.json")], cwd=REPO, env=os.environ | {"TMPDIR": str(tmp_path)},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 120
        while not any("cityops connect" in line for line in left_over(str(tmp_path))):
            assert run.poll() is None
            assert time.monotonic() < deadline, "connect was never started"
            time.sleep(0.2)
        run.send_signal(signal.SIGINT)
        assert run.wait(timeout=120) == 130
    finally:
        run.kill()
        run.wait()
    assert left_over(str(tmp_path)) == []
    assert not list(tmp_path.glob("cityops-chaos-*"))
