"""The bike operator's server: its next document appears when the platform has stored the one before."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from connectors.gbfs import encoder
from tests.chaos.script import Bikes

PATH = "/gbfs/2.3/gbfs.json"
FEEDS = ("station_information", "station_status")
TTL_S = 1


class Feed:
    """Serves one document until ``advance``: a feed knows no answers, so the database's word is taken for one."""

    def __init__(self, bikes: Bikes) -> None:
        self.bikes = bikes
        self.port = 0
        self.number = 0
        app = web.Application()
        app.router.add_get("/gbfs/2.3/{feed}.json", self._get)
        self._runner = web.AppRunner(app, access_log=None)

    @property
    def done(self) -> bool:
        """Whether the last document was stored."""
        return self.number >= self.bikes.count

    @property
    def waits_for(self) -> int:
        """Event time (µs) of the rows that must be stored before the next document appears."""
        return self.bikes.ts(self.number)

    def advance(self) -> None:
        """Show the next document; behind the last one the system has no stations any more."""
        self.number += 1

    async def start(self) -> None:
        """Serve on a free loopback port."""
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop serving."""
        await self._runner.cleanup()

    async def _get(self, request: web.Request) -> web.Response:
        docks, updated = [] if self.done else self.bikes.docks(self.number), self.waits_for
        base = f"http://127.0.0.1:{self.port}/gbfs/2.3"
        documents: dict[str, Any] = {
            "gbfs": lambda: encoder.discovery(base, "2.3", TTL_S, updated=updated, feeds=FEEDS),
            "station_information": lambda: encoder.station_information(docks, "2.3", TTL_S, updated=updated),
            "station_status": lambda: encoder.station_status(docks, "2.3", TTL_S, updated=updated),
        }
        make = documents.get(request.match_info["feed"])
        if make is None:
            raise web.HTTPNotFound
        return web.json_response(make())
