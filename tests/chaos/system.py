"""The system under test as its supervisor runs it: broker, database, two stream workers, store, connectors."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import psycopg
from kafka.errors import KafkaError

from cityops import settings
from cityops.embedded import Embedded
from cityops.kafka import answers
from cityops.place import Place, free_port
from cityops.process import Process
from cityops.supervisor import Part, Supervisor
from cityops.topics import ANSWER_S, connect
from schemas.config import Config, Connect, Database, Kafka
from storage.migrate import migrate
from tests.chaos.feed import PATH
from tests.chaos.isolation import Network, SmallDisk
from tests.chaos.script import GROUPS
from tests.integration.stack import with_database
from tests.integration.timescale import Timescale

COMMANDS: dict[str, list[str]] = {
    "stream-0": ["stream", "--worker", "0"],
    "stream-1": ["stream", "--worker", "1"],
    "store": ["store", "--worker", "0"],
    "connect": ["connect"],
}
"""Our own processes, in the order in which they start."""
MEMBERS = {"cityops-stream": 2, "cityops-store": 1}
"""Consumer groups and how many workers each has."""
SPOOL_MB = 48
OURS = (settings.KAFKA, settings.DATABASE, settings.DATA)


@dataclass
class System:
    """One installation on a fresh folder; everything it starts ends with it."""

    work: Path
    network: Network | None
    feed_port: int
    small_disk: bool
    on_timescale: bool
    supervisor: Supervisor = field(default_factory=Supervisor)
    config: Config = field(default_factory=Config)
    ports: dict[str, int] = field(default_factory=dict)
    down: set[str] = field(default_factory=set)
    """Parts that a fault holds down or frozen just now."""

    def __post_init__(self) -> None:
        self.place = Place(self.work)
        self.disk = SmallDisk(self.place.root / "spool", SPOOL_MB) if self.small_disk else None
        self.timescale = Timescale(self.work) if self.on_timescale else None
        self.embedded = Embedded(self.place, postgres=not self.on_timescale)

    def start(self) -> None:
        """Start everything; readings may come when this returns."""
        self.place.lock()
        if self.disk is not None:
            self.disk.start()
        if self.timescale is not None:
            self.timescale.start()
        self.embedded.start()
        self._configure()
        self.embedded.topics(self.config.kafka.partitions)
        migrate(self.config.database.url, self.config.database.schema)
        path = settings.publish(self.config, self.place)
        for server in self._servers():
            self.supervisor.add(Part(server, grace_s=30.0), running=True)
        env = {k: v for k, v in os.environ.items() if k not in OURS}
        for name, arguments in COMMANDS.items():
            argv = [sys.executable, "-m", "cityops", *arguments, "--config", str(path)]
            self.supervisor.add(Part(Process(name, argv, run=self.place.run, logs=self.place.logs, env=env), grace_s=20.0))

    def _servers(self) -> list[Process]:
        database = self.timescale._process if self.timescale else None
        if database is not None:
            database.name = "postgres"
        return [*([database] if database else []), *(p.process for p in self.embedded.parts)]

    def _configure(self) -> None:
        if self.timescale is not None:
            with psycopg.connect(self.timescale.url, autocommit=True) as admin:
                admin.execute("CREATE DATABASE cityops")
            url = with_database(self.timescale.url, "cityops")
        else:
            url = self.embedded.database_url
        self.ports = {name: free_port() for name in ("local", "remote", "stations")}
        self.config = Config(
            data_dir=str(self.place.root),
            kafka=Kafka(bootstrap=self.embedded.bootstrap),
            database=Database(url=url),
            connect=Connect(spool_dir=str(self.place.root / "spool")),
            connectors=self._connectors(),
        )

    def _connectors(self) -> dict[str, dict[str, object]]:
        groups = [{"kind": kind, "prefix": prefix} for kind, prefix, _ in GROUPS]
        vehicles = {"type": "jt808", "max_per_ip": 0, "groups": groups, "default_kind": ""}
        return {
            "local": {**vehicles, "listen": f"127.0.0.1:{self.ports['local']}"},
            "remote": {**vehicles, "listen": f"{self.remote_host}:{self.ports['remote']}"},
            "stations": {"type": "hj212", "max_per_ip": 0, "listen": f"127.0.0.1:{self.ports['stations']}"},
            "bikes": {
                "type": "gbfs",
                "url": f"http://127.0.0.1:{self.feed_port}{PATH}",
                "allow_private": True,
                "min_interval_s": 1,
            },
        }

    @property
    def remote_host(self) -> str:
        """Address at which the devices behind the cable find us."""
        return self.network.here if self.network else "127.0.0.1"

    def process(self, target: str) -> Process:
        """Give a part's process."""
        found = self.supervisor.part(target).process
        assert isinstance(found, Process)
        return found

    def tree(self, target: str) -> list[psutil.Process]:
        """Give a part's living processes: a database has one for each connection."""
        pid = self.process(target).pid
        if pid is None:
            return []
        with suppress(psutil.Error):
            parent = psutil.Process(pid)
            return [parent, *parent.children(recursive=True)]
        return []

    def hold(self, target: str) -> None:
        """Ask a part to stop, and do not start it again until ``release``."""
        part = self.supervisor.part(target)
        part.wanted = False
        process = self.process(target)
        process.signal(signal.SIGINT if target == "postgres" else signal.SIGTERM)

    def release(self, target: str) -> None:
        """Start a held part; one that has not ended yet is killed first."""
        part = self.supervisor.part(target)
        self.process(target).stop(0.0)
        part.again_at = part.started_at = 0.0
        part.wanted = True

    def kafka_answers(self) -> bool:
        """Tell whether the broker answers; it may take seconds."""
        return answers(int(self.config.kafka.bootstrap.rpartition(":")[2]))

    def joined(self) -> bool:
        """Tell whether every worker has its partitions."""
        admin = connect(self.config.kafka.bootstrap, ANSWER_S)
        try:
            groups = admin.describe_groups(list(MEMBERS))
        except KafkaError:
            return False
        finally:
            admin.close()
        return all(g["group_state"] == "Stable" and len(g["members"]) == MEMBERS[n] for n, g in groups.items())

    def restarts(self) -> dict[str, int]:
        """Give how often the supervisor started each part again."""
        return {p.name: p.restarts for p in self.supervisor.parts}

    def stop(self) -> None:
        """End every process, then the disk: all has been read by now, so only the database ends in order."""
        for part in self.supervisor.parts:
            part.wanted = False
            for process in self.tree(part.name):
                with suppress(psutil.Error):
                    process.send_signal(signal.SIGCONT if part.name == "postgres" else signal.SIGKILL)
        self.supervisor.stop_all()
        self.embedded.stop()
        if self.timescale is not None:
            self.timescale.stop()
        if self.disk is not None:
            self.disk.stop()
        self.place.unlock()
