"""Customers' meters on three lines: electricity over DL/T 645 and DL/T 698.45; water, heat and gas over CJ/T 188."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from cityops.simulator import tempo
from cityops.simulator.conditions import GAS, POWER, WATER, Curve, conditions, drawn, wobble
from cityops.simulator.estate import DLT645, DLT698, GAS_TYPE, HEAT_TYPE, Estate, Meter, spoken_by
from cityops.simulator.world import World
from connectors._api import Framing
from connectors.cj188 import encoder as cj188
from connectors.cj188 import messages as cj188_messages
from connectors.cj188.framing import Framing as Cj188Framing
from connectors.dlt645 import encoder as dlt645
from connectors.dlt645 import messages as dlt645_messages
from connectors.dlt645.framing import Framing as Dlt645Framing
from connectors.dlt698 import apdu, framing
from connectors.dlt698 import encoder as dlt698
from connectors.dlt698.framing import Framing as Dlt698Framing
from schemas.errors import Reject

EPOCH: Final = 1_735_660_800_000_000
"""When all meters began to count: 2025-01-01 in Jincheng."""
MEAN_W, MEAN_WATER, MEAN_GAS, MEAN_HEAT_W = 420.0, 0.012, 0.05, 900.0
"""Of a household: W; m³/h of water and of gas; W of heat."""
RECORD: Final = "901F"
OBJECTS: Final = ("00100200", "00200200", "20000200", "20010200", "20040200", "200F0200")
"""What is read of a DL/T 698.45 meter: energies, voltages, currents, powers, frequency."""


def settings(meters: Sequence[Meter]) -> dict[str, dict[str, Any]]:
    """Give the setting ``meters`` of a meter connector."""
    return {
        meter.address: {"source": meter.site.id, "lon": meter.site.lon, "lat": meter.site.lat}
        | ({"type": meter.type} if meter.type else {})
        for meter in meters
    }


class Households:
    """What meters show at a time: the city's demand, each customer's share of it, and the faults."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._numbers = {m.address: n for n, m in enumerate((*world.estate.power_meters, *world.estate.pipe_meters))}

    def electricity(self, address: str, now: int) -> dict[str, float]:
        """Give energies (kWh), power (W), voltage (V), current (A), frequency (Hz); power and energy belong together."""
        n, seed = self._numbers[address], self._world.seed
        mean = MEAN_W * (1.0 + 0.7 * drawn(n, 41))
        hour = tempo.hour_of_day(now)
        power = mean * POWER.at(hour)
        back, turned = 0.0, self._world.since("meter_reading", n, "reverse")
        energy = _kilo(mean, POWER, now)
        if turned is not None and now > turned:
            back = _kilo(mean, POWER, now) - _kilo(mean, POWER, turned)
            energy, power = _kilo(mean, POWER, turned) - back, -power
        factor = self._world.on("meter_reading", n, "voltage") or 1.0
        sag = 2.5 * (conditions(seed, now).power - 1.0)
        voltage = (221.0 - sag + 1.2 * wobble(seed, 1000 + n, now, 30.0)) * factor
        frequency = 50.0 + 0.03 * wobble(seed, 799, now, 20.0)
        return {
            "energy": energy,
            "reverse_energy": back,
            "power": power,
            "voltage": voltage,
            "current": power / voltage,
            "frequency": frequency,
        }

    def volume(self, meter: Meter, now: int) -> float:
        """Give the counter of a water, gas or heat meter, m³; a heat meter's is the water that brought the heat."""
        n = self._numbers[meter.address]
        stuck = self._world.since("meter_reading", n, "stuck")
        mean, curve = (MEAN_GAS, GAS) if meter.type == GAS_TYPE else (MEAN_WATER, WATER)
        hours = _seconds(curve, now if stuck is None else min(now, stuck)) / 3600.0
        return mean * (1.0 + 0.6 * drawn(n, 42)) * hours

    def heat(self, meter: Meter, now: int) -> dict[str, float]:
        """Give heat (kWh), its power (kW) and the temperatures of its water (°C)."""
        n, need = self._numbers[meter.address], max(self._world.conditions.heat, 0.06)
        mean = MEAN_HEAT_W * (1.0 + 0.4 * drawn(n, 43))
        hours = (now - EPOCH) / 3.6e9
        supply = 36.0 + 24.0 * need
        temperatures = {"supply_temperature": supply, "return_temperature": supply - 4.0 - 6.0 * need}
        return {"energy": mean * hours / 1000.0, "power": 2.0 * mean * need / 1000.0, **temperatures}


def _seconds(curve: Curve, now: int) -> float:
    return curve.total(now) - curve.total(EPOCH)


def _kilo(watts: float, curve: Curve, now: int) -> float:
    return watts * _seconds(curve, now) / 3.6e6


class MeterLine(ABC):
    """A line of meters behind a data terminal: each request to one of them is answered, others stay unanswered."""

    def __init__(self, source: str, world: World, meters: Sequence[Meter]) -> None:
        self.source = source
        self.silent = self.stopping = False
        self.sent = 0
        self.homes = Households(world)
        self.meters = {meter.address: meter for meter in meters}
        self._framing = self.make_framing()

    @property
    def waiting(self) -> int:
        """Meters keep no queue."""
        return 0

    @abstractmethod
    def make_framing(self) -> Framing:
        """Give what cuts requests."""

    @abstractmethod
    def answer(self, packet: bytes, now: int) -> bytes:
        """Give the answer to one request; nothing to what is none."""

    def wants_link(self, now: int) -> bool:
        """Tell whether the line answers."""
        return not self.silent

    def opened(self, now: int) -> bytes:
        """Wait to be asked."""
        self._framing = self.make_framing()
        return b""

    def closed(self, now: int) -> None:
        """Nothing is bound to a connection."""
        del now

    def received(self, chunk: bytes, now: int) -> bytes:
        """Answer requests."""
        out = b""
        for packet in self._framing.feed(chunk):
            if isinstance(packet, bytes) and not self.stopping:
                told = self.answer(packet.lstrip(b"\xfe"), now)
                self.sent += bool(told)
                out += told
        return out

    def tick(self, now: int) -> bytes:
        """Say nothing unasked."""
        return b""


class Dlt645Line(MeterLine):
    """Two of three electricity meters."""

    def __init__(self, world: World) -> None:
        super().__init__(DLT645, world, spoken_by(DLT645, world.estate.power_meters))

    def make_framing(self) -> Framing:
        """Give what cuts requests."""
        return Dlt645Framing({})

    def answer(self, packet: bytes, now: int) -> bytes:
        """Answer the reading of one item; one it does not have is refused."""
        request = dlt645_messages.parse(packet)
        if request["name"] != "read" or request["address"] not in self.meters:
            return b""
        found = self.homes.electricity(request["address"], now)
        items = {
            "00010000": found["energy"],
            "00020000": found["reverse_energy"],
            "02010100": found["voltage"],
            "02020100": found["current"],
            "02030000": found["power"] / 1000.0,
            "02800002": found["frequency"],
        }
        if request["di"] not in items:
            return dlt645.error(request["address"], dlt645_messages.READ, 0b10)
        return dlt645.reply(request["address"], {request["di"]: items[request["di"]]})


class Dlt698Line(MeterLine):
    """Every third electricity meter."""

    def __init__(self, world: World) -> None:
        super().__init__(DLT698, world, spoken_by(DLT698, world.estate.power_meters))

    def make_framing(self) -> Framing:
        """Give what cuts requests."""
        return Dlt698Framing({})

    def answer(self, packet: bytes, now: int) -> bytes:
        """Answer the reading of several objects."""
        head = framing.parse_head(packet)
        request = apdu.parse(framing.content(packet, head))
        address = head.address[::-1].hex().upper()
        if request["name"] != "get_request_normal_list" or address not in self.meters:
            return b""
        found = self.homes.electricity(address, now)
        objects: dict[str, Any] = {
            "00100200": ("array", [("u32", round(found["energy"] * 100.0))]),
            "00200200": ("array", [("u32", round(found["reverse_energy"] * 100.0))]),
            "20000200": ("array", [("u16", round(found["voltage"] * 10.0))]),
            "20010200": ("array", [("i32", round(found["current"] * 1000.0))]),
            "20040200": ("array", [("i32", round(found["power"] * 10.0))]),
            "200F0200": ("u16", round(found["frequency"] * 100.0)),
        }
        told = dlt698.get_response(request["piid"], {oad: objects.get(oad, ABSENT) for oad in request["oads"]})
        return dlt698.frame(address, told, client=head.client, from_server=True)


ABSENT: Final = 6
"""DAR of an object the meter does not have (DL/T 698.45: object undefined)."""


class Cj188Line(MeterLine):
    """Water, heat and gas meters."""

    def __init__(self, world: World) -> None:
        super().__init__("cj188", world, world.estate.pipe_meters)

    def make_framing(self) -> Framing:
        """Give what cuts requests."""
        return Cj188Framing({"encoding": "binary"})

    def answer(self, packet: bytes, now: int) -> bytes:
        """Answer the reading of the metering record."""
        try:
            request = cj188_messages.parse(packet, ())
        except Reject:
            return b""
        meter = self.meters.get(request["address"])
        if meter is None or request["name"] != "read" or request.get("di") != RECORD:
            return b""
        clock = datetime.fromtimestamp(now // 1_000_000 + tempo.SHANGHAI_S, UTC)
        volume = round(self.homes.volume(meter, now), 2)
        values: dict[str, Any] = {"time": f"{clock:%Y-%m-%d %H:%M:%S}", "status": "0000"}
        if meter.type == HEAT_TYPE:
            values |= self._heat(meter, volume, now)
        else:
            values |= {"current": volume, "settlement": round(volume * 0.97, 2), "current_unit": "m³", "settlement_unit": "m³"}
        return cj188.reply(meter.type, meter.address, RECORD, values, request["ser"], request["di_order"])

    def _heat(self, meter: Meter, volume: float, now: int) -> dict[str, Any]:
        found = self.homes.heat(meter, now)
        amounts = {"settlement": found["energy"] * 0.95, "current": found["energy"], "heat_power": found["power"]}
        amounts |= {"flow_rate": found["power"] / 11.6, "accumulated_flow": volume}
        units = {"settlement": "kWh", "current": "kWh", "heat_power": "kW", "flow_rate": "m³/h", "accumulated_flow": "m³"}
        temperatures = {name: found[name] for name in ("supply_temperature", "return_temperature")}
        hours = {"working_hours": int((now - EPOCH) // 3_600_000_000)}
        return amounts | {f"{name}_unit": unit for name, unit in units.items()} | temperatures | hours


def lines(estate: Estate) -> dict[str, tuple[Meter, ...]]:
    """Give the meters of each line, by the connector that reads it."""
    return {
        DLT645: spoken_by(DLT645, estate.power_meters),
        DLT698: spoken_by(DLT698, estate.power_meters),
        "cj188": estate.pipe_meters,
    }
