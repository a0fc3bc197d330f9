"""What every connector must keep; each check takes a connector and raises ``Flaw`` saying what is wrong."""

from __future__ import annotations

import ast
import math
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

import msgspec

from cityops.connector_kit import example
from connectors._api import golden, registry
from connectors._api.manifest import Settings
from connectors._api.registry import Connector
from connectors._api.session import Peer, Received, Session, describe
from connectors._host.cut import cut
from connectors._host.options import BY_TRANSPORT, OWN_KEYS
from schemas.derive import fields, violations
from schemas.errors import Reject
from schemas.frame import from_readings
from schemas.kinds import kind as kind_by_name
from schemas.reading import kind_of

BANNED: Final = {"asyncio", "socket", "os", "time", "threading", "subprocess", "faust", "asyncpg", "aiokafka", "aiohttp"}
OURS: Final = {"streams", "storage", "gateway", "cityops"}
"""Packages of ours that a connector does not import."""
CLIENT: Final = "client.py"
"""The one file of a connector that may reach out: it wraps a library with connections of its own."""
NOW: Final = 1_793_491_200_000_000
CUTS, MUTATIONS, RANDOM = 60, 120, 60
"""How many cuts and changed bytes of one packet are tried, and how many inputs of chance."""
LARGEST = 20_000
"""Only so many first bytes of a packet are cut and changed."""

Check = Callable[[Connector], None]


class Flaw(AssertionError):  # noqa: N818 - a verdict on a connector
    """A connector breaks its contract; the text says how."""


def require(kept: object, otherwise: str) -> None:
    """Raise ``Flaw`` with that text where the contract is not kept."""
    if not kept:
        raise Flaw(otherwise)


def at(text: str) -> int:
    """Give the microseconds of an RFC 3339 time."""
    return round(datetime.fromisoformat(text).timestamp() * 1e6)


def session_of(connector: Connector, settings: Settings) -> Session:
    """Give a session that has begun."""
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
            raise Flaw(msg) from error
    return results


def cases(connector: Connector) -> dict[str, golden.Case]:
    """Give the connector's golden cases by name."""
    return golden.cases(connector.path)


def settings_of(connector: Connector, case: golden.Case | None = None) -> Settings:
    """Give the settings of a case, or the defaults."""
    return connector.manifest.resolve(case.settings if case else {}, "golden")


def steps(
    connector: Connector, only: str | None = None
) -> Iterator[tuple[str, golden.Case, Settings, Session, golden.Step, bytes]]:
    """Walk the golden steps of all cases, or of one, a fresh session for each case."""
    for name, case in cases(connector).items():
        if only not in (None, name):
            continue
        settings = settings_of(connector, case)
        session = session_of(connector, settings)
        for number, step in enumerate(case.steps, 1):
            yield f"{name} step {number}", case, settings, session, step, golden.packet(step, connector.path)


def check_golden(connector: Connector, only: str | None = None) -> None:
    """Every golden step, of all cases or of one, brings exactly what it says."""
    for where, case, settings, session, step, content in steps(connector, only):
        results = [describe(r) for r in run(connector, settings, session, content, at(case.seen_at), step.origin)]
        message = next((r["message"] for r in results if r["message"] is not None), None)
        if step.message is not None:
            flaw = differs(step.message, message) if message is not None else "is absent"
            require(not flaw, f"{where}: message {flaw}")
        readings = [reading for r in results for reading in r["readings"]]
        require(len(readings) == len(step.readings), f"{where}: {len(readings)} readings, expected {len(step.readings)}")
        for expected, reading in zip(step.readings, readings, strict=True):
            require(not (flaw := differs(expected, reading)), f"{where}: reading {flaw}")
        replies = [reply for r in results for reply in r["replies"]]
        require(replies == [r.upper().replace(" ", "") for r in step.replies], f"{where}: replies {replies}")
        require(
            [x["reason"] for r in results for x in r["rejects"]] == step.rejects, f"{where}: {[r['rejects'] for r in results]}"
        )


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
    require(any(s.readings for s in all_steps), f"{connector.type}: no golden step expects a reading")
    require(any(s.rejects for s in all_steps), f"{connector.type}: no golden step expects a reject")
    require(all(c.clause.strip() for c in found.values()), f"{connector.type}: a golden case names no clause")


def check_replies_wait_for_readings(connector: Connector) -> None:
    """A packet that brings readings is never acknowledged before they are durable."""
    for where, case, settings, session, step, content in steps(connector):
        for result in run(connector, settings, session, content, at(case.seen_at), step.origin):
            early = [r.data.hex() for r in result.replies if r.when != "durable"]
            require(not (result.readings and early), f"{where}: {early} would go out before the readings are durable")


def check_readings_fit_their_kind(connector: Connector) -> None:
    """Readings are of declared kinds and within the bounds of every field."""
    for where, case, settings, session, step, content in steps(connector):
        for result in run(connector, settings, session, content, at(case.seen_at), step.origin):
            for reading in result.readings:
                name = kind_of(reading)
                require(name in connector.manifest.kinds, f"{where}: kind {name} is not declared in connector.toml")
                require(reading.source, f"{where}: a reading without a source")
                outside = violations(from_readings([reading], name), name)
                told = [
                    f"{f.name} = {getattr(reading, f.name)!r} ({example.limits(f)})" for f in fields(name) if f.name in outside
                ]
                require(not told, f"{where}: outside its bounds: {'; '.join(told)}")
                require(reading.seen_at == at(case.seen_at), f"{where}: seen_at was re-stamped")


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
        require(not absent, f"{connector.type} {where}: reading without {absent}")


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
            require(whole[-1] in found, f"{connector.type} {where}: lost the packets after {damage[:200].hex()}")


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
        require(found == whole, f"{connector.type}: another split gives other packets")


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
    require(declared.name.zh.strip(), f"{connector.type}: no Chinese name")
    require(declared.name.en.strip(), f"{connector.type}: no English name")
    require(declared.standard.strip(), f"{connector.type}: no standard")
    require(len(declared.delivery.split()) > 4, f"{connector.type}: the delivery guarantee is not said")
    require(declared.kinds, f"{connector.type}: no kind")
    require(declared.transport in BY_TRANSPORT, f"{connector.type}: the host has no transport {declared.transport}")
    if declared.transport == "tcp":
        require(declared.default_port, f"{connector.type}: no default port")
        require(connector.make_framing is not None, f"{connector.type}: no framing")
    for name, setting in declared.settings.items():
        require(setting.zh.strip(), f"{connector.type}: setting {name} has no Chinese label")
        require(setting.en.strip(), f"{connector.type}: setting {name} has no English label")
        taken = (*BY_TRANSPORT[declared.transport].__struct_fields__, *OWN_KEYS)
        require(name not in taken, f"{connector.type}: setting {name} is a key of the host")


def check_readme(connector: Connector) -> None:
    """The README names the standard."""
    path = connector.path / "README.md"
    require(path.is_file(), f"{connector.type}: no README.md")
    require(
        connector.manifest.standard in path.read_text(encoding="utf-8"), f"{connector.type}: README does not name the standard"
    )


def check_mapping(connector: Connector) -> None:
    """The mapping fills fields that exist, of kinds that are declared."""
    path = connector.path / "mapping.toml"
    require(path.is_file(), f"{connector.type}: no mapping.toml")
    rules: dict[str, dict[str, Any]] = msgspec.toml.decode(path.read_bytes())
    for kind, filled in rules.items():
        require(kind in connector.manifest.kinds, f"{connector.type}: mapping of {kind}, which is not declared")
        unknown = set(filled) - set(kind_by_name(kind).__struct_fields__)
        require(not unknown, f"{connector.type}: mapping of {kind}: no such field {sorted(unknown)}")


def check_purity(connector: Connector) -> None:
    """No module of the folder reaches for a clock, socket, file system, thread, or another connector; only a client may."""
    for path in sorted(connector.path.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for name in imported(node):
                root, *rest = name.split(".")
                require(root not in BANNED or path.name == CLIENT, f"{path.name}: imports {name}")
                sideways = root == "connectors" and rest and rest[0] not in ("_api", connector.path.name)
                require(not sideways, f"{path.name}: imports {name} of another connector or the host")
                require(root not in OURS, f"{path.name}: imports {name}")


def imported(node: ast.AST) -> list[str]:
    """Name what an import statement imports."""
    if isinstance(node, ast.Import):
        return [a.name for a in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return [f"{node.module}.{a.name}" for a in node.names] if node.module == "connectors" else [node.module]
    return []


def check_explain(connector: Connector) -> None:
    """An ``explain`` of the connector's own names stretches of the packet, in order, whatever the packet is."""
    explain = registry.offered(connector, "explain", "explain")
    if explain is None:
        return
    for where, _, settings, _, _, content in list(steps(connector)):
        for packet in (content, *damaged(content, 2)):
            try:
                found = explain(packet, settings)
            except Exception as error:
                msg = f"{where}: explain raised {error!r} on {packet[:200].hex()}"
                raise Flaw(msg) from error
            require(all(0 <= s.start <= s.end <= len(packet) for s in found), f"{where}: a span lies outside the packet")
            require([s.start for s in found] == sorted(s.start for s in found), f"{where}: spans are not in order")


def check_any_bytes(connector: Connector) -> None:
    """Bytes of chance, and golden packets with a stretch replaced, are refused or decoded."""
    chance = random.Random(0)  # noqa: S311 - a repeatable choice, no secret
    known = [(golden.packet(s, connector.path)[:LARGEST], s.origin) for c in cases(connector).values() for s in c.steps]
    for _ in range(RANDOM):
        content, origin = chance.choice(known)
        start = chance.randrange(len(content) + 1)
        stretch = chance.choice([chance.randbytes(chance.randrange(30)), b"\xff" * 8, b"9" * 30, b"-1", b"1e999"])
        check_bytes(connector, chance.randbytes(chance.randrange(300)), origin)
        check_bytes(connector, content[:start] + stretch + content[start + chance.randrange(20) :], origin)


def check_any_split(connector: Connector) -> None:
    """Any split of the stream gives the same packets."""
    chance = random.Random(0)  # noqa: S311 - a repeatable choice, no secret
    for _ in range(8):
        check_splits(connector, [chance.randint(1, 40) for _ in range(chance.randint(1, 8))])


CHECKS: Final[dict[str, tuple[str, Check]]] = {
    "golden": ("标准样例", check_golden),
    "golden_has_good_and_refused": ("样例有正有反", check_golden_has_good_and_refused),
    "replies_wait_for_readings": ("先落盘后应答", check_replies_wait_for_readings),
    "readings_fit_their_kind": ("读数合规", check_readings_fit_their_kind),
    "damaged_packets": ("坏报文不崩溃", check_damaged_packets),
    "framing_recovers": ("坏报文后恢复", check_framing_recovers),
    "any_split": ("任意分段一致", check_any_split),
    "any_bytes": ("任意字节不崩溃", check_any_bytes),
    "manifest": ("声明完整", check_manifest),
    "readme": ("说明齐全", check_readme),
    "mapping": ("映射有效", check_mapping),
    "purity": ("无副作用", check_purity),
    "explain": ("解释无误", check_explain),
}
"""Every check by name, with its Chinese label; none needs a test framework."""
