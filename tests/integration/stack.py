"""The broker and the database of a test session: adopted from the environment, or started here.

``CITYOPS_KAFKA`` and ``CITYOPS_DATABASE`` adopt running servers: tests DELETE and recreate CityOps' topics on
that broker and create and drop databases named ``cityops_test_*`` on that server. Unset, the embedded
ones start. ``CITYOPS_TEST_TIMESCALE=1`` takes TimescaleDB instead of the embedded PostgreSQL.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from kafka import KafkaAdminClient

from cityops.embedded import Embedded
from cityops.topics import ensure_topics, wanted
from schemas.errors import Fatal
from tests.integration.timescale import Timescale, Unavailable


@dataclass(frozen=True)
class Stack:
    """A real broker and a real database server."""

    kafka: str
    """``host:port`` of the broker."""
    database: str
    """Connection string that may create databases."""
    timescale: bool
    """The server has the TimescaleDB extension."""
    parts: dict[str, str] = field(default_factory=dict)
    """What was real, for the report."""
    embedded: Embedded | None = None
    """The servers started here, for tests that break them."""

    def fresh_topics(self, partitions: int = 4) -> str:
        """Empty the broker of CityOps' topics and groups, create the topics anew and give ``host:port``."""
        admin = KafkaAdminClient(bootstrap_servers=self.kafka)
        try:
            groups = [g["group_id"] for g in admin.list_groups()]
            if groups:
                admin.delete_groups(groups)
            existing = {t["name"] for t in admin.describe_topics()}
            doomed = sorted(existing & wanted(partitions).keys())
            if doomed:
                admin.delete_topics(doomed)
            while doomed and existing & set(doomed):
                existing = {t["name"] for t in admin.describe_topics()}
        finally:
            admin.close()
        ensure_topics(self.kafka, partitions)
        return self.kafka

    @contextmanager
    def fresh_database(self) -> Iterator[str]:
        """Create an empty database and give its connection string; it is dropped at the end."""
        name = f"cityops_test_{secrets.token_hex(6)}"
        with psycopg.connect(self.database, autocommit=True) as admin:
            admin.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
        try:
            yield with_database(self.database, name)
        finally:
            with psycopg.connect(self.database, autocommit=True) as admin:
                admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def with_database(url: str, name: str) -> str:
    """Give the connection string of another database on the same server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


@contextmanager
def running(work: Path) -> Iterator[Stack]:
    """Give the stack of this session; what was started here is stopped at the end. ``Unavailable`` says why there is none."""
    kafka, database = os.environ.get("CITYOPS_KAFKA"), os.environ.get("CITYOPS_DATABASE")
    want_timescale = os.environ.get("CITYOPS_TEST_TIMESCALE") == "1"
    timescale: Timescale | None = None
    embedded: Embedded | None = None
    try:
        if want_timescale and not database:
            timescale = Timescale(work)
            timescale.start()
            database = timescale.url
        try:
            embedded = Embedded(work, kafka=not kafka, postgres=not database).start()
        except Fatal as error:
            raise Unavailable(str(error)) from error
        yield _stack(kafka or embedded.bootstrap, database or embedded.database_url, embedded, adopted_kafka=bool(kafka))
    finally:
        if embedded is not None:
            embedded.stop()
        if timescale is not None:
            timescale.stop()


def _stack(kafka: str, database: str, embedded: Embedded, *, adopted_kafka: bool) -> Stack:
    with psycopg.connect(database) as connection:
        server = connection.execute("SELECT version()").fetchone()
        extension = connection.execute(
            "SELECT default_version FROM pg_available_extensions WHERE name = 'timescaledb'"
        ).fetchone()
    version = server[0].split(" on ")[0] if server else "?"
    parts = {
        "kafka": f"{'adopted' if adopted_kafka else 'Apache Kafka, embedded'} at {kafka}",
        "database": version + (f" with TimescaleDB {extension[0]}" if extension else ", without TimescaleDB"),
    }
    return Stack(kafka=kafka, database=database, timescale=extension is not None, parts=parts, embedded=embedded)
