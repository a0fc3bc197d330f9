"""A dropped file as the packets a session takes, however large it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from connectors._api import manifest, sheets, tables
from connectors._api.manifest import Settings
from connectors.table_file import formats

HERE: Final = Path(__file__).resolve().parent


def pages(settings: Settings, file: BinaryIO, name: str) -> Iterator[bytes]:
    """Give the pages of a file; one that is no table raises ``Reject``."""
    kinds = manifest.read(HERE / "connector.toml").kinds
    declared = tables.load(HERE, str(settings["profile"]), settings["changes"], kinds, str(settings["kind"]))
    return map(sheets.encode, formats.pages(file, declared))
