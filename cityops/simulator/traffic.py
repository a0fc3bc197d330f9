"""The traffic police's detectors and links as DATEX II documents; a jam on a link slows the vehicles on it too."""

from __future__ import annotations

from cityops.simulator import tempo
from cityops.simulator.conditions import wobble
from cityops.simulator.world import World
from connectors.datex2 import encoder
from connectors.datex2.encoder import Channel, Measured, Place, Value

PERIOD_S = 30
CAPACITY = 1500.0
"""Vehicles an hour at the busiest time of day, free flow."""
DENSE = 110.0
"""Vehicles per km and lane that stand still."""
CHANNELS = (
    Channel(index=1, type="trafficFlow", period=PERIOD_S),
    Channel(index=2, type="trafficSpeed", period=PERIOD_S),
    Channel(index=3, type="trafficConcentration", period=PERIOD_S),
    Channel(index=4, type="travelTimeInformation", period=PERIOD_S),
    Channel(index=5, type="trafficStatusInformation", period=PERIOD_S),
)
STATUS = ((0.9, "freeFlow"), (0.75, "heavy"), (0.25, "slow"), (0.1, "queuing"))
"""Share of the free speed from which a status of version 3 holds."""
SITES_PATH, DATA_PATH = "/datex2/sites.xml", "/datex2/measured.xml"


def counted(world: World, n: int) -> tuple[float, float, float]:
    """Give speed (km/h), flow (vehicles an hour) and occupancy (%) of a link: the slower it is, the denser and fuller."""
    speed, free = world.link_speed(n)
    share, kmh = speed / free, speed / tempo.KMH
    wish = CAPACITY * world.conditions.traffic * (1.0 + 0.1 * wobble(world.seed, 1200 + n, world.now, 300.0))
    flow = min(wish, DENSE * max(1.0 - share, 0.0) * kmh + 0.9 * wish * share)
    return kmh, flow, min(flow / max(kmh, 1.0) / DENSE * 100.0, 100.0)


class Traffic:
    """The publisher of both documents."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._data: tuple[int, bytes] = (0, b"")

    def sites(self, now: int) -> bytes:
        """Give the table of sites."""
        sites = [link.site for link in self._world.estate.links]
        return encoder.table([Place(site=s.id, lon=s.lon, lat=s.lat, channels=CHANNELS) for s in sites], published=now)

    def measured(self, now: int) -> bytes | None:
        """Give what was measured in the last whole period; None during an outage."""
        if self._world.on("feed", 0, "outage") is not None:
            return None
        at = now // (PERIOD_S * 1_000_000) * PERIOD_S * 1_000_000
        if self._data[0] != at:
            count = len(self._world.estate.links)
            sites = [Measured(site=self._world.estate.links[n].site.id, at=at, values=self.values(n)) for n in range(count)]
            self._data = at, encoder.measured(sites, published=at)
        return self._data[1]

    def values(self, n: int) -> list[Value]:
        """Give what the detectors of a link count, and how long the link takes."""
        world, link = self._world, self._world.estate.links[n]
        speed, free = world.link_speed(n)
        kmh, flow, occupancy = counted(world, n)
        share = speed / free
        if world.on("traffic_detector", n, "blocked") is not None:
            detected = [Value(index=1, flow=0), Value(index=2, speed=0.0), Value(index=3, occupancy=0.0)]
        else:
            detected = [
                Value(index=1, flow=round(flow)),
                Value(index=2, speed=round(kmh, 1)),
                Value(index=3, occupancy=round(occupancy, 1)),
            ]
        status = next((name for least, name in STATUS if share >= least), "stationary")
        return [*detected, Value(index=4, travel_time=round(link.length / max(speed, 0.3), 1)), Value(index=5, status=status)]
