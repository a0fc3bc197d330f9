"""A table of SQLite, opened for reading only, each statement with a time limit."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from connectors.sql_poll.query import Mark, Query, Rows, marked
from schemas.errors import Fatal, Retry

STEPS: Final = 10_000
"""Instructions of SQLite between two looks at the clock."""


@contextmanager
def opened(path: Path, query: Query, clock: Callable[[], int]) -> Iterator[Sqlite]:
    """Open a database file for reading only; ``Retry`` where it cannot be."""
    try:
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False, timeout=query.timeout_s
        )
    except sqlite3.Error as error:
        msg = f"{path}: {error}"
        raise Retry(msg) from error
    try:
        connection.execute("PRAGMA query_only = ON")
        yield Sqlite(connection, query, clock)
    finally:
        connection.close()


class Sqlite:
    """One connection; ``lag_s`` has no meaning here, for only one transaction writes at a time."""

    def __init__(self, connection: sqlite3.Connection, query: Query, clock: Callable[[], int]) -> None:
        self._connection = connection
        self._query = query
        self._clock = clock

    def check(self) -> None:
        """Raise ``Fatal`` where the table or one of its columns is not there.

        SQLite takes an unknown quoted name for a text, so names are compared with those it has.
        """
        query = self._query
        schema, _, table = query.table.rpartition(".")
        _, rows = self._run("SELECT name FROM pragma_table_info(?, ?)", (table, schema or "main"))
        known = {row[0] for row in rows}
        for name in (query.watermark, query.key, *query.columns):
            if name not in known:
                there = f"there are {', '.join(sorted(known))}" if known else "there is no such table"
                msg = f"sql_poll: {query.table} has no column {name!r}; {there}"
                raise Fatal(msg)

    def page(self, after: Mark | None) -> Rows:
        """Give the rows behind a mark, in order."""
        query = self._query
        watermark, key = _quoted(query.watermark), _quoted(query.key)
        wanted = ", ".join(map(_quoted, query.columns)) or "*"
        condition = f"{watermark} IS NOT NULL"
        values: list[str | int | float] = []
        if after is not None:
            condition += f" AND ({watermark}, {key}) > (?, ?)"
            values = [after.watermark, after.key]
        elif query.begin:
            condition += f" AND {watermark} > ?"
            values = [query.begin]
        table = ".".join(map(_quoted, query.table.split(".", 1)))
        order = f"ORDER BY {watermark}, {key} LIMIT {query.page_rows}"
        statement = f"SELECT {watermark}, {key}, {wanted} FROM {table} WHERE {condition} {order}"  # noqa: S608 - names quoted, values bound
        return marked(*self._run(statement, values))

    def _run(self, statement: str, values: Any) -> tuple[list[str], list[tuple[Any, ...]]]:
        until = self._clock() + int(self._query.timeout_s * 1_000_000)
        self._connection.set_progress_handler(lambda: self._clock() > until, STEPS)
        try:
            cursor = self._connection.execute(statement, values)
            rows = cursor.fetchall()
        except sqlite3.OperationalError as error:
            msg = f"{self._query.table}: {error}"
            raise Retry(msg) from error
        except sqlite3.Error as error:
            msg = f"sql_poll: {self._query.table}: {error}"
            raise Fatal(msg) from error
        return [column[0] for column in cursor.description or ()], rows


def _quoted(name: str) -> str:
    if "\0" in name:
        msg = f"sql_poll: {name!r} is no name"
        raise Fatal(msg)
    return '"' + name.replace('"', '""') + '"'
