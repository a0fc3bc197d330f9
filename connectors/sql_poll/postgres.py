"""A table of PostgreSQL, read in read-only transactions with a time limit."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import psycopg
from psycopg import errors, sql

from connectors.sql_poll.query import Mark, Query, Rows, marked
from schemas.errors import Fatal, Retry

HOPELESS: Final = (
    errors.UndefinedTable,
    errors.UndefinedColumn,
    errors.InsufficientPrivilege,
    errors.InvalidTextRepresentation,
    errors.InvalidDatetimeFormat,
    errors.InvalidSchemaName,
    errors.UndefinedFunction,
    errors.InvalidName,
    errors.WrongObjectType,
    errors.InvalidPassword,
    errors.InvalidCatalogName,
)
"""What trying again does not mend."""
TIMES: Final = ("timestamp without time zone", "timestamp with time zone", "date")


@asynccontextmanager
async def opened(database: str, query: Query) -> AsyncIterator[Postgres]:
    """Connect for reading only; ``Retry`` where the server cannot be reached or refuses us."""
    options = (
        f"-c statement_timeout={int(query.timeout_s * 1000)} -c default_transaction_read_only=on"
        f" -c TimeZone={query.zone} -c DateStyle=ISO -c IntervalStyle=iso_8601 -c extra_float_digits=1"
    )
    try:
        connection = await psycopg.AsyncConnection.connect(
            database, options=options, application_name="cityops", connect_timeout=int(max(query.timeout_s, 2))
        )
    except psycopg.Error as error:
        msg = f"{query.table}: the database cannot be reached: {_text(error)}"
        raise Retry(msg) from error
    try:
        await connection.set_read_only(True)
        yield Postgres(connection, query)
    finally:
        await connection.close()


class Postgres:
    """One connection; each page is a transaction of its own."""

    def __init__(self, connection: psycopg.AsyncConnection[Any], query: Query) -> None:
        self._connection = connection
        self._query = query
        self._is_time = False

    async def check(self) -> None:
        """Raise ``Fatal`` where the table or one of its columns is not there, or the watermark is of no use."""
        table = _identifier(self._query.table)
        columns = [self._query.watermark, self._query.key, *self._query.columns]
        types = sql.SQL("SELECT pg_typeof({})::text, {} FROM (SELECT 1) one LEFT JOIN {} t ON false").format(
            _column(self._query.watermark), sql.SQL(", ").join(map(_column, columns)), table
        )
        _, rows = await self._run(types, ())
        self._is_time = rows[0][0] in TIMES

    async def page(self, after: Mark | None) -> Rows:
        """Give the rows behind a mark, in order."""
        query = self._query
        wanted = sql.SQL("t.*") if not query.columns else sql.SQL(", ").join(map(_column, query.columns))
        watermark, key = _column(query.watermark), _column(query.key)
        conditions: list[sql.Composable] = [sql.SQL("{} IS NOT NULL").format(watermark)]
        values: list[str | float] = []
        if after is not None:
            conditions.append(sql.SQL("({}, {}) > (%s, %s)").format(watermark, key))
            values += [str(after.watermark), str(after.key)]
        elif query.begin:
            conditions.append(sql.SQL("{} > %s").format(watermark))
            values.append(query.begin)
        if self._is_time and query.lag_s > 0:
            conditions.append(sql.SQL("{} <= now() - make_interval(secs => %s)").format(watermark))
            values.append(query.lag_s)
        statement = sql.SQL("SELECT {}::text, {}::text, {} FROM {} t WHERE {} ORDER BY {}, {} LIMIT {}").format(
            watermark, key, wanted, _identifier(query.table), sql.SQL(" AND ").join(conditions), watermark, key, query.page_rows
        )
        return marked(*await self._run(statement, values))

    async def _run(self, statement: sql.Composed, values: Any) -> tuple[list[str], list[tuple[Any, ...]]]:
        try:
            async with self._connection.transaction():
                cursor = await self._connection.execute(statement, values)
                rows = await cursor.fetchall()
                return [column.name for column in cursor.description or ()], rows
        except HOPELESS as error:
            msg = f"sql_poll: {self._query.table}: {_text(error)}"
            raise Fatal(msg) from error
        except psycopg.Error as error:
            msg = f"{self._query.table}: {_text(error)}"
            raise Retry(msg) from error


def _identifier(table: str) -> sql.Identifier:
    """Give a table's name, with its schema, quoted."""
    return sql.Identifier(*table.split(".", 1))


def _column(name: str) -> sql.Identifier:
    """Give a column of the table ``t``, quoted."""
    return sql.Identifier("t", name)


def _text(error: psycopg.Error) -> str:
    return " ".join(str(error).split())[:300]
