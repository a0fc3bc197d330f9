"""One run of the input against a fresh system, with or without its faults."""

from __future__ import annotations

import asyncio
import shutil
import time
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from schemas.errors import Fatal
from tests.chaos import outcome, settling
from tests.chaos.devices import Address, Device, Door, Fleet
from tests.chaos.feed import Feed
from tests.chaos.isolation import Network, plain_socket
from tests.chaos.outcome import Accounts
from tests.chaos.schedule import Fault
from tests.chaos.script import Row, Script, Sender, Terminal
from tests.chaos.stalls import Meter, Stalls
from tests.chaos.strike import Striker, Struck
from tests.chaos.system import System

WATCH_S = 0.1
JOIN_S = 90.0
LATEST_S = 180.0
"""So long after the input's end devices may still wait for answers, and agents for their rest."""
Look = Callable[[str, float], None]
"""Told what goes on, and which share of it is done."""


@dataclass
class Ran:
    """What came of a run."""

    accounts: Accounts = field(default_factory=Accounts)
    tables: dict[str, list[bytes]] = field(default_factory=dict)
    ledger: dict[str, Any] = field(default_factory=dict)
    struck: list[Struck] = field(default_factory=list)
    stalls: Stalls = field(default_factory=Stalls)
    restarts: dict[str, int] = field(default_factory=dict)
    refused: list[tuple[str, Any]] = field(default_factory=list)
    """Answers other than done: device, (message, result)."""
    amiss: list[str] = field(default_factory=list)
    """Why the run did not come to its end."""
    messages: int = 0
    repeated: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Conditions:
    """What this machine offers, the same for both runs."""

    network: Network | None
    small_disk: bool
    timescale: bool


async def run(script: Script, faults: tuple[Fault, ...], where: Conditions, work: Path, pace: float, look: Look) -> Ran:
    """Start a system in ``work``, let the devices report at ``pace`` steps a second, strike, settle, and read what is there.

    Everything started here has ended when this returns or raises.
    """
    feed = Feed(script.bikes)
    await feed.start()
    system = System(work, where.network, feed.port, where.small_disk, where.timescale)
    fleet: Fleet | None = None
    try:
        look("starting", 0.0)
        system.start()
        await _until_joined(system)
        fleet = Fleet([_device(s, system) for s in script.senders], script.schedule.steps, pace)
        return await _drive(script, faults, system, fleet, feed, look)
    finally:
        if fleet is not None:
            await fleet.close()
        await feed.stop()
        system.stop()
        shutil.copytree(system.place.logs, work.parent / f"{work.name}-logs", dirs_exist_ok=True)


async def _until_joined(system: System) -> None:
    """Wait until every worker has its partitions, so that no stall is only a start."""
    deadline = time.monotonic() + JOIN_S
    while not await asyncio.to_thread(system.joined):
        system.supervisor.check()
        if time.monotonic() > deadline:
            words = "\n".join(f"{p.name}: {p.process.tail(3)}" for p in system.supervisor.parts)
            raise Fatal(f"the workers did not join within {JOIN_S:.0f} s\n{words}")
        await asyncio.sleep(WATCH_S)


def _device(sender: Sender, system: System) -> Device:
    door: Door = plain_socket
    address: Address = ("127.0.0.1", system.ports["local" if isinstance(sender, Terminal) else "stations"])
    if sender.remote:
        door = system.network.socket if system.network else plain_socket
        address = (system.remote_host, system.ports["remote"])
    return Device(sender, address, door, zlib.crc32(sender.source.encode()) % 1000 / 1000)


async def _drive(script: Script, faults: tuple[Fault, ...], system: System, fleet: Fleet, feed: Feed, look: Look) -> Ran:
    meter, ran = Meter(system, fleet, feed), Ran()
    striker = Striker(system, fleet, lambda text: look(text, -1.0))
    tasks = [asyncio.create_task(work) for work in (_supervise(system), fleet.run(), striker.run(faults), meter.run())]
    _, reporting, striking, metering = tasks
    try:
        ran.amiss += await _until_answered(fleet, feed, (reporting, striking), tasks, look)
        look("settling", 1.0)
        amiss = await settling.wait_until_still(system.config, LATEST_S)
        metering.cancel()
        ran.amiss += [f"did not settle within {LATEST_S:.0f} s: {amiss}"] if amiss else []
        look("reading", 1.0)
        await asyncio.to_thread(_read, ran, script, system, fleet.sent())
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    ran.struck, ran.stalls, ran.restarts = striker.struck, meter.stalls, system.restarts()
    ran.messages, ran.repeated, ran.seconds = fleet.answered, fleet.repeated, fleet.clock
    ran.refused = [(d.sender.source, answer) for d in fleet.devices for answer in d.refused]
    return ran


async def _until_answered(
    fleet: Fleet, feed: Feed, wanted: tuple[asyncio.Task[None], ...], tasks: list[asyncio.Task[None]], look: Look
) -> list[str]:
    """Wait for devices, feed and faults to be done; gives what was not in the time allowed."""
    while not (all(t.done() for t in wanted) and feed.done):
        for task in tasks:
            if task.done():
                task.result()
        if fleet.step - fleet.steps > LATEST_S:
            waiting = list(fleet.unanswered())
            return [
                f"{len(waiting)} devices wait for answers, such as {waiting[:5]}; bike document {feed.number} of {feed.bikes.count}"
            ]
        look(f"{fleet.answered:,} messages answered", min(1.0, fleet.floor / fleet.steps))
        await asyncio.sleep(WATCH_S)
    for task in wanted:
        task.result()
    return []


async def _supervise(system: System) -> None:
    while True:
        system.supervisor.check()
        await asyncio.sleep(WATCH_S)


def _read(ran: Ran, script: Script, system: System, sent: Counter[Row]) -> None:
    found, different = outcome.read_rows(system.config)
    ran.accounts = outcome.account(script.wanted(), found, different, sent)
    ran.tables = outcome.read_tables(system.config)
    ran.ledger = settling.ledger(system.place.root)
