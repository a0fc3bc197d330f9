"""The input: what every device sends, message by message, with event times fixed before the run.

A message is a pure function of the script and its number, so two runs of one script are fed the same bytes.
Positions and values follow patterns that raise and clear alerts of several rules. Faults of the devices
themselves (a wrong clock, packets sent twice, positions held back) are written into it from the schedule.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from connectors.gbfs.encoder import Station as Dock
from connectors.hj212 import encoder as hj212
from connectors.jt808 import encoder as jt808
from tests.chaos.schedule import Fault, Schedule

S = 1_000_000
Fate = Literal["stored", "future_time", "expired_time"]
"""What must become of a row: stored, or refused for this reason."""
Row = tuple[str, str, int, Fate]
"""Kind, source, event time (µs), fate: several rows of one message may be equal (factors of one station)."""
GROUPS = (
    ("bus_position", "1380", 5),
    ("taxi_position", "1381", 3),
    ("coach_position", "1382", 1),
    ("hazmat_position", "1383", 1),
)
"""Kind, first digits of the phone number, and how many of ten terminals."""
LIMITS = {"bus_position": 70, "coach_position": 100, "hazmat_position": 80}
AHEAD, BACK = 6 * 3600 * S, -40 * 86_400 * S
"""What a clock jumps by: the input lies up to three hours back, so the first is hours ahead of any arrival."""
HELD_BACK = 86_400 * S
"""Positions of a blind area are a day old: nobody may take them for live."""
BATCH, BATCH_STEP = 10, 5
FACTORS = {"w01018": 21.0, "w21003": 0.4, "w01001": 7.2}
"""Codes of HJ 212 annex B: COD, ammonia, pH."""
DUST_EVERY, BIKES_EVERY = 2, 10
DOCKS = 40


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a device: its frame, how often it goes out at once, and its rows."""

    key: int | str
    """What the platform's answer names it by."""
    packet: bytes
    rows: tuple[Row, ...]
    copies: int = 1


class Sender:
    """What a device has to say."""

    source: str
    every: int = 1
    """Steps from one message to the next."""
    count: int
    remote: bool = False
    """Its network may be cut."""

    def message(self, number: int) -> Message:
        """Give a message by its number, from 0."""
        raise NotImplementedError


@dataclass
class Terminal(Sender):
    """A JT/T 808 terminal that reports every second."""

    index: int
    kind: str
    source: str
    start: int
    count: int
    remote: bool
    modes: dict[int, str] = field(default_factory=dict)
    """Fault of the device by number of the message."""

    def message(self, number: int) -> Message:
        """Give a location, or a batch of locations held back."""
        mode = self.modes.get(number, "")
        if mode == "late" and number % 5 == 0:
            return self._batch(number)
        fate: Fate = {"clock_ahead": "future_time", "clock_back": "expired_time"}.get(mode, "stored")  # type: ignore[assignment]
        shift = {"clock_ahead": AHEAD, "clock_back": BACK}.get(mode, 0)
        ts = self.start + number * S + shift
        packet = jt808.message(0x0200, self.source, number, self._body(ts, number), version="2013")
        return Message(number, packet, ((self.kind, self.source, ts, fate),), 2 if mode == "twice" else 1)

    def _batch(self, number: int) -> Message:
        """Positions of a drive without network, all of them over the speed limit."""
        first = self.start - HELD_BACK + number * 60 * S
        times = [first + n * BATCH_STEP * S for n in range(BATCH)]
        bodies = [self._body(ts, number + n, fast=True) for n, ts in enumerate(times)]
        packet = jt808.batch(self.source, number, bodies, kind=1, version="2013")
        return Message(number, packet, tuple((self.kind, self.source, ts, "stored") for ts in times))

    def _body(self, ts: int, number: int, *, fast: bool = False) -> bytes:
        pattern, phase = self.index % 10, (number + 7 * self.index) % 90
        fast = fast or (pattern in (0, 4) and phase < 40)
        kmh = LIMITS.get(self.kind, 60) + 15 + phase % 3 if fast else 20 + (self.index * 7 + number) % 20
        jump = 0.05 if pattern == 1 and phase == 60 else 0.0
        status = 0b11 | (0b11 << 8 if phase < 45 else 0)
        items = {1: jt808.mileage_item(100_000 + number * 100), 2: jt808.fuel_item(200 - number % 1000 / 10)}
        return jt808.location_body(
            ts=ts,
            lat=35.50 + self.index % 37 * 0.003,
            lon=112.80 + self.index % 41 * 0.003 + number % 100 * 1e-5 + jump,
            alarm=1 if pattern == 2 and phase < 10 else 0,
            status=status,
            altitude=700 + number % 50,
            speed=kmh / 3.6,
            direction=number * 3 % 360,
            items=items,
        )


@dataclass
class Station(Sender):
    """An HJ 212 station: construction dust, or river water by factor."""

    index: int
    source: str
    start: int
    count: int
    water: bool
    every: int = DUST_EVERY

    def message(self, number: int) -> Message:
        """Give momentary values; one dust station tells an hour's mean now and then."""
        ts = self.start + number * self.every * S
        qn = hj212.stamp(ts, millis=True)
        if self.water:
            values = {code: value + (number + self.index) % 10 / 10 for code, value in FACTORS.items()}
            rows: tuple[Row, ...] = (("env_factor", self.source, ts, "stored"),) * len(values)
            return Message(qn, hj212.realtime(self.source, ts=ts, values=values, st="21", qn=qn), rows)
        if self.index == 0 and number % 60 == 30:
            hour = self.start // (3600 * S) * 3600 * S - (20 - number // 60) * 3600 * S
            means = {"a34002": 300.0 if number // 60 % 2 == 0 else 90.0}
            return Message(
                qn, hj212.hourly(self.source, ts=hour, values=means, qn=qn), (("dust_station", self.source, hour, "stored"),)
            )
        moment = {"a34002": 80 + (number + self.index) % 70 + 0.1, "a34004": 40 + number % 30 + 0.1, "a50001": 55 + number % 9}
        packet = hj212.realtime(self.source, ts=ts, values=moment, qn=qn)
        return Message(qn, packet, (("dust_station", self.source, ts, "stored"),))


@dataclass(frozen=True)
class Bikes:
    """The documents of a bike system, one after the other."""

    start: int
    count: int

    def ts(self, number: int) -> int:
        """Give when a document's stations reported."""
        return self.start + number * BIKES_EVERY * S

    def docks(self, number: int) -> list[Dock]:
        """Give the stations of a document; the first is empty for a long time."""
        return [self._dock(i, number) for i in range(DOCKS)]

    def _dock(self, index: int, number: int) -> Dock:
        bikes = (0 if number % 75 < 65 else 9) if index == 0 else 5 + (index + number) % 15
        return Dock(
            station_id=f"dock-{index:03d}",
            name=f"站点 {index}",
            lon=112.83 + index * 0.002,
            lat=35.48 + index % 7 * 0.004,
            capacity=30,
            bikes=bikes,
            docks=30 - bikes,
            reported=self.ts(number),
        )

    def rows(self, number: int) -> Iterator[Row]:
        """Give the rows of a document."""
        for dock in self.docks(number):
            yield ("bike_station", dock.station_id, dock.reported, "stored")


@dataclass(frozen=True)
class Script:
    """All devices and what they send from ``start`` (µs, a whole minute) on."""

    schedule: Schedule
    start: int
    terminals: int = 500
    dust: int = 16
    water: int = 4
    remote: int = 60
    """So many terminals live in the network that is cut."""

    @cached_property
    def senders(self) -> list[Sender]:
        """Every device that is answered."""
        steps, modes = self.schedule.steps, self._modes()
        found: list[Sender] = []
        for i in range(self.terminals):
            kind, phone = _identity(i)
            remote = i % (self.terminals // self.remote) == 0
            found.append(Terminal(i, kind, phone, self.start, steps, remote, modes.get(i, {})))
        stations = range(self.dust + self.water)
        return found + [Station(i, f"A14052{i:08d}", self.start, steps // DUST_EVERY, i >= self.dust) for i in stations]

    @property
    def bikes(self) -> Bikes:
        """The bike system."""
        return Bikes(self.start, self.schedule.steps // BIKES_EVERY)

    def wanted(self) -> Counter[Row]:
        """Give every row that must come of the input, and how often."""
        found: Counter[Row] = Counter()
        for sender in self.senders:
            for number in range(sender.count):
                found.update(sender.message(number).rows)
        for number in range(self.bikes.count):
            found.update(self.bikes.rows(number))
        return found

    def _modes(self) -> dict[int, dict[int, str]]:
        """Give the devices' own faults: terminal, message, fault; a terminal has one kind of fault only."""
        found: dict[int, dict[int, str]] = {}
        residue = {"clock_ahead": 6, "clock_back": 7, "twice": 8, "late": 9}
        for place, fault in enumerate(f for f in self.schedule.faults if f.is_input):
            for i in self._struck(fault, residue[fault.fault], place):
                found.setdefault(i, {}).update(dict.fromkeys(range(fault.at, fault.at + fault.lasts), fault.fault))
        return found

    def _struck(self, fault: Fault, residue: int, place: int) -> list[int]:
        candidates = [i for i in range(self.terminals) if i % 10 == residue]
        few = {"clock_ahead": 3, "clock_back": 3}.get(fault.fault, 10)
        return random.Random(self.schedule.seed * 1000 + place).sample(candidates, min(few, len(candidates)))  # noqa: S311


def _identity(index: int) -> tuple[str, str]:
    """Give kind and phone number of a terminal: every ten of them hold all kinds, and all kinds meet all patterns."""
    place = (index + index // 10) % 10
    for kind, prefix, share in GROUPS:
        if place < share:
            return kind, f"{prefix}{index:07d}"
        place -= share
    raise AssertionError(index)
