"""Finding connectors: every folder beside ``_api`` with a ``connector.toml``, and installed entry points."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from connectors._api import manifest
from connectors._api.manifest import Manifest, Settings
from connectors._api.session import Framing, Peer, Session
from schemas.errors import Fatal

ROOT = Path(__file__).resolve().parent.parent
ENTRY_POINTS = "cityops.connectors"
"""Third parties name a package with a ``connector.toml`` in this entry-point group."""


@dataclass(frozen=True, slots=True)
class Connector:
    """One connector, ready to make sessions."""

    type: str
    package: str
    path: Path
    manifest: Manifest
    make_session: Callable[[Settings, Peer], Session]
    make_framing: Callable[[Settings], Framing] | None


@cache
def installed() -> dict[str, Path]:
    """Give the folder of every connector by name, sorted."""
    found = {p.parent.name: p.parent for p in ROOT.glob("[a-z]*/connector.toml")}
    for entry in metadata.entry_points(group=ENTRY_POINTS):
        spec = find_spec(entry.value)
        if spec is None or spec.origin is None:
            msg = f"entry point {entry.name!r} of group {ENTRY_POINTS!r} names no package: {entry.value!r}"
            raise Fatal(msg)
        found.setdefault(entry.name, Path(spec.origin).parent)
    return dict(sorted(found.items()))


@cache
def load(name: str) -> Connector:
    """Give the connector of that name; an unknown or broken one raises ``Fatal`` saying why."""
    folders = installed()
    if name not in folders:
        msg = f"no connector {name!r}; installed: {', '.join(folders)}"
        raise Fatal(msg)
    folder = folders[name]
    package = f"connectors.{name}" if folder.parent == ROOT else _entry_package(name)
    declared = manifest.read(folder / "connector.toml")
    decoder = importlib.import_module(f"{package}.decoder")
    framing = _optional(f"{package}.framing")
    return Connector(
        type=name,
        package=package,
        path=folder,
        manifest=declared,
        make_session=decoder.Session,
        make_framing=None if framing is None else framing.Framing,
    )


def offered(connector: Connector, module: str, name: str) -> Callable[..., Any] | None:
    """Give a function that a connector may offer in one of its modules, None where it does not."""
    found = _optional(f"{connector.package}.{module}")
    return None if found is None else getattr(found, name, None)


def _entry_package(name: str) -> str:
    return next(e.value for e in metadata.entry_points(group=ENTRY_POINTS) if e.name == name)


def _optional(module: str) -> ModuleType | None:
    return importlib.import_module(module) if find_spec(module) else None
