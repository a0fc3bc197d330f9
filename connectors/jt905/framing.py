"""Framing as in JT/T 808: flags 7E, escapes, XOR check byte, and the declared body length."""

from __future__ import annotations

from connectors._api import Settings
from connectors._api.flagged import FLAG, Flagged, frame, unescape
from connectors.jt905 import header


class Framing(Flagged):
    """Cuts a terminal's byte stream into packets; see ``Flagged``."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(header.parse, header.PACKET_MAX)


def enclosed(stretch: bytes) -> bytes:
    """Give a refused stretch as it was on the wire, between its flags, so that it can be cut again."""
    return FLAG + stretch + FLAG


def seal(wire: bytes) -> bytes:
    """Give a packet, as it is on the wire, with the right check byte."""
    return frame(unescape(wire[1:-1])[0][:-1])
