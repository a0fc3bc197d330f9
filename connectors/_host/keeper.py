"""An instance's memory of its sources, in line with what its devices were told.

A change is written once the rows of its packet are safe, and before the packet is answered. So after a kill -9 either
it is on disk, or its device sends the packet again and the same edges come of it, which ``clean`` drops.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from connectors._api.episodes import MOST_SOURCES, Memory, Standing
from connectors._host.builder import Delivery
from connectors._host.journal import Journal, line
from connectors._host.limits import InOrder

Lines = dict[str, bytes]
"""What stands on each source, as the journal has it."""


class Keeper:
    """Holds the memory that an instance's sessions share, and keeps it in a journal where it is given a path.

    Where the disk fails, devices are answered all the same: their readings are safe, and what could not be written is
    written with the next change.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._journal = None if path is None else Journal(path)
        self.memory = Memory(None if self._journal is None else self._note)
        self._fresh: Lines = {}
        """Changes of the packet under decoding."""
        self._waiting: Counter[str] = Counter()
        """Sources with changes that are not written."""
        self._order = InOrder()
        self._due: list[tuple[Lines, Delivery]] = []
        self._behind: Lines = {}
        """What the disk has not taken yet."""
        self._writing: asyncio.Task[None] | None = None
        for source, standing in self._journal.read() if self._journal is not None else ():
            self.memory.restore(source, standing)

    def after(self, rows: Delivery, sources: Iterable[str]) -> Delivery:
        """Give what tells that a packet may be answered: its rows are safe, and the changes of its sources are written.

        Changes are written in the order in which they came about.
        """
        fresh, self._fresh = self._fresh, {}
        if not fresh and (not self._waiting or self._waiting.keys().isdisjoint(sources)):
            return rows
        kept = Delivery()
        kept.hold()
        kept.seal()
        self._waiting.update(fresh.keys())
        self._order.put(partial(self._write, fresh, kept), rows)
        return kept

    async def settled(self) -> None:
        """Return when all changes whose rows are safe have been written."""
        while self._writing is not None:
            await asyncio.wait((self._writing,))

    def _note(self, source: str, standing: Standing) -> None:
        self._fresh[source] = line(source, standing)

    def _write(self, fresh: Lines, kept: Delivery) -> None:
        self._due.append((fresh, kept))
        if self._writing is None:
            self._writing = asyncio.get_running_loop().create_task(self._write_due())

    async def _write_due(self) -> None:
        """Write what is due, all that has gathered at once, without keeping the loop from its work."""
        assert self._journal is not None, "without a journal nothing is noted"
        while self._due:
            due, self._due = self._due, []
            for fresh, _ in due:
                self._behind |= fresh
            for source in [*self._behind][:-MOST_SOURCES]:
                del self._behind[source]
            if self._behind:
                written = await asyncio.to_thread(self._journal.write, self._behind)
                self._behind = {} if written else self._behind
            self._waiting.subtract(source for fresh, _ in due for source in fresh)
            self._waiting = +self._waiting
            for _, kept in due:
                kept.release()
        self._writing = None
