"""The shell around the databases: reads a table behind its watermark, a page when the one before is safe."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Protocol

import msgspec

from connectors._api import sheets, tables
from connectors._api.manifest import Settings
from connectors._api.sheets import Page
from connectors.sql_poll import postgres, sqlite
from connectors.sql_poll.query import Mark, Query, Rows, cell
from schemas.errors import Fatal

REQUIRED: Final = ("database", "table", "watermark", "key", "state_file")


class Source(Protocol):
    """An open, read-only connection."""

    async def check(self) -> None:
        """Raise ``Fatal`` where the table or one of its columns is not there."""
        ...

    async def page(self, after: Mark | None) -> Rows:
        """Give the rows behind a mark, in order."""
        ...


class InThread:
    """A connection of SQLite, whose statements run in a thread."""

    def __init__(self, inner: sqlite.Sqlite) -> None:
        self._inner = inner

    async def check(self) -> None:
        """Raise ``Fatal`` where the table or one of its columns is not there."""
        await asyncio.to_thread(self._inner.check)

    async def page(self, after: Mark | None) -> Rows:
        """Give the rows behind a mark, in order."""
        return await asyncio.to_thread(self._inner.page, after)


async def packets(settings: Settings, clock: Callable[[], int]) -> AsyncIterator[tuple[bytes, str]]:
    """Give the pages of the table, for ever; raises where the database cannot be reached.

    A page is asked for when the one before is safe: only then its mark is written to ``state_file``.
    """
    query = query_of(settings)
    state = Path(settings["state_file"])
    mark = read_mark(state, query)
    async with opened(str(settings["database"]), query, clock) as source:
        await source.check()
        while True:
            found = await source.page(mark)
            if found.mark is not None:
                yield page_of(found), query.table
                mark = found.mark
                await asyncio.to_thread(write_mark, state, query, mark)
            if len(found.rows) < query.page_rows:
                await asyncio.sleep(float(settings["interval_s"]))


def query_of(settings: Settings) -> Query:
    """Give what is to be read; a setting that is missing raises ``Fatal``."""
    for name in REQUIRED:
        if not str(settings[name]).strip():
            msg = f"sql_poll: setting {name!r} is required to read a database"
            raise Fatal(msg)
    columns = [str(column) for column in settings["columns"]]
    return Query(
        table=str(settings["table"]),
        columns=tuple(dict.fromkeys([*columns, str(settings["watermark"]), str(settings["key"])])) if columns else (),
        watermark=str(settings["watermark"]),
        key=str(settings["key"]),
        begin=str(settings["begin"]),
        lag_s=float(settings["lag_s"]),
        page_rows=max(1, min(int(settings["page_rows"]), 10_000)),
        timeout_s=float(settings["timeout_s"]),
        zone=tables.chosen(Path(__file__).resolve().parent, settings).zone,
    )


@asynccontextmanager
async def opened(database: str, query: Query, clock: Callable[[], int]) -> AsyncIterator[Source]:
    """Connect to a database by its address; another one than those known raises ``Fatal``."""
    if database.startswith(("postgresql://", "postgres://")):
        async with postgres.opened(database, query) as source:
            yield source
    elif database.startswith("sqlite:///"):
        with sqlite.opened(Path(database.removeprefix("sqlite://")), query, clock) as inner:
            yield InThread(inner)
    else:
        msg = "sql_poll: setting 'database' must begin with postgresql:// or sqlite:///"
        raise Fatal(msg)


def page_of(found: Rows) -> bytes:
    """Give rows as the packet the session takes."""
    rows = [[cell(value) for value in row] for row in found.rows]
    return sheets.encode(Page(columns=found.columns, rows=rows, watermark=found.mark and found.mark.watermark))


class State(msgspec.Struct, frozen=True):
    """The file's content: of which table and columns the mark is, and the mark."""

    table: str
    watermark_column: str
    key_column: str
    watermark: str | int | float
    key: str | int | float


def read_mark(path: Path, query: Query) -> Mark | None:
    """Give the mark that was kept, ``None`` at first; one of another table, or a broken file, raises ``Fatal``."""
    try:
        state = msgspec.json.decode(path.read_bytes(), type=State)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        msg = f"{path}: the watermark cannot be read: {error}; remove the file to read the table from its beginning"
        raise Fatal(msg) from error
    if (state.table, state.watermark_column, state.key_column) != (query.table, query.watermark, query.key):
        kept = f"{state.table} ({state.watermark_column}, {state.key_column})"
        msg = f"{path}: it keeps the watermark of {kept}; give another state_file"
        raise Fatal(msg)
    return Mark(state.watermark, state.key)


def write_mark(path: Path, query: Query, mark: Mark) -> None:
    """Keep a mark so that a crash leaves either the old or the new one."""
    state = State(query.table, query.watermark, query.key, mark.watermark, mark.key)
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    with fresh.open("wb") as file:
        file.write(msgspec.json.encode(state))
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
