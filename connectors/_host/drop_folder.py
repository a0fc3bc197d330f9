"""A drop folder: each file is taken up once, page by page, and put away when all of it is safe."""

from __future__ import annotations

import asyncio
import importlib
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO

import structlog

from connectors._api.manifest import Settings
from connectors._api.registry import Connector
from connectors._api.session import Received
from connectors._host.builder import Delivery
from connectors._host.door import Door
from connectors._host.intake import Intake
from connectors._host.options import FileOptions
from connectors._host.pickup import JOURNAL, Journal, Taken, Watch, check, digest_of, listing, put_away, report, signature
from schemas.errors import Fatal, Reject

log = structlog.get_logger()

Pages = Callable[[Settings, BinaryIO, str], Iterator[bytes]]
"""A connector's ``pages(settings, file, name)``: the packets of a file, read piece by piece; ``Reject`` if it is none of its."""


AHEAD = 8
"""Pages that may be on their way at once."""
TOLD = 100
"""Rejects of a file that its report names."""


def pages_of(connector: Connector) -> Pages | None:
    """Give ``pages`` of a connector's ``pages.py``, if it has one: its files can be taken up from a drop folder."""
    module = f"{connector.package}.pages"
    if find_spec(module) is None:
        return None
    try:
        found: Pages = importlib.import_module(module).pages
    except (ImportError, AttributeError) as error:
        msg = f"connector {connector.type!r}: its pages.py cannot be used: {error}"
        raise Fatal(msg) from error
    return found


@dataclass
class File:
    """One file being taken up."""

    path: Path
    digest: str
    taken: Taken
    rejects: list[Reject] = field(default_factory=list)
    on_way: deque[tuple[Taken, asyncio.Event]] = field(default_factory=deque)

    def expect(self, number: int, received: Received, delivery: Delivery) -> None:
        """Note a page on its way, and how far the file is taken up once it is safe."""
        before = self.on_way[-1][0] if self.on_way else self.taken
        readings, rejects = before.readings + len(received.readings), before.rejects + len(received.rejects)
        is_safe = asyncio.Event()
        delivery.then(is_safe.set)
        self.on_way.append((replace(before, pages=number, readings=readings, rejects=rejects), is_safe))
        self.rejects += received.rejects[: TOLD - len(self.rejects)]


class DropFolder(Door):
    """Takes up the files of one folder: exactly once by content, after a crash from the first page that was not safe.

    Finished files go to ``done``; those that are broken, do not match their checksum or have no usable row go to
    ``rejected`` with the reason beside them.
    """

    def __init__(
        self,
        connector: Connector,
        settings: Settings,
        options: FileOptions,
        intake: Intake,
        clock: Callable[[], int],
        *,
        pages: Pages | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__(connector, settings, intake, clock)
        found = pages or pages_of(connector)
        if found is None:
            msg = f"connector {connector.type!r} has no pages.py: it cannot take up files from a drop folder"
            raise Fatal(msg)
        self._pages = found
        self._folder = Path(options.path)
        self._rescan_s = options.rescan_s
        self._watch = Watch(options.settle_s, needs_checksum=options.checksum == "required")
        self._session = self.make_session()
        self._sleep = sleep

    async def serve(self, ready: Callable[[], None] = lambda: None) -> None:
        """Take up files until cancelled."""
        with closing(Journal(self._folder / JOURNAL)) as journal:
            ready()
            while True:
                for path in self._watch.ready(listing(self._folder), self.clock()):
                    await self._take_up(path, journal)
                await self._sleep(self._rescan_s)

    async def _take_up(self, path: Path, journal: Journal) -> None:
        before = signature(path)
        digest = await asyncio.to_thread(digest_of, path)
        if signature(path) != before:
            return
        taken = journal.of(digest)
        if taken is not None and taken.state == "done":
            log.info("file was taken up before", connector=self.intake.name, file=path.name, sha256=digest)
            put_away(path, "done", digest)
            return
        try:
            check(path, digest)
        except Reject as error:
            if self._watch.is_settled(path, self.clock()):
                await self._refuse(File(path, digest, Taken()), error, journal)
            return
        if taken is None or taken.state == "rejected":
            taken = Taken()
        await self._read(File(path, digest, taken), before, journal)

    async def _read(self, file: File, before: object, journal: Journal) -> None:
        try:
            with file.path.open("rb") as content:
                pages = self._pages(self.settings, content, file.path.name)
                await self._take_pages(file, pages, journal)
        except Reject as error:
            await self._safe(file, journal)
            await self._refuse(file, error, journal)
            return
        await self._safe(file, journal)
        if signature(file.path) != before:
            log.warning("file changed while it was read; it is read again", connector=self.intake.name, file=file.path.name)
            return
        if file.taken.rejects and not file.taken.readings:
            await self._finish(file, "rejected", journal)
        else:
            await self._finish(file, "done", journal)

    async def _take_pages(self, file: File, pages: Iterator[bytes], journal: Journal) -> None:
        """Take in the pages that are not safe yet, a few ahead of those that are."""
        number = 0
        while (page := await asyncio.to_thread(next, pages, None)) is not None:
            number += 1
            if number <= file.taken.pages:
                continue
            await self.intake.room()
            now = self.clock()
            received = self.decode(self._session, page, now, file.path.name)
            file.expect(number, received, self.intake.take(received, page, now, file.path.name))
            await self._safe(file, journal, AHEAD)

    async def _safe(self, file: File, journal: Journal, ahead: int = 0) -> None:
        """Wait until at most ``ahead`` pages are on their way, and remember those that are safe."""
        while file.on_way and (len(file.on_way) > ahead or file.on_way[0][1].is_set()):
            taken, is_safe = file.on_way[0]
            await is_safe.wait()
            file.on_way.popleft()
            file.taken = taken
            journal.keep(file.digest, file.path.name, taken, self.clock())

    async def _refuse(self, file: File, reject: Reject, journal: Journal) -> None:
        """Count a file that is broken as a whole, and put it away when that is safe."""
        named = Reject(reject.reason, f"{file.path.name}: {reject.detail}", reject.raw)
        received = Received(rejects=[named])
        delivery = self.intake.take(received, reject.raw, self.clock(), file.path.name)
        file.rejects.insert(0, named)
        is_safe = asyncio.Event()
        delivery.then(is_safe.set)
        await is_safe.wait()
        file.taken = replace(file.taken, rejects=file.taken.rejects + 1)
        await self._finish(file, "rejected", journal)

    async def _finish(self, file: File, state: str, journal: Journal) -> None:
        taken = replace(file.taken, state="done" if state == "done" else "rejected")
        journal.keep(file.digest, file.path.name, taken, self.clock())
        target = put_away(file.path, state, file.digest)
        if file.rejects:
            report(target, taken, file.rejects)
        log.info(
            "file taken up",
            connector=self.intake.name,
            file=file.path.name,
            state=state,
            pages=taken.pages,
            readings=taken.readings,
            rejects=taken.rejects,
        )
