"""The few questions to the database that only the gateway asks; times are microseconds UTC."""

# ruff: noqa: S608 - every name put into SQL here is declared in code, every value is a parameter
from __future__ import annotations

from typing import Any

import msgspec

from schemas.events import Alert, AlertEvent
from storage import queries
from storage.connect import Pool, passing_faults
from storage.tables import columns, quoted, reading_kinds, table_of


async def find_alert(pool: Pool, alert_id: str) -> Alert | None:
    """Give an alert, resolved or not."""
    found = await queries.alert(pool, alert_id)
    return None if found is None else found[0]


async def answer_of(pool: Pool, cmd_id: str) -> AlertEvent | None:
    """Give the event that answered a command, if it was answered: it bears the command's id."""
    with passing_faults():
        event = await pool.fetchval("SELECT event FROM alert_events WHERE id = $1", cmd_id)
    return None if event is None else msgspec.convert(event, AlertEvent)


async def latest_reading(pool: Pool, kind: str, source: str) -> dict[str, Any] | None:
    """Give the newest stored reading of a source with every field of its kind; None for a source never heard.

    A kind that devices do not feed raises ``ValueError``.
    """
    if kind not in reading_kinds():
        msg = f"no readings of kind {kind!r}; known: {', '.join(reading_kinds())}"
        raise ValueError(msg)
    with passing_faults():
        ts = await pool.fetchval("SELECT ts FROM sources WHERE kind = $1 AND source = $2", kind, source)
        if ts is None:
            return None
        row = await pool.fetchrow(
            f"SELECT {quoted(columns(kind))} FROM {table_of(kind)} WHERE source = $1 AND ts = $2 ORDER BY seen_at DESC LIMIT 1",
            source,
            ts,
        )
    return None if row is None else dict(row)
