"""A dropped file as the packets a session takes, however large it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from connectors._api import sheets, tables
from connectors._api.manifest import Settings

HERE: Final = Path(__file__).resolve().parent


def pages(settings: Settings, file: BinaryIO, name: str) -> Iterator[bytes]:
    """Give the pages of a CSV or JSON file; one that is neither raises ``Reject``."""
    return map(sheets.encode, sheets.text_pages(file, tables.chosen(HERE, settings)))
