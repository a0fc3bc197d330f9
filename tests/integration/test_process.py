"""Child processes: they stop when asked, are killed when they do not, and never outlive us."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from cityops.process import Process
from cityops.unprivileged import Way, choose, enter_namespace, works
from schemas.errors import Fatal
from tests.conftest import REPO

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"


def python(name: str, code: str, folder: Path) -> Process:
    return Process(name, [sys.executable, "-c", code], run=folder, logs=folder)


def wait_for(path: Path, text: str) -> None:
    deadline = time.monotonic() + 30
    while not path.exists() or text not in path.read_text(encoding="utf-8"):
        assert time.monotonic() < deadline, f"{path} never said {text!r}"
        time.sleep(0.02)


def wait_gone(pid: int) -> None:
    deadline = time.monotonic() + 30
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, f"process {pid} is still there"
        time.sleep(0.02)


def test_a_process_that_ignores_the_request_is_killed(tmp_path: Path) -> None:
    process = python("stubborn", STUBBORN, tmp_path)
    process.start()
    wait_for(process.log, "up")
    assert process.pid_file.read_text(encoding="ascii").strip() == str(process.pid)
    assert process.stop(0.1) == -signal.SIGKILL
    assert process.pid is None and not process.pid_file.exists()


def test_exit_status_and_last_words_are_kept(tmp_path: Path) -> None:
    process = python("brief", "print('one'); print('two'); raise SystemExit(70)", tmp_path)
    process.start()
    deadline = time.monotonic() + 30
    while process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert process.poll() == 70
    assert process.tail(1) == "two"


def test_a_program_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(Fatal, match="cannot run /no/such/program"):
        Process("none", ["/no/such/program"], run=tmp_path, logs=tmp_path).start()


def test_a_leftover_is_ended_only_if_it_is_ours(tmp_path: Path) -> None:
    left = python("left", STUBBORN, tmp_path)
    left.start()
    wait_for(left.log, "up")
    pid = left.pid
    assert pid is not None
    newer = python("left", STUBBORN, tmp_path)
    newer.end_leftover("another program", grace_s=0.1)
    assert psutil.pid_exists(pid)
    newer.end_leftover("signal.SIG_IGN", grace_s=0.1)
    wait_gone(pid)
    left.stop(10)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's death signal is Linux's")
def test_children_die_with_us_even_after_kill_9(tmp_path: Path) -> None:
    code = f"""
import time
from pathlib import Path
from cityops.process import Process
child = Process("child", ["sleep", "600"], run=Path({str(tmp_path)!r}), logs=Path({str(tmp_path)!r}))
child.start()
print(child.pid, flush=True)
time.sleep(600)
"""
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=REPO)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    os.kill(parent.pid, signal.SIGKILL)
    parent.communicate(timeout=10)
    wait_gone(child)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another identity")
def test_root_runs_programs_as_someone_else_in_a_closed_folder(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    if not works(Way(enter=enter_namespace), Path("/bin/true"), closed):
        pytest.skip("user namespaces are forbidden here")
    way = choose(closed, Path("/bin/true"))
    assert way.run(["id", "-u"], closed).stdout.strip() != "0"
    assert way.run(["touch", str(closed / "mine")], closed).returncode == 0
    assert (closed / "mine").stat().st_uid == 0
    assert closed.stat().st_mode & 0o777 == 0o700
