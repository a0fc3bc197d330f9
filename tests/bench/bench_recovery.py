"""How long a killed worker is away, and whether the other one notices: kill -9 under load, restarted as the supervisor does."""

from __future__ import annotations

import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median

import psycopg

from cityops.supervisor import FAST_FIRST_S
from schemas.config import Config, Database, Kafka
from storage.migrate import migrate
from tests.bench.chain import feeding
from tests.bench.result import Result
from tests.integration.stack import running
from tests.integration.workers import Workers, until, workers

COMMAND = "make bench ONLY=recovery"
AGENTS = "clean,watch,alerts"
PARTITIONS = 4
RATE, SOURCES = 20_000, 20_000
LOOK_S = 0.02
STILL_S, CALM_S, AFTER_S = 1.5, 4.0, 4.0
BACK_WITHIN_S = 60.0
Key = tuple[str, int]
"""Agent and partition."""


@dataclass
class Commits:
    """When each agent committed frames in each partition, seen in the database every LOOK_S."""

    config: Config
    offsets: dict[Key, int] = field(default_factory=dict)
    times: dict[Key, list[float]] = field(default_factory=dict)
    over: threading.Event = field(default_factory=threading.Event)

    def look(self) -> None:
        """Look until it is over."""
        options = f"-c search_path={self.config.database.schema},public"
        with psycopg.connect(self.config.database.url, options=options, autocommit=True) as connection:
            while not self.over.wait(LOOK_S):
                found = connection.execute("SELECT agent, partition, next_offset FROM checkpoints WHERE topic LIKE '%-transport'")
                now = time.monotonic()
                for agent, partition, offset in found.fetchall():
                    if self.offsets.get((agent, partition)) != offset:
                        self.offsets[agent, partition] = offset
                        self.times.setdefault((agent, partition), []).append(now)

    def first_after(self, key: Key, moment: float) -> float | None:
        """Give when frames were first committed after a moment."""
        return next((t for t in self.times[key] if t > moment), None)

    def longest_pause(self, keys: set[Key], begin: float, end: float) -> float:
        """Give the longest time between two commits of one of these within a span."""
        found = [0.0]
        for key in keys:
            inside = [begin, *(t for t in self.times[key] if begin < t < end), end]
            found.append(max(b - a for a, b in pairwise(inside)))
        return max(found)


@contextmanager
def watching(config: Config) -> Iterator[Commits]:
    """Watch the commits until the end of the block."""
    commits = Commits(config)
    eye = threading.Thread(target=commits.look, daemon=True)
    eye.start()
    try:
        yield commits
    finally:
        commits.over.set()
        eye.join(timeout=10)


@dataclass(frozen=True)
class Fall:
    """What one kill did: seconds until the first and the last of its partitions went on, and the pauses of the others."""

    first: float
    last: float
    others: float
    before: float


def run(seconds: float) -> Iterator[Result]:
    """Kill each of two workers in turn, a few times."""
    kills = max(2, min(8, int(seconds / 4)))
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as stack, stack.fresh_database() as database:
        config = Config(
            data_dir=folder,
            kafka=Kafka(bootstrap=stack.fresh_topics(PARTITIONS), partitions=PARTITIONS),
            database=Database(url=database),
        )
        migrate(database, config.database.schema)
        with workers(config) as crew, feeding(config, RATE, SOURCES, 120 + kills * 30), watching(config) as commits:
            names = [crew.start(AGENTS, slot) for slot in range(2)]
            until("both agents in all partitions", lambda: len(commits.offsets) == 2 * PARTITIONS, crew, 120)
            until("both workers at work", lambda: len(held(crew, commits, names[0])) == PARTITIONS, crew, 120)
            falls = [fall(crew, commits, names[n % 2], n % 2) for n in range(kills)]
    back, pause = max(f.last for f in falls), max(f.others for f in falls)
    yield Result(
        "recovery_back", back * 1000, "ms", COMMAND, {"four seconds": back / 4},
        note=f"worst of {kills} kill -9, until all partitions of the worker had committed again (median {median(f.last for f in falls):.2f} s, "
        f"first partition {median(f.first for f in falls):.2f} s); restarted {FAST_FIRST_S} s after, as the supervisor does; {RATE:,} readings/s",
    )  # fmt: skip
    calm = max(f.before for f in falls)
    yield Result(
        "recovery_pause_of_others", pause * 1000, "ms", COMMAND, {"longest pause before the kill": pause / calm},
        note=f"longest time between two commits in a partition of the other worker, from the kill until 4 s after all were back; "
        f"before the kill {calm * 1000:.0f} ms: frames come every 200 ms",
    )  # fmt: skip


def fall(crew: Workers, commits: Commits, name: str, slot: int) -> Fall:
    """Kill a worker and start it anew."""
    own = held(crew, commits, name)
    others = set(commits.times) - own
    if not own or not others:
        raise RuntimeError(f"the workers do not share the partitions: {sorted(own)} of {sorted(commits.times)} are {name}'s")
    killed = time.monotonic()
    crew.kill(name)
    gone = time.monotonic()
    time.sleep(FAST_FIRST_S)
    crew.start(AGENTS, slot)
    until("all partitions going on", lambda: all(commits.first_after(k, gone) for k in own), crew, BACK_WITHIN_S)
    back = [found - killed for key in own if (found := commits.first_after(key, gone)) is not None]
    time.sleep(AFTER_S)
    pause = commits.longest_pause(others, killed, time.monotonic() - 0.2)
    return Fall(min(back), max(back), pause, commits.longest_pause(others, killed - CALM_S + 1, killed))


def held(crew: Workers, commits: Commits, name: str) -> set[Key]:
    """Find a worker's partitions: hold it for a moment, see which stand still, let it go on and catch up."""
    crew.running[name].send_signal(signal.SIGSTOP)
    begun = time.monotonic()
    time.sleep(STILL_S)
    own = {key for key, times in commits.times.items() if times[-1] < begun + 0.3}
    crew.running[name].send_signal(signal.SIGCONT)
    time.sleep(CALM_S)
    return own
