"""What the gateway and the command line ask of the database; times are microseconds since 1970 UTC both ways."""

# ruff: noqa: S608 - every name put into SQL here is declared in code, every value is a parameter
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from schemas.events import Alert, Severity, Status
from schemas.kinds import all_kinds
from storage.alerts_store import ALERT, to_alert
from storage.balance import ledger, reasons, totals
from storage.connect import Pool, passing_faults
from storage.series import history, latest_sources, silent_sources, track, windows
from storage.tables import quoted, table_of

__all__ = [
    "alert",
    "alerts",
    "connectors",
    "counts",
    "history",
    "kpis",
    "latest_sources",
    "ledger",
    "reasons",
    "rejects",
    "rules",
    "setting",
    "silent_sources",
    "store_setting",
    "totals",
    "track",
    "windows",
]

Cursor = tuple[int, str]
"""Time and id of the last row of a page: the next page begins after it."""
MOST_ROWS = 1000


async def alerts(
    pool: Pool,
    *,
    status: Sequence[Status] = (),
    severity: Sequence[Severity] = (),
    before: Cursor | None = None,
    limit: int = 100,
) -> list[Alert]:
    """Give a page of alerts, newest first; empty filters let everything through.

    For the next page give ``before=(opened_at, id)`` of the last one. At most 1,000 come at once.
    """
    at, last = before if before is not None else (None, None)
    statement = (
        f"SELECT {quoted(ALERT)} FROM alerts WHERE (cardinality($1::text[]) = 0 OR status = ANY($1))"
        " AND (cardinality($2::text[]) = 0 OR severity = ANY($2))"
        " AND ($3::timestamptz IS NULL OR (opened_at, id) < ($3, $4::text)) ORDER BY opened_at DESC, id DESC LIMIT $5"
    )
    with passing_faults():
        rows = await pool.fetch(statement, list(status), list(severity), at, last, _page(limit))
    return [to_alert(row) for row in rows]


async def alert(pool: Pool, alert_id: str) -> tuple[Alert, list[dict[str, Any]]] | None:
    """Give an alert and its events, oldest first; None where there is no such alert."""
    with passing_faults():
        row = await pool.fetchrow(f"SELECT {quoted(ALERT)} FROM alerts WHERE id = $1", alert_id)
        events = await pool.fetch("SELECT event FROM alert_events WHERE alert_id = $1 ORDER BY at, version, id", alert_id)
    return None if row is None else (to_alert(row), [e["event"] for e in events])


async def connectors(pool: Pool) -> list[dict[str, Any]]:
    """Give the latest state of each connector, by name, in the shape of ``events.ConnectorState``."""
    with passing_faults():
        return [row["state"] for row in await pool.fetch("SELECT state FROM connector_states ORDER BY connector")]


async def rules(pool: Pool) -> list[dict[str, Any]]:
    """Give the rules in force, by id; ``pack`` is the whole rule as its pack declares it."""
    statement = (
        'SELECT id, version, severity, category, zh, en, reason_zh, reason_en, clause, "limit", unit, kinds, pack, updated_at'
        " FROM rules ORDER BY id"
    )
    with passing_faults():
        return [dict(row) for row in await pool.fetch(statement)]


async def rejects(
    pool: Pool,
    *,
    connector: str | None = None,
    reason: str | None = None,
    since: int | None = None,
    before: int | None = None,
    limit: int = 100,
) -> list[dict[str, Any]]:
    """Give refused input, newest arrival first; ``since`` and ``before`` bound the arrival, ``raw`` is bytes."""
    statement = (
        "SELECT source, ts, seen_at, serial, connector, stage, reason, detail, raw, refused_kind FROM reject"
        " WHERE ($1::text IS NULL OR connector = $1) AND ($2::text IS NULL OR reason = $2)"
        " AND ($3::timestamptz IS NULL OR seen_at >= $3) AND ($4::timestamptz IS NULL OR seen_at < $4)"
        " ORDER BY seen_at DESC LIMIT $5"
    )
    with passing_faults():
        return [dict(row) for row in await pool.fetch(statement, connector, reason, since, before, _page(limit))]


async def counts(pool: Pool, kinds: Sequence[str] = ()) -> dict[str, int]:
    """Count the rows of kinds' tables, of all kinds unless some are named; reads whole tables."""
    found: dict[str, int] = {}
    with passing_faults():
        for kind in kinds or tuple(all_kinds()):
            found[kind] = await pool.fetchval(f"SELECT count(*) FROM {table_of(kind)}")
    return found


async def kpis(pool: Pool, now: int) -> dict[str, Any]:
    """Give key figures at ``now``: sources known and heard within three intervals, open alerts, rows of the last minute."""
    intervals = {kind: int(cls.interval_s * 3e6) for kind, cls in all_kinds().items()}
    heard = (
        "SELECT s.kind, count(*) AS known, count(*) FILTER (WHERE s.seen_at >= i.since) AS online, max(s.ts) AS newest"
        " FROM sources s JOIN unnest($1::text[], $2::timestamptz[]) AS i(kind, since) USING (kind) GROUP BY 1 ORDER BY 1"
    )
    opened = (
        "SELECT severity, status, count(*) AS n FROM alerts WHERE status <> 'resolved' AND category = 'city'"
        " GROUP BY 1, 2 ORDER BY 1, 2"
    )
    minute = now - now % 60_000_000 - 60_000_000
    with passing_faults():
        sources = await pool.fetch(heard, list(intervals), [now - us for us in intervals.values()])
        open_now = await pool.fetch(opened)
        rows = await pool.fetchrow(
            "SELECT coalesce(sum(received), 0)::bigint AS received, coalesce(sum(rejected), 0)::bigint AS rejected"
            " FROM ledger WHERE minute = $1",
            minute,
        )
    return {"sources": [dict(s) for s in sources], "alerts": [dict(a) for a in open_now], "minute": dict(rows) if rows else {}}


async def setting(pool: Pool, key: str) -> Any:
    """Give a kept setting, or None."""
    with passing_faults():
        return await pool.fetchval("SELECT value FROM settings WHERE key = $1", key)


async def store_setting(pool: Pool, key: str, value: Any) -> None:
    """Keep a setting; the value is anything JSON can say, None forgets it."""
    statement = (
        "INSERT INTO settings (key, value) VALUES ($1, $2)"
        " ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = now()"
    )
    with passing_faults():
        if value is None:
            await pool.execute("DELETE FROM settings WHERE key = $1", key)
        else:
            await pool.execute(statement, key, value)


def _page(limit: int) -> int:
    return max(1, min(limit, MOST_ROWS))
