"""What connectors say of themselves: latest state of each, and the running totals of each run."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from schemas.events import ConnectorState
from storage.connect import Connection


async def save(connection: Connection, states: Sequence[ConnectorState]) -> None:
    """Keep the newest state of each connector; totals of a run only grow, whatever order they arrive in."""
    newest: dict[str, ConnectorState] = {}
    for state in states:
        if state.connector not in newest or state.at >= newest[state.connector].at:
            newest[state.connector] = state
    if not newest:
        return
    statement = (
        "INSERT INTO connector_states AS c (connector, type, health, since, at, state)"
        " SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::jsonb[])"
        " ON CONFLICT (connector) DO UPDATE SET type = excluded.type, health = excluded.health, since = excluded.since,"
        " at = excluded.at, state = excluded.state WHERE excluded.at >= c.at"
    )
    lines = [(s.connector, s.type, s.health, s.since, s.at, msgspec.to_builtins(s)) for _, s in sorted(newest.items())]
    await connection.execute(statement, *map(list, zip(*lines, strict=True)))
    await _save_totals(connection, states)


async def _save_totals(connection: Connection, states: Sequence[ConnectorState]) -> None:
    Total = tuple[int, int, int, int]  # noqa: N806 - received, produced, spooled, at
    totals: dict[tuple[str, str, str, str, int], Total] = {}
    for state in sorted(states, key=lambda s: s.at):
        for t in state.totals:
            totals[(state.connector, state.run, t.topic, t.kind, t.bucket)] = (t.received, t.produced, t.spooled, state.at)
    if not totals:
        return
    statement = (
        "INSERT INTO connector_counts AS t (connector, run, topic, kind, bucket, received, produced, spooled, at)"
        " SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::int[],"
        " $6::bigint[], $7::bigint[], $8::bigint[], $9::timestamptz[])"
        " ON CONFLICT (connector, run, topic, kind, bucket) DO UPDATE SET"
        " received = greatest(t.received, excluded.received), produced = greatest(t.produced, excluded.produced),"
        " spooled = CASE WHEN excluded.at >= t.at THEN excluded.spooled ELSE t.spooled END, at = greatest(t.at, excluded.at)"
    )
    lines = [(*key, *totals[key]) for key in sorted(totals)]
    await connection.execute(statement, *map(list, zip(*lines, strict=True)))
