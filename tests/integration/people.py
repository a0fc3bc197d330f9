"""A gateway app on a real database, and people who use it over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from gateway.app import create_app
from gateway.commands import Commander
from gateway.reads import answer_of
from gateway.sessions import Sessions
from schemas.errors import Retry
from schemas.events import AlertCommand
from storage import accounts
from storage.accounts import Actor, Role
from storage.alerts_store import load_alerts, save_alerts
from storage.connect import Pool, create_pool
from storage.ledger import ledger_row
from storage.migrate import migrate
from storage.writer import Writer
from streams.steps.lifecycle import apply_command
from tests.unit.gateway.city import Clock, batch
from tests.unit.gateway.city import parts as make_parts
from tests.unit.storage.rows import header

PASSWORD = "correct-horse-7"
LOCAL = "127.0.0.1"
FAR = "203.0.113.9"
MINUTE = 60


@dataclass
class Agent:
    """Answers commands as the alert agent does, on the same database."""

    pool: Pool
    commander: Commander | None = None
    away: bool = False

    async def send(self, command: AlertCommand) -> None:
        if self.away:
            raise Retry("Kafka did not take the command")
        found = await load_alerts(self.pool, ids=[command.alert_id])
        changed, event = apply_command(found[0] if found else None, command)
        async with self.pool.acquire() as connection, connection.transaction():
            await save_alerts(connection, [changed] if changed else [], [event])
        assert self.commander is not None
        self.commander.on_change(event)


@dataclass
class City:
    """An app on a database, and people who use it."""

    app: FastAPI
    pool: Pool
    clock: Clock
    agent: Agent

    def browser(self, where: str = FAR, scheme: str = "http") -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app, client=(where, 1))
        return httpx.AsyncClient(transport=transport, base_url=f"{scheme}://city.example")

    async def person(self, name: str, role: Role) -> httpx.AsyncClient:
        await accounts.create_user(self.pool, Actor("setup", "local", self.clock()), name, PASSWORD, role)
        client = self.browser()
        answer = await client.post("/api/login", json={"user": name, "password": PASSWORD})
        assert answer.status_code == 200, answer.text
        return client

    async def audits(self) -> list[dict[str, Any]]:
        return await accounts.audit_rows(self.pool, None, 1000)


@asynccontextmanager
async def running(database: str, folder: Path) -> AsyncIterator[City]:
    """Give an app on a migrated database."""
    await asyncio.to_thread(migrate, database)
    pool = await create_pool(database, size=3)
    clock = Clock()
    made = make_parts(clock, folder, pool=pool)
    agent = Agent(pool)
    made.commander = agent.commander = Commander(agent, lambda cmd_id: answer_of(pool, cmd_id))
    made.sessions = Sessions(pool, await accounts.signing_key(pool, clock()), clock, 12.0)
    yield City(create_app(made), pool, clock, agent)
    await pool.close()


async def save(city: City, *alerts: Any) -> None:
    async with city.pool.acquire() as connection, connection.transaction():
        await save_alerts(connection, alerts, [])


async def store(city: City, kind: str, *rows: dict[str, Any]) -> None:
    frame = batch(kind, *rows)
    await Writer(city.pool).write(
        agent="store",
        topic="clean-transport",
        partition=0,
        expected=None,
        next_offset=1,
        batches=[(kind, "live", frame)],
        ledger=[ledger_row(header(frame, kind), "clean-transport", 0)],
    )
