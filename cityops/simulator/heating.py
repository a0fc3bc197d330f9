"""Heat substations behind a Modbus TCP gateway, one unit each: the weather drives what they deliver."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from cityops.simulator.conditions import drawn, wobble
from cityops.simulator.estate import Site
from cityops.simulator.world import World
from connectors.modbus.bank import Bank
from connectors.modbus.framing import Framing

PA_PER_COUNT, M3S_PER_COUNT, W_PER_COUNT = 1000.0, 1.0 / 36000.0, 1000.0
WATER_HEAT = 4.187e6
"""J to warm a cubic metre of water by one degree."""
SUMMER_HEAT = 0.06
"""Share of the heat that is for hot water, all year."""


class Register(NamedTuple):
    """A holding register: the field it holds, in counts of ``scale``."""

    field: str
    scale: float
    type: str = "u16"


REGISTERS: Final = (
    Register("supply_temperature", 0.1),
    Register("return_temperature", 0.1),
    Register("secondary_supply_temperature", 0.1),
    Register("secondary_return_temperature", 0.1),
    Register("room_temperature", 0.1),
    Register("outdoor_temperature", 0.1, "i16"),
    Register("supply_pressure", PA_PER_COUNT),
    Register("return_pressure", PA_PER_COUNT),
    Register("flow", M3S_PER_COUNT),
    Register("power", W_PER_COUNT),
    Register("makeup_flow", M3S_PER_COUNT / 100.0),
)
PUMP_COIL: Final = 0


def registers(stations: tuple[Site, ...]) -> dict[str, dict[str, Any]]:
    """Give the setting ``registers`` of the modbus connector; unit ``n`` is the ``n``-th station."""
    found: dict[str, dict[str, Any]] = {}
    for unit, site in enumerate(stations, 1):
        whose = {"unit": unit, "source": site.id, "kind": "heat_substation"}
        for address, r in enumerate(REGISTERS):
            found[f"{site.id}.{r.field}"] = {**whose, "address": address, "type": r.type, "field": r.field, "scale": r.scale}
        found[f"{site.id}.pump_on"] = {**whose, "table": "coil", "address": PUMP_COIL, "field": "pump_on"}
    return found


class Gateway:
    """The gateway on its line: answers what it is asked with the values of the moment."""

    def __init__(self, world: World) -> None:
        self.source = "heating"
        self.silent = self.stopping = False
        self.sent = 0
        self._world = world
        self._bank = Bank()
        self._framing = Framing({"mode": "tcp"})
        self._filled = 0

    @property
    def waiting(self) -> int:
        """A device keeps nothing."""
        return 0

    def wants_link(self, now: int) -> bool:
        """Tell whether the gateway answers."""
        return not self.silent

    def opened(self, now: int) -> bytes:
        """Wait to be asked."""
        self._framing = Framing({"mode": "tcp"})
        return b""

    def closed(self, now: int) -> None:
        """Nothing is bound to a connection."""

    def received(self, chunk: bytes, now: int) -> bytes:
        """Answer requests."""
        if self.stopping:
            return b""
        if now - self._filled >= 1_000_000:
            self._fill(now)
        packets = [packet for packet in self._framing.feed(chunk) if isinstance(packet, bytes)]
        self.sent += len(packets)
        return b"".join(self._bank.answer(packet) for packet in packets)

    def tick(self, now: int) -> bytes:
        """Say nothing unasked."""
        return b""

    def _fill(self, now: int) -> None:
        self._filled = now
        for n in range(len(self._world.estate.heat)):
            values = self.station(n, now)
            counts = [round(values[r.field] / r.scale) & 0xFFFF for r in REGISTERS]
            self._bank.tables[n + 1, "holding"].update(enumerate(counts))
            self._bank.tables[n + 1, "coil"][PUMP_COIL] = 1

    def station(self, n: int, now: int) -> dict[str, float]:
        """Give what a station measures: temperatures follow the weather curve."""
        world, c = self._world, self._world.conditions
        need = max(c.heat, SUMMER_HEAT)
        wave = wobble(world.seed, 900 + n, now, 240.0)
        secondary = 36.0 + 24.0 * need + 0.5 * wave - (world.on("heat_substation", n, "cool") or 0.0)
        flow = 0.018 * (0.5 + 0.5 * need) * (1.0 + 0.2 * drawn(n, 31))
        supply, back = 72.0 + 38.0 * need + wave, 42.0 + 12.0 * need + 0.5 * wave
        room = max(20.8 + 0.7 * drawn(n, 32) + 0.3 * wave, c.outdoor)
        return {
            "supply_temperature": supply,
            "return_temperature": back,
            "secondary_supply_temperature": secondary,
            "secondary_return_temperature": secondary - 4.0 - 6.0 * need,
            "room_temperature": world.on("heat_substation", n, "cold") or room,
            "outdoor_temperature": c.outdoor,
            "supply_pressure": 620_000.0 + 8_000.0 * wave,
            "return_pressure": 350_000.0 + 5_000.0 * wave,
            "flow": flow,
            "power": flow * WATER_HEAT * (supply - back),
            "makeup_flow": flow * 0.004,
        }
