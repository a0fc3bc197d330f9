"""One configured connector, supervised: started, restarted with growing pauses, and able to say how it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from connectors._api.manifest import Settings
from connectors._api.registry import Connector
from connectors._host.door import Backoff, Door
from connectors._host.doors import make_door
from connectors._host.intake import Intake
from connectors._host.options import Options
from connectors._host.producer import FrameProducer
from schemas.errors import Fatal, Retry
from schemas.events import ConnectorState, Health, StreamTotal
from schemas.kinds import kind as kind_by_name
from schemas.metrics import CONNECTOR_RETRIES, CONNECTOR_UP

log = structlog.get_logger()

SECOND = 1_000_000
REJECTS_LIMIT = 0.2
"""More rejects than this share of a minute's packets is a degraded instance."""


class Instance:
    """A connector with its settings, its door to the outside, and its intake."""

    def __init__(
        self,
        connector: Connector,
        settings: Settings,
        options: Options,
        intake: Intake,
        producer: FrameProducer,
        clock: Callable[[], int],
    ) -> None:
        self.name = intake.name
        self.connector = connector
        self.intake = intake
        self.door: Door | None = None
        self.complaint = ""
        """Why its newest settings were refused; it runs on with those before."""
        self._settings = settings
        self._options = options
        self._producer = producer
        self._clock = clock
        self._health: Health = "starting"
        self._detail = ""
        self._stopping = False
        self._published: Health | None = None
        self._since = clock()
        self._quiet_us = int(max([60.0, *(3 * kind_by_name(k).interval_s for k in connector.manifest.kinds)]) * SECOND)

    async def supervise(self) -> None:
        """Run the door for ever: a failure of it stops nothing else, and it is tried again after a pause."""
        backoff, loop = Backoff(), asyncio.get_running_loop()
        while True:
            started = loop.time()
            try:
                self.door = make_door(self.connector, self._settings, self._options, self.intake, self._clock)
                await self.door.serve(self._ready)
                error: Exception = RuntimeError("it ended by itself")
            except (Fatal, Retry, OSError) as cause:
                error = cause
            except Exception as cause:
                log.exception("connector crashed", connector=self.name)
                error = cause
            finally:
                await self._leave()
            self._health, self._detail = "refused" if isinstance(error, Fatal) else "down", str(error)
            CONNECTOR_RETRIES.labels(self.name).inc()
            await asyncio.sleep(backoff.pause(loop.time() - started))

    def halt(self) -> None:
        """Take in nothing more, and hand on what has been gathered."""
        self._stopping = True
        if self.door is not None:
            self.door.halt()
        self.intake.flush()

    async def close(self) -> None:
        """Close what ``halt`` left open for the last replies."""
        if self.door is not None:
            await self.door.close()

    async def _leave(self) -> None:
        """Close a door that failed; one that is to stop stays open for the last replies."""
        if not self._stopping and self.door is not None:
            door, self.door = self.door, None
            await door.close()

    def state(self, now: int) -> ConnectorState:
        """Give the instance's health and its totals."""
        health, detail = self._judge(now)
        if health != self._published:
            if self._published is not None:
                log.info("connector changed", connector=self.name, was=self._published, now=health, detail=detail)
            self._published, self._since = health, now
        CONNECTOR_UP.labels(self.name).set(health == "live")
        return ConnectorState(
            connector=self.name,
            type=self.connector.type,
            run=self.intake.builder.run,
            health=health,
            at=now,
            since=self._since,
            kinds=list(self.connector.manifest.kinds),
            detail=detail,
            packets=self.intake.packets,
            readings=self.intake.readings,
            rejects=self.intake.rejects,
            rate=self.intake.minute.sums(now)[1] / 60.0,
            connections=self.door.count if self.door is not None else 0,
            last_reading=self.intake.last_reading,
            totals=self.totals(),
        )

    def totals(self) -> list[StreamTotal]:
        """Give its rows by topic, kind and bucket, each at its stage."""
        return totals(self.intake, self._producer)

    @property
    def changed(self) -> bool:
        """Whether the health differs from the one last told."""
        return self._judge(self._clock())[0] != self._published

    def _judge(self, now: int) -> tuple[Health, str]:
        if self._stopping:
            return "down", "stopped"
        if self._health != "live":
            return self._health, self._detail
        if self.door is not None and self.door.health != "live":
            return self.door.health, self.door.detail
        if self.complaint:
            return "degraded", f"runs with its former settings; the new ones are refused: {self.complaint}"
        return self._judge_flow(now)

    def _judge_flow(self, now: int) -> tuple[Health, str]:
        """Judge an instance that works by what passes through it."""
        if self._producer.spooling:
            return "degraded", "frames wait in the spool"
        packets, _, rejects = self.intake.minute.sums(now)
        if packets >= 10 and rejects > REJECTS_LIMIT * packets:
            return "degraded", f"{rejects} rejects in {packets} packets of the last minute"
        if self.intake.last_reading is None or now - self.intake.last_reading > self._quiet_us:
            return "idle", ""
        return "live", ""

    def _ready(self) -> None:
        self._health, self._detail = "live", ""


class Refused:
    """A configured instance whose settings cannot be used: it does nothing but say why."""

    def __init__(self, name: str, type: str, detail: str, run: str, clock: Callable[[], int]) -> None:
        self.name = name
        self._type = type
        self._detail = detail
        self._run = run
        self._since = clock()
        self.changed = True

    def state(self, now: int) -> ConnectorState:
        """Give its health, which is refused, and the reason."""
        self.changed = False
        CONNECTOR_UP.labels(self.name).set(0)
        return ConnectorState(
            connector=self.name,
            type=self._type,
            run=self._run,
            health="refused",
            at=now,
            since=self._since,
            detail=self._detail,
        )


def totals(intake: Intake, producer: FrameProducer) -> list[StreamTotal]:
    """Give the rows of an instance by topic, kind and bucket, each at its stage."""
    name, run = intake.name, intake.builder.run
    return [
        StreamTotal(
            topic=topic,
            kind=kind,
            bucket=bucket,
            received=rows - producer.abandoned(name, run, (topic, kind, bucket)),
            produced=producer.produced(name, run, (topic, kind, bucket)),
            spooled=producer.spooled(name, run, (topic, kind, bucket)),
        )
        for (topic, kind, bucket), rows in sorted(intake.builder.totals().items())
    ]
