"""Taxis: JT/T 905 terminals that report positions, drivers' shifts and metered trips."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cityops.simulator import identity, tempo
from cityops.simulator.outbox import Outbox
from cityops.simulator.tempo import Kind
from cityops.simulator.world import World
from connectors.jt905 import encoder, header
from connectors.jt905.framing import Framing

GENERAL_ACK = 0x8001
SHIFT_US = 8 * 3600 * 1_000_000
HEARTBEAT_US = 60_000_000
STARTING_FARE, STARTING_KM, FEN_PER_KM = 800, 3.0, 180
"""The first kilometres, and each one after them."""
COMPANY = "JC0502"


@dataclass(slots=True)
class Ride:
    """Where and when a passenger got in, and the odometer then."""

    place: dict[str, Any]
    odometer: float


class Taxi:
    """One taxi's terminal, vehicle ``number`` (from 1) of its group; it reports every ``interval`` microseconds."""

    def __init__(self, world: World, number: int, interval: int, next_report: int) -> None:
        self.source = identity.phone(Kind.TAXI, number)
        self.silent = self.blind = self.stopping = False
        self.outbox = Outbox()
        self._world, self._number = world, number
        self._index = int(world.base[Kind.TAXI]) + number - 1
        self._isu = f"{self.source:0>12}"
        self._plate = identity.plate(Kind.TAXI, number).removeprefix("晋").replace("·", "")
        self._interval, self._next_report = interval, next_report
        self._next_heartbeat = next_report + HEARTBEAT_US
        self._serial = self._last_ts = self._trips = 0
        self._shift: int | None = None
        self._ride: Ride | None = None
        self._was_occupied = False
        self._open = False
        self._framing = Framing({})

    @property
    def waiting(self) -> int:
        """Readings without an acknowledgement."""
        return self.outbox.waiting

    def wants_link(self, now: int) -> bool:
        """Tell whether it has power and signal and does not give its line up."""
        return not (self.silent or self.blind or self.outbox.broken)

    def opened(self, now: int) -> bytes:
        """Send again what is not acknowledged."""
        self._open, self._framing = True, Framing({})
        return self.outbox.opened(now)

    def closed(self, now: int) -> None:
        """Keep what is not acknowledged for the next line."""
        self._open, self.outbox.broken = False, False

    def received(self, chunk: bytes, now: int) -> bytes:
        """Take the centre's acknowledgements."""
        for packet in self._framing.feed(chunk):
            if isinstance(packet, bytes) and header.parse(packet).message_id == GENERAL_ACK:
                body = packet[header.FORM.size :]
                self.outbox.answered(int.from_bytes(body[0:2]))
        return b""

    def tick(self, now: int) -> bytes:
        """Report what is due: shift, trip, position; keep the line alive."""
        if self.silent or not self._open:
            return b""
        out = self.outbox.repeated(now)
        if self._world.snapshot.ts > self._last_ts and not self.stopping:
            out += self._look(now)
        if now >= self._next_heartbeat:
            self._next_heartbeat = now + HEARTBEAT_US
            out += encoder.heartbeat(self._isu, self._count())
        return out

    def _look(self, now: int) -> bytes:
        """Act on the newest fix."""
        s = self._world.snapshot
        self._last_ts = s.ts
        out = b""
        shift = (s.ts + self._number * 7 * 60_000_000) // SHIFT_US
        if shift != self._shift:
            out += self._change_shift(shift, now)
        occupied = bool(s.occupied[self._index])
        if occupied and not self._was_occupied:
            self._ride = Ride(self._place(), float(s.odometer[self._index]))
        elif self._was_occupied and not occupied and self._ride is not None:
            out += self._end(self._ride, now)
        self._was_occupied = occupied
        if now >= self._next_report:
            self._next_report += self._interval * ((now - self._next_report) // self._interval + 1)
            out += self._send(now, encoder.location, mileage=float(s.odometer[self._index]), **self._fix())
        return out

    def _change_shift(self, shift: int, now: int) -> bytes:
        former, self._shift = self._shift, shift
        out, who = b"", {"company": COMPANY, "plate": self._plate}
        if former is not None:
            began = datetime.fromtimestamp(former * SHIFT_US / 1e6, UTC) + timedelta(seconds=tempo.SHANGHAI_S)
            card = identity.certificate(self._number * 3 + former % 3)
            out = self._send(now, encoder.sign_out, self._place(), certificate=card, began=f"{began:%Y-%m-%d %H:%M}", **who)
        card = identity.certificate(self._number * 3 + shift % 3)
        return out + self._send(now, encoder.sign_in, self._place(), certificate=card, **who)

    def _end(self, ride: Ride, now: int) -> bytes:
        """Report the trip as the meter counted it."""
        self._ride, self._trips = None, self._trips + 1
        driven = float(self._world.snapshot.odometer[self._index]) - ride.odometer
        driven *= self._world.on("taxi_position", self._number - 1, "inflate") or 1.0
        meter = encoder.Meter(
            plate=self._plate,
            company=COMPANY,
            certificate=identity.certificate(self._number * 3 + (self._shift or 0) % 3),
            fare=round((STARTING_FARE + max(driven / 1000.0 - STARTING_KM, 0.0) * FEN_PER_KM) / 10) * 10,
            distance=driven,
            pay_type=1 if self._trips % 3 == 0 else 0,
            trip_no=self._trips,
        )
        return self._send(now, encoder.trip, ride.place, self._place(), self._trips, meter)

    def _send(self, now: int, build: Any, *content: Any, **fields: Any) -> bytes:
        serial = self._count()
        return self.outbox.put(serial, build(self._isu, serial, *content, **fields), now)

    def _fix(self) -> dict[str, Any]:
        s, i = self._world.snapshot, self._index
        place = {"ts": s.ts, "lat": float(s.lat[i]), "lon": float(s.lon[i])}
        motion = {"speed": float(s.speed[i]), "direction": float(s.heading[i])}
        return {**place, **motion, "occupied": bool(s.occupied[i]), "alarm": int(s.alarm[i])}

    def _place(self) -> dict[str, Any]:
        return encoder.position_fields(**self._fix())

    def _count(self) -> int:
        self._serial = (self._serial + 1) & 0xFFFF
        return self._serial
