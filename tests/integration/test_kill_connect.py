"""kill -9 of connect, stream, store and Kafka while terminals report: what a terminal was told is safe is stored, once."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from cityops import settings
from cityops.ledger import read
from cityops.place import Place, free_port
from cityops.process import Process
from cityops.supervisor import Part, Supervisor
from cityops.workers import process
from connectors._api import Peer, load
from connectors.jt808.framing import Framing
from schemas.config import Config, Connect
from schemas.kinds.services import VehicleAlarmEpisode
from storage.migrate import migrate
from tests.conftest import REPO
from tests.integration.recordings.terminals import Fleet
from tests.integration.stack import Stack
from tests.integration.workers import query

pytestmark = pytest.mark.stack
TERMINALS = 50


EPISODES = """
SELECT source, serial, code, phase, started_at FROM vehicle_alarm_episode
ORDER BY source, serial, code
"""


def episodes_of(fleet: Fleet) -> list[tuple[object, ...]]:
    """Give the episodes of all positions as they are where no connection breaks."""
    connector = load("jt808")
    session = connector.make_session(connector.manifest.resolve({}, "test"), Peer("test"))
    cut = [packet for t in fleet.terminals for wire in t.packets for packet in Framing({}).feed(wire)]
    readings = [
        r for packet in cut if isinstance(packet, bytes) for r in session.receive(packet, time.time_ns() // 1000).readings
    ]
    found = [r for r in readings if isinstance(r, VehicleAlarmEpisode)]
    assert {r.phase for r in found} == {"rise", "fall"}
    return sorted((r.source, r.serial, r.code, r.phase, r.started_at) for r in found)


class System:
    """connect, stream and store as the supervisor runs them: what is killed comes back by itself."""

    def __init__(self, config: Config) -> None:
        self.reporting: asyncio.Task[None] | None = None
        self.place = Place(Path(config.data_dir))
        self.port = free_port()
        listener = {"type": "jt808", "listen": f"127.0.0.1:{self.port}", "max_per_ip": 0}
        self.config = msgspec.structs.replace(
            config,
            connectors={"buses": listener},
            connect=Connect(spool_dir=str(self.place.root / "spool")),
        )
        self.supervisor = Supervisor()
        path = settings.publish(self.config, self.place)
        for name, arguments in (("stream", ["--worker", "0"]), ("store", ["--worker", "0"]), ("connect", [])):
            self.supervisor.add(Part(process(name, arguments, path, self.place)))

    def let_report(self, fleet: Fleet) -> None:
        """Let the terminals begin; a terminal that fails ends every wait."""
        self.reporting = asyncio.create_task(fleet.report())

    def done(self) -> bool:
        """Whether every position was made and answered."""
        return self.reporting is not None and self.reporting.done()

    def kill(self, name: str) -> None:
        """Kill a process without warning; the supervisor starts it again."""
        found = self.supervisor.part(name).process
        assert isinstance(found, Process)
        assert found.pid is not None, f"{name} was not running"
        found.signal(signal.SIGKILL)

    def restarts(self, name: str) -> int:
        """How often a process was started again."""
        return self.supervisor.part(name).restarts

    @property
    def spooled(self) -> bool:
        """Whether frames lie on the disk."""
        return any(f.stat().st_size for f in (self.place.root / "spool").glob("*.seg"))

    async def until(self, what: str, condition: Callable[[], bool], seconds: float = 30.0) -> None:
        """Wait for a condition while the supervisor does its work; fail with its name when it does not come true."""
        end = time.monotonic() + seconds
        while not condition():
            self.supervisor.check()
            if self.reporting is not None and self.reporting.done():
                self.reporting.result()
            if time.monotonic() > end:
                tails = "".join(f"\n--- {p.name}\n{p.process.tail(12)}" for p in self.supervisor.parts)
                raise AssertionError(f"did not happen within {seconds:.0f} s: {what}{tails}")
            await asyncio.sleep(0.05)

    async def all_stored(self, fleet: Fleet) -> None:
        """Wait until nothing is under way; then every position is in the database once and the ledger balances."""
        count = "SELECT count(*), count(DISTINCT (source, ts, serial)), count(DISTINCT (source, serial)) FROM bus_position"
        wanted, found = (fleet.size, fleet.size, fleet.size), [(0, 0, 0)]
        end = time.monotonic() + 150
        while time.monotonic() < end:
            self.supervisor.check()
            book = await asyncio.to_thread(read, self.config)
            found = query(self.config, count)  # type: ignore[assignment]
            if found == [wanted] and book.settled:
                break
            await asyncio.sleep(0.5)
        assert found == [wanted], f"rows, different rows, different positions; {book.whole}"
        argv = [sys.executable, "-m", "cityops", "ledger", "--json", "--data-dir", str(self.place.root)]
        done = subprocess.run(argv, cwd=REPO, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        for part in [told, *told["by"]]:
            assert (part["lost"], part["in_flight"], part["rejected"]) == (0, 0, 0), told
            assert part["received"] == part["stored"] + part["duplicates"], told
        episodes = episodes_of(fleet)
        assert told["stored"] == fleet.size + len(episodes)
        assert 0 < told["duplicates"] <= fleet.repeated + len(episodes)
        assert query(self.config, EPISODES) == episodes


@asynccontextmanager
async def running(config: Config, patch: pytest.MonkeyPatch) -> AsyncIterator[System]:
    """Give the system; its processes are ended with the test."""
    patch.setenv(settings.KAFKA, config.kafka.bootstrap)
    patch.setenv(settings.DATABASE, config.database.url)
    migrate(config.database.url, config.database.schema)
    system = System(config)
    try:
        yield system
    finally:
        if system.reporting is not None:
            system.reporting.cancel()
            await asyncio.gather(system.reporting, return_exceptions=True)
        system.supervisor.stop_all()


async def test_killing_every_part_loses_and_doubles_nothing(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(config, monkeypatch) as system:
        fleet = Fleet(system.port, terminals=TERMINALS, each=60, pause_s=0.1)
        system.let_report(fleet)
        for share, victim in enumerate(("connect", "stream", "connect", "store", "connect"), 1):
            wanted = fleet.size * share // 7
            await system.until(f"{wanted} positions answered", lambda n=wanted: fleet.answered >= n)  # type: ignore[misc]
            system.kill(victim)
        await system.until("every position is answered", system.done, 60)
        assert [system.restarts(name) for name in ("connect", "stream", "store")] == [3, 1, 1]
        assert all(t.connections >= 4 and not t.refused and not t.waiting for t in fleet.terminals)
        assert fleet.repeated > 0
        await system.all_stored(fleet)


async def test_killing_kafka_and_then_connect_loses_nothing(
    stack: Stack, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = stack.embedded.kafka if stack.embedded else None
    if broker is None:
        pytest.skip("the broker was adopted (CITYOPS_KAFKA): it is not ours to kill")
    async with running(config, monkeypatch) as system:
        fleet = Fleet(system.port, terminals=TERMINALS, each=50, pause_s=0.2)
        system.let_report(fleet)
        await system.until("a quarter is answered", lambda: fleet.answered >= fleet.size // 4)
        broker.process.signal(signal.SIGKILL)
        try:
            await system.until("the broker is gone", lambda: broker.process.poll() is not None)
            await system.until("frames lie in the spool", lambda: system.spooled)
            before = fleet.answered
            await system.until("terminals are answered from the spool", lambda: fleet.answered > before + TERMINALS)
            system.kill("connect")
            await system.until("connect is back without a broker", lambda: system.restarts("connect") == 1)
            before = fleet.answered
            await system.until("terminals are answered again", lambda: fleet.answered > before + TERMINALS)
        finally:
            broker.start()
            await asyncio.to_thread(broker.wait_ready)
        await system.until("every position is answered", system.done, 60)
        assert not any(t.refused or t.waiting for t in fleet.terminals)
        await system.all_stored(fleet)
        await system.until("the spool is empty", lambda: not system.spooled)
