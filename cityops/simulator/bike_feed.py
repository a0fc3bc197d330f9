"""The bike operator's web server: GBFS 2.3 and 3.0 of the world's stations, on loopback."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import get_args

from aiohttp import web

from cityops.simulator.links import Clock
from cityops.simulator.world import World
from connectors.gbfs import encoder
from connectors.gbfs.encoder import Document, Station, Vehicle, Version

TTL_S = 10
VEHICLES_TTL_S = 60
FEEDS = ("system_information", "vehicle_types", "station_information", "station_status")
VEHICLES = {"2.3": "free_bike_status", "3.0": "vehicle_status"}
"""Name of the feed with bikes outside stations, by version."""
Parked = Callable[[int], Sequence[Vehicle]]
"""Gives the bikes outside stations at a time in microseconds UTC."""
VERSIONS: tuple[Version, ...] = get_args(Version)


def gbfs_path(version: Version = "2.3") -> str:
    """Give the path of a version's discovery document."""
    return f"/gbfs/{version}/gbfs.json"


def rows(world: World) -> list[Station]:
    """Give the stations as they stand; each reports every ``TTL_S`` seconds."""
    reported = world.bikes.now // (TTL_S * 1_000_000) * (TTL_S * 1_000_000)
    stock = zip(world.bike_stations, world.bikes.available, world.bikes.docks, world.bikes.disabled, strict=True)
    return [
        Station(
            station_id=s.id,
            name=s.zh,
            lon=s.lon,
            lat=s.lat,
            capacity=s.capacity,
            bikes=int(available),
            docks=int(docks),
            bikes_disabled=int(disabled),
            reported=reported,
        )
        for s, available, docks, disabled in stock
    ]


def document(world: World, feed: str, version: Version, base_url: str, now: int, parked: Parked | None = None) -> Document:
    """Give one feed's document at a time in microseconds UTC; an unknown feed raises ``KeyError``."""
    listed = (*FEEDS, VEHICLES[version]) if parked is not None else FEEDS
    if parked is not None and feed == VEHICLES[version]:
        return encoder.vehicle_status(parked(now), version, VEHICLES_TTL_S, updated=now)
    match feed:
        case "gbfs":
            return encoder.discovery(base_url, version, TTL_S, updated=now, feeds=listed)
        case "system_information":
            return encoder.system_information("jincheng-bikes", "晋城公共自行车（模拟）", version, updated=now)
        case "vehicle_types":
            return encoder.vehicle_types(version, updated=now)
        case "station_information":
            return encoder.station_information(rows(world), version, updated=now)
        case "station_status":
            return encoder.station_status(rows(world), version, TTL_S, updated=now)
    raise KeyError(feed)


class BikeFeed:
    """The server; ``port`` is the one it got, also where it was asked for 0."""

    def __init__(self, world: World, port: int, clock: Clock, parked: Parked | None = None) -> None:
        self.port = port
        self._world = world
        self._clock = clock
        self._parked = parked
        app = web.Application()
        app.router.add_get("/gbfs/{version}/{feed}.json", self._get)
        self._runner = web.AppRunner(app, access_log=None)

    async def start(self) -> None:
        """Serve; a port already in use raises ``OSError``."""
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop serving."""
        await self._runner.cleanup()

    async def _get(self, request: web.Request) -> web.Response:
        versions = {str(v): v for v in VERSIONS}
        base = f"http://127.0.0.1:{self.port}/gbfs/{request.match_info['version']}"
        try:
            version = versions[request.match_info["version"]]
            body = document(self._world, request.match_info["feed"], version, base, self._clock(), self._parked)
        except KeyError:
            raise web.HTTPNotFound(text=f"no {request.path} here; begin at {gbfs_path()}") from None
        return web.json_response(body)
