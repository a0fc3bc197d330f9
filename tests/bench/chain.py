"""The whole chain as processes of their own: feeder, worker, store, gateway, and a page that listens on the websocket."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import msgspec
import numpy as np
import psutil
from websockets.asyncio.client import ClientConnection, connect

from gateway.sessions import COOKIE
from schemas import messages
from schemas.config import Config
from schemas.messages import LAYERS, REMOVE
from storage import accounts
from storage.accounts import Actor
from storage.connect import create_pool
from tests.bench.feeder import WRAP_MS, Values, arrived_ms, clock
from tests.integration.stack import Stack
from tests.integration.workers import ROOT, Workers

PASSWORD = "correct-horse-7"
LAYER = LAYERS.index("bus_position")
PACE_MS = 250
"""The shortest interval a page may ask for."""
GATEWAY = """
import asyncio, sys, time, msgspec
from gateway.run import run
from schemas.config import Config
config = msgspec.json.decode(sys.argv[1], type=Config)
asyncio.run(run(config, stop=asyncio.Event(), clock=lambda: time.time_ns() // 1000, build="bench", on_ready=lambda: print("ready", flush=True)))
"""


def start_gateway(crew: Workers) -> None:
    """Start the gateway among the workers."""
    with (Path(crew.config.data_dir) / "gateway.log").open("ab") as log:
        crew.running["gateway"] = subprocess.Popen(
            [sys.executable, "-c", GATEWAY, msgspec.json.encode(crew.config).decode()],
            cwd=ROOT, stdout=log, stderr=log, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip


@contextmanager
def feeding(config: Config, rate: float, sources: int, seconds: float) -> Iterator[subprocess.Popen[str]]:
    """Run a feeder for that long; it is ended with the block."""
    command = [sys.executable, "-m", "tests.bench.feeder", config.kafka.bootstrap, config.data_dir, str(config.kafka.partitions)]
    with (Path(config.data_dir) / "feeder.log").open("ab") as log:
        process = subprocess.Popen(
            [*command, str(rate), str(sources), str(seconds)], cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=30)
        if process.stdout is not None:
            process.stdout.close()


def told(process: subprocess.Popen[str], patience_s: float) -> dict[str, float]:
    """Wait for a feeder's end and give what it says of itself."""
    out, _ = process.communicate(timeout=patience_s)
    found: dict[str, float] = json.loads(out.strip().splitlines()[-1])
    return found


def pids(stack: Stack, crew: Workers, **more: int) -> dict[str, int]:
    """Give the processes of the chain by name."""
    found = {name: process.pid for name, process in crew.running.items()} | more
    for part in stack.embedded.parts if stack.embedded is not None else ():
        pid = part.process.pid
        if pid is not None:
            found[part.process.name] = pid
    return found


@dataclass
class Shares:
    """CPU time of processes and their children, from the moment this is made."""

    watched: dict[str, int]
    _before: dict[str, float] = field(default_factory=dict)
    _begun: float = field(default_factory=time.monotonic)
    _machine: float = 0.0

    def __post_init__(self) -> None:
        self._before = {name: _cpu(pid) for name, pid in self.watched.items()}
        self._machine = _busy()

    def cores(self) -> dict[str, float]:
        """Give how many cores each has used since, on average."""
        passed = time.monotonic() - self._begun
        return {name: (_cpu(pid) - self._before[name]) / passed for name, pid in self.watched.items()}

    def __str__(self) -> str:
        shares = self.cores()
        rest = (_busy() - self._machine) / (time.monotonic() - self._begun) - sum(shares.values())
        return ", ".join(f"{name} {share:.2f}" for name, share in (*shares.items(), ("everything else", max(0.0, rest))))


def _busy() -> float:
    """Give the CPU seconds all of the machine has spent working."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system)


def _cpu(pid: int) -> float:
    total = 0.0
    with suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                total += sum(process.cpu_times()[:2])
    return total


async def log_in(config: Config) -> str:
    """Make a person on duty and give the cookie of a session."""
    pool = await create_pool(config.database.url, config.database.schema, size=1)
    try:
        await accounts.create_user(pool, Actor("bench", "local", clock()), "bench", PASSWORD, "duty")
    finally:
        await pool.close()
    base = f"http://127.0.0.1:{config.gateway.port}"
    async with httpx.AsyncClient(base_url=base, timeout=60) as client:
        async with asyncio.timeout(60):
            while not await _ready(client):
                await asyncio.sleep(0.2)
        answer = await client.post("/api/login", json={"user": "bench", "password": PASSWORD})
        answer.raise_for_status()
        return f"{COOKIE}={client.cookies[COOKIE]}"


async def _ready(client: httpx.AsyncClient) -> bool:
    with suppress(httpx.TransportError):
        return (await client.get("/readyz")).status_code == 200
    return False


async def listen(config: Config, warm_s: float, seconds: float) -> Values:
    """Watch the whole city on the websocket; give the age in milliseconds of every value that came after the warm-up."""
    url = f"ws://127.0.0.1:{config.gateway.port}/ws"
    cookie = await log_in(config)
    async with connect(url, additional_headers={"cookie": cookie}, proxy=None, max_size=None, compression=None) as wire:
        await wire.send(json.dumps({"op": "hello", "proto": 1, "lang": "zh-CN"}))
        await wire.send(json.dumps({"op": "subscribe", "layers": [LAYER], "intervalMs": PACE_MS}))
        await _hear(wire, warm_s)
        ages = await _hear(wire, seconds)
    return np.concatenate(ages) if ages else np.array([])


async def _hear(wire: ClientConnection, seconds: float) -> list[Values]:
    """Acknowledge and read frames for that long; give the ages of the values in them."""
    found: list[Values] = []
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while True:
                part = await wire.recv()
                now = clock() // 1000
                if isinstance(part, bytes):
                    await wire.send('{"op":"ack","frames":1}')
                    kind, _, _, columns = messages.unpack(part)
                    if kind != REMOVE:
                        arrived = arrived_ms(columns["lat_e6"].astype(np.float64), columns["value"].astype(np.float64))
                        found.append((now - arrived) % WRAP_MS)
    return found
