"""What a connector says of each byte of a packet: its optional ``explain.py``.

It has ``explain(packet, settings) -> list[Span]``, pure as a decoder is. ``packet`` is what was on the wire. Bytes
that no span covers are shown as they are; a packet that is broken is explained as far as it goes.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Span(msgspec.Struct, frozen=True, omit_defaults=True):
    """Bytes ``start`` to before ``end`` of a packet: what they are called, what they say, and what is to be noted."""

    start: int
    end: int
    name: str
    value: Any = None
    unit: str = ""
    note: str = ""
