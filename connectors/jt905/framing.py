"""Framing as in JT/T 808: flags 7E, escapes, XOR check byte, and the declared body length."""

from __future__ import annotations

from connectors._api import Settings
from connectors._api.flagged import Flagged, enclosed, seal
from connectors.jt905 import header

__all__ = ["Framing", "enclosed", "seal"]


class Framing(Flagged):
    """Cuts a terminal's byte stream into packets; see ``Flagged``."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(header.parse, 1, header.PACKET_MAX)
