"""The power company's substation: an IEC 60870-5-104 station with the feeders of the city."""

from __future__ import annotations

from math import sqrt
from typing import Any, Final

from cityops.simulator.conditions import drawn, wobble
from cityops.simulator.estate import Site
from cityops.simulator.world import World
from connectors.iec104 import times
from connectors.iec104.encoder import stamped
from connectors.iec104.framing import Framing
from connectors.iec104.station import Station

CA: Final = 1
FIELDS: Final = ("voltage_a", "voltage_b", "voltage_c", "current_a", "power", "load", "frequency", "oil_temperature")
"""Measured values of a feeder, in the order of their addresses."""
FIRST_VALUE, FIRST_SWITCH, STRIDE = 0x4001, 0x0001, 16
"""Addresses of measured values and of single points; a feeder's begin ``STRIDE`` behind the one before it."""
FLOAT_TIMED, POINT_TIMED = 36, 30
REPORT_US = 5_000_000
BUS_V, RATING_VA, FACTOR = 10_250.0, 8e6, 0.95
MEAN_LOAD = 0.42
"""Share of the rating at mean demand: nothing is overloaded without a fault."""
BEIJING: Final = times.zone("Asia/Shanghai")


def points(feeders: tuple[Site, ...]) -> dict[str, dict[str, str]]:
    """Give the setting ``points`` of the iec104 connector."""
    found = {}
    for n, site in enumerate(feeders):
        row = {"source": site.id, "kind": "power_load"}
        for k, field in enumerate(FIELDS):
            found[f"{CA}:{FIRST_VALUE + n * STRIDE + k}"] = {**row, "field": field}
        found[f"{CA}:{FIRST_SWITCH + n}"] = {**row, "field": "closed"}
    return found


class Substation:
    """The station behind its line: reports every five seconds, answers interrogations at any time."""

    def __init__(self, world: World) -> None:
        self.source = "substation"
        self.silent = self.stopping = False
        self.sent = 0
        self._world = world
        self._station = Station(CA)
        self._framing = Framing({})
        self._next_report = world.started_at
        self._open = False

    @property
    def waiting(self) -> int:
        """Reports are gone when they are sent."""
        return 0

    def wants_link(self, now: int) -> bool:
        """Tell whether the station answers."""
        return not (self.silent or self._station.closed)

    def opened(self, now: int) -> bytes:
        """Wait for STARTDT, with the process image of the moment."""
        self._station.connect(now)
        self._framing, self._open = Framing({}), True
        for type_id, objects in self._image(now).items():
            self._station.set(type_id, objects)
        return b""

    def closed(self, now: int) -> None:
        """Forget the connection."""
        self._open, self._station.closed, self._station.started = False, "", False

    def received(self, chunk: bytes, now: int) -> bytes:
        """Answer the controlling station."""
        return b"".join(self._station.receive(packet, now) for packet in self._framing.feed(chunk) if isinstance(packet, bytes))

    def tick(self, now: int) -> bytes:
        """Report what has changed; acknowledge and test in time."""
        if not self._open:
            return b""
        out = self._station.tick(now)
        if now >= self._next_report and self._station.started and not self.stopping:
            self._next_report = now + REPORT_US
            for type_id, objects in self._image(now).items():
                self._station.set(type_id, objects)
                if type_id == FLOAT_TIMED:
                    out += self._station.report(type_id, objects, now)
                    self.sent += len(self._world.estate.feeders)
        return out

    def _image(self, now: int) -> dict[int, list[dict[str, Any]]]:
        values, switches = [], []
        for n in range(len(self._world.estate.feeders)):
            measured = self.feeder(n, now)
            values += [{"ioa": FIRST_VALUE + n * STRIDE + k, "value": measured[field]} for k, field in enumerate(FIELDS)]
            switches.append({"ioa": FIRST_SWITCH + n, "value": 1})
        return {
            FLOAT_TIMED: [stamped(one, now, BEIJING) for one in values],
            POINT_TIMED: [stamped(one, now, BEIJING) for one in switches],
        }

    def feeder(self, n: int, now: int) -> dict[str, float]:
        """Give what a feeder carries: voltage sags with the load, oil warms with load and weather."""
        world, c = self._world, self._world.conditions
        share = MEAN_LOAD * c.power * (1.0 + 0.12 * drawn(n, 21) + 0.03 * wobble(world.seed, 800 + n, now, 90.0))
        share = world.on("power_load", n, "overload") or share
        factor = world.on("power_load", n, "voltage") or 1.0
        bus = (BUS_V - 220.0 * (share - MEAN_LOAD)) * factor
        power = share * RATING_VA * FACTOR
        phases = {f"voltage_{p}": bus * (1.0 + 0.002 * drawn(n, 22 + k)) for k, p in enumerate("abc")}
        rest = {"current_a": power / (sqrt(3.0) * bus * FACTOR), "power": power, "load": share * 100.0}
        frequency = 50.0 + 0.03 * wobble(world.seed, 799, now, 20.0)
        return phases | rest | {"frequency": frequency, "oil_temperature": c.outdoor + 18.0 + 38.0 * share}
