"""Streetlights of other makers: cabinets that are Sparkplug B edge nodes, and a TALQ gateway."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from cityops.simulator.carriers import Message
from cityops.simulator.estate import LAMPS_PER_CABINET
from cityops.simulator.lamps import RATED_W, Cabinets
from cityops.simulator.world import World
from connectors.sparkplug.encoder import EdgeNode
from connectors.talq import encoder as talq

GROUP: Final = "Jincheng"
METRICS: Final = {
    "Lamp/On": ("Boolean", "on"),
    "Lamp/Commanded On": ("Boolean", "commanded_on"),
    "Lamp/Dimming": ("Double", "dimming"),
    "Lamp/Power": ("Double", "power"),
    "Lamp/Voltage": ("Double", "voltage"),
    "Lamp/Current": ("Double", "current"),
}
"""Datatype of a metric, and the field it shows."""
PLACE: Final = {"Properties/Longitude": ("Double", "lon"), "Properties/Latitude": ("Double", "lat")}
GATEWAY: Final = UUID("14050000-0000-4000-8000-000000000001")
ACTUATOR, MONITOR = "fLampActuator_1", "fLampMonitor_1"
MONITORED: Final = {"activePower": "power", "supplyVoltage": "voltage", "supplyCurrent": "current"}
"""Attribute of a lamp monitor, and the field it shows."""


class EdgeNodes(Cabinets):
    """Cabinets as edge nodes, their lamps as devices: born when the line opens, then what is measured."""

    def __init__(self, world: World, cabinets: list[int]) -> None:
        super().__init__(world, cabinets)
        self._born = False
        self._nodes = {n: EdgeNode(GROUP, world.estate.cabinets[n].id) for n in cabinets}

    def births(self) -> list[Message]:
        """Give the births of all nodes and devices, as a new connection must begin."""
        ts, self._born = self._world.now // 1000, True
        found = []
        for n, node in self._nodes.items():
            node.connect()
            found.append(Message(*node.birth(ts), 0))
            for k in range(LAMPS_PER_CABINET):
                lamp = self.lamp(n, k, self._world.now)
                rated = {"Lamp/Rated Power": ("Double", RATED_W)}
                own = {name: (kind, lamp[field]) for name, (kind, field) in (METRICS | PLACE).items()}
                found.append(Message(*node.device_birth(f"{k + 1:03d}", ts, own | rated), 0))
        return found

    def report(self, n: int, now: int) -> list[Message]:
        """Give a device's data for every lamp of a cabinet; nothing before the births."""
        found = []
        for k in range(LAMPS_PER_CABINET if self._born else 0):
            lamp = self.lamp(n, k, now)
            values = {name: lamp[field] for name, (_, field) in METRICS.items()}
            found.append(Message(*self._nodes[n].report(now // 1000, values, f"{k + 1:03d}")))
        return found


class TalqGateway(Cabinets):
    """A gateway that announces its lamps once and then pushes log reports, a cabinet at a time."""

    def __init__(self, world: World, cabinets: list[int]) -> None:
        super().__init__(world, cabinets)
        self._gateway = talq.Gateway(GATEWAY, "logger-1")
        self._announced: set[int] = set()

    def report(self, n: int, now: int) -> list[Message]:
        """Give what the lamps of a cabinet logged, before it, once, that they are there."""
        found = [] if n in self._announced else [self._announce(n)]
        self._announced.add(n)
        entries: list[dict[str, Any]] = []
        for k in range(LAMPS_PER_CABINET):
            lamp = self.lamp(n, k, now)
            commanded = 100 if lamp["commanded_on"] else 0
            entries.append(talq.state_change(f"{lamp['source']}/{ACTUATOR}", commanded, now, round(lamp["dimming"])))
            for name, field in MONITORED.items():
                value = talq.attribute("AttributeFloat", lamp[field], now)
                entries.append(talq.measured(f"{lamp['source']}/{MONITOR}", name, value, now))
        return [*found, _posted(self._gateway.log_report(entries), 2 * LAMPS_PER_CABINET)]

    def _announce(self, n: int) -> Message:
        devices = []
        for site in self._world.estate.lamps[n * LAMPS_PER_CABINET : (n + 1) * LAMPS_PER_CABINET]:
            functions = [{"id": ACTUATOR, "type": "LampActuatorFunction"}, {"id": MONITOR, "type": "LampMonitorFunction"}]
            devices.append(talq.device(site.id, site.id, [talq.placed(site.lon, site.lat), *functions]))
        return _posted(self._gateway.announce(devices), LAMPS_PER_CABINET)


def _posted(request: tuple[str, bytes], rows: int) -> Message:
    line, body = request
    return Message(line.removeprefix("POST "), body, rows)
