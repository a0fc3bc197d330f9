"""A dropped file as the packets a session takes, however large it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from connectors._api import manifest, sheets, tables
from connectors._api.manifest import Settings

HERE: Final = Path(__file__).resolve().parent


def pages(settings: Settings, file: BinaryIO, name: str) -> Iterator[bytes]:
    """Give the pages of a CSV or JSON file; one that is neither raises ``Reject``."""
    kinds = manifest.read(HERE / "connector.toml").kinds
    form = tables.load(HERE, str(settings["profile"]), settings["changes"], kinds)
    return map(sheets.encode, sheets.text_pages(file, form))
