"""Connections of the hot path: times as integers, JSON as objects, every wait bounded, passing faults told apart."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec

from schemas.errors import Retry

PG_EPOCH = 946_684_800_000_000
"""2000-01-01 UTC, from which PostgreSQL counts, in microseconds since 1970."""

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]
    Connection = asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
else:  # asyncpg's classes take no parameters at run time
    Pool = asyncpg.Pool
    Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

PASSING: tuple[type[BaseException], ...] = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # the server was killed between two steps of one query
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InsufficientResourcesError,
    asyncpg.QueryCanceledError,
    asyncpg.LockNotAvailableError,
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InvalidCachedStatementError,
    asyncpg.IdleInTransactionSessionTimeoutError,
)
"""Faults of the database or the way to it that end by themselves; anything else would fail again."""


@contextmanager
def passing_faults() -> Iterator[None]:
    """Raise ``Retry`` for faults that pass; any other exception goes through unchanged."""
    try:
        yield
    except asyncpg.DataError:
        raise  # an argument that cannot be encoded, though asyncpg derives it from InterfaceError
    except PASSING as error:
        msg = f"database: {type(error).__name__}: {error}"
        raise Retry(msg) from error


async def create_pool(
    url: str, schema: str = "cityops", *, size: int = 4, timeout: float = 10.0, repeatable: bool = False
) -> Pool:
    """Open a pool whose connections see ``schema`` first and give up any statement after ``timeout`` seconds.

    Every ``timestamptz`` is an ``int``, microseconds since 1970 UTC, both ways; ``json`` and ``jsonb`` are plain
    objects both ways. A database that is away raises ``Retry``. ``repeatable`` is for those who can repeat what they
    wrote: a commit then does not wait for the disk, and a crash of the server may undo the newest ones whole.
    """
    with passing_faults():
        return await asyncpg.create_pool(
            url,
            min_size=1,
            max_size=size,
            timeout=timeout,
            command_timeout=timeout,
            max_inactive_connection_lifetime=300.0,
            init=speak_our_types,
            server_settings={
                "application_name": "cityops",
                "search_path": f'"{schema}", public',
                "timezone": "UTC",
                "jit": "off",
                "synchronous_commit": "off" if repeatable else "on",
                "statement_timeout": str(int(timeout * 1000)),
                "lock_timeout": "5000",
                "idle_in_transaction_session_timeout": "30000",
            },
        )


async def speak_our_types(connection: Connection) -> None:
    """Make a connection give and take microseconds for ``timestamptz`` and objects for JSON."""
    await connection.set_type_codec(
        "timestamptz",
        schema="pg_catalog",
        format="tuple",
        encoder=lambda us: (us - PG_EPOCH,),
        decoder=lambda parts: parts[0] + PG_EPOCH,
    )
    for name in ("json", "jsonb"):
        await connection.set_type_codec(name, schema="pg_catalog", encoder=_to_json, decoder=msgspec.json.decode)


def _to_json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
