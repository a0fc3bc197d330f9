"""Framing: flag bytes 7E, escapes 7D01 and 7D02, the XOR check byte, and the declared body length."""

from __future__ import annotations

from connectors._api import Settings
from connectors._api.flagged import Flagged, enclosed
from connectors.jt808 import header

__all__ = ["Framing", "enclosed"]


class Framing(Flagged):
    """Cuts a terminal's byte stream into packets; see ``Flagged``."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(header.parse, header.FORM_2013.size, header.PACKET_MAX)
