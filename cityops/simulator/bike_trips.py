"""The bike operator's lock events: bikes without docks, ridden between the stations' surroundings."""

from __future__ import annotations

import numpy as np

from cityops.simulator.carriers import Message
from cityops.simulator.roads import M_PER_DEGREE
from cityops.simulator.world import World
from connectors.bike_events import encoder
from connectors.gbfs.encoder import Vehicle

POST_US = 10_000_000
NIGHT = 0.25
"""Share of the busiest hour's rides that there always are."""
REPORTED_US = 60_000_000
IDLE_S, RIDE_S = 420.0, (180.0, 1200.0)
"""Mean pause of a bike in the busiest hour, and how long rides take."""


class BikeTrips:
    """The operator's system: collects events and posts them every ten seconds."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._rng = np.random.default_rng([world.seed, 21])
        count = world.size.bikes if world.bike_stations else 0
        self._station = self._rng.integers(len(world.bike_stations) or 1, size=count)
        self._until = np.zeros(count)
        """When the ride ends, s; 0 while locked."""
        self._places = np.array([self._near(int(station)) for station in self._station]).reshape(-1, 2)
        """Where each bike was seen last: longitude, latitude."""
        self._at = world.started_at / 1e6
        self._next_post = world.started_at + 6_000_000
        self._rows: list[dict[str, object]] = []

    def due(self, now: int) -> list[Message]:
        """Let bikes be taken and given back; give the post that is due."""
        self._ride(now / 1e6)
        if now < self._next_post:
            return []
        self._next_post += POST_US * ((now - self._next_post) // POST_US + 1)
        rows, self._rows = self._rows, []
        return [Message("/bike/events", encoder.json_body(rows), len(rows))] if rows else []

    def parked(self, now: int) -> list[Vehicle]:
        """Give the bikes that can be taken, each reported once a minute where it was locked."""
        reported = now // REPORTED_US * REPORTED_US
        return [
            Vehicle(vehicle_id=_name(int(bike)), lon=float(lon), lat=float(lat), reported=reported)
            for bike, (lon, lat) in zip(np.flatnonzero(self._until == 0.0), self._places[self._until == 0.0], strict=True)
        ]

    def _ride(self, now_s: float) -> None:
        step, c = now_s - self._at, self._world.conditions
        if step < 1.0:
            return
        self._at = now_s
        wish = step / IDLE_S * max(c.traffic, NIGHT) / (1.0 + c.rain)
        taken = (self._until == 0.0) & (self._rng.random(len(self._until)) < wish)
        back = (self._until > 0.0) & (self._until <= now_s)
        for bike in np.flatnonzero(taken):
            self._event(int(bike), "unlock", now_s)
            self._until[bike] = now_s + self._rng.uniform(*RIDE_S)
        for bike in np.flatnonzero(back):
            self._station[bike] = self._rng.integers(len(self._world.bike_stations))
            self._until[bike] = 0.0
            self._event(int(bike), "lock", now_s)

    def _event(self, bike: int, event: str, now_s: float) -> None:
        if event == "lock":
            self._places[bike] = self._near(int(self._station[bike]))
        lon, lat = (float(degrees) for degrees in self._places[bike])
        row = {"source": _name(bike), "ts": int(now_s) * 1_000_000, "event": event, "lon": lon, "lat": lat}
        self._rows.append(encoder.row(row))

    def _near(self, station: int) -> tuple[float, float]:
        """Give a place a few steps from a station."""
        at = self._world.bike_stations[station]
        east, north = (float(degrees) for degrees in self._rng.uniform(-60.0, 60.0, 2) / M_PER_DEGREE)
        return round(at.lon + east, 6), round(at.lat + north, 6)


def _name(bike: int) -> str:
    return f"DX{bike + 1:06d}"
