"""Alerts, their events and the rules in force, as the alert agent writes and reads them."""

# ruff: noqa: S608 - every name put into SQL here is declared in code, every value is a parameter
from __future__ import annotations

from collections.abc import Sequence

import asyncpg
import msgspec

from schemas import topics
from schemas.events import Alert, AlertEvent
from schemas.rules import Rule
from storage.connect import Connection, Pool, passing_faults
from storage.tables import quoted

ALERT = tuple(Alert.__struct_fields__)
TYPES = {"str": "text", "int": "bigint", "float": "float8", "bool": "boolean", "dict": "jsonb"}
TIMES = ("started", "last", "opened_at", "cleared", "resolved_at", "acked_at")


def _array_type(field: msgspec.inspect.Field) -> str:
    if field.name in TIMES:
        return "timestamptz[]"
    declared = field.type
    options = declared.types if isinstance(declared, msgspec.inspect.UnionType) else (declared,)
    name = type(options[0]).__name__.removesuffix("Type").lower()
    return f"{TYPES.get(name, 'text')}[]"


def _upsert() -> str:
    shape = msgspec.inspect.type_info(Alert)
    if not isinstance(shape, msgspec.inspect.StructType):
        msg = "Alert is no struct"
        raise TypeError(msg)
    arrays = ", ".join(f"${i}::{_array_type(f)}" for i, f in enumerate(shape.fields, 1))
    changes = ", ".join(f'"{name}" = excluded."{name}"' for name in ALERT if name != "id")
    return (
        f"INSERT INTO alerts AS a ({quoted(ALERT)}) SELECT * FROM unnest({arrays})"
        f" ON CONFLICT (id) DO UPDATE SET {changes} WHERE excluded.version > a.version"
    )


UPSERT = _upsert()


async def save_alerts(connection: Connection, alerts: Sequence[Alert], events: Sequence[AlertEvent]) -> None:
    """Write alerts whose version is newer than the stored one, and events that are not there yet.

    Runs in the caller's transaction; writing the same again changes nothing.
    """
    newest: dict[str, Alert] = {}
    for alert in alerts:
        if alert.id not in newest or alert.version > newest[alert.id].version:
            newest[alert.id] = alert
    if newest:
        lines = [[getattr(a, name) for name in ALERT] for _, a in sorted(newest.items())]
        await connection.execute(UPSERT, *map(list, zip(*lines, strict=True)))
    if events:
        statement = (
            "INSERT INTO alert_events (id, alert_id, version, change, at, event)"
            " SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::timestamptz[], $6::jsonb[])"
            " ON CONFLICT (id) DO NOTHING"
        )
        rows = [(e.id, e.alert_id, e.version, e.change, e.at, msgspec.to_builtins(e)) for e in events]
        await connection.execute(statement, *map(list, zip(*rows, strict=True)))


async def load_alerts(
    pool: Pool,
    *,
    ids: Sequence[str] | None = None,
    partition: tuple[int, int] | None = None,
    resolved_since: int | None = None,
) -> list[Alert]:
    """Read alerts, oldest first: those of ``ids``, else all that are not resolved.

    ``resolved_since`` adds alerts resolved at or after that time, which people may still reopen. ``partition``
    (number, of so many) keeps those whose source belongs to that partition.
    """
    with passing_faults():
        if ids is not None:
            rows = await pool.fetch(f"SELECT {quoted(ALERT)} FROM alerts WHERE id = ANY($1) ORDER BY opened_at, id", list(ids))
        else:
            which = "status <> 'resolved' OR resolved_at >= $1::timestamptz"
            rows = await pool.fetch(f"SELECT {quoted(ALERT)} FROM alerts WHERE {which} ORDER BY opened_at, id", resolved_since)
    found = [to_alert(row) for row in rows]
    if partition is None:
        return found
    number, of = partition
    return [a for a in found if topics.bucket(a.source, of) == number]


def to_alert(row: asyncpg.Record) -> Alert:
    """Give the alert of a row of the table ``alerts``."""
    return msgspec.convert({name: row[name] for name in ALERT}, Alert)


async def save_rules(pool: Pool, rules: Sequence[Rule]) -> None:
    """Make the table of rules say exactly what is in force now."""
    lines = [
        (r.id, r.version, r.severity, r.category, r.zh, r.en, r.reason_zh, r.reason_en, r.clause, r.limit, r.unit, r.kinds)
        for r in rules
    ]
    names = (
        "id",
        "version",
        "severity",
        "category",
        "zh",
        "en",
        "reason_zh",
        "reason_en",
        "clause",
        "limit",
        "unit",
        "kinds",
        "pack",
    )
    changes = ", ".join(f'"{n}" = excluded."{n}"' for n in names[1:])
    places = ", ".join(f"${i}" for i in range(1, len(names) + 1))
    statement = (
        f"INSERT INTO rules AS r ({quoted(names)}) VALUES ({places}) ON CONFLICT (id)"
        f" DO UPDATE SET {changes}, updated_at = now() WHERE excluded.pack <> r.pack OR excluded.version <> r.version"
    )
    with passing_faults():
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute("LOCK TABLE rules IN SHARE ROW EXCLUSIVE MODE")
            await connection.executemany(
                statement, [(*line, msgspec.to_builtins(r)) for line, r in zip(lines, rules, strict=True)]
            )
            await connection.execute("DELETE FROM rules WHERE id <> ALL($1)", [r.id for r in rules])
