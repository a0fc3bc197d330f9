"""Where decoded packets of one instance go: into frames, and into the counts that tell how it is doing."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

import structlog

from connectors._api.session import Received
from connectors._host.builder import Delivery, Frame, FrameBuilder
from connectors._host.keeper import Keeper
from schemas.errors import Reject
from schemas.metrics import CONNECTOR_PACKETS, CONNECTOR_READINGS, CONNECTOR_REJECTS
from schemas.reading import Lane, Reading, kind_of

log = structlog.get_logger()

MINUTE = 60
_complained: set[tuple[str, str]] = set()


def guarded(connector: str, call: Callable[[], Received], packet: bytes) -> Received:
    """Run a decoder so that whatever it raises becomes a reject of this packet; its session lives on.

    Anything but ``Reject`` is a fault of the connector and is logged once per place.
    """
    try:
        return call()
    except Reject as reject:
        return Received(rejects=[reject if reject.raw else Reject(reject.reason, reject.detail, packet)])
    except Exception as error:  # noqa: BLE001 - bad input must not end a session, whatever the decoder does
        complain(connector, error, packet)
        return Received(rejects=[Reject("bad_frame", repr(error), packet)])


def complain(connector: str, error: BaseException, packet: bytes) -> None:
    """Log an error that a connector should not raise, once for each place that raises it."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else ""
    if (connector, place) not in _complained:
        _complained.add((connector, place))
        log.error("decoder failed on a packet", connector=connector, error=repr(error), place=place, packet=packet[:256].hex())


class Minute:
    """Readings, packets and rejects of the last minute, by second."""

    def __init__(self) -> None:
        self._seconds: deque[list[int]] = deque()

    def add(self, now: int, packets: int, readings: int, rejects: int) -> None:
        """Count at ``now``, microseconds UTC."""
        second = now // 1_000_000
        if not self._seconds or self._seconds[-1][0] != second:
            self._seconds.append([second, 0, 0, 0])
        last = self._seconds[-1]
        last[1] += packets
        last[2] += readings
        last[3] += rejects
        while len(self._seconds) > MINUTE:
            self._seconds.popleft()

    def sums(self, now: int) -> tuple[int, int, int]:
        """Give packets, readings and rejects of the minute before ``now``."""
        second = now // 1_000_000
        recent = [s for s in self._seconds if 0 <= second - s[0] < MINUTE]
        return sum(s[1] for s in recent), sum(s[2] for s in recent), sum(s[3] for s in recent)


class Intake:
    """Takes what sessions decode, hands frames on, and says when there is room for more."""

    def __init__(
        self,
        name: str,
        builder: FrameBuilder,
        submit: Callable[[Iterable[Frame]], None],
        clock: Callable[[], int],
        *,
        max_unconfirmed: int = 20_000,
        flush_s: float = 0.2,
        lane: Lane | None = None,
        past_us: int | None = None,
        keeper: Keeper | None = None,
    ) -> None:
        self.name = name
        self.builder = builder
        self.keeper = keeper or Keeper()
        """What sessions remember beyond a connection."""
        self.packets = self.readings = self.rejects = 0
        self.unconfirmed = 0
        """Rows that neither Kafka nor the spool has yet."""
        self.last_reading: int | None = None
        self.minute = Minute()
        self._submit = submit
        self._clock = clock
        self._max_unconfirmed = max_unconfirmed
        self._flush_s = flush_s
        self._lane = lane
        self._past_us = past_us
        self._room = asyncio.Event()
        self._room.set()
        self._calm = asyncio.Event()
        self._calm.set()
        self._timer: asyncio.TimerHandle | None = None

    def take(self, received: Received, packet: bytes, seen_at: int, address: str = "") -> Delivery:
        """Take in what followed from one packet (empty: from the passing of time); tells when it may be answered."""
        delivery = Delivery()
        lane = self._lane or received.lane
        rows = len(received.readings) + len(received.rejects)
        if rows:
            self._hold(rows, delivery)
            for own, readings in self._by_lane(received.readings, lane, seen_at):
                self.builder.add(readings, own, seen_at, delivery)
            if received.rejects:
                source = received.readings[0].source if received.readings else _host(address)
                self.builder.refuse(received.rejects, source, packet, lane, seen_at, delivery)
        delivery.seal()
        self._count(received, packet, seen_at)
        if rows:
            self._submit(self.builder.due(seen_at))
            self._arm()
        return self.keeper.after(delivery, (r.source for r in received.readings))

    def _by_lane(self, readings: Sequence[Reading], lane: Lane, seen_at: int) -> list[tuple[Lane, Sequence[Reading]]]:
        """Move readings of a recording that are long past to the late lane, where they page nobody."""
        if lane != "live" or self._past_us is None:
            return [(lane, readings)]
        bound = seen_at - self._past_us
        past = [r for r in readings if r.ts < bound]
        return [("live", [r for r in readings if r.ts >= bound]), ("late", past)] if past else [(lane, readings)]

    async def room(self) -> None:
        """Wait while too many rows are unconfirmed: whoever reads a socket or a feed waits here first."""
        await self._room.wait()

    def limit(self, max_unconfirmed: int) -> None:
        """Set how many rows may be unconfirmed before reading stops."""
        self._max_unconfirmed = max_unconfirmed
        self._free()

    async def settled(self, within_s: float) -> bool:
        """Wait until every row taken in is safe and may be answered, or the time is over; tells which."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._calm.wait()
                await self.keeper.settled()
        return not self.unconfirmed

    def flush(self) -> None:
        """Hand on everything gathered."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._submit(self.builder.flush())

    def _hold(self, rows: int, delivery: Delivery) -> None:
        self.unconfirmed += rows
        self._free()

        def freed() -> None:
            self.unconfirmed -= rows
            self._free()

        delivery.then(freed)

    def _free(self) -> None:
        """Let those wait who wait for room, or for everything to be safe, or let them go on."""
        (self._room.set if self.unconfirmed < self._max_unconfirmed else self._room.clear)()
        (self._calm.clear if self.unconfirmed else self._calm.set)()

    def _count(self, received: Received, packet: bytes, seen_at: int) -> None:
        if packet:
            self.packets += 1
            CONNECTOR_PACKETS.labels(self.name).inc()
        for reading in received.readings:
            CONNECTOR_READINGS.labels(self.name, kind_of(reading)).inc()
        for reject in received.rejects:
            CONNECTOR_REJECTS.labels(self.name, reject.reason).inc()
        self.readings += len(received.readings)
        self.rejects += len(received.rejects)
        if received.readings:
            self.last_reading = seen_at
        self.minute.add(seen_at, bool(packet), len(received.readings), len(received.rejects))

    def _arm(self) -> None:
        if self._timer is None and self.builder.next_due is not None:
            self._timer = asyncio.get_running_loop().call_later(self._flush_s, self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        self._submit(self.builder.due(self._clock()))
        self._arm()


def _host(address: str) -> str:
    """Give the host of ``host:port`` or of a URL: a port that changes makes no source."""
    if "://" in address:
        return address.split("://", 1)[1].split("/", 1)[0]
    return address.rpartition(":")[0] or address
