"""docker-compose.yml, Dockerfile and cityops.example.toml agree with each other and with the program."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from cityops import cli, settings
from cityops.connector_list import configured
from cityops.kafka import ENDPOINT
from connectors._api import registry
from connectors._host.options import split
from connectors._host.tcp import address
from schemas.config import Config, load
from tests.contract.checks import REPO, compose

FILE = compose.read(REPO / "docker-compose.yml")
DOCKERFILE = (REPO / "Dockerfile").read_text(encoding="utf-8")
SETTINGS: Config = load(REPO / "cityops.example.toml")
COMMANDS = {c.name or c.callback.__name__ for c in cli.app.registered_commands if c.callback}
VARIABLES = {settings.KAFKA, settings.DATABASE, settings.DATA}


def test_docker_would_accept_the_file_and_nothing_is_open_by_default() -> None:
    assert compose.complaints(FILE, REPO) == []
    assert {"kafka", "timescaledb", "prometheus", "grafana"} < set(compose.services(FILE))


def test_our_services_run_commands_and_read_variables_that_exist() -> None:
    assert {"connect", "stream", "store", "gateway", "migrate"} == set(compose.ours(FILE))
    assert compose.command_complaints(FILE, COMMANDS, VARIABLES) == []


def test_only_the_page_grafana_and_device_ports_are_published() -> None:
    found = {name: sorted(inside for _, _, inside in compose.published(s)) for name, s in compose.services(FILE).items()}
    listens = [
        str(address(str(t["listen"]), None)[1]) for t in SETTINGS.connectors.values() if "listen" in t and t.get("enabled", True)
    ]
    assert {n: p for n, p in found.items() if p} == {
        "connect": sorted(listens),
        "gateway": [str(SETTINGS.gateway.port)],
        "grafana": ["3000"],
    }


def test_the_example_settings_are_complete_and_every_connector_takes_its_table() -> None:
    assert {name for name, _ in configured(SETTINGS)} == {"jt808", "hj212"}
    for name, table in SETTINGS.connectors.items():
        split(registry.load(str(table.get("type", name))), table, name)
    given = tomllib.loads((REPO / "cityops.example.toml").read_text(encoding="utf-8"))
    assert "url" not in given["database"], "the connection string holds a password; it comes from the environment"
    assert SETTINGS.metrics_host == SETTINGS.gateway.host == "0.0.0.0"


def test_prometheus_scrapes_the_metrics_ports_of_the_settings() -> None:
    prometheus = yaml.safe_load((REPO / "grafana/prometheus.yml").read_text(encoding="utf-8"))
    assert compose.target_complaints(prometheus, FILE, SETTINGS.metrics_ports) == []


def test_healthchecks_ask_the_ports_of_the_settings() -> None:
    ports = {n: p for n, p in SETTINGS.metrics_ports.items() if n != "gateway"} | {"gateway": SETTINGS.gateway.port}
    for name, port in ports.items():
        test = " ".join(compose.services(FILE)[name]["healthcheck"]["test"])
        assert re.findall(r"127\.0\.0\.1:(\d+)", test) == [str(port)], name


def test_production_runs_the_kafka_that_the_tests_run() -> None:
    version = re.search(r"kafka_[\d.]+:([\d.]+)", ENDPOINT)
    assert version is not None
    assert compose.services(FILE)["kafka"]["image"] == f"apache/kafka:{version[1]}"


def test_the_dockerfile_copies_what_there_is_and_runs_as_nobody_special() -> None:
    ignore = (REPO / ".dockerignore").read_text(encoding="utf-8")
    assert compose.dockerfile_complaints(DOCKERFILE, ignore, REPO) == []
    packages = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert set(packages["packages"]) <= set(compose.copies(DOCKERFILE))


def test_the_image_gets_the_pinned_packages_the_program_needs_and_no_tools(tmp_path: Path) -> None:
    target = tmp_path / "runtime.txt"
    command = [sys.executable, "-", "pyproject.toml", "constraints.txt", str(target)]
    subprocess.run(command, input=compose.runtime_script(DOCKERFILE), text=True, cwd=REPO, check=True, timeout=60)
    picked = target.read_text(encoding="utf-8")
    project = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {line.partition("==")[0] for line in picked.splitlines() if "==" in line}
    wanted = {re.split(r"[\[><=;, ]", d)[0] for d in project["dependencies"]}
    tools = {re.split(r"[\[><=;, ]", d)[0] for extra in project["optional-dependencies"].values() for d in extra}
    assert wanted <= names
    assert names & (tools - wanted) <= {"packaging"}
    assert set(picked.splitlines()) <= set((REPO / "constraints.txt").read_text(encoding="utf-8").splitlines())


@pytest.mark.parametrize("path", [".env", "cityops.toml"])
def test_files_with_secrets_stay_out_of_git_and_of_the_image(path: str) -> None:
    assert subprocess.run(["git", "check-ignore", "-q", path], cwd=REPO, check=False).returncode == 0
    assert f"!{path}" not in (REPO / ".dockerignore").read_text(encoding="utf-8").splitlines()
