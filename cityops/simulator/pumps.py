"""The waterworks' pump stations behind their SCADA server, which is a real one of OPC UA; demand drives them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import Any, Final

from cityops.simulator.conditions import drawn, wobble
from cityops.simulator.estate import Site
from cityops.simulator.links import Clock
from cityops.simulator.world import World

SPACE: Final = "urn:jincheng:waterworks"
PATH: Final = "/waterworks"
SCALES: Final = {"pressure": 1e6, "flow": 1.0 / 3600.0, "level": 1.0, "pump_on": 1.0}
"""Fields of a station, and what one unit of its SCADA (MPa, m³/h, m) is of ours."""
CHANGE_US: Final = 5_000_000
HEAD_PA, LIFT_PA, FLOW_M3S = 420_000.0, 60_000.0, 0.045


def installed() -> bool:
    """Tell whether the package that speaks OPC UA is there."""
    return find_spec("asyncua") is not None


def points(stations: tuple[Site, ...]) -> dict[str, dict[str, Any]]:
    """Give the setting ``points`` of the opcua connector."""
    return {
        f"nsu={SPACE};s={site.id}.{field}": {"source": site.id, "kind": "water_node", "field": field, "scale": scale}
        for site in stations
        for field, scale in SCALES.items()
    }


def station(world: World, n: int, now: int) -> dict[str, float | bool]:
    """Give what a station measures, in our units: it lifts more when the city draws more, and its tank falls."""
    demand = world.conditions.water
    wave = wobble(world.seed, 1300 + n, now, 60.0)
    return {
        "pressure": HEAD_PA + LIFT_PA * (demand - 1.0) + 15_000.0 * drawn(n, 51) + 2_000.0 * wave,
        "flow": FLOW_M3S * demand * (1.0 + 0.3 * drawn(n, 52) + 0.03 * wave),
        "level": 3.6 - 0.8 * (demand - 1.0) + 0.3 * drawn(n, 53),
        "pump_on": True,
    }


class PumpServer:
    """The server; new values every five seconds."""

    connected = True
    silent = stopping = False
    waiting = 0

    def __init__(self, world: World, address: tuple[str, int], clock: Clock) -> None:
        self.sent = 0
        self._world, self._address, self._clock = world, address, clock
        self._next = 0
        self._server: Any = None
        self._nodes: dict[tuple[int, str], Any] = {}
        self._writing: asyncio.Task[None] | None = None

    async def listen(self) -> None:
        """Serve from now on; a port already in use raises ``OSError``."""
        library, ua = _library()
        self._server = library.Server()
        await self._server.init()
        self._server.set_endpoint(f"opc.tcp://{self._address[0]}:{self._address[1]}{PATH}")
        self._server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        space = await self._server.register_namespace(SPACE)
        for n, site in enumerate(self._world.estate.pumps):
            parent = await self._server.nodes.objects.add_object(space, site.id)
            for field, value in self._measured(n, self._clock()).items():
                node = await parent.add_variable(ua.NodeId(f"{site.id}.{field}", space), field, value)
                self._nodes[n, field] = node
        await self._server.start()

    def tick(self, now: int) -> None:
        """Write what is measured now, when it is time."""
        if self._server is None or self.stopping or now < self._next or (self._writing and not self._writing.done()):
            return
        self._next = now + CHANGE_US
        self._writing = asyncio.create_task(self._write(now // 1_000_000 * 1_000_000))

    async def _write(self, now: int) -> None:
        _, ua = _library()
        at = datetime.fromtimestamp(now / 1e6, UTC)
        for n in range(len(self._world.estate.pumps)):
            for field, value in self._measured(n, now).items():
                await self._nodes[n, field].write_value(ua.DataValue(ua.Variant(value), SourceTimestamp=at))
        self.sent += len(self._world.estate.pumps)

    def _measured(self, n: int, now: int) -> dict[str, float | bool]:
        """Give a station's values in the units of its SCADA."""
        return {
            field: value if isinstance(value, bool) else round(value / SCALES[field], 4)
            for field, value in station(self._world, n, now).items()
        }

    async def close(self) -> None:
        """Stop serving."""
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.gather(self._writing, return_exceptions=True)
        if self._server is not None:
            await self._server.stop()


def _library() -> tuple[Any, Any]:
    """Give asyncua and its types; it is loaded only where a server runs."""
    import asyncua
    from asyncua import ua

    return asyncua, ua
