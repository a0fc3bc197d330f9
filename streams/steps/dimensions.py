"""The windows of one kind: a minute for every source; ten seconds for every zone, line and operator.

Quarter-hours and hours are added up from these by the database side (storage/rollup.py): a restart then never
has to read more of the log than the windows' lateness.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas.derive import fields
from schemas.kinds import kind as kind_by_name
from schemas.kinds.derived import LATE_PART
from streams.steps.reference import Registered, Registry, unregistered
from streams.steps.sources import Codes, Columns, Mask, SourceTable
from streams.steps.window import Tumbling, joined, prepared, shares

SOURCE_S, GROUP_S = 60, 10
SOURCE_US, GROUP_US = SOURCE_S * 1_000_000, GROUP_S * 1_000_000
OPERATOR_FIELDS = ("operator", "company")
"""Fields that name who runs a source, by preference."""
END_OF_TIME = 2**62


class ZoneNumbers:
    """Numbers zones by their codes, densely, in order of appearance."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._least = 0
        self._number = np.empty(0, np.int64)
        """By code above the least: a city's codes lie close together."""

    def codes(self, zones: NDArray[np.int64]) -> Codes:
        """Give the number of each row's zone; 0 is no zone and has the number -1."""
        placed = zones > 0
        if not placed.any():
            return np.full(len(zones), -1)
        present = zones if placed.all() else zones[placed]
        self._reach(int(present.min()), int(present.max()))
        numbers = self._number[present - self._least]
        if (numbers < 0).any():
            for code in np.unique(present[numbers < 0]):
                self._number[code - self._least] = len(self.names)
                self.names.append(str(code))
            numbers = self._number[present - self._least]
        if len(present) == len(zones):
            return numbers
        found = np.full(len(zones), -1)
        found[placed] = numbers
        return found

    def _reach(self, low: int, high: int) -> None:
        """Make the table hold codes from ``low`` to ``high``."""
        if len(self._number) == 0:
            self._least = low
        below, above = max(0, self._least - low), max(0, high + 1 - self._least - len(self._number))
        if below or above:
            self._number = np.pad(self._number, (below, above), constant_values=-1)
            self._least -= below


class Named:
    """A dimension that rows name by a text of their own or, where they have none, that the registry has of their source."""

    def __init__(self, dimension: str, column: str | None) -> None:
        self._dimension = dimension
        self._column = column
        self.known = SourceTable()
        self._registered = Registered(dimension, self.known)

    def codes(self, rows: Columns, codes: Codes, sources: SourceTable, registry: Registry) -> Codes | None:
        """Give the number of each row's group, -1 for none; nothing where no row can have one."""
        own = rows.codes(self._column, self.known) if self._column is not None and rows.has(self._column) else None
        if not registry.has(self._dimension) or (own is not None and own.min(initial=0) >= 0):
            return own
        registered = self._registered.codes(registry, sources)[codes]
        return registered if own is None else np.where(own >= 0, own, registered)


class KindWindows:
    """All open windows of one kind in one partition, by source and by group.

    ``late`` ones take only readings whose window had closed, to be added to it as a further part. ``registry``
    gives what is registered of sources at present; a group that a row names itself goes before it.
    """

    def __init__(
        self,
        kind: str,
        sources: SourceTable,
        partition: int,
        registry: Callable[[], Registry] = unregistered,
        *,
        late: bool = False,
    ) -> None:
        self._late = late
        self._kind = kind
        self._metrics = kind_by_name(kind).metrics
        self._sources = sources
        self._registry = registry
        own = {f.name for f in fields(kind)}
        self._zones = ZoneNumbers()
        self._texts = {
            dimension: Named(dimension, next((n for n in names if n in own), None))
            for dimension, names in (("line", ("line",)), ("operator", OPERATOR_FIELDS))
        }
        part = LATE_PART if late else 0
        self._by_source = Tumbling(kind, self._metrics, SOURCE_S, "source", part)
        self._groups = {d: Tumbling(kind, self._metrics, GROUP_S, d, part + partition) for d in ("zone", *self._texts)}
        self.closed_to = 0

    @property
    def oldest(self) -> int | None:
        """Start of the oldest open window, in microseconds, cut to whole minutes."""
        found = [w.oldest for w in (self._by_source, *self._groups.values())]
        return min((o - o % SOURCE_US for o in found if o is not None), default=None)

    def add(self, rows: Columns, codes: Codes, use: Mask, watermark: NDArray[np.int64]) -> Mask:
        """Take in the rows to use whose window was open (or, of late windows, closed) at their watermark.

        Gives the mask of those counted in windows of sources.
        ``watermark`` is, for each row, its frame's: which windows are open depends on the log alone.
        """
        ts, seen_at = rows.times("ts"), int(rows.times("seen_at").max(initial=0))
        watermark = np.maximum(watermark, self.closed_to)
        counted = use & self._is_due(ts, SOURCE_US, watermark)
        grouped = use & self._is_due(ts, GROUP_US, watermark)
        if not self._metrics or not (counted.any() or grouped.any()):
            return np.zeros(len(rows), np.bool_)
        values = [prepared(self._kind, m, rows) if rows.has(m) else None for m in self._metrics]
        self._by_source.add(codes, len(self._sources), shares(ts, values, counted, SOURCE_US), seen_at)
        parts = shares(ts, values, grouped, GROUP_US)
        for dimension, window in self._groups.items():
            numbers = self._numbers(dimension, rows, codes)
            if numbers is not None:
                window.add(numbers, len(self._names(dimension)), parts, seen_at)
        return counted

    def _is_due(self, ts: NDArray[np.int64], size: int, watermark: NDArray[np.int64]) -> Mask:
        """Tell for which rows these windows are meant: those open at the watermark, or those that were not."""
        is_open: Mask = ts - ts % size + size > watermark
        return ~is_open if self._late else is_open

    def close(self, watermark: int) -> pa.RecordBatch:
        """Give the windows that end by the watermark, and forget them."""
        self.closed_to = max(self.closed_to, watermark)
        return joined([batch for w, names in self._all() for batch in w.close(self.closed_to, names)])

    def show(self, until: int) -> pa.RecordBatch:
        """Give the windows that end by then without closing them."""
        return joined([batch for w, names in self._all() for batch in w.show(until, names)])

    def _all(self) -> list[tuple[Tumbling, pa.Array]]:
        return [(self._by_source, self._sources.known), *((w, self._names(d)) for d, w in self._groups.items())]

    def _names(self, dimension: str) -> pa.Array:
        return pa.array(self._zones.names, pa.string()) if dimension == "zone" else self._texts[dimension].known.known

    def _numbers(self, dimension: str, rows: Columns, codes: Codes) -> Codes | None:
        """Give the number of each row's group, -1 for none; nothing where no row can have one."""
        if dimension == "zone":
            return self._zones.codes(rows.integers("zone"))
        return self._texts[dimension].codes(rows, codes, self._sources, self._registry())


def corrections(
    kind: str,
    late: pa.RecordBatch,
    closed_to: NDArray[np.int64],
    partition: int,
    registry: Callable[[], Registry] = unregistered,
) -> pa.RecordBatch:
    """Give what late rows add to windows that had closed before their frames, ``closed_to`` being the frames' watermarks."""
    rows, sources = Columns(late), SourceTable()
    windows = KindWindows(kind, sources, partition, registry, late=True)
    use = rows.integers("period") == 0 if rows.has("period") else np.ones(len(rows), np.bool_)
    windows.add(rows, rows.codes("source", sources), use, closed_to)
    return windows.close(END_OF_TIME)
