"""Work that keeps the database small and quick; run from a timer, safe to run twice or to be cut short."""

# ruff: noqa: S608 - every name put into SQL here is declared in code, every value is a parameter
from __future__ import annotations

from collections.abc import Mapping

from schemas.kinds import all_kinds
from storage.connect import Connection, Pool, passing_faults
from storage.tables import reading_kinds, table_of, time_of

DAY_US = 86_400_000_000
PIECE = 50_000
"""Rows deleted at a time where there are no chunks to drop, so that no transaction grows long."""
MARKS_DAYS = 30
"""Frame numbers of runs unheard of for so long are forgotten; Kafka keeps frames for far less."""


async def retain(pool: Pool, days: Mapping[str, float] | None = None, *, now: int) -> dict[str, int]:
    """Drop what is older than so many days of each kind, by default the kind's own retention.

    Gives the chunks dropped (TimescaleDB, whole days) or rows deleted (elsewhere), by kind. Ledger, alerts, their
    events and the audit are kept for ever.
    """
    wanted = {kind: cls.retention_s / 86_400 for kind, cls in all_kinds().items()} | dict(days or {})
    found: dict[str, int] = {}
    with passing_faults():
        async with pool.acquire() as connection:
            await connection.execute("SET statement_timeout = 0")  # undone when the pool takes the connection back
            chunked = await has_timescale(connection)
            for kind, kept in wanted.items():
                before = now - int(kept * DAY_US)
                found[kind] = await (_drop_chunks if chunked else _delete)(connection, kind, before)
            await connection.execute("DELETE FROM checkpoint_marks WHERE updated_at < $1", now - MARKS_DAYS * DAY_US)
    return found


async def has_timescale(connection: Connection) -> bool:
    """Tell whether TimescaleDB is installed in this database."""
    return bool(await connection.fetchval("SELECT count(*) FROM pg_extension WHERE extname = 'timescaledb'"))


async def _drop_chunks(connection: Connection, kind: str, before: int) -> int:
    statement = "SELECT count(*) FROM drop_chunks($1::text::regclass, older_than => $2::timestamptz)"
    return int(await connection.fetchval(statement, table_of(kind), before))


async def _delete(connection: Connection, kind: str, before: int) -> int:
    table, time = table_of(kind), time_of(kind)
    statement = f"DELETE FROM {table} WHERE ctid = ANY(ARRAY(SELECT ctid FROM {table} WHERE {time} < $1 LIMIT {PIECE}))"
    gone = 0
    while True:
        done = int((await connection.execute(statement, before)).split()[-1])
        gone += done
        if done < PIECE:
            return gone


async def index_closed(pool: Pool, *, now: int, after_days: float = 1.0) -> list[str]:
    """Give closed chunks the btree on (source, ts) that live ones go without; name the chunks done.

    A chunk is closed when its whole day lies ``after_days`` back. Where there are no chunks nothing is done:
    the time index alone finds the rows, and the most recent ones are few.
    """
    done: list[str] = []
    with passing_faults():
        async with pool.acquire() as connection:
            if not await has_timescale(connection):
                return done
            await connection.execute("SET statement_timeout = 0")
            for kind in reading_kinds():
                for chunk in await _bare_chunks(connection, table_of(kind), now - int(after_days * DAY_US)):
                    await connection.execute(f"CREATE INDEX ON {chunk} (source, ts)", timeout=3600)
                    done.append(chunk)
    return done


async def _bare_chunks(connection: Connection, table: str, before: int) -> list[str]:
    """Name the chunks of a table before that time that have no btree yet, quoted by the server itself."""
    statement = (
        "SELECT c::text AS name FROM show_chunks($1::text::regclass, older_than => $2::timestamptz) AS c"
        " WHERE NOT EXISTS (SELECT FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am a ON a.oid = x.relam"
        " WHERE i.indrelid = c AND a.amname = 'btree') ORDER BY 1"
    )
    return [row["name"] for row in await connection.fetch(statement, table, before)]
