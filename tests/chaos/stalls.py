"""How long stored rows stood still while everything they need was up."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from storage.connect import PASSING
from tests.chaos.devices import Fleet
from tests.chaos.feed import Feed
from tests.chaos.script import BIKES_EVERY, DOCKS
from tests.chaos.system import System

LOOK_S = 0.5
AWAY: tuple[type[BaseException], ...] = (*PASSING, asyncpg.InternalClientError)
"""What a query meets while the database is away; the last one when the server dies between two of its steps."""
KEPT = 10
STORED = "SELECT partition, sum(stored + rejected)::bigint FROM ledger WHERE connector IN ('local', 'remote') GROUP BY 1"
DOCKED = "SELECT count(DISTINCT source) FROM bike_station WHERE ts = to_timestamp($1::bigint)"


@dataclass(frozen=True, order=True)
class Stall:
    """One stretch without progress in one partition of the vehicles."""

    seconds: float
    at: float
    partition: int


@dataclass
class Stalls:
    """Finds stretches in which rows of a partition were waiting, and none was stored, while nothing was down."""

    longest: list[Stall] = field(default_factory=list)
    _stored: dict[int, int] = field(default_factory=dict)
    _since: dict[int, float] = field(default_factory=dict)

    def look(self, now: float, made: Mapping[int, int], stored: Mapping[int, int] | None) -> None:
        """Take in the rows made and stored so far, by partition; ``stored`` is None while anything is down.

        A stretch begins with the last progress, or when all is up again; a partition's first row begins the watch.
        """
        for partition, rows in made.items():
            have = None if stored is None else stored.get(partition, 0)
            if have is None or have != self._stored.get(partition, 0) or have >= rows or have == 0:
                self._end(partition, now)
                self._since[partition] = now
            if have is not None:
                self._stored[partition] = have

    def finish(self, now: float) -> None:
        """End the stretches that still last."""
        for partition in list(self._since):
            self._end(partition, now)

    def _end(self, partition: int, now: float) -> None:
        since = self._since.get(partition)
        if since is not None and now > since:
            self.longest = sorted([*self.longest, Stall(now - since, since, partition)], reverse=True)[:KEPT]

    @property
    def seconds(self) -> float:
        """The longest of all."""
        return self.longest[0].seconds if self.longest else 0.0


class Meter:
    """Looks at the database twice a second: for stalls, and to let the bike feed go on."""

    def __init__(self, system: System, fleet: Fleet, feed: Feed) -> None:
        self.stalls = Stalls()
        self._system = system
        self._fleet = fleet
        self._feed = feed
        self._connection: Any = None
        self._broker: int | None = None
        """Process of the broker that was seen to answer."""

    async def run(self) -> None:
        """Look until cancelled."""
        try:
            while True:
                before = not self._system.down
                stored = await self._ask()
                await self._look_at_broker()
                up = before and not self._system.down and self._broker is not None
                made = self._fleet.made(self._system.config.kafka.partitions)
                self.stalls.look(self._fleet.clock, made, stored if up else None)
                await asyncio.sleep(LOOK_S)
        finally:
            self.stalls.finish(self._fleet.clock)
            if self._connection is not None:
                self._connection.terminate()

    async def _ask(self) -> Mapping[int, int] | None:
        try:
            if self._connection is None:
                database = self._system.config.database
                self._connection = await asyncpg.connect(
                    database.url, timeout=3, command_timeout=3, server_settings={"search_path": f"{database.schema},public"}
                )
            await self._let_feed_go_on()
            return {r[0]: r[1] for r in await self._connection.fetch(STORED)}
        except AWAY:
            if self._connection is not None:
                self._connection.terminate()
            self._connection = None
            return None

    async def _let_feed_go_on(self) -> None:
        feed = self._feed
        due = not feed.done and self._fleet.step >= (feed.number + 1) * BIKES_EVERY - 1
        if due and await self._connection.fetchval(DOCKED, feed.waits_for // 1_000_000) == DOCKS:
            feed.advance()

    async def _look_at_broker(self) -> None:
        pid = self._system.process("kafka").pid
        if pid is None or pid != self._broker:
            self._broker = None
            if pid is not None and "kafka" not in self._system.down and await asyncio.to_thread(self._system.kafka_answers):
                self._broker = pid
