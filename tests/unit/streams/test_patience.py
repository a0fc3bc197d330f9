"""What keeps an agent waiting: told for as long as it lasts, so that nobody takes the agent for stuck."""

from __future__ import annotations

import asyncio
from pathlib import Path

from storage.connect import Retry
from streams.agents.store import StoreTask
from streams.app import Agent
from streams.attempts import Attempts


async def test_an_agent_waits_for_the_database_between_attempts_too(tmp_path: Path) -> None:
    agent = Agent("store", ["readings"], StoreTask, within_s=0.1, batch=1, attempts=Attempts(tmp_path / "attempts"))
    told: list[str] = []

    async def attempt() -> int:
        told.append(agent.waits_for)
        if len(told) < 2:
            raise Retry("away")
        return len(told)

    waiting = asyncio.ensure_future(agent._patiently("database", attempt))
    while not waiting.done():
        await asyncio.sleep(0.01)
        told += [] if waiting.done() else [agent.waits_for]
    assert await waiting > 2
    assert set(told) == {"database"}
    assert agent.waits_for == ""
