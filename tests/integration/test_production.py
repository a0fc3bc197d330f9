"""The settings and commands of docker-compose.yml start every process, and its health checks find them well."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from cityops import settings
from cityops.place import free_port
from schemas.config import load
from tests.contract.checks import REPO, compose

pytestmark = pytest.mark.stack

FILE = compose.read(REPO / "docker-compose.yml")
PORTS = re.compile(r"\b(7808|6212|8808|910[1-4])\b")
START_S = 90.0
STOP_S = 30.0


class Machine:
    """This machine in the place of compose: the same settings, commands and health checks on free ports of the loopback."""

    def __init__(self, folder: Path, kafka: str, database: str) -> None:
        self._folder = folder
        self._ports: dict[str, str] = {}
        self.env = os.environ | {settings.KAFKA: kafka, settings.DATABASE: database}
        text = (REPO / "cityops.example.toml").read_text(encoding="utf-8").replace("0.0.0.0", "127.0.0.1")
        self.settings = folder / "cityops.toml"
        self.settings.write_text(self.moved(text), encoding="utf-8")

    def moved(self, text: str) -> str:
        """Give a text with every port of the settings replaced by its free one."""
        return PORTS.sub(lambda m: self._ports.setdefault(m[0], str(free_port())), text)

    def command(self, service: str) -> list[str]:
        """Give a service's command."""
        given = [str(self.settings) if a.endswith(".toml") else a for a in compose.services(FILE)[service]["command"]]
        return [sys.executable, "-m", "cityops", *given, "--data-dir", str(self._folder / service)]

    @contextmanager
    def running(self, service: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run a service; it is asked to stop at the end and must do so in order."""
        with (self._folder / f"{service}.log").open("wb") as log:
            process = subprocess.Popen(
                self.command(service), env=self.env, cwd=self._folder, stdout=log, stderr=subprocess.STDOUT
            )
            try:
                yield process
                process.terminate()
                assert process.wait(STOP_S) == 0, self.log(service)
            finally:
                process.kill()
                process.wait()

    def log(self, service: str) -> str:
        """Give the last words of a service."""
        return (self._folder / f"{service}.log").read_text(encoding="utf-8", errors="replace")[-2000:]

    def healthy(self, service: str, process: subprocess.Popen[bytes]) -> bytes:
        """Wait until the service's own health check passes; give what it answered."""
        (url,) = re.findall(r"http://[^']+", " ".join(compose.services(FILE)[service]["healthcheck"]["test"]))
        return answer(self.moved(url), lambda: process.poll() is None, lambda: self.log(service))

    def metrics(self, port: int) -> str:
        """Give what Prometheus would scrape at a port of the example settings."""
        return answer(f"http://127.0.0.1:{self.moved(str(port))}/metrics", lambda: True, str).decode()


def answer(url: str, alive: Callable[[], bool], words: Callable[[], str]) -> bytes:
    """Ask until there is an answer of success."""
    deadline = time.monotonic() + START_S
    while True:
        try:
            with urllib.request.urlopen(url, timeout=4) as found:  # noqa: S310 - http to the loopback
                body: bytes = found.read()
                return body
        except (urllib.error.URLError, OSError):
            assert alive(), words()
            assert time.monotonic() < deadline, f"{url}: {words()}"
            time.sleep(0.2)


def test_every_process_starts_from_the_production_settings_and_stops_in_order(kafka: str, database: str, tmp_path: Path) -> None:
    machine = Machine(tmp_path, kafka, database)
    ports = load(REPO / "cityops.example.toml").metrics_ports
    migrate = subprocess.run(
        machine.command("migrate"), env=machine.env, capture_output=True, text=True, timeout=120, check=False
    )
    assert migrate.returncode == 0, migrate.stderr
    assert re.search(r"user admin, password \S{16}", migrate.stdout)
    again = subprocess.run(machine.command("migrate"), env=machine.env, capture_output=True, text=True, timeout=120, check=False)
    assert (again.returncode, again.stdout) == (0, "没有变更 / nothing to do\n")
    with ExitStack() as stack:
        running = {name: stack.enter_context(machine.running(name)) for name in ports}
        for name, process in running.items():
            assert machine.healthy(name, process)
        for port in ports.values():
            assert "cityops_" in machine.metrics(port)
