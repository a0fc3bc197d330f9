"""The database's side of the ledger, all of one instant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from schemas.config import Config
from schemas.errors import Fatal, Retry
from storage.balance import ARRIVED, TAKEN_IN, Place
from storage.connect import Connection, create_pool, passing_faults

TotalKey = tuple[str, str, str, str, int]
"""Connector, run, topic, kind, bucket."""
StreamKey = tuple[str, str, str, int]
"""Topic, connector, run, bucket: what numbers frames."""

TOTALS = """
SELECT t.connector, t.run, t.topic, t.kind, t.bucket, t.received, t.produced, t.spooled, t.framed,
       s.state ->> 'run' IS NULL OR s.state ->> 'run' = t.run AS current
FROM connector_totals t LEFT JOIN connector_states s USING (connector)
"""


@dataclass(frozen=True, slots=True)
class Total:
    """Rows of one run, topic, kind and bucket, as its connector and its frames told."""

    received: int
    produced: int
    spooled: int
    framed: int
    current: bool
    """No later run of the connector has spoken."""

    @property
    def taken(self) -> int:
        """Rows whose devices were, or will be, told that they arrived."""
        told = self.received if self.current else min(self.received, self.produced + self.spooled)
        return max(self.framed, told)


@dataclass(slots=True)
class Snapshot:
    """What the database holds at one instant."""

    arrived: dict[Place, tuple[int, int, int, int]] = field(default_factory=dict)
    """Rows of the frames that reached the store: received, stored, duplicates, rejected."""
    taken: dict[Place, int] = field(default_factory=dict)
    """Rows taken in by connectors."""
    totals: dict[TotalKey, Total] = field(default_factory=dict)
    offsets: dict[tuple[str, str, int], int] = field(default_factory=dict)
    """Next offset by agent, topic and partition."""
    marks: dict[tuple[str, str, str, str, int], int] = field(default_factory=dict)
    """Last frame number by agent and stream."""
    gaps: list[tuple[StreamKey, int, int]] = field(default_factory=list)
    """Holes in the numbering: stream, first and last number that never came."""

    def held(self, in_kafka: Mapping[TotalKey, int]) -> dict[Place, int]:
        """Give the rows still inside connectors or their spool, given the highest total seen in Kafka.

        Of a replaced run only spooled rows can still come; what else is missing of it is lost.
        """
        found: dict[Place, int] = {}
        for key, total in self.totals.items():
            connector, _, _, kind, bucket = key
            missing = total.taken - max(total.framed, total.produced, in_kafka.get(key, 0))
            if missing > 0 and (total.current or total.spooled):
                place = (connector, kind, bucket)
                found[place] = found.get(place, 0) + missing
        return found


async def take(config: Config, since: int | None) -> Snapshot:
    """Read the snapshot; a database that is away or not migrated raises ``Fatal``."""
    import asyncpg

    try:
        pool = await create_pool(config.database.url, config.database.schema, size=1)
        try:
            with passing_faults():
                async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
                    return await _read(connection, since)
        finally:
            await pool.close()
    except Retry as error:
        msg = f"{error}; is the system running? start `cityops demo`, or set CITYOPS_DATABASE"
        raise Fatal(msg) from error
    except asyncpg.UndefinedTableError as error:
        msg = f"the database has no tables of CityOps ({error}); run `cityops migrate`"
        raise Fatal(msg) from error


async def _read(connection: Connection, since: int | None) -> Snapshot:
    found = Snapshot()
    for r in await connection.fetch(ARRIVED, since):
        counts = (r["received"], r["stored"], r["duplicates"], r["rejected"])
        found.arrived[(r["connector"], r["kind"], r["partition"])] = counts
    if since is None:
        for r in await connection.fetch(TAKEN_IN):
            found.taken[(r["connector"], r["kind"], r["partition"])] = r["received"]
        for r in await connection.fetch(TOTALS):
            key = (r["connector"], r["run"], r["topic"], r["kind"], r["bucket"])
            found.totals[key] = Total(r["received"], r["produced"], r["spooled"], r["framed"], r["current"])
    for r in await connection.fetch(
        "SELECT agent, topic, partition, next_offset FROM checkpoints WHERE agent IN ('clean', 'store')"
    ):
        found.offsets[(r["agent"], r["topic"], r["partition"])] = r["next_offset"]
    marks = "SELECT agent, topic, connector, run, bucket, seq FROM checkpoint_marks WHERE agent IN ('clean', 'store')"
    for r in await connection.fetch(marks):
        found.marks[(r["agent"], r["topic"], r["connector"], r["run"], r["bucket"])] = r["seq"]
    gaps = "SELECT * FROM frame_gaps WHERE $1::timestamptz IS NULL OR at >= $1 ORDER BY topic, connector, run, bucket, first_seq"
    for r in await connection.fetch(gaps, since):
        found.gaps.append(((r["topic"], r["connector"], r["run"], r["bucket"]), r["first_seq"], r["last_seq"]))
    return found
