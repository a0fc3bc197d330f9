"""Many terminals at one process of connectors: how long each waits for its acknowledgement, and what a connection costs.

A real broker, ``cityops connect`` as users start it, and a process of terminals that register, authenticate and report every
ten seconds. At the end ``connect`` is started anew, and all terminals come back at the same moment.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from cityops import settings
from cityops.embedded import Embedded
from cityops.place import Place, free_port
from cityops.process import Process
from connectors._host.descriptors import RESERVE, raise_limit
from schemas.config import Config
from schemas.config import Kafka as Broker
from tests.bench.result import Result
from tests.bench.terminals import Figures
from tests.integration.workers import ROOT

COMMAND = "make bench ONLY=connections SECONDS=60"
CONNECTIONS = 20_000
INTERVAL_S = 10.0
PATIENCE_S = 600.0
"""How long connecting all terminals, twice, may take."""
STOP_S = 40.0
OTHER_FILES = RESERVE + 100
"""What a process has open besides its connections, and keeps free of them."""
MIB = 1 << 20


def run(seconds: float) -> Iterator[Result]:
    """Measure a steady time of that length, at least one report of each terminal long."""
    steady_s = max(INTERVAL_S, seconds)
    limit = raise_limit()
    count = min(CONNECTIONS, limit - OTHER_FILES)
    why = "" if count == CONNECTIONS else f" (not {CONNECTIONS:,}: the hard limit of open files here is {limit:,})"
    with tempfile.TemporaryDirectory() as folder, Embedded(Path(folder), postgres=False) as embedded:
        embedded.topics(Broker().partitions)
        port = free_port()
        arguments = [port, count, INTERVAL_S, steady_s, steady_s + INTERVAL_S + PATIENCE_S]
        with (
            running(listener(embedded, port)) as connect,
            running(process(embedded.place, "terminals", "tests.bench.terminals", *arguments)) as terminals,
        ):
            yield from measured(connect, terminals, count, steady_s, why)


def listener(embedded: Embedded, port: int) -> Process:
    """Give ``cityops connect`` with one listener, which demands authentication."""
    config = Config(
        data_dir=str(embedded.place.root),
        kafka=Broker(bootstrap=embedded.bootstrap),
        connectors={
            "jt808": {
                "listen": f"127.0.0.1:{port}", "max_connections": CONNECTIONS, "max_per_ip": 0, "authentication": "required",
                "secret": "bench", "groups": [{"kind": "coach_position", "prefix": "1405"}],
            }
        },
    )  # fmt: skip
    path = settings.publish(config, embedded.place)
    return process(embedded.place, "connect", "cityops", "connect", "--config", path)


def process(place: Place, name: str, module: str, *arguments: object) -> Process:
    """Give a process of a module of ours; it dies with this one."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return Process(name, [sys.executable, "-m", module, *map(str, arguments)], run=place.run, logs=place.logs, env=env)


@contextmanager
def running(process: Process) -> Iterator[Process]:
    """Run a process to the end of the block."""
    process.start()
    try:
        yield process
    finally:
        process.stop(STOP_S)


def measured(connect: Process, terminals: Process, count: int, seconds: float, why: str) -> Iterator[Result]:
    """Follow the terminals through connecting, a steady time, and coming back."""
    fresh = idle(connect)
    told = tell(terminals)
    opened, _ = next(told), next(told)
    cpu, clients = -used(connect), -used(terminals)
    steady = next(told)
    cpu, clients, load = cpu + used(connect), clients + used(terminals), os.getloadavg()[0]
    memory = psutil.Process(connect.pid).memory_full_info()
    what = f"{count:,} connections{why}, a report each every {INTERVAL_S:.0f} s"
    yield Result(
        "connections_acknowledged", steady["p99"] * 1000, "ms", COMMAND, {"one second": steady["p99"]},
        note=f"p99 from sending a location to its acknowledgement, which waits for Kafka (p50 {steady['p50'] * 1000:.0f}, max "
        f"{steady['max'] * 1000:.0f} ms); {what}; {seconds:.0f} s, {steady['sent']:,.0f} sent, {steady['acknowledged']:,.0f} "
        f"acknowledged, {steady['missed']:.0f} lost, {steady['disconnects']:.0f} disconnected; at first all connected, registered "
        f"and answered in {opened['seconds']:.0f} s; the terminals' process used {clients / seconds:.2f} cores and was at most "
        f"{steady['late'] * 1000:.0f} ms late; load {load:.1f}",
    )  # fmt: skip
    yield Result(
        "connections_memory", memory.rss / MIB, "MiB", COMMAND, {"before any connection": memory.rss / fresh},
        note=f"RSS of connect (USS {memory.uss / MIB:.0f} MiB), {what}: {(memory.rss - fresh) / count:,.0f} bytes a connection",
    )  # fmt: skip
    yield Result(
        "connections_cpu", cpu / steady["acknowledged"] * 1e6, "ms/1000 messages", COMMAND,
        note=f"CPU time of connect, {what}: {cpu / seconds:.2f} of a core; load {load:.1f}",
    )  # fmt: skip
    connect.stop(STOP_S)
    connect.start()
    back = next(told)
    load = os.getloadavg()[0]
    yield Result(
        "connections_back", back["seconds"], "s", COMMAND, cores=2.0,
        note=f"connect started anew, all {count:,} terminals dial in the same moment: until each is logged in and its report acknowledged "
        f"(reports p99 {back['p99']:.1f} s); {back['disconnects']:.0f} dialled again; load {load:.1f}",
    )  # fmt: skip


def idle(connect: Process, patience_s: float = 30.0) -> int:
    """Give the memory of the process as soon as it listens."""
    end = time.monotonic() + patience_s
    while time.monotonic() < end and connect.poll() is None:
        own = psutil.Process(connect.pid)
        if any(c.status == psutil.CONN_LISTEN for c in own.net_connections("tcp")):
            return int(own.memory_info().rss)
        time.sleep(0.02)
    raise RuntimeError(f"connect does not listen: {connect.tail(5)}")


def tell(terminals: Process) -> Iterator[Figures]:
    """Give what the terminals tell, one after the other; ``RuntimeError`` when they have ended."""
    with terminals.log.open(encoding="utf-8") as log:
        while True:
            ended = terminals.poll() is not None
            line = log.readline()
            if line.startswith("{"):
                yield json.loads(line)
            elif not line and ended:
                raise RuntimeError(f"the terminals gave up: {terminals.tail(5)}")
            elif not line:
                time.sleep(0.1)


def used(process: Process) -> float:
    """Give the CPU seconds of a process so far."""
    times = psutil.Process(process.pid).cpu_times()
    return float(times.user + times.system)
