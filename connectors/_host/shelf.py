"""Recorded documents on a loopback server, so that a poller fetches them as it fetched the real ones."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web


class Shelf:
    """A loopback server of recorded files: by name where there is a GBFS discovery file, else one after the other."""

    def __init__(self, files: list[Path]) -> None:
        self._files = files
        self._by_name = {p.stem: p for p in files} | {p.name: p for p in files}
        self.named = "gbfs" in self._by_name
        self.count = len(files)
        self.served = 0
        self._given: set[Path] = set()

    @property
    def origin(self) -> str:
        """An address on the host that the recorded discovery file names, as if it came from there."""
        text = self._by_name["gbfs"].read_text(encoding="utf-8", errors="replace") if self.named else ""
        found = re.search(r"https?://[^/\"]+", text.replace("\\/", "/"))
        return f"{found[0] if found else 'http://127.0.0.1'}/gbfs.json"

    @property
    def more(self) -> bool:
        """Whether a file is left to serve."""
        return self.named or self.served < self.count

    def left(self, name: str) -> bool:
        """Whether a document of that name lies here and nobody asked for it."""
        path = self._by_name.get(name)
        return path is not None and path not in self._given

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        """Serve while the context is open; gives the base URL."""
        app = web.Application()
        app.router.add_get("/{name:.*}", self._get)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            port = runner.addresses[0][1]
            yield f"http://127.0.0.1:{port}"
        finally:
            await runner.cleanup()

    async def _get(self, request: web.Request) -> web.Response:
        path = self.pick(request.match_info["name"])
        if path is None:
            return web.Response(status=404)
        self.served += 1
        self._given.add(path)
        return web.Response(body=await asyncio.to_thread(path.read_bytes), content_type="application/octet-stream")

    def pick(self, name: str) -> Path | None:
        """Give the file that answers a request for this name."""
        if self.named:
            return self._by_name.get(name or "gbfs") or (self._by_name["gbfs"] if not self.served else None)
        return self._files[self.served] if self.served < self.count else None


def last_part(url: str) -> str:
    """Give the last part of a URL's path: what names a document of a feed."""
    return url.partition("?")[0].rstrip("/").rpartition("/")[2]
