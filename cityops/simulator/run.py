"""The simulator's process: devices on their sockets, the bike feed, the ground truth on disk."""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import structlog

from cityops.simulator import faults, identity
from cityops.simulator.bike_feed import BikeFeed
from cityops.simulator.departments import Departments
from cityops.simulator.links import links
from cityops.simulator.operators import Operator
from cityops.simulator.rivers import RIVER, river
from cityops.simulator.station import Station
from cityops.simulator.tempo import Kind
from cityops.simulator.terminal import Identity, Sample, Terminal
from cityops.simulator.world import Size, World

TICK_S = 0.2
STEP_US = 1_000_000
"""Between two fixes of all vehicles, microseconds: JT/T 808 tells whole seconds."""
TRUTH_US = 10_000_000
DRAIN_S = 5.0
OUTAGES: Mapping[str, str] = {"silent": "silent", "blind": "blind", "repeat": "doubles", "crc": "garbles"}
"""Effects that a device itself shows, and its attribute that says so."""

log = structlog.get_logger("cityops.simulator")


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorSettings:
    """Where the connectors listen, where the ground truth goes, how large the city is."""

    jt808: tuple[str, int]
    hj212: tuple[str, int]
    gbfs_port: int
    data_dir: Path
    buses: int = 300
    taxis: int = 400
    coaches: int = 60
    hazmat: int = 80
    dust: int = 40
    bike_stations: int = 120
    seed: int = 1405
    report_s: float = 10.0
    """Shortest interval between a terminal's positions; the slowest terminal takes half as long again."""
    fault_cycles: int = 24
    peers: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    """Where other connectors listen, or dial to, by name; a department without one stays silent, taxis speak JT/T 808."""
    drops: Mapping[str, Path] = field(default_factory=dict)
    """Folders that files are laid in, by the name of the connector that picks them up."""
    database: str = ""
    """That of the heating office, as the connector reads it; empty is none."""
    password: str = ""
    """Of the transport company's platform."""

    @property
    def size(self) -> Size:
        """The number of devices."""
        return Size(self.buses, self.taxis, self.coaches, self.hazmat, self.dust, self.bike_stations)

    def on_terminal(self, kind: Kind, number: int) -> bool:
        """Tell whether a vehicle has a JT/T 808 terminal."""
        if kind == Kind.TAXI:
            return "jt905" not in self.peers
        return "jt809" not in self.peers or not identity.on_platform(kind, number, self.size.vehicles[kind])

    @property
    def labels_file(self) -> Path:
        """Where the faults are listed, one JSON document a line."""
        return self.data_dir / "simulator" / "ground-truth.jsonl"

    @property
    def truth_file(self) -> Path:
        """Where the ground truth is written."""
        return self.data_dir / "simulator" / "ground-truth.json"


def jt808_groups() -> list[dict[str, str]]:
    """Give the setting ``groups`` that the jt808 connector needs for this city."""
    return identity.jt808_groups()


def hj212_devices(settings: SimulatorSettings) -> dict[str, dict[str, Any]]:
    """Give the setting ``devices`` (positions by MN) that the hj212 connector needs for this city."""
    from cityops.simulator.dust import sites
    from cityops.simulator.roads import build

    return identity.hj212_devices(sites(build(settings.seed), settings.dust, settings.seed))


async def run(settings: SimulatorSettings, stop: asyncio.Event) -> None:
    """Run the city until ``stop`` is set; then no new readings, up to 5 s for answers, ground truth, end.

    A listener that is not there yet is tried again; the ground truth is written every 10 s as well.
    """
    _allow_sockets(sum(settings.size.vehicles) + settings.size.evs + settings.dust + 100)
    started = _now()
    world = World(settings.size, settings.seed, started, settings.fault_cycles, platform="jt809" in settings.peers)
    city = City(settings, world)
    bikes = city.departments.bikes
    feed = BikeFeed(world, settings.gbfs_port, _now, None if bikes is None else bikes.parked)
    await city.departments.listen()
    await feed.start()  # last: who waits for it finds all the others
    log.info("simulator started", devices=len(city.links), gbfs=settings.gbfs_port, faults=len(world.faults))
    try:
        while not stop.is_set():
            city.tick(_now())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), TICK_S)
        await city.drain()
    finally:
        city.write_truth(final=True)
        await feed.stop()
        await asyncio.gather(*(link.close() for link in city.links), city.departments.close())
        log.info("simulator stopped", **city.totals())


class City:
    """All devices of a world on their links."""

    def __init__(self, settings: SimulatorSettings, world: World) -> None:
        self.world = world
        self.terminals = _terminals(settings, world)
        self.stations = _stations(world)
        self.links = links(self.terminals, settings.jt808, _now) + links(self.stations, settings.hj212, _now)
        self.departments = Departments(
            world,
            settings.peers,
            settings.drops,
            database=settings.database,
            password=settings.password,
            report_s=settings.report_s,
            clock=_now,
        )
        self._by_source = self._sources()
        self._file, self._labels = settings.truth_file, settings.labels_file
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._write_labels()
        self._next_step = self._next_truth = world.started_at
        self._out: frozenset[tuple[str, str]] = frozenset()

    def _sources(self) -> dict[str, list[Any]]:
        """Give the devices that may lose power or line, by the names of what they report."""
        found: dict[str, list[Any]] = {t.identity.phone: [t] for t in self.terminals}
        found |= {s.mn: [s] for s in self.stations}
        for device in (device for group in self.departments.devices.values() for device in group):
            for source in device.sources if isinstance(device, Operator) else (device.source,):
                found.setdefault(source, []).append(device)
        return found

    def tick(self, now: int) -> None:
        """Move the world once a second, and let every device act."""
        if now >= self._next_step:
            self._next_step = now // STEP_US * STEP_US + STEP_US
            self.world.step(now)
            self._outages()
        for link in self.links:
            link.tick(now)
        self.departments.tick(now)
        if now >= self._next_truth:
            self._next_truth = now + TRUTH_US
            self.write_truth(final=False)

    def _outages(self) -> None:
        out = frozenset((f.effect, f.source) for f in self.world.active if f.effect in OUTAGES)
        for effect, source in out ^ self._out:
            for device in self._by_source.get(source, ()):
                if isinstance(device, Operator):
                    device.mark(effect, source, on=(effect, source) in out)
                elif hasattr(device, OUTAGES[effect]):
                    setattr(device, OUTAGES[effect], (effect, source) in out)
        self._out = out

    async def drain(self) -> None:
        """Take no new readings; wait until all that was taken is acknowledged, at most 5 s."""
        devices: list[Terminal | Station] = [*self.terminals, *self.stations]
        for device in devices:
            device.stopping = True
        self.departments.stop()
        for terminal in self.terminals:
            terminal.blind = False
        ends = time.monotonic() + DRAIN_S
        while time.monotonic() < ends and (any(d.waiting for d in devices if not d.silent) or self.departments.waiting()):
            now = _now()
            for link in self.links:
                link.tick(now)
            self.departments.tick(now)
            await asyncio.sleep(TICK_S / 2)

    def totals(self) -> dict[str, int]:
        """Give the sums over the terminals of JT/T 808 and the stations of HJ 212: connected, sent, acked, waiting."""
        return {
            "connected": sum(link.connected for link in self.links),
            "sent": sum(t.counts.sent for t in self.terminals) + sum(s.sent for s in self.stations),
            "acked": sum(t.counts.acked for t in self.terminals) + sum(s.acked for s in self.stations),
            "waiting": sum(t.waiting for t in self.terminals) + sum(s.waiting for s in self.stations),
        }

    def write_truth(self, *, final: bool) -> None:
        """Write what was sent, what was acknowledged and which faults were planned, in one rename."""
        world = self.world
        truth = {
            "started_at": world.started_at,
            "written_at": _now(),
            "final": final,
            "totals": self.totals(),
            "departments": self.departments.totals(),
            "faults": [faults.describe(f, world.started_at) for f in world.faults],
            "terminals": {t.identity.phone: asdict(t.counts) | {"waiting": t.waiting} for t in self.terminals},
            "stations": {
                s.mn: {"sent": s.sent, "acked": s.acked, "dropped": s.dropped, "waiting": s.waiting} for s in self.stations
            },
        }
        partial = self._file.with_suffix(".partial")
        partial.write_text(json.dumps(truth, ensure_ascii=False), encoding="utf-8")
        partial.replace(self._file)

    def _write_labels(self) -> None:
        rows = [json.dumps(faults.label(f, self.world.started_at), ensure_ascii=False) for f in self.world.faults]
        self._labels.write_text("\n".join(rows) + "\n", encoding="utf-8")


def _terminals(settings: SimulatorSettings, world: World) -> list[Terminal]:
    rng = np.random.default_rng([settings.seed, 7])
    found = []
    for kind in Kind:
        for number in range(1, settings.size.vehicles[kind] + 1):
            if not settings.on_terminal(kind, number):
                continue
            index = int(world.base[kind]) + number - 1
            interval = settings.report_s * rng.uniform(1.0, 1.5)
            first = index * 0.006 + rng.uniform(1.0, 1.0 + interval)
            found.append(
                Terminal(
                    identity=Identity(
                        phone=identity.phone(kind, number),
                        version=identity.edition(kind, number),
                        plate=identity.plate(kind, number),
                        plate_colour=identity.COLOURS[kind],
                        city=502,
                    ),
                    sample=_fix_of(world, index),
                    interval=int(interval * 1e6),
                    next_report=world.started_at + int(first * 1e6),
                    heartbeat=int(rng.uniform(50.0, 90.0) * 1e6),
                )
            )
    return found


def _stations(world: World) -> list[Station]:
    dust, rivers = world.sources["dust_station"], world.sources["env_factor"]
    first = world.started_at + 3_000_000
    return [
        *(_station(world, mn, i) for i, mn in enumerate(dust)),
        *(Station(mn, _river_of(world, i), None, first + i * 1_000_000, RIVER) for i, mn in enumerate(rivers)),
    ]


def _river_of(world: World, index: int) -> Callable[[], dict[str, float]]:
    return lambda: river(world, index)


def _station(world: World, mn: str, index: int) -> Station:
    first = world.started_at + 2_000_000 + index % 30 * 100_000
    return Station(mn, lambda: world.air(index), lambda: world.hour_means(index), first)


def _fix_of(world: World, index: int) -> Sample:
    return lambda: world.fix(index)


def _allow_sockets(count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(count, soft), hard), hard))


def _now() -> int:
    return time.time_ns() // 1000
