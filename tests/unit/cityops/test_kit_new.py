"""A new connector keeps the contract at once, whatever its transport and kind, and installs outside our tree."""

from __future__ import annotations

import asyncio
import importlib.util
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from cityops.connector_kit import conformance, find, new
from connectors._api import registry
from schemas.errors import Fatal, Retry
from schemas.kinds import all_kinds
from tests.conftest import REPO

KINDS = [name for name, cls in all_kinds().items() if cls.domain not in ("derived", "rejects")]
FORMS = [
    ("tcp", False),
    ("tcp", True),
    ("udp", False),
    ("file", True),
    ("mqtt", False),
    ("http_push", False),
    ("http_push", True),
    ("http_poll", False),
    ("client", False),
]


@pytest.fixture(autouse=True)
def import_path() -> Iterator[None]:
    """Forget the folders that ``find`` put on the import path."""
    before = list(sys.path)
    yield
    sys.path[:] = before


def made(folder: Path, name: str, transport: str, kind: str, *, text: bool) -> Path:
    order = new.Order(name, transport, kind, text=text, into=folder)
    assert order.folder / "connector.toml" in new.make(order)
    return order.folder


@pytest.mark.parametrize(("transport", "text"), FORMS)
def test_it_passes_every_check_before_anything_is_changed(tmp_path: Path, transport: str, text: bool) -> None:
    for number, kind in enumerate(KINDS[:: len(KINDS) // 5]):
        connector = find.connector(str(made(tmp_path, f"new_{transport}_{text:d}_{number}", transport, kind, text=text)))
        assert connector.manifest.kinds == [kind]
        for _, check in conformance.CHECKS.values():
            check(connector)


@pytest.mark.parametrize("kind", KINDS)
def test_it_carries_every_kind(tmp_path: Path, kind: str) -> None:
    for transport, text in (("tcp", False), ("tcp", True), ("http_push", False)):
        connector = find.connector(str(made(tmp_path, f"of_{kind}_{transport}_{text:d}", transport, kind, text=text)))
        conformance.check_golden(connector)
        conformance.check_readings_fit_their_kind(connector)


def ruff(folder: Path, *arguments: str) -> str:
    """Give ruff's complaints about a folder, nothing where there are none."""
    command = [sys.executable, "-m", "ruff", *arguments, "."]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.mark.parametrize(("transport", "text"), [("tcp", False), ("tcp", True), ("http_poll", False), ("client", False)])
def test_its_code_is_clean_and_its_own_tests_pass(tmp_path: Path, transport: str, text: bool) -> None:
    name = f"clean_{transport}_{text:d}"
    made(tmp_path, name, transport, "streetlight", text=text)
    assert ruff(tmp_path, "check", "--isolated", "--line-length", "130", "--select", "E,F,I,UP,B") == ""
    assert ruff(tmp_path, "format", "--check", "--isolated", "--line-length", "130") == ""
    sys.path.insert(0, str(tmp_path))
    spec = importlib.util.spec_from_file_location(f"tests_of_{name}", tmp_path / "tests" / f"test_{name}_round_trip.py")
    assert spec is not None and spec.loader is not None
    tests = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tests)
    tests.test_what_the_encoder_writes_the_decoder_reads()


def test_outside_our_tree_it_is_a_package_with_an_entry_point(tmp_path: Path) -> None:
    made(tmp_path, "lampline", "tcp", "streetlight", text=True)
    project = tomllib.loads((tmp_path / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["entry-points"][registry.ENTRY_POINTS] == {"lampline": "lampline"}
    assert find.connector(str(tmp_path)).type == "lampline", "the folder above it names it too"
    made(tmp_path, "gateline", "udp", "gas_node", text=False)
    assert "lampline" in (tmp_path / "pyproject.toml").read_text(encoding="utf-8"), "a package that is there is left alone"


def test_among_our_own_it_names_no_template_and_is_clean_by_our_rules(tmp_path: Path) -> None:
    order = new.Order("gb99999", "tcp", "gas_node")
    files = new.contents(order)
    assert order.folder.parent == registry.ROOT
    assert [name for name, text in files.items() if "_template" in text] == []
    assert "from connectors.gb99999.encoder import" in files["decoder.py"]
    assert new.beside(order) == {}, "nothing of it stands outside its folder"
    assert "| setting | type |" in files["README.md"], "the generated part is there from the beginning"
    for name, text in files.items():
        path = tmp_path / "connectors" / "gb99999" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    settings = str(REPO / "pyproject.toml")
    assert ruff(tmp_path, "check", "--config", settings) == ""
    assert ruff(tmp_path, "format", "--check", "--config", settings) == ""


@pytest.mark.parametrize(
    ("order", "words"),
    [
        (new.Order("Jt-808", "tcp", "gas_node"), "small letters"),
        (new.Order("class", "tcp", "gas_node"), "small letters"),
        (new.Order("jt808", "tcp", "gas_node"), "there already"),
        (new.Order("x1", "pigeon", "gas_node"), "give one of tcp"),
        (new.Order("x1", "tcp", "window"), "give one of bike_station"),
        (new.Order("x1", "http_poll", "gas_node", text=True), "leave it out"),
        (new.Order("json", "tcp", "gas_node", into=Path("elsewhere")), "Python package"),
    ],
)
def test_what_cannot_be_made_is_told_before_anything_is_written(order: new.Order, words: str) -> None:
    with pytest.raises(Fatal, match=words):
        new.make(order)
    assert order.name == "jt808" or not order.folder.exists()


def test_a_folder_that_is_no_connector_is_told(tmp_path: Path) -> None:
    with pytest.raises(Fatal, match="no connector"):
        find.connector(str(tmp_path))


async def test_the_client_gives_lines_and_says_when_the_other_side_is_away(tmp_path: Path) -> None:
    connector = find.connector(str(made(tmp_path, "byline", "client", "gas_node", text=False)))
    packets = importlib.import_module("byline.client").packets

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'{"a": 1}\n{"b": 2}\n')
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    settings = connector.manifest.resolve({"address": address}, "test")
    async with server, aclosing(packets(settings, lambda: 0)) as lines:
        found = [await anext(lines), await anext(lines)]
        with pytest.raises(Retry, match="closed"):
            await anext(lines)
    assert found == [(b'{"a": 1}', address), (b'{"b": 2}', address)]
    with pytest.raises(Retry, match=address):
        await anext(packets(settings, lambda: 0))
