"""Fixtures of the integration tests: one broker and one database server a session, fresh topics and database a test."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cityops.place import free_port
from schemas.config import Config, Connect, Database, Gateway, Kafka
from tests.conftest import REAL_PARTS
from tests.integration.stack import Stack, running
from tests.integration.timescale import Unavailable


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """The session's broker and database server.

    Their folder is none of pytest's: a second session of root's resets the rights of those, and the
    database runs as another user.
    """
    try:
        with (
            tempfile.TemporaryDirectory(prefix="cityops-stack-", ignore_cleanup_errors=True) as folder,
            running(_open(folder)) as found,
        ):
            request.config.stash[REAL_PARTS].update(found.parts)
            yield found
    except Unavailable as error:
        if os.environ.get("REQUIRE_STACK") == "1":
            pytest.fail(f"REQUIRE_STACK=1, but: {error}")
        pytest.skip(f"no stack: {error}")


def _open(folder: str) -> Path:
    path = Path(folder)
    path.chmod(0o755)
    return path


@pytest.fixture
def kafka(stack: Stack) -> str:
    """``host:port`` of a broker whose CityOps topics are new and empty."""
    return stack.fresh_topics()


@pytest.fixture
def database(stack: Stack) -> Iterator[str]:
    """Connection string of an empty database."""
    with stack.fresh_database() as url:
        yield url


@pytest.fixture
def config(kafka: str, database: str, tmp_path: Path) -> Config:
    """Settings on fresh topics, a fresh database and a fresh folder; migrations are not run yet."""
    return Config(
        data_dir=str(tmp_path),
        kafka=Kafka(bootstrap=kafka),
        database=Database(url=database),
        gateway=Gateway(port=free_port()),
        connect=Connect(spool_dir=str(tmp_path / "spool"), state_interval_s=0.5),
    )
