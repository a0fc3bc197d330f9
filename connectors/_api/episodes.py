"""Alarm bits as episodes: one row when an alarm rises, one when it falls, none for the reports between."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec

MOST_SOURCES = 100_000
"""Sources in one memory; the one longest unheard is forgotten first."""
MOST_AT_ONCE = 16
"""So many different reports of one source count at one time; what comes besides changes nothing."""
AHEAD_US = 60_000_000
"""So far ahead of its arrival a report may be, as in the reject reason ``future_time``: were it taken, a clock that
jumped once would silence all that follows."""


@dataclass(frozen=True, slots=True)
class Edge:
    """One alarm changed: its code, how, and when it had begun (microseconds UTC)."""

    code: str
    phase: Literal["rise", "fall"]
    started_at: int


class Standing(msgspec.Struct, array_like=True):
    """What stands on one source since its newest report."""

    ts: int
    """Time of that report, microseconds UTC."""
    stood: list[int]
    """The bits that stood at that time, one after the other, those from before among them; the last stand now."""
    began: dict[str, int]
    """When each standing alarm began, by code."""


class Memory:
    """What stands on each source: of one session, or of all sessions of an instance, where its host keeps it.

    ``changed`` is called with what stands after each change, not for reports that bring none.
    """

    def __init__(self, changed: Callable[[str, Standing], None] | None = None) -> None:
        self._changed = changed
        self._sources: OrderedDict[str, Standing] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sources)

    def newest(self, source: str) -> int:
        """Give the time of the source's newest report, -1 before the first."""
        found = self._sources.get(source)
        return -1 if found is None else found.ts

    def heard(self, source: str) -> Standing | None:
        """Give what stands on a source that reports; None before its first report."""
        found = self._sources.get(source)
        if found is not None:
            self._sources.move_to_end(source)
        return found

    def restore(self, source: str, standing: Standing) -> None:
        """Take up what stood on a source."""
        self._sources[source] = standing
        self._sources.move_to_end(source)
        if len(self._sources) > MOST_SOURCES:
            self._sources.popitem(last=False)

    def keep(self, source: str, standing: Standing) -> None:
        """Remember what changed on a source."""
        self.restore(source, standing)
        if self._changed is not None:
            self._changed(source, standing)


class Episodes:
    """Tells the edges between a source's reports; what stands between them is in ``memory``.

    A report changes nothing that is older than the newest of its source, or dated ahead of its arrival. Of several
    reports of one time each counts once, and none leads back to what stood at that time before. So a report told
    again, in its order, brings the same edges as the first time or none, whatever was heard since.
    ``noted`` codes are taken note of in a source's first report, not told: that an engine runs is no news.
    """

    def __init__(self, codes: Mapping[int, str], noted: frozenset[str] = frozenset()) -> None:
        self.memory = Memory()
        self._codes = dict(codes)
        self._mask = sum(1 << bit for bit in self._codes)
        self._noted = noted

    def adopt(self, memory: Memory) -> None:
        """Go on from what stands by another memory."""
        self.memory = memory

    def observe(self, source: str, ts: int, bits: int, seen_at: int) -> list[Edge]:
        """Give the edges between the source's report before and this one, in order of bit."""
        if ts > seen_at + AHEAD_US:
            return []
        now, standing = bits & self._mask, self.memory.heard(source)
        if standing is None:
            return self._first(source, ts, now)
        if ts > standing.ts:
            standing.ts = ts
            if len(standing.stood) > 1:
                del standing.stood[:-1]
        elif ts < standing.ts or len(standing.stood) == MOST_AT_ONCE:
            return []
        if now in standing.stood:
            return []
        edges = self._edges(standing.began, ts, now)
        standing.stood.append(now)
        self.memory.keep(source, standing)
        return edges

    def _first(self, source: str, ts: int, now: int) -> list[Edge]:
        began: dict[str, int] = {}
        edges = self._edges(began, ts, now)
        self.memory.keep(source, Standing(ts, [now], began))
        return [edge for edge in edges if edge.code not in self._noted]

    def _edges(self, began: dict[str, int], ts: int, now: int) -> list[Edge]:
        """Bring ``began`` up to date and give what changed."""
        edges = []
        for bit, code in self._codes.items():
            up = bool(now >> bit & 1)
            if up and code not in began:
                began[code] = ts
                edges.append(Edge(code, "rise", ts))
            elif not up and code in began:
                edges.append(Edge(code, "fall", began.pop(code)))
        return edges
