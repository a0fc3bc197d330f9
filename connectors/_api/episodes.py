"""Alarm bits as episodes: one row when an alarm rises, one when it falls, none for the reports between."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

MOST_SOURCES = 100_000
"""Sources remembered by one session; the one longest unheard is forgotten first."""


@dataclass(frozen=True, slots=True)
class Edge:
    """One alarm changed: its code, how, and when it had begun (microseconds UTC)."""

    code: str
    phase: Literal["rise", "fall"]
    started_at: int


class Episodes:
    """The alarms standing on each source of one session.

    Reports older than the newest of their source change nothing: a delayed report cannot end a present alarm.
    """

    def __init__(self, codes: Mapping[int, str]) -> None:
        self._codes = dict(codes)
        self._mask = sum(1 << bit for bit in self._codes)
        self._standing: OrderedDict[str, tuple[int, dict[int, int]]] = OrderedDict()

    def observe(self, source: str, ts: int, bits: int) -> list[Edge]:
        """Give the edges between the source's report before and this one, in order of bit."""
        newest, began = self._standing.get(source, (-1, {}))
        if ts < newest:
            return []
        now = bits & self._mask
        edges = []
        for bit, code in self._codes.items():
            up = bool(now & 1 << bit)
            if up and bit not in began:
                began[bit] = ts
                edges.append(Edge(code, "rise", ts))
            elif not up and bit in began:
                edges.append(Edge(code, "fall", began.pop(bit)))
        self._standing[source] = (ts, began)
        self._standing.move_to_end(source)
        if len(self._standing) > MOST_SOURCES:
            self._standing.popitem(last=False)
        return edges
