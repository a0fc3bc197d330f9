"""The ledger's proof: what connectors took in against what is stored, rejected, doubled and still under way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from storage.connect import Pool, passing_faults

Place = tuple[str, str, int]
"""Connector, kind and partition."""

TAKEN_IN = """
SELECT t.connector, t.kind, t.bucket AS partition,
       sum(greatest(t.framed, CASE WHEN s.state ->> 'run' IS NULL OR s.state ->> 'run' = t.run THEN t.received
                                   ELSE least(t.received, t.produced + t.spooled) END))::bigint AS received
FROM connector_totals t LEFT JOIN connector_states s USING (connector)
GROUP BY 1, 2, 3
"""
"""Rows taken in by each run, summed. Of a run that was replaced by a later one, only rows that Kafka or the spool
held count: their devices alone had been told so, the others send again to the run after it."""

ARRIVED = """
SELECT connector, kind, partition, sum(received)::bigint AS received, sum(stored)::bigint AS stored,
       sum(duplicates)::bigint AS duplicates, sum(rejected)::bigint AS rejected
FROM ledger WHERE $1::timestamptz IS NULL OR minute >= $1
GROUP BY 1, 2, 3
"""


@dataclass(slots=True)
class Balance:
    """Rows by what became of them; ``lost`` is what none of the others explains, below zero if rows were doubled."""

    received: int = 0
    stored: int = 0
    duplicates: int = 0
    rejected: int = 0
    in_flight: int = 0

    @property
    def lost(self) -> int:
        """Rows that came in and are nowhere."""
        return self.received - self.stored - self.duplicates - self.rejected - self.in_flight

    def add(self, other: Balance) -> None:
        """Add another balance to this one."""
        for field in fields(Balance):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))

    def plain(self) -> dict[str, Any]:
        """Give the balance as a dictionary, ``lost`` included."""
        return {**asdict(self), "lost": self.lost}


async def ledger(pool: Pool, *, since: int | None = None, in_flight: Mapping[Place, int] | None = None) -> dict[str, Any]:
    """Give the balance of everything and, under ``by``, of each connector, kind and partition.

    ``in_flight`` is what the caller found to be under way: taken in, not yet read by the store. With ``since``
    (arrival, microseconds) only frames that arrived from that minute on count, and rows that never reached the
    store cannot be told. Rows that a connector refused are of kind ``reject``: received and rejected.
    """
    with passing_faults():
        async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
            arrived = await connection.fetch(ARRIVED, since)
            taken = await connection.fetch(TAKEN_IN) if since is None else []
    found: dict[Place, Balance] = {}
    for row in arrived:
        counts = Balance(row["received"], row["stored"], row["duplicates"], row["rejected"])
        found[(row["connector"], row["kind"], row["partition"])] = counts
    for row in taken:
        balance = found.setdefault((row["connector"], row["kind"], row["partition"]), Balance())
        balance.received = max(balance.received, row["received"])
    for place, n in (in_flight or {}).items():
        found.setdefault(place, Balance()).in_flight += n
    whole = Balance()
    for balance in found.values():
        whole.add(balance)
    by = [{"connector": c, "kind": k, "partition": p, **found[(c, k, p)].plain()} for c, k, p in sorted(found)]
    return {**whole.plain(), "by": by}


async def reasons(pool: Pool, *, since: int | None = None) -> list[dict[str, Any]]:
    """Give how many rows were refused, by connector, kind and reason, most first."""
    statement = (
        "SELECT connector, kind, reason, sum(n)::bigint AS n FROM ledger_reasons"
        " WHERE $1::timestamptz IS NULL OR minute >= $1 GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3"
    )
    with passing_faults():
        return [dict(row) for row in await pool.fetch(statement, since)]


async def totals(pool: Pool) -> list[dict[str, Any]]:
    """Give the running totals of every run: what it received, produced, holds in its spool, and what was framed."""
    statement = (
        "SELECT connector, run, topic, kind, bucket, received, produced, spooled, framed, at FROM connector_totals"
        " ORDER BY connector, run, topic, kind, bucket"
    )
    with passing_faults():
        return [dict(row) for row in await pool.fetch(statement)]
