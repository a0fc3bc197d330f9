"""Finding the connector a command names: an installed one, or a folder that is not installed yet."""

from __future__ import annotations

import importlib
import sys
from importlib.util import find_spec
from pathlib import Path

from connectors._api import manifest, registry
from connectors._api.registry import Connector
from schemas.errors import Fatal


def connector(name: str) -> Connector:
    """Give the installed connector of that name, or the one in that folder; ``Fatal`` where there is none."""
    folder = folder_of(Path(name)) if name not in registry.installed() else None
    return registry.load(name) if folder is None else from_folder(folder)


def folder_of(path: Path) -> Path | None:
    """Give the connector's folder at a path, or just below it."""
    if (path / "connector.toml").is_file():
        return path.resolve()
    below = sorted(path.glob("*/connector.toml")) if path.is_dir() else []
    return below[0].parent.resolve() if len(below) == 1 else None


def from_folder(folder: Path) -> Connector:
    """Give the connector in a folder; its parent is put on the import path, as an installation would."""
    if folder.parent == registry.ROOT:
        return registry.load(folder.name)
    if str(folder.parent) not in sys.path:
        sys.path.insert(0, str(folder.parent))
    name = folder.name
    try:
        decoder = importlib.import_module(f"{name}.decoder")
    except ImportError as error:
        msg = f"{folder}: {error}"
        raise Fatal(msg) from error
    if Path(str(decoder.__file__)).parent != folder:
        msg = f"{folder}: another package named {name!r} is installed in its place; rename the folder"
        raise Fatal(msg)
    framing = importlib.import_module(f"{name}.framing") if find_spec(f"{name}.framing") else None
    return Connector(
        type=name,
        package=name,
        path=folder,
        manifest=manifest.read(folder / "connector.toml"),
        make_session=decoder.Session,
        make_framing=None if framing is None else framing.Framing,
    )
