"""One configured connector, supervised: started, restarted with growing pauses, and able to say how it is."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Protocol

import structlog

from connectors._api.manifest import Settings
from connectors._api.registry import Connector
from connectors._host.files import FileReader
from connectors._host.intake import Intake
from connectors._host.options import FileOptions, HttpPollOptions, Options, TcpOptions
from connectors._host.poll import Poller
from connectors._host.producer import FrameProducer
from connectors._host.tcp import TcpServer
from schemas.errors import Fatal
from schemas.events import ConnectorState, Health, StreamTotal
from schemas.kinds import kind as kind_by_name
from schemas.metrics import CONNECTOR_RETRIES, CONNECTOR_UP

log = structlog.get_logger()

SECOND = 1_000_000
LONGEST_PAUSE_S = 60.0
STEADY_S = 60.0
"""An instance that ran this long is restarted without a pause grown before."""
REJECTS_LIMIT = 0.2
"""More rejects than this share of a minute's packets is a degraded instance."""


class Door(Protocol):
    """What a transport does for an instance."""

    async def serve(self, ready: Callable[[], None]) -> None:
        """Work until cancelled; ``ready`` is called once input can come."""
        ...


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
        failures = 0
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            try:
                self.door = self._make_door()
                await self.door.serve(self._ready)
                error: Exception = RuntimeError("it ended by itself")
            except (Fatal, OSError) as cause:
                error = cause
            except Exception as cause:
                log.exception("connector crashed", connector=self.name)
                error = cause
            finally:
                self._close_door()
            failures = 1 if loop.time() - started > STEADY_S else failures + 1
            pause = min(2.0 ** min(failures - 1, 10), LONGEST_PAUSE_S) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
            self._health, self._detail = "down", str(error)
            CONNECTOR_RETRIES.labels(self.name).inc()
            await asyncio.sleep(pause)

    def halt(self) -> None:
        """Take in nothing more, and hand on what has been gathered."""
        self._stopping = True
        if isinstance(self.door, TcpServer):
            self.door.halt()
        self.intake.flush()

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
            connections=len(self.door.connections) if isinstance(self.door, TcpServer) else 0,
            last_reading=self.intake.last_reading,
            totals=totals(self.intake, self._producer),
        )

    @property
    def changed(self) -> bool:
        """Whether the health differs from the one last told."""
        return self._judge(self._clock())[0] != self._published

    def _judge(self, now: int) -> tuple[Health, str]:
        if self._stopping:
            return "down", "stopped"
        if self._health != "live":
            return self._health, self._detail
        if isinstance(self.door, Poller) and self.door.health != "live":
            return self.door.health, self.door.detail
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

    def _make_door(self) -> Door:
        options = self._options
        if isinstance(options, TcpOptions):
            return TcpServer(self.connector, self._settings, options, self.intake, self._clock)
        if isinstance(options, HttpPollOptions):
            return Poller(self.connector, self._settings, options, self.intake, self._clock)
        assert isinstance(options, FileOptions)
        return FileReader(self.connector, self._settings, options, self.intake, self._clock)

    def _close_door(self) -> None:
        if isinstance(self.door, TcpServer):
            if self._stopping:
                self.door.halt()
            else:
                self.door.close()

    def close(self) -> None:
        """Close what ``halt`` left open for the last replies."""
        if isinstance(self.door, TcpServer):
            self.door.close()


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
