"""A department's web server: documents at fixed paths, made when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from aiohttp import web

from cityops.simulator.links import Clock

Page = Callable[[int], bytes | None]
"""Gives a document at a time in microseconds UTC, or None while its system is down."""


class Pages:
    """Serves on the loopback; ``port`` is the one it got, also where it was asked for 0."""

    connected = True

    def __init__(self, port: int, pages: Mapping[str, Page], clock: Clock) -> None:
        self.port = port
        self._pages = dict(pages)
        self._clock = clock
        app = web.Application()
        app.router.add_get("/{path:.*}", self._get)
        self._runner = web.AppRunner(app, access_log=None)

    async def listen(self) -> None:
        """Serve; a port already in use raises ``OSError``."""
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]

    def tick(self, now: int) -> None:
        """Do nothing: who wants a document asks."""

    async def close(self) -> None:
        """Stop serving."""
        await self._runner.cleanup()

    async def _get(self, request: web.Request) -> web.Response:
        page = self._pages.get(request.path)
        if page is None:
            raise web.HTTPNotFound(text=f"no {request.path} here; there are {', '.join(self._pages)}")
        body = page(self._clock())
        if body is None:
            raise web.HTTPServiceUnavailable(text="the system behind this document is down")
        return web.Response(body=body, content_type="application/xml", charset="utf-8")
