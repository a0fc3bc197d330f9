"""Which version of a connector it is: its distribution's, and a digest of the folder, for a fix changes only the latter."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import metadata
from pathlib import Path

from connectors._api.registry import ENTRY_POINTS, ROOT
from schemas.errors import Fatal

SOURCES = (".py", ".toml")


@cache
def version_of(folder: Path) -> str:
    """Give the version of the connector in a folder, such as ``0.1.0+5f0c2a91``."""
    return f"{_release(folder)}+{digest(folder)}"


def digest(folder: Path) -> str:
    """Give eight hexadecimal digits over names and bytes of a folder's sources."""
    total = hashlib.sha256()
    try:
        for path in sorted(p for p in folder.rglob("*") if p.suffix in SOURCES):
            total.update(path.relative_to(folder).as_posix().encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    except OSError as error:
        msg = f"{folder}: {error}"
        raise Fatal(msg) from error
    return total.hexdigest()[:8]


def _release(folder: Path) -> str:
    if folder.parent == ROOT:
        return _installed("cityops")
    entries = [entry for entry in metadata.entry_points(group=ENTRY_POINTS) if entry.value.rpartition(".")[2] == folder.name]
    return entries[0].dist.version if entries and entries[0].dist is not None else "0"


def _installed(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "0"
