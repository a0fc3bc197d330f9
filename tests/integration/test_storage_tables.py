"""Migrations on a real server, and what COPY brings back from it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import asyncpg
import psycopg
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from schemas.derive import fields
from schemas.errors import Fatal
from schemas.events import Alert
from schemas.kinds import all_kinds
from storage import pgcopy
from storage.alerts_store import ALERT
from storage.connect import create_pool
from storage.ddl import comment, table_comment
from storage.migrate import files, migrate, probe, status
from storage.staging import copy
from storage.tables import columns, table_of
from tests.integration.stack import Stack
from tests.unit.storage.rows import batches, buses, plain

COLUMNS = """
SELECT a.attname, format_type(a.atttypid, a.atttypmod), NOT a.attnotnull, col_description(a.attrelid, a.attnum)
FROM pg_attribute a WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""
SQL_NAMES = {"timestamptz": "timestamp with time zone"}


@pytest.fixture
def url(database: str) -> str:
    migrate(database)
    return database


@pytest.fixture
def connection(url: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with psycopg.connect(url, autocommit=True, options="-c search_path=cityops,public -c timezone=UTC") as found:
        yield found


def test_migrations_run_once_and_say_so(database: str) -> None:
    names = [m.name for m, _ in files()]
    assert migrate(database) == names
    assert migrate(database) == []
    assert [m.name for m in status(database) if m.applied_at is not None] == names


def test_status_of_an_empty_database_is_nothing_applied(database: str) -> None:
    assert all(m.applied_at is None for m in status(database))


def test_processes_that_start_together_migrate_once(database: str) -> None:
    with ThreadPoolExecutor(3) as threads:
        ran = [f.result() for f in [threads.submit(migrate, database) for _ in range(3)]]
    assert sorted(len(names) for names in ran) == [0, 0, len(files())]


def test_a_second_schema_is_independent(url: str) -> None:
    assert migrate(url, "other town") == [m.name for m, _ in files()]


def test_a_changed_file_is_refused_by_name(url: str, connection: psycopg.Connection[tuple[object, ...]]) -> None:
    connection.execute("UPDATE schema_migrations SET checksum = 'x' WHERE name = '0003_bikes'")
    with pytest.raises(Fatal, match="0003_bikes was changed"):
        migrate(url)


def test_an_older_release_refuses_a_newer_database(url: str, connection: psycopg.Connection[tuple[object, ...]]) -> None:
    connection.execute("INSERT INTO schema_migrations (name, checksum) VALUES ('9999_future', 'x')")
    with pytest.raises(Fatal, match="9999_future"):
        migrate(url)


def test_no_database_is_said_in_one_sentence() -> None:
    with pytest.raises(Fatal, match="check \\[database\\] url"):
        migrate("postgresql://nobody@127.0.0.1:1/none")


def test_probe_tells_what_the_server_is(url: str, stack: Stack) -> None:
    found = probe(url)
    assert int(found.server_version.split(".")[0]) >= 17
    assert (found.timescale is not None) == stack.timescale
    assert (found.licence is not None) == stack.timescale


@pytest.mark.parametrize("kind", sorted(all_kinds()))
def test_the_table_of_a_kind_is_its_declaration(kind: str, connection: psycopg.Connection[tuple[object, ...]]) -> None:
    declared = [(f.name, SQL_NAMES.get(f.sql, f.sql), f.nullable, comment(f)) for f in fields(kind, "clean")]
    assert connection.execute(COLUMNS, (table_of(kind),)).fetchall() == declared
    described = connection.execute("SELECT obj_description(%s::regclass)", (table_of(kind),)).fetchone()
    assert described == (table_comment(kind),)


def test_the_table_of_alerts_has_the_fields_of_an_alert(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    assert [r[0] for r in connection.execute(COLUMNS, ("alerts",))] == list(Alert.__struct_fields__) == list(ALERT)


def test_every_table_and_column_is_explained_in_both_languages(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    statement = """
    SELECT c.relname || coalesce('.' || a.attname, '') FROM pg_class c
    LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relnamespace = 'cityops'::regnamespace AND c.relkind IN ('r', 'p')
    AND (obj_description(c.oid) IS NULL OR coalesce(col_description(c.oid, a.attnum), '') !~ '^[^ -~]+.* / .*[a-z]') ORDER BY 1
    """
    assert connection.execute(statement).fetchall() == []


def test_kind_tables_are_hypertables_where_timescale_is(connection: psycopg.Connection[tuple[object, ...]], stack: Stack) -> None:
    if not stack.timescale:
        indexes = connection.execute("SELECT indexdef FROM pg_indexes WHERE tablename = 'bus_position'").fetchall()
        assert ["USING brin (ts)" in str(i[0]) for i in indexes] == [True]
        return
    rows = connection.execute("SELECT hypertable_name FROM timescaledb_information.hypertables").fetchall()
    assert {r[0] for r in rows} >= {table_of(kind) for kind in all_kinds()}


def test_the_audit_of_alerts_cannot_be_changed(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    connection.execute("INSERT INTO alert_events VALUES ('e', 'a', 1, 'opened', now(), '{}')")
    for statement in ("UPDATE alert_events SET version = 2", "DELETE FROM alert_events", "TRUNCATE alert_events"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
            connection.execute(statement)


def test_copy_brings_back_every_value_of_every_kind(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
    @given(st.data())
    def check(draw: st.DataObject) -> None:
        kind = draw.draw(st.sampled_from(sorted(all_kinds())))
        batch = draw.draw(batches(kind))
        names = sql.SQL(", ").join(map(sql.Identifier, columns(kind)))
        connection.execute(
            sql.SQL("CREATE TEMP TABLE t AS SELECT {} FROM {} WITH NO DATA").format(names, sql.Identifier(table_of(kind)))
        )
        try:
            with connection.cursor() as cursor:
                with cursor.copy("COPY t FROM STDIN (FORMAT binary)") as copy:
                    for piece in pgcopy.stream(batch):
                        copy.write(piece)
                chosen = sql.SQL(", ").join(_readable(f.name, f.sql) for f in fields(kind, "clean"))
                cursor.execute(sql.SQL("SELECT {} FROM t ORDER BY ctid").format(chosen))
                assert [list(row) for row in cursor.fetchall()] == plain(batch)
        finally:
            connection.execute("DROP TABLE t")

    check()


def _readable(name: str, kind: str) -> sql.Composed | sql.Identifier:
    if kind != "timestamptz":
        return sql.Identifier(name)
    return sql.SQL("(extract(epoch FROM {}) * 1000000)::bigint").format(sql.Identifier(name))


async def test_the_hot_path_reads_and_writes_microseconds_and_objects(url: str) -> None:
    pool = await create_pool(url, size=1)
    try:
        for us in (-62_135_596_800_000_000, -1, 0, 946_684_800_000_001, 1_767_225_600_123_456):
            assert await pool.fetchval("SELECT $1::timestamptz", us) == us
        assert await pool.fetchval("SELECT array[$1::timestamptz]", 5) == [5]
        assert await pool.fetchval("SELECT $1::jsonb", {"风": [1, None]}) == {"风": [1, None]}
        assert await pool.fetchval("SELECT extract(year FROM to_timestamp(1767225600) AT TIME ZONE 'UTC')") == 2026
    finally:
        await pool.close()


async def test_a_statement_that_takes_too_long_is_given_up(url: str) -> None:
    pool = await create_pool(url, size=1, timeout=0.2)
    try:
        with pytest.raises((TimeoutError, asyncpg.QueryCanceledError)):
            await pool.fetchval("SELECT pg_sleep(20)")
        assert await pool.fetchval("SELECT 1") == 1
    finally:
        await pool.close()


async def test_asyncpg_copies_the_same_bytes(url: str) -> None:
    pool = await create_pool(url, size=1)
    try:
        async with pool.acquire() as connection:
            batch = buses(3)
            await copy(connection, "bus_position", batch)
            rows = await connection.fetch("SELECT source, ts, serial, speed, plate FROM bus_position ORDER BY ts")
    finally:
        await pool.close()
    wanted = zip(
        *(
            batch.column(n).cast(pa.int64()).to_pylist() if n == "ts" else batch.column(n).to_pylist()
            for n in ("source", "ts", "serial", "speed", "plate")
        ),
        strict=True,
    )
    assert [tuple(r.values()) for r in rows] == list(wanted)
