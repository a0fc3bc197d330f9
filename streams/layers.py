"""The reference data a worker uses: looked after once a second, loaded in a thread, replaced as a whole."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from schemas import metrics
from schemas.errors import Retry
from storage import layers
from storage.connect import Pool
from storage.zones import Zone
from streams.steps.reference import USED, Reference

log = structlog.get_logger()


class Layers:
    """Holds the present ``Reference`` of a process; ``present`` is safe to ask at any time, and between two batches differs.

    Batches are computed without giving up the event loop, so that none sees two versions.
    """

    def __init__(self, zones: Sequence[Zone]) -> None:
        self._reference = Reference.plain(zones)
        self._default = self._reference.zones
        self._revision = 0
        self._broken = -1
        """Revision that could not be loaded."""
        self._told = ""
        for name in USED:
            metrics.STREAM_LAYER_VERSION.labels(name).set(0)

    def present(self) -> Reference:
        """Give the reference data in use."""
        return self._reference

    async def refresh(self, pool: Pool) -> bool:
        """Take up versions put to use since last asked; gives whether there were any.

        Whatever goes wrong, the present reference data stays in use, and that is told once. A fault that passes is
        tried again at the next call, broken content not before another version is put to use.
        """
        revision = -1
        try:
            revision = await layers.revision(pool)
            if revision == self._revision:
                self._told = ""
            if revision in (self._revision, self._broken):
                return False
            self._reference = await self._loaded(pool)
        except Retry as error:
            self._tell(error)
            return False
        except Exception as error:  # noqa: BLE001 - no layer, however broken, may stop the flow of readings
            self._broken = revision
            self._tell(error)
            return False
        self._revision, self._broken, self._told = revision, -1, ""
        for name in USED:
            metrics.STREAM_LAYER_VERSION.labels(name).set(self._reference.versions.get(name, 0))
        log.info("reference layers taken up", revision=revision, **self._reference.versions)
        return True

    async def _loaded(self, pool: Pool) -> Reference:
        """Load what differs from the present reference data; the slow part runs in a thread."""
        active, present = await layers.active(pool), self._reference
        due = {n: active.get(n, 0) for n in USED if active.get(n, 0) != present.versions.get(n, 0)}
        rows = {n: await layers.fetch(pool, n, version) if version else () for n, version in due.items()}

        def build() -> Reference:
            return present.updated({n: (due[n], layers.unpack(n, rows[n]) if due[n] else ()) for n in due}, self._default)

        return await asyncio.to_thread(build)

    def _tell(self, error: Exception) -> None:
        """Log a failure, once as long as it stays the same."""
        if self._told != (said := f"{self._broken} {type(error).__name__}"):
            self._told = said
            log.error("reference layers stay as they are", error=str(error), in_use=dict(self._reference.versions))
