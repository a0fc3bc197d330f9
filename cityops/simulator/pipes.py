"""Water loggers, gas detectors, hydrants: battery devices that wake up and report; demand of the hour moves both networks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from cityops.simulator.carriers import Message
from cityops.simulator.conditions import WATER, conditions, drawn, wobble
from cityops.simulator.roads import metres
from cityops.simulator.world import World
from connectors.http_json import encoder as pushes
from connectors.mqtt_json import encoder

WATER_PROFILE, GAS_PROFILE, HYDRANT_PROFILE = "water_logger", "gas_detector", "aep"
HYDRANT_KIND = "water_node"
WATER_US, SAMPLE_US, GAS_US, HYDRANT_US = 20_000_000, 10_000_000, 15_000_000, 30_000_000
HEAD_PA, HEAD_LOSS_PA = 330_000.0, 55_000.0
"""Pressure at mean demand, and what a demand of twice the mean takes of it."""
BURST_FLOW, NEIGHBOUR_M, NEIGHBOUR_SHARE = 1.9, 2500.0, 0.4
"""Factor on the flow through a burst, and who shares its loss of pressure."""
RAMP_S = 60.0
INLET_PA, OUTLET_PA = 210_000.0, 2_150.0


class Pipes(ABC):
    """A network's loggers, each waking in its own second of the interval."""

    def __init__(self, world: World, count: int, interval: int) -> None:
        self.world, self._interval = world, interval
        self._due = [world.started_at + 2_000_000 + n * interval // max(count, 1) for n in range(count)]

    def due(self, now: int) -> list[Message]:
        """Give the messages of the devices whose turn it is."""
        found = []
        for n, at in enumerate(self._due):
            if now >= at:
                self._due[n] += self._interval * ((now - at) // self._interval + 1)
                found.append(self.message(n, now // 1_000_000 * 1_000_000))
        return found

    @abstractmethod
    def message(self, n: int, now: int) -> Message:
        """Give what device ``n`` publishes."""

    def ramp(self, kind: str, n: int, effect: Any, now: int) -> float:
        """Give the value of a fault as it has grown since it began; 0 without one."""
        value, began = self.world.on(kind, n, effect), self.world.since(kind, n, effect)
        return 0.0 if value is None or began is None else value * min(max((now - began) / 1e6 / RAMP_S, 0.2), 1.0)


class Water(Pipes):
    """Pressure and flow of the water network."""

    def __init__(self, world: World) -> None:
        super().__init__(world, len(world.estate.water), WATER_US)
        at = np.array([(site.lon, site.lat) for site in world.estate.water])
        self._near = [np.flatnonzero(metres(at, at[n]) < NEIGHBOUR_M).tolist() for n in range(len(at))]

    def message(self, n: int, now: int) -> Message:
        """Give the samples since the last waking."""
        site = self.world.estate.water[n]
        rows = [{"source": site.id, "ts": now - back, **self.sample(n, now - back)} for back in (SAMPLE_US, 0)]
        return Message(*encoder.message(WATER_PROFILE, "water_node", rows), len(rows))

    def sample(self, n: int, now: int) -> dict[str, float]:
        """Give what a node measures: pressure falls with demand, at a burst, and beside one."""
        since = self.world.since("water_node", n, "stuck")
        stuck, now = since is not None and now > since, now if since is None else min(now, since)
        seed, demand = self.world.seed, conditions(self.world.seed, now).water
        mean = 0.012 * (1.0 + 0.6 * drawn(n, 11))
        burst = 0.0 if stuck else self.ramp("water_node", n, "burst", now)
        beside = max((self.ramp("water_node", k, "burst", now) for k in self._near[n] if k != n), default=0.0)
        pressure = HEAD_PA + 25_000.0 * drawn(n, 12) - HEAD_LOSS_PA * (demand - 1.0) + 2_500.0 * wobble(seed, 500 + n, now, 40.0)
        pressure -= (
            burst + NEIGHBOUR_SHARE * beside + self.ramp("water_node", n, "suction", now) * (pressure + 22_000.0) / 320_000.0
        )
        flow = mean * demand * (1.0 + 0.04 * wobble(seed, 540 + n, now, 30.0)) * (BURST_FLOW if burst else 1.0)
        return {"pressure": round(pressure, -2), "flow": round(flow, 6), "volume": round(mean * WATER.total(now), 1)}


class Gas(Pipes):
    """Concentration in valve pits, pressures before and behind regulators."""

    def __init__(self, world: World) -> None:
        super().__init__(world, len(world.estate.gas), GAS_US)
        self._numbers = [0] * len(world.estate.gas)

    def message(self, n: int, now: int) -> Message:
        """Give one measurement."""
        self._numbers[n] += 1
        row = {"source": self.world.estate.gas[n].id, "ts": now, "serial": self._numbers[n], **self.sample(n, now)}
        return Message(*encoder.message(GAS_PROFILE, "gas_node", [row]))

    def sample(self, n: int, now: int) -> dict[str, Any]:
        """Give what a detector measures: pressures sag a little with demand."""
        seed, c = self.world.seed, self.world.conditions
        leak = self.ramp("gas_node", n, "leak", now)
        lel = 0.6 + 0.3 * wobble(seed, 600 + n, now, 120.0) + leak
        kept = 1.0 - (self.world.on("gas_node", n, "loss") or 0.0)
        outlet = (OUTLET_PA - 60.0 * (c.gas - 1.0) + 20.0 * wobble(seed, 640 + n, now, 45.0)) * kept
        return {
            "lel": round(max(lel, 0.0), 1),
            "temperature": round(c.outdoor * 0.5 + 6.0, 1),
            "inlet_pressure": round(INLET_PA * (0.8 + 0.2 * kept) - 1500.0 * c.gas, -2),
            "outlet_pressure": round(outlet),
            "valve_open": True,
            "battery": 93.0,
            "flag": "high_alarm" if lel >= 50.0 else "low_alarm" if lel >= 25.0 else "good",
        }


class Hydrants(Pipes):
    """Pressure at fire hydrants, on NB-IoT: the carrier's platform pushes what they say."""

    def __init__(self, world: World) -> None:
        super().__init__(world, len(world.estate.hydrants), HYDRANT_US)

    def message(self, n: int, now: int) -> Message:
        """Give one push."""
        site = self.world.estate.hydrants[n]
        row = {"source": site.id, "ts": now, "lon": site.lon, "lat": site.lat, "pressure": round(self.pressure(n, now), -2)}
        parts = {"imei": site.id, "device": site.id}
        origin, body = pushes.push(HYDRANT_PROFILE, HYDRANT_KIND, [row], parts=parts)
        return Message(origin.removeprefix("POST "), body)

    def pressure(self, n: int, now: int) -> float:
        """Give the pressure, Pa: no water flows here, so only the network's demand moves it."""
        seed, demand = self.world.seed, self.world.conditions.water
        return HEAD_PA + 20_000.0 * drawn(n, 13) - HEAD_LOSS_PA * (demand - 1.0) + 2_000.0 * wobble(seed, 700 + n, now, 60.0)
