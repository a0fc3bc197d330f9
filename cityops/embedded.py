"""The embedded broker and database together: one piece of code for demo, tests, chaos and bench."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from cityops.kafka import RETENTION_BYTES, RETENTION_H, Kafka
from cityops.place import Place
from cityops.postgres import Postgres
from cityops.topics import ensure_topics

BOUNDS = {"retention.ms": str(RETENTION_H * 3_600_000), "retention.bytes": str(RETENTION_BYTES)}
"""Topic settings that keep a demo left running small."""


class Embedded:
    """Apache Kafka and PostgreSQL on a data folder; a context manager that stops both.

    Start it from the main thread: the servers die with the thread that started them.
    """

    def __init__(self, data_dir: Path | Place, *, kafka: bool = True, postgres: bool = True) -> None:
        self.place = data_dir if isinstance(data_dir, Place) else Place(data_dir)
        self.kafka = Kafka(self.place) if kafka else None
        self.postgres = Postgres(self.place) if postgres else None

    @property
    def bootstrap(self) -> str:
        """``host:port`` of the broker."""
        if self.kafka is None:
            raise LookupError("this embedded stack has no broker")
        return self.kafka.bootstrap

    @property
    def database_url(self) -> str:
        """Connection string of the database."""
        if self.postgres is None:
            raise LookupError("this embedded stack has no database")
        return self.postgres.url

    @property
    def parts(self) -> list[Kafka | Postgres]:
        """What runs, in the order in which it starts."""
        return [p for p in (self.postgres, self.kafka) if p is not None]

    def start(self) -> Self:
        """Start what was asked for and return when it answers; ``Fatal`` says what did not start and why."""
        with ThreadPoolExecutor(len(self.parts) or 1) as pool:
            list(pool.map(lambda part: part.prepare(), self.parts))
        try:
            for part in self.parts:
                part.start()
            for part in self.parts:
                part.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def topics(self, partitions: int) -> None:
        """Create the topics, bounded in time and size."""
        ensure_topics(self.bootstrap, partitions, bounds=BOUNDS)

    def stop(self) -> None:
        """Stop both cleanly, the broker first."""
        for part in reversed(self.parts):
            part.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()
