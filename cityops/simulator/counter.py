"""A county heating office's old billing system: its counter writes payments into a table of its own database schema."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import numpy as np
import psycopg
from psycopg import sql

from cityops.simulator.places import TOWNS
from cityops.simulator.world import World

SCHEMA, TABLE, KEY = "heating_office", "fee_payment", "id"
OFFICE: Final = TOWNS[3]
"""The county seat that has the office."""
PAID_US: Final = 6_000_000
"""Mean time between two payments at a usual hour."""
PAUSE_S: Final = 5.0
KEPT: Final = timedelta(days=1)
MEAN_FEN: Final = 148_000.0
CREATE: Final = """
CREATE TABLE IF NOT EXISTS {} (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    bill_no text NOT NULL,
    account_no text NOT NULL,
    paid_at timestamptz NOT NULL,
    utility text NOT NULL,
    amount numeric(12, 2) NOT NULL,
    channel text NOT NULL,
    district text NOT NULL
)"""
COLUMNS: Final = ("bill_no", "account_no", "paid_at", "utility", "amount", "channel", "district")
INSERT: Final = f"INSERT INTO {{}} ({', '.join(COLUMNS)}) VALUES ({', '.join('%s' for _ in COLUMNS)})"  # noqa: S608 - our own names
FORGET: Final = "DELETE FROM {} WHERE paid_at < %s"


class Counter:
    """The office at its counter: what is paid stands in the table at once, and for a day."""

    silent = stopping = False
    waiting = 0

    def __init__(self, world: World, database: str) -> None:
        self.connected = False
        self.sent = 0
        self._world, self._database = world, database
        self._rng = np.random.default_rng([world.seed, 32])
        self._next = world.started_at + 2_000_000
        self._rows: list[tuple[Any, ...]] = []
        self._task: asyncio.Task[None] | None = None

    async def listen(self) -> None:
        """Create the table where it is not there yet; a database that cannot be written to raises ``psycopg.Error``."""
        async with await self._open() as connection:
            await connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(SCHEMA)))
            await connection.execute(_of_table(CREATE))

    def tick(self, now: int) -> None:
        """Take in what is paid, and write it down."""
        if now >= self._next and not self.stopping:
            busy = 0.3 + self._world.conditions.traffic
            self._next = now + int(PAID_US / busy * self._rng.exponential())
            self._rows.append(self.payment(now // 1_000_000))
        if self._rows and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._write())

    async def _write(self) -> None:
        """Write what waits, in one transaction; a database that is away is tried again after a pause."""
        rows = self._rows.copy()
        try:
            async with await self._open() as connection, connection.cursor() as cursor:
                await cursor.executemany(_of_table(INSERT), rows)
                await cursor.execute(_of_table(FORGET), [rows[-1][2] - KEPT])
        except psycopg.Error:
            self.connected = False
            await asyncio.sleep(PAUSE_S)
            return
        self.connected = True
        del self._rows[: len(rows)]
        self.sent += len(rows)

    async def _open(self) -> psycopg.AsyncConnection[Any]:
        return await psycopg.AsyncConnection.connect(self._database, application_name="heating office", connect_timeout=5)

    def payment(self, second: int) -> tuple[Any, ...]:
        """Give a payment at that time, seconds since 1970 UTC, in the order of ``COLUMNS``."""
        rng = self._rng
        fen = round(MEAN_FEN * float(rng.gamma(6.0, 1.0 / 6.0)))
        account = f"R{OFFICE.code}{int(rng.integers(1, 6_000)):06d}"
        number = f"RL{second}{int(rng.integers(1000)):03d}"
        return number, account, datetime.fromtimestamp(second, UTC), "热费", Decimal(fen) / 100, "营业厅", OFFICE.zh

    async def close(self) -> None:
        """End; what is being written is written to its end."""
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)


def _of_table(text: str) -> sql.Composed:
    return sql.SQL(text).format(sql.Identifier(SCHEMA, TABLE))
