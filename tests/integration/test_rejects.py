"""Rejects on the real stack: refused by wrong settings, mended, replayed, stored once; what stays wrong stays open."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cityops.ledger import read
from cityops.place import free_port
from cityops.settings import DATA, DATABASE, KAFKA
from connectors._host.run import run
from connectors.jt808 import encoder
from schemas.config import Config
from storage.migrate import migrate
from tests.conftest import REPO
from tests.integration.workers import Workers, query, until, workers

pytestmark = pytest.mark.stack
POSITIONS = 3


@pytest.fixture
def system(config: Config) -> Iterator[tuple[Config, Workers]]:
    """Workers that clean and store, and settings of a listener that wants proof of who a terminal is."""
    listener = {"type": "jt808", "listen": f"127.0.0.1:{free_port()}", "authentication": "required", "secret": "s"}
    found = msgspec.structs.replace(config, connectors={"buses": listener})
    migrate(found.database.url)
    with workers(found) as crew:
        crew.start("clean")
        crew.start("store")
        yield found, crew


def packets() -> list[bytes]:
    """Give positions of this minute, one dated two hours ahead, and one that was damaged on its way."""
    now = int(time.time()) * 1_000_000
    whole = [
        encoder.location(
            f"1391000000{n}", n, version="2013", ts=now + (7200 * 1_000_000 if n == POSITIONS else n), lat=35.5, lon=112.8
        )
        for n in range(POSITIONS + 1)
    ]
    damaged = whole[0].replace(whole[0][20:22], bytes((whole[0][20] ^ 1, whole[0][21])), 1)
    return [*whole, damaged]


async def deliver(config: Config, sent: list[bytes]) -> None:
    """Send packets to the real listener, and end it once they have been answered or refused."""
    stop = asyncio.Event()
    serving = asyncio.create_task(run(config, stop=stop, clock=lambda: time.time_ns() // 1000))
    host, _, port = config.connectors["buses"]["listen"].rpartition(":")
    writer = None
    while writer is None and not serving.done():
        try:
            reader, writer = await asyncio.open_connection(host, int(port))
        except OSError:
            await asyncio.sleep(0.1)
    assert writer is not None
    writer.write(b"".join(sent))
    writer.write_eof()
    await reader.read()
    writer.close()
    stop.set()
    await serving


def cityops(config: Config, *arguments: str) -> tuple[int, Any]:
    """Run a command with the settings as they are now; give its exit status and what it printed."""
    file = Path(config.data_dir) / "city.json"
    file.write_bytes(msgspec.json.encode(config))
    command = [sys.executable, "-m", "cityops", *arguments, "--json", "--config", str(file)]
    env = {"PATH": "/usr/bin:/bin", KAFKA: config.kafka.bootstrap, DATABASE: config.database.url, DATA: config.data_dir}
    done = subprocess.run(command, cwd=REPO, env=env, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode in (0, 1), done.stderr
    return done.returncode, json.loads(done.stdout)


def stored(config: Config) -> int:
    """Count the positions in the database."""
    return int(str(query(config, "SELECT count(*) FROM bus_position")[0][0]))


def refused(config: Config) -> int:
    """Count the rejects in the database."""
    return int(str(query(config, "SELECT count(*) FROM reject")[0][0]))


def test_what_wrong_settings_refused_is_stored_once_after_the_fix(system: tuple[Config, Workers]) -> None:
    config, crew = system
    sent = packets()
    asyncio.run(deliver(config, sent))
    until("all were refused", lambda: refused(config) == len(sent), crew)

    _, listed = cityops(config, "rejects", "list")
    assert {(r["state"], r["connector"], r["connector_type"]) for r in listed} == {("open", "buses", "jt808")}
    assert all("+" in r["connector_version"] for r in listed)
    reasons = sorted(r["reason"] for r in listed)
    assert reasons == ["bad_checksum", *["unauthenticated"] * (POSITIONS + 1)]
    ids = {r["id"]: r["reason"] for r in listed}
    assert len(ids) == len(sent)
    status, one = cityops(config, "rejects", "show", next(iter(ids)))
    assert (status, one["id"], bool(one["raw"])) == (0, next(iter(ids)), True)

    status, result = cityops(config, "rejects", "replay", "--connector", "buses")
    assert (status, result["replayed"], result["still_refused"]) == (1, 0, len(sent))
    assert stored(config) == 0

    mended = {"buses": {**config.connectors["buses"], "authentication": "none"}}
    config = msgspec.structs.replace(config, connectors=mended)
    status, result = cityops(config, "rejects", "replay", "--connector", "buses")
    assert (status, result["replayed"], result["still_refused"], result["balances"]) == (1, POSITIONS, 2, True)
    assert stored(config) == POSITIONS
    still = {r["reason"]: r for r in cityops(config, "rejects", "list", "--state", "open")[1]}
    assert set(still) == {"bad_checksum", "future_time"}
    assert (still["future_time"]["first_reason"], still["future_time"]["tries"]) == ("unauthenticated", 2)
    assert all(r["actor"] for r in still.values())

    again = [r["id"] for r in cityops(config, "rejects", "list", "--state", "replayed")[1]]
    status, result = cityops(config, "rejects", "replay", *again)
    assert (status, result["replayed"], result["ledger"][0]["duplicates"]) == (0, POSITIONS, POSITIONS)
    assert stored(config) == POSITIONS, "replaying twice stores nothing twice"
    assert refused(config) == len(sent), "a replay refuses nothing anew"

    assert cityops(config, "rejects", "discard", "--reason", "bad_checksum")[1] == {"discarded": 1}
    assert [r["state"] for r in cityops(config, "rejects", "list", "--reason", "bad_checksum")[1]] == ["discarded"]
    book = read(config)
    assert book.balances and book.whole.rejected == len(sent), book.as_dict()
