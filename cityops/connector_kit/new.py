"""``cityops connector new``: a folder that keeps the contract from its first minute, made of the template's own code."""

from __future__ import annotations

import json
import keyword
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from struct import Struct
from typing import Any, Final, get_args

import msgspec

from cityops.connector_kit import example, texts
from connectors._api import registry
from connectors._api.manifest import Manifest, Transport
from connectors._template.documents import encoder as documents
from connectors._template.frames import encoder as frames
from connectors._template.lines import encoder as lines
from schemas.errors import Fatal
from schemas.kinds import all_kinds

TEMPLATE: Final = registry.ROOT / "_template"
PACKAGE: Final = "connectors._template"
NAME: Final = re.compile(r"[a-z][a-z0-9_]{1,39}")
STREAMS: Final = ("tcp", "udp", "file")
PORTS: Final = {"tcp": 7010, "udp": 7010, "http_push": 8470, "mqtt": 1883}
SPOILT: Final = {"lines": "bad_checksum", "frames": "bad_checksum", "documents": "bad_frame"}
"""Why the second golden case is refused, by form of packet."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be made."""

    name: str
    transport: str
    kind: str
    text: bool = False
    into: Path | None = None

    @property
    def form(self) -> str:
        """What a packet is: ``lines``, ``frames`` or ``documents``."""
        if self.transport in STREAMS:
            return "lines" if self.text else "frames"
        return "lines" if self.text else "documents"

    @property
    def parts(self) -> list[str]:
        """Files of the template it takes, relative to it."""
        if self.form == "lines":
            return ["framing.py", "lines/decoder.py", "lines/encoder.py"]
        if self.form == "frames":
            return ["frames/framing.py", "frames/decoder.py", "frames/encoder.py"]
        own = ["client/client.py"] if self.transport == "client" else []
        return ["pages/decoder.py" if self.transport == "http_poll" else "documents/decoder.py", "documents/encoder.py", *own]

    @property
    def inside(self) -> bool:
        """Whether it lands among our own connectors."""
        return self.into is None or self.into.resolve() == registry.ROOT

    @property
    def folder(self) -> Path:
        """Where the connector's folder will be."""
        return (registry.ROOT if self.into is None else self.into.resolve()) / self.name

    @property
    def package(self) -> str:
        """Name the folder is imported by."""
        return f"connectors.{self.name}" if self.inside else self.name


def make(order: Order) -> list[Path]:
    """Write the connector and give its files; a name, kind or place that will not do raises ``Fatal`` before any is written."""
    check(order)
    files = {order.folder / name: text for name, text in contents(order).items()}
    files |= beside(order)
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    registry.installed.cache_clear()
    return list(files)


def check(order: Order) -> None:
    """Raise ``Fatal`` for what cannot be made, naming the remedy."""
    if not NAME.fullmatch(order.name) or keyword.iskeyword(order.name):
        msg = f"name {order.name!r}: give the standard's name in small letters, digits and _, such as cj188"
        raise Fatal(msg)
    if order.transport not in get_args(Transport):
        msg = f"--transport {order.transport!r}: give one of {', '.join(get_args(Transport))}"
        raise Fatal(msg)
    kinds = [name for name, cls in all_kinds().items() if cls.domain not in ("derived", "rejects")]
    if order.kind not in kinds:
        msg = f"--kind {order.kind!r}: give one of {', '.join(kinds)}"
        raise Fatal(msg)
    if order.text and order.transport in ("http_poll", "client"):
        msg = f"--text: a {order.transport} connector reads JSON documents; leave it out"
        raise Fatal(msg)
    if order.folder.exists() and any(order.folder.iterdir()):
        msg = f"{order.folder} is there already; choose another name, or remove it first"
        raise Fatal(msg)
    if order.name in registry.installed():
        msg = f"connector {order.name!r} is installed already; choose another name"
        raise Fatal(msg)
    if not order.inside and find_spec(order.name) is not None:
        msg = f"name {order.name!r}: a Python package of that name is installed; choose another"
        raise Fatal(msg)


def contents(order: Order) -> dict[str, str]:
    """Give the files of the connector's folder by name."""
    values = example.chosen(order.kind)
    code = {Path(part).name: adapt((TEMPLATE / part).read_text(encoding="utf-8"), order, values) for part in order.parts}
    cases = {
        f"golden/{name}.json": json.dumps(case, ensure_ascii=False, indent=2) + "\n"
        for name, case in golden(order, values).items()
    }
    manifest = texts.manifest(order.name, order.transport, order.kind, PORTS.get(order.transport))
    declared = msgspec.toml.decode(manifest, type=Manifest)
    return {
        "__init__.py": f'"""Connector {order.name}."""\n',
        "connector.toml": manifest,
        "mapping.toml": texts.mapping(order.form, order.kind, values),
        "README.md": texts.readme(order.name, order.form, order.transport, declared, inside=order.inside),
        **code,
        **cases,
    }


def adapt(text: str, order: Order, values: dict[str, Any]) -> str:
    """Turn code of the template into code of the connector: its imports, its kind, the names of its values."""
    for inner in ("lines.", "frames.", "documents.", "pages.", "client.", ""):
        text = text.replace(f"{PACKAGE}.{inner}", f"{order.package}.")
    names = ", ".join(json.dumps(name) for name in values) + ("," if len(values) == 1 else "")
    text = re.sub(r'^KIND = ".*"$', f'KIND = "{order.kind}"', text, flags=re.MULTILINE)
    text = re.sub(r"^VALUES = \(.*\)$", f"VALUES = ({names})", text, flags=re.MULTILINE)
    return text if order.inside else sorted_outside(text, order.package)


def sorted_outside(text: str, package: str) -> str:
    """Sort imports as outside our tree, where ours are those of a third party and the package's own stand last."""
    lines = text.split("\n")
    found = [n for n, line in enumerate(lines) if line.startswith(("from ", "import ")) and "__future__" not in line]
    if not found:
        return text
    groups: dict[int, list[str]] = {0: [], 1: [], 2: []}
    for line in (lines[n] for n in found):
        root = re.split(r"[ .]", line)[1]
        groups[2 if root == package else int(root not in sys.stdlib_module_names)].append(line)
    blocks = ["\n".join(sorted(group, key=lambda line: (line.startswith("from "), line))) for group in groups.values() if group]
    return "\n".join([*lines[: found[0]], "\n\n".join(blocks), *lines[found[-1] + 1 :]])


def golden(order: Order, values: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Give the two golden cases: a report, and one that is refused and does no harm to the next."""
    content, replies = WRITERS[order.form](values)
    spoilt = (
        content[:-4] + bytes((content[-4] ^ 1,)) + content[-3:]
        if order.form == "lines"
        else content[:-1] + bytes((content[-1] ^ 1,))
    )
    source = str(example.DEVICE)
    good: dict[str, Any] = {"readings": [example.reading(order.kind, values, source)]}
    good |= {"replies": [reply.hex().upper() for reply in replies]} if replies else {}
    step, bad = ({"hex": c.hex().upper()} if order.form == "frames" else {"text": c.decode()} for c in (content, spoilt))
    return {
        "report": {"name": "a report with its values", "clause": "report", "steps": [{**step, **good}]},
        "refused": {
            "name": "a damaged report is refused, and the next one is read",
            "clause": "report",
            "steps": [{**bad, "rejects": [SPOILT[order.form]]}, {**step, **good}],
        },
    }


def _lines(values: dict[str, Any]) -> tuple[bytes, list[bytes]]:
    return lines.report(str(example.DEVICE), example.AT, example.SERIAL, values), [lines.acknowledgement(example.SERIAL)]


def _frames(values: dict[str, Any]) -> tuple[bytes, list[bytes]]:
    whole = example.whole(values)
    body = Struct(f">IIH{len(whole)}i").pack(example.DEVICE, example.AT // 1_000_000, example.SERIAL, *whole.values())
    return frames.frame(body), [frames.acknowledgement(example.SERIAL)]


def _documents(values: dict[str, Any]) -> tuple[bytes, list[bytes]]:
    return documents.report(str(example.DEVICE), example.AT, example.SERIAL, values), []


WRITERS: Final[dict[str, Callable[[dict[str, Any]], tuple[bytes, list[bytes]]]]] = {
    "lines": _lines,
    "frames": _frames,
    "documents": _documents,
}
"""Packet and answers of the example, by form."""


def beside(order: Order) -> dict[Path, str]:
    """Give the files beside a folder outside our tree: its tests, and what makes it installable; our tests walk our own."""
    if order.inside:
        return {}
    values = example.chosen(order.kind)
    sent = example.whole(values) if order.form == "frames" else values
    tests = texts.round_trip(order.name, order.package, order.form, sent)
    root = order.folder.parent
    found = {
        root / "tests" / f"test_{order.name}_contract.py": texts.contract(order.name),
        root / "tests" / f"test_{order.name}_round_trip.py": tests,
    }
    project = root / "pyproject.toml"
    return found if project.exists() else {**found, project: texts.project(order.name)}
