"""Commands are paired with their answers; the same command twice is one command."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.commands import Commander
from schemas.errors import Retry
from schemas.events import AlertCommand, AlertEvent
from tests.unit.gateway.city import NOW, Outbox, alert, nothing


def command(cmd_id: str = "c1", alert_id: str = "a1") -> AlertCommand:
    return AlertCommand(
        cmd_id=cmd_id, alert_id=alert_id, source="b1", action="acknowledge", actor="li", at=NOW, expected_version=1
    )


def answer(change: Any = "acknowledged", cmd_id: str = "c1") -> AlertEvent:
    return AlertEvent(
        id=cmd_id, cmd_id=cmd_id, alert_id="a1", version=2, change=change, at=NOW, note="why", alert=alert(version=2)
    )


async def asked(commander: Commander, sent: AlertCommand, told: AlertEvent) -> Any:
    task = asyncio.create_task(commander.act(sent))
    await asyncio.sleep(0)
    commander.on_change(told)
    return await task


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        ("acknowledged", "ok"),
        ("resolved", "ok"),
        ("noted", "ok"),
        ("reopened", "ok"),
        ("conflict", "conflict"),
        ("refused", "refused"),
    ],
)
async def test_the_answer_decides_the_outcome(change: str, outcome: str) -> None:
    outbox = Outbox()
    result = await asked(Commander(outbox, nothing), command(), answer(change))
    assert result.outcome == outcome
    assert result.alert == alert(version=2)
    assert [c.cmd_id for c in outbox.sent] == ["c1"]


async def test_without_an_answer_the_outcome_is_timeout_and_the_late_answer_is_found_again() -> None:
    commander = Commander(Outbox(), nothing, answer_s=0.0)
    assert (await commander.act(command())).outcome == "timeout"
    assert await commander.earlier(command()) is None
    commander.on_change(answer())
    earlier = await commander.earlier(command())
    assert earlier is not None
    assert earlier.outcome == "ok"


async def test_the_same_command_at_the_same_time_is_sent_once() -> None:
    outbox = Outbox()
    commander = Commander(outbox, nothing)
    both = [asyncio.create_task(commander.act(command())) for _ in range(2)]
    await asyncio.sleep(0)
    commander.on_change(answer())
    assert [(await t).outcome for t in both] == ["ok", "ok"]
    assert len(outbox.sent) == 1


async def test_an_answer_of_long_ago_is_recalled_from_the_database() -> None:
    async def recall(cmd_id: str) -> AlertEvent | None:
        return answer("resolved") if cmd_id == "c1" else None

    commander = Commander(Outbox(), recall)
    found = await commander.earlier(command())
    assert found is not None
    assert found.outcome == "ok"
    assert await commander.earlier(command("c2")) is None


async def test_an_identity_used_for_another_alert_is_refused() -> None:
    commander = Commander(Outbox(), nothing)
    commander.on_change(answer())
    found = await commander.earlier(command(alert_id="a2"))
    assert found is not None
    assert found.outcome == "refused"
    assert found.alert is None


async def test_a_broker_that_is_away_is_said() -> None:
    outbox = Outbox()
    outbox.refuse = Retry("away")
    commander = Commander(outbox, nothing)
    with pytest.raises(Retry):
        await commander.act(command())
    outbox.refuse = None
    assert (await asked(commander, command(), answer())).outcome == "ok"
