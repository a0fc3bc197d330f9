"""Every installed connector keeps the contract, and every check here catches a planted error."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cityops.connector_kit import conformance as suite
from connectors._api import golden, manifest, registry
from connectors._api.registry import Connector
from connectors._api.session import Received, Reply
from connectors._api.spans import Span
from connectors._template import decoder, framing
from schemas.errors import Reject

TEMPLATE = Connector(
    type="_template",
    package="connectors._template",
    path=registry.ROOT / "_template",
    manifest=manifest.read(registry.ROOT / "_template" / "connector.toml"),
    make_session=decoder.Session,
    make_framing=framing.Framing,
)
NAMES = ["_template", *registry.installed()]
fuzz = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(params=NAMES)
def connector(request: pytest.FixtureRequest) -> Connector:
    return TEMPLATE if request.param == "_template" else registry.load(request.param)


def test_template_is_not_installed() -> None:
    assert "_template" not in registry.installed()
    assert all(not name.startswith("_") for name in registry.installed())


@pytest.mark.parametrize("check", suite.CHECKS)
def test_contract(connector: Connector, check: str) -> None:
    suite.CHECKS[check][1](connector)


@fuzz
@given(chunks=st.lists(st.integers(1, 40), min_size=1, max_size=8))
def test_any_split_of_the_stream_gives_the_same_packets(connector: Connector, chunks: list[int]) -> None:
    suite.check_splits(connector, chunks)


@fuzz
@given(content=st.binary(max_size=300), origin=st.sampled_from(["", "https://feed.example/gbfs.json", "a.pb"]))
def test_any_bytes_are_refused_or_decoded(connector: Connector, content: bytes, origin: str) -> None:
    suite.check_bytes(connector, content, origin)


@fuzz
@given(chance=st.data())
def test_golden_packets_with_a_stretch_replaced_are_refused_or_decoded(connector: Connector, chance: st.DataObject) -> None:
    steps = [(s, golden.packet(s, connector.path)) for c in golden.cases(connector.path).values() for s in c.steps]
    step, content = chance.draw(st.sampled_from(steps))
    start = chance.draw(st.integers(0, len(content)))
    end = chance.draw(st.integers(start, min(start + 20, len(content))))
    stretch = chance.draw(
        st.one_of(st.binary(max_size=30), st.sampled_from([b"\xff" * 8, b"\x00" * 8, b"9" * 30, b"-1", b"1e999"]))
    )
    suite.check_bytes(connector, content[:start] + stretch + content[end:], step.origin)


# Planted errors: each check must catch the one made for it.


class Wrapped:
    """A session of the template with one fault."""

    def __init__(self, given: manifest.Settings, peer: Any) -> None:
        self.inner = decoder.Session(given, peer)

    def start(self, now: int) -> Received:
        return self.inner.start(now)

    def tick(self, now: int) -> Received:
        return self.inner.tick(now)

    def receive(self, packet: bytes, seen_at: int, origin: str = "") -> Received:
        return self.spoil(self.inner.receive(packet, seen_at, origin))

    def spoil(self, received: Received) -> Received:
        return received


class DropsReplies(Wrapped):
    def spoil(self, received: Received) -> Received:
        return msgspec.structs.replace(received, replies=())


class ReadsWrongly(Wrapped):
    def spoil(self, received: Received) -> Received:
        return msgspec.structs.replace(received, readings=[msgspec.structs.replace(r, pm10=51.0) for r in received.readings])


class AcknowledgesEarly(Wrapped):
    def spoil(self, received: Received) -> Received:
        return msgspec.structs.replace(received, replies=[Reply(r.data, "now") for r in received.replies])


class OutOfBounds(Wrapped):
    def spoil(self, received: Received) -> Received:
        return msgspec.structs.replace(received, readings=[msgspec.structs.replace(r, noise=900.0) for r in received.readings])


class Restamps(Wrapped):
    def spoil(self, received: Received) -> Received:
        return msgspec.structs.replace(received, readings=[msgspec.structs.replace(r, seen_at=1) for r in received.readings])


class Crashes(Wrapped):
    def receive(self, packet: bytes, seen_at: int, origin: str = "") -> Received:
        packet.split(b",")[2]
        return super().receive(packet, seen_at, origin)


class LeavesTimeOut(Wrapped):
    def spoil(self, received: Received) -> Received:
        return msgspec.structs.replace(received, readings=[msgspec.structs.replace(r, ts=None) for r in received.readings])


class SplitsAtChunks(framing.Framing):
    """Takes each chunk for a whole line."""

    def feed(self, data: bytes) -> list[bytes | Reject]:
        return [*super().feed(data), *self.flush()]


class NeverRecovers(framing.Framing):
    """Gives nothing after the first bad line."""

    bad = False

    def feed(self, data: bytes) -> list[bytes | Reject]:
        found = [] if self.bad else super().feed(data)
        self.bad = self.bad or any(isinstance(p, Reject) for p in found)
        return found


class KeepsNoCheckCode(framing.Framing):
    """Hands lines on whole, so that fields reach the decoder unchecked."""

    def flush(self) -> list[bytes | Reject]:
        line = bytes(self._buffer)
        self._buffer.clear()
        return [line.strip(b"\r#").rpartition(b"*")[0]] if line else []


def with_session(session: Any, cut: Any = framing.Framing) -> Connector:
    return dataclasses.replace(TEMPLATE, make_session=session, make_framing=cut)


@pytest.mark.parametrize(
    ("check", "session"),
    [
        (suite.check_golden, DropsReplies),
        (suite.check_golden, ReadsWrongly),
        (suite.check_replies_wait_for_readings, AcknowledgesEarly),
        (suite.check_readings_fit_their_kind, OutOfBounds),
        (suite.check_readings_fit_their_kind, Restamps),
        (suite.check_damaged_packets, LeavesTimeOut),
    ],
)
def test_planted_session_is_caught(check: Callable[[Connector], None], session: type) -> None:
    with pytest.raises(AssertionError):
        check(with_session(session))


def test_planted_crash_is_caught() -> None:
    with pytest.raises(AssertionError, match="IndexError"):
        suite.check_damaged_packets(with_session(Crashes, KeepsNoCheckCode))
    with pytest.raises((AssertionError, IndexError)):
        suite.check_bytes(with_session(Crashes), b"abc", "")


def test_planted_framing_is_caught() -> None:
    with pytest.raises(AssertionError, match="split"):
        suite.check_splits(with_session(decoder.Session, SplitsAtChunks), [5])
    with pytest.raises(AssertionError, match="lost the packets"):
        suite.check_framing_recovers(with_session(decoder.Session, NeverRecovers))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    target = tmp_path / "_template"
    shutil.copytree(TEMPLATE.path, target, ignore=shutil.ignore_patterns("__pycache__"))
    return target


@pytest.mark.parametrize(
    "source",
    [
        "import socket",
        "from time import time",
        "from connectors.jt808 import decoder",
        "from connectors import _host",
        "import storage",
    ],
)
def test_planted_import_is_caught(folder: Path, source: str) -> None:
    suite.check_purity(dataclasses.replace(TEMPLATE, path=folder))
    (folder / "extra.py").write_text(f'"""Reaches out."""\n\n{source}\n')
    with pytest.raises(AssertionError, match="imports"):
        suite.check_purity(dataclasses.replace(TEMPLATE, path=folder))


@pytest.mark.parametrize(
    ("file", "content", "check"),
    [
        ("README.md", "# Something else\n", suite.check_readme),
        ("mapping.toml", '[dust_station]\npm11 = { from = "PM10" }\n', suite.check_mapping),
        ("mapping.toml", '[bus_position]\nspeed = { from = "PM10" }\n', suite.check_mapping),
    ],
)
def test_planted_file_is_caught(folder: Path, file: str, content: str, check: Callable[[Connector], None]) -> None:
    (folder / file).write_text(content)
    with pytest.raises(AssertionError):
        check(dataclasses.replace(TEMPLATE, path=folder))


@pytest.mark.parametrize("expected", ["readings", "rejects"])
def test_planted_golden_without_good_or_refused_is_caught(folder: Path, expected: str) -> None:
    for path in (folder / "golden").glob("*.json"):
        case = json.loads(path.read_text())
        case["steps"] = [{k: v for k, v in s.items() if k != expected} for s in case["steps"]]
        path.write_text(json.dumps(case))
    with pytest.raises(AssertionError):
        suite.check_golden_has_good_and_refused(dataclasses.replace(TEMPLATE, path=folder))


@pytest.mark.parametrize(
    "change",
    [
        {"standard": " "},
        {"delivery": "yes"},
        {"kinds": []},
        {"default_port": None},
        {"name": manifest.Label("", "x")},
        {"transport": "pigeon post"},
        {"settings": {"listen": manifest.Setting(type="str", zh="地址", en="Address")}},
        {"settings": {"x": manifest.Setting(type="str", zh="", en="X")}},
    ],
)
def test_planted_manifest_is_caught(change: dict[str, Any]) -> None:
    with pytest.raises(AssertionError):
        suite.check_manifest(dataclasses.replace(TEMPLATE, manifest=msgspec.structs.replace(TEMPLATE.manifest, **change)))


def crash(packet: bytes, settings: Any) -> list[Span]:
    raise IndexError(len(packet))


@pytest.mark.parametrize(
    "explain",
    [
        lambda packet, settings: [Span(0, len(packet) + 1, "too long")],
        lambda packet, settings: [Span(2, 3, "second"), Span(0, 1, "first")] if len(packet) > 3 else [],
        crash,
    ],
)
def test_planted_explain_is_caught(monkeypatch: pytest.MonkeyPatch, explain: Callable[..., list[Span]]) -> None:
    suite.check_explain(TEMPLATE)
    monkeypatch.setattr(registry, "offered", lambda *_: explain)
    with pytest.raises(suite.Flaw):
        suite.check_explain(TEMPLATE)


def test_only_the_client_may_reach_out(folder: Path) -> None:
    (folder / "client.py").write_text('"""Wraps a library."""\n\nimport asyncio\nimport socket\n')
    suite.check_purity(dataclasses.replace(TEMPLATE, path=folder))
    (folder / "client.py").write_text('"""Wraps another connector."""\n\nfrom connectors.jt808 import decoder\n')
    with pytest.raises(AssertionError, match="imports"):
        suite.check_purity(dataclasses.replace(TEMPLATE, path=folder))


@pytest.mark.parametrize("check", [suite.check_any_bytes, suite.check_any_split])
def test_planted_faults_are_caught_without_a_test_framework(check: Callable[[Connector], None]) -> None:
    check(TEMPLATE)
    with pytest.raises(AssertionError):
        check(with_session(Crashes, KeepsNoCheckCode if check is suite.check_any_bytes else SplitsAtChunks))
