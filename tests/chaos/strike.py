"""Carrying out a schedule: each fault at its time, on the real part, and what was seen while it lasted."""

from __future__ import annotations

import asyncio
import signal
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import asdict, dataclass

import psutil

from tests.chaos.devices import Fleet
from tests.chaos.schedule import Fault, resources
from tests.chaos.system import System

RUNNING_S = 40.0
"""So long a part that is down may take to come back before a fault that needs it running is given up."""
LEFT_BYTES = 256 << 10
"""Room on the spool's disk while it is full."""
FULL_STILL_S = 5.0
"""So long the disk stays full after the broker is back: the spool must drain all the same."""
QUIET_S = 5.0
POLL_S = 0.05


@dataclass
class Struck:
    """What became of one fault; times are seconds since the devices began."""

    at: int
    target: str
    fault: str
    lasts: int
    began: float | None = None
    ended: float | None = None
    note: str = ""

    def plain(self) -> dict[str, object]:
        """Give it as the report shows it."""
        found = {("for" if k == "lasts" else k): v for k, v in asdict(self).items()}
        return {k: round(v, 1) if isinstance(v, float) else v for k, v in found.items() if v is not None and v != ""}


class Striker:
    """Runs the faults of a schedule against a system."""

    def __init__(self, system: System, fleet: Fleet, say: Callable[[str], None]) -> None:
        self.struck: list[Struck] = []
        self._system = system
        self._fleet = fleet
        self._say = say
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def run(self, faults: tuple[Fault, ...]) -> None:
        """Return when every fault has begun and ended."""
        async with asyncio.TaskGroup() as group:
            for fault in faults:
                record = Struck(fault.at, fault.target, fault.fault, fault.lasts)
                self.struck.append(record)
                if fault.is_input:
                    record.began, record.ended = float(fault.at), float(fault.at + fault.lasts)
                    record.note = "part of the input of both runs"
                else:
                    group.create_task(self._strike(fault, record))

    async def _strike(self, fault: Fault, record: Struck) -> None:
        while self._fleet.clock < fault.at:
            await asyncio.sleep(POLL_S)
        async with AsyncExitStack() as held:
            for name in sorted(resources(fault)):
                await held.enter_async_context(self._locks[name])
            record.began = self._fleet.clock
            self._say(f"{record.began:5.0f} s  {fault.fault} {fault.target}" + (f" for {fault.lasts} s" if fault.lasts else ""))
            record.note = await getattr(self, f"_{fault.fault}")(fault)
            record.ended = self._fleet.clock

    @asynccontextmanager
    async def _down(self, *targets: str) -> AsyncIterator[None]:
        self._system.down.update(targets)
        try:
            yield
        finally:
            self._system.down.difference_update(targets)

    async def _running(self, target: str) -> bool:
        """Wait until a part runs; another fault may have taken it just now."""
        with suppress(TimeoutError):
            async with asyncio.timeout(RUNNING_S):
                while self._system.process(target).pid is None:
                    await asyncio.sleep(POLL_S)
                return True
        return False

    async def _kill(self, fault: Fault) -> str:
        if not await self._running(fault.target):
            return "skipped: it was not running"
        self._system.process(fault.target).signal(signal.SIGKILL)
        return ""

    async def _freeze(self, fault: Fault) -> str:
        if not await self._running(fault.target):
            return "skipped: it was not running"
        tree = self._system.tree(fault.target)
        async with self._down(fault.target):
            _signal(tree, signal.SIGSTOP)
            try:
                await asyncio.sleep(fault.lasts)
            finally:
                _signal(tree, signal.SIGCONT)
        return ""

    async def _stop(self, fault: Fault) -> str:
        if not await self._running(fault.target):
            return "skipped: it was not running"
        async with self._down(fault.target):
            self._system.hold(fault.target)
            try:
                await asyncio.sleep(fault.lasts)
            finally:
                self._system.release(fault.target)
        return ""

    async def _cut(self, fault: Fault) -> str:
        network = self._system.network
        if network is None:
            return "SKIPPED: no network namespace on this machine"
        network.cut()
        try:
            await asyncio.sleep(fault.lasts)
        finally:
            network.mend()
        return ""

    async def _fill(self, fault: Fault) -> str:
        """The disk is full and the broker away; the broker comes back first, the room later."""
        disk = self._system.disk
        if disk is None:
            return "SKIPPED: no small disk on this machine"
        async with self._down("kafka", "spool"):
            disk.fill(LEFT_BYTES)
            try:
                self._system.hold("kafka")
                try:
                    await asyncio.sleep(fault.lasts - QUIET_S)
                    before = self._fleet.answered
                    await asyncio.sleep(QUIET_S)
                    answers = self._fleet.answered - before
                finally:
                    self._system.release("kafka")
                await asyncio.sleep(FULL_STILL_S)
            finally:
                disk.empty()
        return f"answers in the last {QUIET_S:.0f} s before the broker was back: {answers}"


def _signal(tree: list[psutil.Process], number: signal.Signals) -> None:
    for process in tree:
        with suppress(psutil.Error):
            process.send_signal(number)
