"""What every connector must keep; each check takes a connector and raises ``AssertionError`` saying what is wrong."""

from __future__ import annotations

import ast
import math
import random
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from connectors._api import golden
from connectors._api.manifest import Settings
from connectors._api.registry import Connector
from connectors._api.session import Peer, Received, Session, describe
from connectors._host.files import cut
from connectors._host.options import BY_TRANSPORT, OWN_KEYS
from schemas.derive import violations
from schemas.errors import Reject
from schemas.frame import from_readings
from schemas.kinds import kind as kind_by_name
from schemas.reading import kind_of

BANNED = {"asyncio", "socket", "os", "time", "threading", "subprocess", "faust", "asyncpg", "aiokafka", "aiohttp"}
NOW = 1_793_491_200_000_000
CUTS, MUTATIONS = 60, 120
"""How many cuts and changed bytes of one packet are tried."""
LARGEST = 20_000
"""Only so many first bytes of a packet are cut and changed."""


def at(text: str) -> int:
    """Give the microseconds of an RFC 3339 time."""
    return round(datetime.fromisoformat(text).timestamp() * 1e6)


def session_of(connector: Connector, settings: Settings) -> Session:
    made = connector.make_session(settings, Peer("test"))
    made.start(NOW)
    return made


def run(connector: Connector, settings: Settings, session: Session, content: bytes, seen_at: int, origin: str) -> list[Received]:
    """Decode one input; ``Reject`` becomes a result, anything else is a fault of the connector."""
    results = []
    for packet in cut(connector.make_framing, settings, content):
        if isinstance(packet, Reject):
            results.append(Received(rejects=(packet,)))
            continue
        try:
            results.append(session.receive(packet, seen_at, origin))
        except Reject as reject:
            results.append(Received(rejects=(reject,)))
        except Exception as error:
            msg = f"{connector.type}: {error!r} on {packet[:200].hex()}"
            raise AssertionError(msg) from error
    return results


def cases(connector: Connector) -> dict[str, golden.Case]:
    return golden.cases(connector.path)


def settings_of(connector: Connector, case: golden.Case | None = None) -> Settings:
    return connector.manifest.resolve(case.settings if case else {}, "golden")


def steps(connector: Connector) -> Iterator[tuple[str, golden.Case, Settings, Session, golden.Step, bytes]]:
    """Walk all golden steps, a fresh session for each case."""
    for name, case in cases(connector).items():
        settings = settings_of(connector, case)
        session = session_of(connector, settings)
        for number, step in enumerate(case.steps, 1):
            yield f"{name} step {number}", case, settings, session, step, golden.packet(step, connector.path)


def check_golden(connector: Connector) -> None:
    """Every golden step brings exactly what it says."""
    for where, case, settings, session, step, content in steps(connector):
        results = [describe(r) for r in run(connector, settings, session, content, at(case.seen_at), step.origin)]
        message = next((r["message"] for r in results if r["message"] is not None), None)
        if step.message is not None:
            assert message is not None, f"{where}: no message"
            assert not (flaw := differs(step.message, message)), f"{where}: message {flaw}"
        readings = [reading for r in results for reading in r["readings"]]
        assert len(readings) == len(step.readings), f"{where}: {len(readings)} readings, expected {len(step.readings)}"
        for expected, reading in zip(step.readings, readings, strict=True):
            assert not (flaw := differs(expected, reading)), f"{where}: reading {flaw}"
        replies = [reply for r in results for reply in r["replies"]]
        assert replies == [r.upper().replace(" ", "") for r in step.replies], f"{where}: replies {replies}"
        assert [x["reason"] for r in results for x in r["rejects"]] == step.rejects, f"{where}: {[r['rejects'] for r in results]}"


def differs(expected: Any, found: Any, path: str = "") -> str:
    """Give where ``found`` is not what is expected; a table may hold more than is expected of it."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for key, value in expected.items():
            if key not in found:
                return f"{path}{key} is absent"
            if flaw := differs(value, found[key], f"{path}{key}."):
                return flaw
        return ""
    if isinstance(expected, int | float) and isinstance(found, int | float) and not isinstance(expected, bool):
        return "" if math.isclose(expected, found, rel_tol=1e-9, abs_tol=1e-12) else f"{path}: {found!r} is not {expected!r}"
    return "" if expected == found else f"{path}: {found!r} is not {expected!r}"


def check_golden_has_good_and_refused(connector: Connector) -> None:
    """There is a case that gives readings and one that is refused, each naming its clause."""
    found = cases(connector)
    all_steps = [step for case in found.values() for step in case.steps]
    assert any(s.readings for s in all_steps), f"{connector.type}: no golden step expects a reading"
    assert any(s.rejects for s in all_steps), f"{connector.type}: no golden step expects a reject"
    assert all(c.clause.strip() for c in found.values()), f"{connector.type}: a golden case names no clause"


def check_replies_wait_for_readings(connector: Connector) -> None:
    """A packet that brings readings is never acknowledged before they are durable."""
    for where, case, settings, session, step, content in steps(connector):
        for result in run(connector, settings, session, content, at(case.seen_at), step.origin):
            early = [r.data.hex() for r in result.replies if r.when != "durable"]
            assert not (result.readings and early), f"{where}: {early} would go out before the readings are durable"


def check_readings_fit_their_kind(connector: Connector) -> None:
    """Readings are of declared kinds and within the bounds of every field."""
    for where, case, settings, session, step, content in steps(connector):
        for result in run(connector, settings, session, content, at(case.seen_at), step.origin):
            for reading in result.readings:
                name = kind_of(reading)
                assert name in connector.manifest.kinds, f"{where}: kind {name} is not declared in connector.toml"
                assert reading.source, f"{where}: a reading without a source"
                outside = violations(from_readings([reading], name), name)
                assert not outside, f"{where}: outside its bounds: {', '.join(outside)}"
                assert reading.seen_at == at(case.seen_at), f"{where}: seen_at was re-stamped"


def damaged(content: bytes, seed: int) -> Iterator[bytes]:
    """Give cuts of a packet, and copies with one byte changed."""
    chance = random.Random(seed)  # noqa: S311 - a repeatable choice, no secret
    limit = min(len(content), LARGEST)
    yield from (content[:n] for n in sorted(chance.sample(range(limit), min(CUTS, limit))))
    for position in sorted(chance.sample(range(limit), min(MUTATIONS, limit))):
        yield content[:position] + bytes([content[position] ^ chance.randint(1, 255)]) + content[position + 1 :]


def check_damaged_packets(connector: Connector) -> None:
    """Every cut and every changed byte is refused or decoded without a crash, and the session lives on."""
    for where, case, settings, _, step, content in list(steps(connector)):
        session = session_of(connector, settings)
        for damage in damaged(content, len(content)):
            for result in run(connector, settings, session, damage, at(case.seen_at), step.origin):
                check_result(connector, result, where)
        run(connector, settings, session, content, at(case.seen_at), step.origin)
        session.tick(at(case.seen_at) + 3_600_000_000)


def check_result(connector: Connector, result: Received, where: str) -> None:
    """Whatever came out can be stored: readings make frames, the message makes JSON."""
    msgspec.json.encode(describe(result))
    for reading in result.readings:
        batch = from_readings([reading], kind_of(reading))
        absent = [f.name for f in batch.schema if not f.nullable and batch.column(f.name).null_count]
        assert not absent, f"{connector.type} {where}: reading without {absent}"


def check_framing_recovers(connector: Connector) -> None:
    """After a damaged packet the stream finds its next packets again."""
    if connector.make_framing is None:
        return
    for where, _, settings, _, _, content in list(steps(connector)):
        whole = [p for p in cut(connector.make_framing, settings, content) if isinstance(p, bytes)]
        if not whole:
            continue
        for damage in damaged(content, 1):
            framing = connector.make_framing(settings)
            framing.feed(damage)
            found = [p for _ in range(4) for p in framing.feed(content)]
            assert whole[-1] in found, f"{connector.type} {where}: lost the packets after {damage[:200].hex()}"


def check_splits(connector: Connector, chunks: list[int]) -> None:
    """Any split of a stream gives the packets of the whole."""
    if connector.make_framing is None:
        return
    for settings, stream in streams(connector):
        whole = connector.make_framing(settings).feed(stream)
        framing = connector.make_framing(settings)
        position, found = 0, []
        sizes = iter(chunks * (len(stream) // max(sum(chunks), 1) + 1))
        while position < len(stream):
            size = next(sizes, len(stream))
            found += framing.feed(stream[position : position + size])
            position += size
        assert found == whole, f"{connector.type}: another split gives other packets"


def streams(connector: Connector) -> Iterator[tuple[Settings, bytes]]:
    """Give the golden packets of each case as one stream, with rubbish between them."""
    for case in cases(connector).values():
        packets = [golden.packet(s, connector.path) for s in case.steps]
        yield settings_of(connector, case), b"".join(packets)
        yield settings_of(connector, case), b"\x00rubbish\xff".join([*packets, *packets])


def check_bytes(connector: Connector, content: bytes, origin: str) -> None:
    """Any bytes at all are refused or decoded, cut by the framing or handed to the session as they are."""
    settings = settings_of(connector)
    session = session_of(connector, settings)
    for result in run(connector, settings, session, content, NOW, origin):
        check_result(connector, result, "fuzz")
    with suppress(Reject):
        check_result(connector, session.receive(content, NOW, origin), "fuzz")
    session.tick(NOW + 3_600_000_000)


def check_manifest(connector: Connector) -> None:
    """The declaration is complete in both languages, and no setting hides a key of the host."""
    declared = connector.manifest
    assert declared.name.zh.strip(), f"{connector.type}: no Chinese name"
    assert declared.name.en.strip(), f"{connector.type}: no English name"
    assert declared.standard.strip(), f"{connector.type}: no standard"
    assert len(declared.delivery.split()) > 4, f"{connector.type}: the delivery guarantee is not said"
    assert declared.kinds, f"{connector.type}: no kind"
    assert declared.transport in BY_TRANSPORT, f"{connector.type}: the host has no transport {declared.transport}"
    if declared.transport == "tcp":
        assert declared.default_port, f"{connector.type}: no default port"
        assert connector.make_framing is not None, f"{connector.type}: no framing"
    for name, setting in declared.settings.items():
        assert setting.zh.strip(), f"{connector.type}: setting {name} has no Chinese label"
        assert setting.en.strip(), f"{connector.type}: setting {name} has no English label"
        taken = (*BY_TRANSPORT[declared.transport].__struct_fields__, *OWN_KEYS)
        assert name not in taken, f"{connector.type}: setting {name} is a key of the host"


def check_readme(connector: Connector) -> None:
    """The README names the standard."""
    path = connector.path / "README.md"
    assert path.is_file(), f"{connector.type}: no README.md"
    assert connector.manifest.standard in path.read_text(encoding="utf-8"), f"{connector.type}: README does not name the standard"


def check_mapping(connector: Connector) -> None:
    """The mapping fills fields that exist, of kinds that are declared."""
    path = connector.path / "mapping.toml"
    assert path.is_file(), f"{connector.type}: no mapping.toml"
    rules: dict[str, dict[str, Any]] = msgspec.toml.decode(path.read_bytes())
    for kind, fields in rules.items():
        assert kind in connector.manifest.kinds, f"{connector.type}: mapping of {kind}, which is not declared"
        unknown = set(fields) - set(kind_by_name(kind).__struct_fields__)
        assert not unknown, f"{connector.type}: mapping of {kind}: no such field {sorted(unknown)}"


def check_purity(connector: Connector) -> None:
    """No module of the folder reaches for a clock, socket, file system, thread, or another connector."""
    for path in sorted(connector.path.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for name in imported(node):
                root, *rest = name.split(".")
                assert root not in BANNED, f"{path.name}: imports {name}"
                sideways = root == "connectors" and rest and rest[0] not in ("_api", connector.path.name)
                assert not sideways, f"{path.name}: imports {name} of another connector or the host"
                assert root in ("schemas", "connectors") or not is_ours(root), f"{path.name}: imports {name}"


def imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [a.name for a in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return [f"{node.module}.{a.name}" for a in node.names] if node.module == "connectors" else [node.module]
    return []


def is_ours(package: str) -> bool:
    return (Path(__file__).resolve().parents[2] / package / "__init__.py").is_file()
