"""Worker processes of a test, started and killed as the supervisor would."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import psycopg
from kafka import KafkaProducer

from schemas import frame, topics
from schemas.config import Config
from schemas.reading import Lane, Reading, kind_of

ROOT = Path(__file__).parents[2]
CODE = """
import sys, time, msgspec
from schemas.config import Config
from streams.worker import run
config = msgspec.json.decode(sys.argv[1], type=Config)
run(config, slot=int(sys.argv[2]), agents=sys.argv[3].split(","), clock=lambda: time.time_ns() // 1000)
"""


@dataclass
class Workers:
    """Processes by name; whatever is alive at the end is ended."""

    config: Config
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, agents: str, slot: int = 0) -> str:
        """Start a worker; give its name."""
        name = f"{agents}-{slot}"
        with (Path(self.config.data_dir) / f"{name.replace(',', '-')}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                [sys.executable, "-c", CODE, msgspec.json.encode(self.config).decode(), str(slot), agents],
                cwd=ROOT, stdout=log, stderr=log, env={**os.environ, "PYTHONPATH": str(ROOT)},
            )  # fmt: skip
        return name

    def kill(self, name: str, how: int = signal.SIGKILL) -> int:
        """Signal a worker and wait for its end; give its exit status."""
        process = self.running.pop(name)
        process.send_signal(how)
        return process.wait(timeout=30)

    def log(self, name: str) -> str:
        """Give what a worker printed."""
        return (Path(self.config.data_dir) / f"{name.replace(',', '-')}.log").read_text(errors="replace")

    def check(self) -> None:
        """Fail when a worker ended by itself, showing its last words."""
        for name, process in self.running.items():
            if process.poll() is not None:
                raise AssertionError(f"{name} ended with {process.returncode}:\n{self.log(name)[-3000:]}")


@contextmanager
def workers(config: Config) -> Iterator[Workers]:
    """Give a set of workers that is ended with the test."""
    found = Workers(config)
    try:
        yield found
    finally:
        for process in found.running.values():
            process.kill()
        for process in found.running.values():
            process.wait(timeout=30)


def until(what: str, condition: Callable[[], bool], found: Workers | None = None, seconds: float = 60.0) -> None:
    """Wait for a condition; fail with its name when it does not come true."""
    end = time.monotonic() + seconds
    while not condition():
        if found is not None:
            found.check()
        if time.monotonic() > end:
            tail = "".join(f"\n--- {n}\n{found.log(n)[-2000:]}" for n in found.running) if found else ""
            raise AssertionError(f"did not happen within {seconds:.0f} s: {what}{tail}")
        time.sleep(0.1)


def query(config: Config, sql: str, *args: object) -> list[tuple[object, ...]]:
    """Give the rows of a query in the schema of the test."""
    with psycopg.connect(config.database.url, options=f"-c search_path={config.database.schema},public") as connection:
        return connection.execute(sql, args).fetchall()  # type: ignore[arg-type]


class Feeder:
    """Produces raw frames as a connector would, numbering them without gaps."""

    def __init__(self, config: Config, connector: str = "test", run: str = "r1") -> None:
        self._producer = KafkaProducer(bootstrap_servers=config.kafka.bootstrap, acks="all", linger_ms=2)
        self._partitions = config.kafka.partitions
        self._connector = connector
        self._run = run
        self._seq: dict[tuple[str, int], int] = {}
        self._total: dict[tuple[str, int, str], int] = {}
        self.sent: list[tuple[str, int, bytes, frame.Headers]] = []

    def push(self, readings: list[Reading], lane: Lane = "live") -> None:
        """Send readings of one kind, one frame per bucket."""
        kind = kind_of(readings[0])
        topic = topics.frame_topic(kind, "raw")
        for bucket in range(self._partitions):
            rows = [r for r in readings if topics.bucket(r.source, self._partitions) == bucket]
            if not rows:
                continue
            seq = self._seq[(topic, bucket)] = self._seq.get((topic, bucket), 0) + 1
            total = self._total[(topic, bucket, kind)] = self._total.get((topic, bucket, kind), 0) + len(rows)
            batch = frame.from_readings(rows, kind)
            header = frame.make_header(
                batch, kind, seen_at=max(r.seen_at for r in rows), connector=self._connector, run=self._run,
                bucket=bucket, seq=seq, total=total, lane=lane,
            )  # fmt: skip
            self.send(topic, bucket, *frame.encode(batch, header))

    def send(self, topic: str, bucket: int, value: bytes, headers: frame.Headers) -> None:
        """Send one record as it is."""
        self.sent.append((topic, bucket, value, headers))
        self._producer.send(topic, value, partition=bucket, headers=headers)

    def flush(self) -> None:
        """Wait until the broker has everything."""
        self._producer.flush()

    def __enter__(self) -> Feeder:
        return self

    def __exit__(self, *_: object) -> None:
        self._producer.flush()
        self._producer.close()
