"""Which department speaks to which connector, and how: everything beside JT/T 808, HJ 212 and GBFS."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from cityops.simulator import lamps
from cityops.simulator.bike_trips import BikeTrips
from cityops.simulator.bus_events import BusEvents
from cityops.simulator.carriers import Carrier, Feed, Folder, NodePublisher, Poster, Publisher
from cityops.simulator.counter import Counter
from cityops.simulator.electric import REPORT_US, EvBox
from cityops.simulator.hailing import Companies
from cityops.simulator.heating import Gateway
from cityops.simulator.highway import Highway
from cityops.simulator.lamp_makers import EdgeNodes, TalqGateway
from cityops.simulator.lamps import OWN, Cabinets
from cityops.simulator.links import Clock, Device, Line, links
from cityops.simulator.meters import Cj188Line, Dlt645Line, Dlt698Line
from cityops.simulator.operators import Operator
from cityops.simulator.pages import Page, Pages
from cityops.simulator.payments import Payments
from cityops.simulator.pipes import Gas, Hydrants, Water
from cityops.simulator.power import Substation
from cityops.simulator.pumps import PumpServer
from cityops.simulator.taxis import Taxi
from cityops.simulator.timetable import PATH as TIMETABLE_PATH
from cityops.simulator.timetable import Timetable
from cityops.simulator.traffic import DATA_PATH, SITES_PATH, Traffic
from cityops.simulator.world import World

Address = tuple[str, int]
S = 1_000_000
AFTER_S = 4.0
"""Taxis and electric buses are switched on after the others: a city does not wake at one stroke."""


class Running(Protocol):
    """A socket, server or carrier of the simulator."""

    @property
    def connected(self) -> bool:
        """Whether the platform is at the other end."""
        ...

    def tick(self, now: int) -> None:
        """Act."""
        ...

    async def close(self) -> None:
        """End."""
        ...


class Listening(Running, Protocol):
    """One that the platform dials, or looks into."""

    async def listen(self) -> None:
        """Be there from now on; a port already in use raises ``OSError``."""
        ...


def taxis(world: World, interval_s: float) -> list[Taxi]:
    """Give the taxis' terminals."""
    rng = np.random.default_rng([world.seed, 8])
    found = []
    for number in range(1, world.size.taxis + 1):
        interval = int(interval_s * rng.uniform(1.0, 1.5) * S)
        first = world.started_at + int((AFTER_S + 1.0 + rng.uniform(0.0, interval_s * 1.5)) * S)
        found.append(Taxi(world, number, interval, first))
    return found


def boxes(world: World) -> list[EvBox]:
    """Give the electric buses' boxes."""
    count = min(world.size.evs, world.size.buses)
    first = world.started_at + int((AFTER_S + 2.0) * S)
    return [EvBox(world, n, first + n * REPORT_US // max(count, 1)) for n in range(1, count + 1)]


LINES: Mapping[str, Callable[[World], Device]] = {
    "iec104": Substation,
    "modbus": Gateway,
    "dlt645": Dlt645Line,
    "dlt698": Dlt698Line,
    "cj188": Cj188Line,
}
"""Devices the platform dials."""
POSTED: Mapping[str, Callable[[World], Feed]] = {
    "ridehailing": Companies,
    "bike_events": BikeTrips,
    "http_json": Hydrants,
}
PUBLISHED: Mapping[str, Callable[[World], Feed]] = {"hfp": BusEvents, "gas": Gas, "water": Water}
LAMPS = (OWN, "sparkplug", "talq")
"""Streetlights, by the maker of their cabinets."""
DIALLED = ("jt905", "gb32960", "jt809")
"""Devices that dial the platform."""
DROPPED: Mapping[str, Callable[[World], Feed]] = {"payments": Payments, "traffic_csv": Highway}
"""Files the platform picks up."""
PUMPS, COUNTER = "opcua", "sql_poll"
"""A server that is subscribed to, and a table that is looked into."""


def _traffic_pages(world: World) -> dict[str, Page]:
    traffic = Traffic(world)
    return {SITES_PATH: traffic.sites, DATA_PATH: traffic.measured}


SERVED: Mapping[str, Callable[[World], Mapping[str, Page]]] = {
    "datex2": _traffic_pages,
    "gtfs_realtime": lambda world: {TIMETABLE_PATH: Timetable(world).feed},
}
"""Documents the platform polls."""


class Departments:
    """The departments that have a connector to speak to, by its name."""

    def __init__(
        self,
        world: World,
        peers: Mapping[str, Address],
        folders: Mapping[str, Path],
        *,
        database: str,
        password: str,
        report_s: float,
        clock: Clock,
    ) -> None:
        self.devices: dict[str, list[Any]] = {}
        """Terminals, boxes and platforms that may lose power or line."""
        self.listening: list[Listening] = []
        """Lines, servers and tables that wait for the platform."""
        self.running: dict[str, list[Running]] = {}
        for name, make in LINES.items():
            if name in peers:
                self._serve(name, Line(make(world), peers[name], clock))
        feeds = {name: feed(world) for name, feed in POSTED.items() if name in peers}
        self.bikes = next((feed for feed in feeds.values() if isinstance(feed, BikeTrips)), None)
        """The bikes without docks, where they are reported at all."""
        self.running |= {name: [Poster(feed, peers[name])] for name, feed in feeds.items()}
        for name, feed in PUBLISHED.items():
            if name in peers:
                self.running[name] = [Publisher(feed(world), peers[name], f"city-{name}")]
        self._light(world, peers)
        for name, pages in SERVED.items():
            if name in peers:
                self._serve(name, Pages(peers[name][1], pages(world), clock))
        if PUMPS in peers:
            self._serve(PUMPS, PumpServer(world, peers[PUMPS], clock))
        if database:
            self._serve(COUNTER, Counter(world, database))
        self.running |= {name: [Folder(DROPPED[name](world), folder)] for name, folder in folders.items()}
        self._dial(world, peers, password, report_s, clock)

    def _serve(self, name: str, one: Listening) -> None:
        self.listening.append(one)
        self.running[name] = [one]

    def _light(self, world: World, peers: Mapping[str, Address]) -> None:
        """Let each maker's cabinets speak; a maker without a connector leaves its own to the city's."""
        for maker, cabinets in lamps.shares(world, peers.keys()).items():
            if maker not in peers:
                continue
            carrier: Carrier
            if maker == "talq":
                carrier = Poster(TalqGateway(world, cabinets), peers[maker])
            elif maker == "sparkplug":
                carrier = NodePublisher(EdgeNodes(world, cabinets), peers[maker], "city-sparkplug")
            else:
                carrier = Publisher(Cabinets(world, cabinets), peers[maker], "city-streetlights")
            self.running[maker] = [carrier]

    def _dial(self, world: World, peers: Mapping[str, Address], password: str, report_s: float, clock: Clock) -> None:
        makers: dict[str, Callable[[], list[Any]]] = {
            "jt905": lambda: list(taxis(world, report_s)),
            "gb32960": lambda: list(boxes(world)),
            "jt809": lambda: [Operator(world, password, int(report_s * 1.25 * S))],
        }
        for name, make in makers.items():
            if name in peers:
                self.devices[name] = make()
                self.running[name] = [*links(self.devices[name], peers[name], clock, AFTER_S if name != "jt809" else 0.0)]

    async def listen(self) -> None:
        """Open every port the platform dials, and every table it looks into."""
        for one in self.listening:
            await one.listen()

    def tick(self, now: int) -> None:
        """Let everybody act."""
        for group in self.running.values():
            for one in group:
                one.tick(now)

    def stop(self) -> None:
        """Let nobody begin anything new."""
        for one in self._all():
            one.stopping = True

    def waiting(self) -> int:
        """Give how many readings the platform has not acknowledged, of devices that have power."""
        return sum(one.waiting for one in self._all() if one.silent is not True)

    def totals(self) -> dict[str, dict[str, int]]:
        """Give what each department sent, and what was acknowledged of it, by connector."""
        found = {}
        for name, group in self.running.items():
            if name not in SERVED:
                counted = [getattr(one, "outbox", one) for one in self._of(name)]
                sums = {key: sum(getattr(one, key, 0) for one in counted) for key in ("sent", "acked", "waiting")}
                found[name] = {"connected": sum(one.connected for one in group), **sums}
        return found

    def _of(self, name: str) -> list[Any]:
        if name in self.devices:
            return self.devices[name]
        return [one.device if isinstance(one, Line) else one for one in self.running[name]]

    def _all(self) -> list[Any]:
        return [one for name in self.running if name not in SERVED for one in self._of(name)]

    async def close(self) -> None:
        """End everything."""
        for group in self.running.values():
            for one in group:
                await one.close()
