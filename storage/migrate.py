"""Migrations: numbered SQL files, each applied once, in order, under a lock; a changed file is refused."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from typing import Any

import psycopg
from psycopg import sql

from schemas.errors import Fatal

LICENCE = "timescale"
"""Value of TimescaleDB's ``timescaledb.license`` under which its community features work."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file and, once it ran here, when."""

    name: str
    checksum: str
    applied_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Database:
    """What a database is: PostgreSQL's version, TimescaleDB's version and licence where it is installed."""

    server_version: str
    timescale: str | None
    licence: str | None


def files() -> list[tuple[Migration, str]]:
    """Give every migration of this release with its text, in order."""
    folder = resources.files("storage").joinpath("migrations")
    found = sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
    texts = [(f.name.removesuffix(".sql"), f.read_text(encoding="utf-8")) for f in found]
    return [(Migration(name, hashlib.sha256(text.encode()).hexdigest()), text) for name, text in texts]


def migrate(url: str, schema: str = "cityops") -> list[str]:
    """Bring ``schema`` up to this release and name the migrations that ran; running it again does nothing.

    Safe to run from several processes at once. Raises ``Fatal`` when the database is away, newer than this
    release, or when a file that already ran was changed since.
    """
    with _connect(url) as connection:
        connection.execute("SELECT pg_advisory_lock(hashtext('cityops migrations'))")
        _extension(connection)
        connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema)))
        _search(connection, schema)
        connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_migrations"
            " (name text PRIMARY KEY, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        _explain(connection)
        due = [(m, text) for m, text in _compare(connection) if m.applied_at is None]
        for migration, text in due:
            _apply(connection, migration, text)
        return [m.name for m, _ in due]


def status(url: str, schema: str = "cityops") -> list[Migration]:
    """Give every migration of this release and when it ran here."""
    with _connect(url) as connection:
        _search(connection, schema)
        if connection.execute("SELECT to_regclass('schema_migrations')").fetchone() == (None,):
            return [m for m, _ in files()]
        return [m for m, _ in _compare(connection)]


def probe(url: str) -> Database:
    """Tell what the database is; ``timescale`` is absent where the extension is not installed in it."""
    with _connect(url) as connection:
        version = connection.info.parameter_status("server_version") or ""
        row = connection.execute("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'").fetchone()
        if row is None:
            return Database(version, None, None)
        licence = connection.execute("SELECT current_setting('timescaledb.license', true)").fetchone()
        return Database(version, str(row[0]), licence[0] if licence else None)


def _connect(url: str) -> psycopg.Connection[Any]:
    try:
        return psycopg.connect(url, autocommit=True, connect_timeout=10, application_name="cityops migrate")
    except psycopg.OperationalError as error:
        msg = f"no connection to the database: {error}; check [database] url or CITYOPS_DATABASE"
        raise Fatal(msg) from error


def _search(connection: psycopg.Connection[Any], schema: str) -> None:
    connection.execute("SELECT set_config('search_path', %s, false)", (f'"{schema}", public',))


def _extension(connection: psycopg.Connection[Any]) -> None:
    offered = connection.execute("SELECT FROM pg_available_extensions WHERE name = 'timescaledb'").fetchone()
    if offered is not None:
        connection.execute("CREATE EXTENSION IF NOT EXISTS timescaledb SCHEMA public")


def _explain(connection: psycopg.Connection[Any]) -> None:
    words = {
        "TABLE schema_migrations": "数据库变更 / Migrations that ran here",
        "COLUMN schema_migrations.name": "名称 / Name of the file",
        "COLUMN schema_migrations.checksum": "校验和 / SHA-256 of the file as it ran",
        "COLUMN schema_migrations.applied_at": "执行时间 / When it ran",
    }
    for what, text in words.items():
        connection.execute(sql.SQL("COMMENT ON {} IS {}").format(sql.SQL(what), sql.Literal(text)))


def _compare(connection: psycopg.Connection[Any]) -> list[tuple[Migration, str]]:
    ran = {r[0]: (r[1], r[2]) for r in connection.execute("SELECT name, checksum, applied_at FROM schema_migrations")}
    ours = files()
    unknown = sorted(set(ran) - {m.name for m, _ in ours})
    if unknown:
        msg = f"database holds migrations this release does not know: {', '.join(unknown)}; start a newer release"
        raise Fatal(msg)
    found = []
    for migration, text in ours:
        checksum, applied_at = ran.get(migration.name, (migration.checksum, None))
        if checksum != migration.checksum:
            msg = f"migration {migration.name} was changed after it ran here; restore the file and add a new one instead"
            raise Fatal(msg)
        found.append((Migration(migration.name, checksum, applied_at), text))
    return found


def _apply(connection: psycopg.Connection[Any], migration: Migration, text: str) -> None:
    try:
        with connection.transaction():
            connection.execute(text.encode())
            connection.execute(
                "INSERT INTO schema_migrations (name, checksum) VALUES (%s, %s)", (migration.name, migration.checksum)
            )
    except psycopg.Error as error:
        msg = f"migration {migration.name} failed and was undone: {error}"
        raise Fatal(msg) from error
