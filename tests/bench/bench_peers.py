"""CityOps against faust, quixstreams, bytewax and Kafka Streams: the same readings from the same broker, the same windows.

One-minute tumbling windows in event time: count, and mean, minimum and maximum of four metrics per source. Every window of
every one of them, ours included, is compared with what the readings must give; who gives another result is not measured.
"""

from __future__ import annotations

import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from schemas.frame import Headers
from storage.migrate import migrate
from tests.bench import topics
from tests.bench.bench_stream import done, settings, through
from tests.bench.city import METRICS, City, Figures, ahead_ms, differences, expected, frames, records
from tests.bench.peer import PEERS, Absent, Running, kafka_streams, peer, python
from tests.bench.result import Result
from tests.integration.stack import Stack, running
from tests.integration.workers import until, workers

COMMAND = "make bench ONLY=peers"
SOURCES = 10_000
ROWS = 500
LIMIT_S = 300.0
"""How long a peer may take for its readings."""
MOST, MOST_RECORDS = 4_000_000, 2_000_000
"""Readings that are given at most, in frames and as records: every window of theirs is compared."""


@dataclass(frozen=True)
class Peer:
    """One other processor: how it is started, roughly how fast it is, and what differs from ours."""

    name: str
    command: Callable[[], list[str]]
    rate: int
    note: str
    frames: bool = False
    last: tuple[str, ...] = (",".join(METRICS),)


def script(environment: str, name: str) -> list[str]:
    """Give the command of a script of ours in a peer's environment."""
    return [*python(environment), str(PEERS / f"{name}.py")]


PER_RECORD = (
    Peer(
        "faust", lambda: [sys.executable, str(PEERS / "faust_json.py")], 4_000,
        "one JSON record a reading; windowed table in memory with changelog topic, asyncio loop",
    ),
    Peer(
        "quixstreams", partial(script, "quixstreams", "quixstreams_json"), 20_000,
        "one JSON record a reading; its own Count, Mean, Min, Max in RocksDB with changelog topic, closed windows as JSON",
    ),
    Peer(
        "bytewax", partial(script, "bytewax", "bytewax_json"), 20_000,
        "one JSON record a reading; fold_window (in order of event time, its default) in memory, recovery off, closed windows as JSON",
    ),
    Peer(
        "kafka_streams_memory", kafka_streams, 80_000,
        "one JSON record a reading; in-memory window store with changelog topic, record cache on, C2 and G1 of a JDK 25; changes of windows as JSON",
        last=("memory",),
    ),
    Peer(
        "kafka_streams_rocksdb", kafka_streams, 80_000,
        "as kafka_streams_memory, but a RocksDB window store", last=("rocksdb",),
    ),
)  # fmt: skip
PER_FRAME = (
    Peer(
        "quixstreams_frames", partial(script, "quixstreams", "quixstreams_frames"), 600_000,
        "our raw frames through its batching sink, 256 together; numpy windows in memory that a restart loses, no checks, no rules",
        frames=True, last=(),
    ),
    Peer(
        "bytewax_frames", partial(script, "bytewax", "bytewax_frames"), 600_000,
        "our raw frames, batches of 256 of its source; numpy windows in memory that a restart loses, no checks, no rules",
        frames=True, last=(),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Rate:
    """Readings a second, of the wall clock and of the process's own CPU time."""

    wall: float
    cpu: float


def city(readings: int) -> City:
    """Give that many readings of SOURCES stations."""
    return City(SOURCES, readings, ahead_ms())


def frames_worth(seconds: float) -> int:
    """Give how many readings are measured in frames."""
    return min(MOST, int(600_000 * seconds))


def run(seconds: float) -> Iterator[Result]:
    """Measure every peer, then ours, then give ours with its ratios."""
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as stack:
        found: dict[str, Rate] = {}
        failed: list[str] = []
        for one in (*PER_RECORD, *PER_FRAME):
            readings = min(MOST if one.frames else MOST_RECORDS, int(one.rate * seconds))
            try:
                found[one.name] = rate = measure(stack, one, readings, Path(folder))
            except Absent as absent:
                print(f"SKIPPED {one.name}: {absent}", file=sys.stderr)
                continue
            except RuntimeError as error:
                print(f"FAILED {error}", file=sys.stderr)
                failed.append(one.name)
                continue
            note = f"per CPU second (wall {rate.wall:,.0f}/s); {one.note}"
            yield Result(
                f"peer_{one.name}", rate.cpu, "readings/s", COMMAND, rows_per_frame=ROWS if one.frames else None, note=note
            )
        yield from ours(stack, frames_worth(seconds), found)
    if failed:
        raise RuntimeError(f"peers that gave no or wrong windows in time: {', '.join(failed)}")


def measure(stack: Stack, one: Peer, readings: int, folder: Path) -> Rate:
    """Measure one peer on its own topics."""
    command = one.command()
    given, told = f"bench-in-{one.name}", f"bench-out-{one.name}"
    topics.create(stack.kafka, given, told)
    wanted = city(readings)
    if one.frames:
        topics.fill_frames(stack.kafka, given, frames(wanted, ROWS, closing=True))
    else:
        topics.fill(stack.kafka, given, ((key, value, []) for key, value in records(wanted)))
    state = folder / f"{one.name}-state"
    arguments = [stack.kafka, given, told, str(readings), str(state), *one.last]
    with peer(one.name, [*command, *arguments], folder) as at_work:
        at_work.until("first reading", lambda: "begin" in at_work.marks, 120)
        at_work.until("last reading", lambda: "end" in at_work.marks, LIMIT_S)
        wall, cpu = at_work.spent
        prove(at_work, partial(topics.figures, stack.kafka, told), expected(wanted))
    topics.delete(stack.kafka, given, told)
    return Rate(readings / wall, readings / cpu)


def prove(at_work: Running | None, told: Callable[[], Figures], wanted: Figures, patience_s: float = 90.0) -> None:
    """Return when the windows told are those that must be; raises ``RuntimeError`` with the difference."""
    limit = time.monotonic() + patience_s
    while wrong := differences(told(), wanted):
        if time.monotonic() > limit or (at_work is not None and at_work.process.poll() is not None):
            raise RuntimeError(f"{at_work.log.stem if at_work is not None else 'ours'}: {wrong}")
        time.sleep(1.0)


def ours(stack: Stack, readings: int, peers: dict[str, Rate]) -> Iterator[Result]:
    """Measure clean + watch in one process, then watch alone, on such readings as the peers had."""
    wanted = city(readings)
    made = list(frames(wanted, ROWS, closing=True))
    for name, first, agents, what in (
        (
            "peers_clean_watch",
            "",
            "clean,watch",
            "checks, duplicates, zones, rules, checkpoints in the database, two topics written",
        ),
        ("peers_watch", "clean", "watch", "windows, rules and checkpoints only: nearest to what the peers do"),
    ):
        rate = one_of_ours(stack, first, agents, made, wanted)
        yield Result(
            name, rate.cpu, "readings/s", COMMAND, ratios(rate, peers), rows_per_frame=ROWS,
            note=f"per CPU second (wall {rate.wall:,.0f}/s); Arrow frames where peers take JSON records, unless named frames; {what}",
        )  # fmt: skip


def one_of_ours(stack: Stack, first: str, agents: str, made: Sequence[tuple[bytes, Headers]], wanted: City) -> Rate:
    """Measure agents in one process, those named first having finished before; then compare the windows they told.

    Each takes a slot of its own: the broker gives a static member that comes back what it had, whatever it now asks for.
    """
    with tempfile.TemporaryDirectory() as folder, stack.fresh_database() as database:
        config = settings(stack, database, folder)
        migrate(database, config.database.schema)
        topics.keep_all(stack.kafka, "raw-environment", "clean-environment", "windows")
        topics.fill_frames(stack.kafka, "raw-environment", made)
        with workers(config) as crew:
            if first:
                name = crew.start(first, slot=1)
                until(f"end of {first}", lambda: done(config, first, "raw-environment") >= len(made), crew, 600)
                crew.kill(name, signal.SIGTERM)
            cpu, wall, count = through(crew, crew.start(agents, slot=2 if first else 0), "watch", "clean-environment", len(made))
            prove(None, partial(topics.our_figures, stack.kafka), expected(wanted))
    return Rate(count * ROWS / wall, count * ROWS / cpu)


def ratios(rate: Rate, peers: dict[str, Rate]) -> dict[str, float]:
    """Give ours against each peer, by CPU time and by the wall clock, and against the best of those that take records."""
    found: dict[str, float] = {}
    for name, other in peers.items():
        found |= {f"{name}, CPU": rate.cpu / other.cpu, f"{name}, wall": rate.wall / other.wall}
    per_record = [peers[p.name] for p in PER_RECORD if p.name in peers]
    if per_record:
        found["best per-record peer, CPU"] = rate.cpu / max(p.cpu for p in per_record)
        found["best per-record peer, wall"] = rate.wall / max(p.wall for p in per_record)
    return found
