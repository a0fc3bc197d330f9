"""The transport company's platform: coaches and hazardous freight over one JT/T 809 link."""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

from cityops.simulator import identity
from cityops.simulator.tempo import Kind
from cityops.simulator.world import World
from connectors.jt809 import encoder, header
from connectors.jt809.framing import Framing

USER, CENTER = 140_500, 1405
CONNECTED = 0x1002
LINK_TEST_US, LOGIN_US = 60_000_000, 20_000_000
BATCH = 5
"""Positions in one message of held-back ones (0x1203)."""
KEEP = 200
"""Positions held back of one vehicle; the oldest go first."""
STATUS = 0b11
"""Engine on, position valid."""
GOODS = ("UN1203 汽油", "UN1202 柴油", "UN1971 天然气", "UN1830 硫酸", "UN1005 氨")


class Car(NamedTuple):
    """A vehicle of the company: its row in the fleet, its number (from 1) within the kind, its plate."""

    row: int
    kind: Kind
    number: int
    plate: str

    @property
    def colour(self) -> int:
        """Its plate's colour."""
        return identity.COLOURS[self.kind]


class Operator:
    """The company's end of the link; each car reports every ``interval`` microseconds.

    The standard acknowledges no position: what a broken line loses is lost.
    """

    def __init__(self, world: World, password: str, interval: int) -> None:
        self.source = "operator"
        self.stopping = False
        self.silent = False
        self._marked: dict[str, set[str]] = {"silent": set(), "blind": set()}
        self.sent = 0
        self._world, self._password, self._interval = world, password, interval
        self._cars = _cars(world)
        self._due = [world.started_at + 2_000_000 + n * interval // max(len(self._cars), 1) for n in range(len(self._cars))]
        self._held: dict[str, deque[dict[str, Any]]] = {}
        self._told: set[str] = set()
        self._online = False
        self._login_by = self._next_test = self._sn = 0
        self._framing = Framing({})

    @property
    def waiting(self) -> int:
        """Nothing is ever acknowledged."""
        return 0

    @property
    def sources(self) -> tuple[str, ...]:
        """The names its cars' readings bear."""
        return tuple(f"{car.plate}_{car.colour}" for car in self._cars)

    def mark(self, effect: str, source: str, *, on: bool) -> None:
        """Take a car's power (``silent``), or its signal (``blind``: it reports afterwards), or give it back."""
        cars = self._marked.get(effect, set())
        (cars.add if on else cars.discard)(source)

    def wants_link(self, now: int) -> bool:
        """Tell whether it wants its line; a login without an answer gives it up."""
        return bool(self._cars) and (self._online or not self._login_by or now < self._login_by)

    def opened(self, now: int) -> bytes:
        """Log in."""
        self._framing, self._login_by = Framing({}), now + LOGIN_US
        return encoder.login(USER, self._password, "127.0.0.1", 0, **self._head())

    def closed(self, now: int) -> None:
        """Go offline; a login must come first again."""
        self._online, self._login_by = False, 0

    def received(self, chunk: bytes, now: int) -> bytes:
        """Take the answer to the login."""
        for packet in self._framing.feed(chunk):
            if isinstance(packet, bytes):
                head = header.parse(packet, "2011")
                if head.msg_id == CONNECTED:
                    self._online, self._next_test = packet[head.start] == 0, now + LINK_TEST_US
        return b""

    def tick(self, now: int) -> bytes:
        """Report the cars that are due, and test the link every minute."""
        if not self._online:
            return b""
        out = b""
        for n, car in enumerate(self._cars):
            if now >= self._due[n] and not self.stopping:
                self._due[n] += self._interval * ((now - self._due[n]) // self._interval + 1)
                out += self._report(car, now)
        if now >= self._next_test:
            self._next_test = now + LINK_TEST_US
            out += encoder.link_test(**self._head())
        return out

    def _report(self, car: Car, now: int) -> bytes:
        source = f"{car.plate}_{car.colour}"
        if source in self._marked["silent"]:
            return b""
        place = self._place(car)
        if source in self._marked["blind"]:
            self._held.setdefault(source, deque(maxlen=KEEP)).append(place)
            return b""
        out = b"" if source in self._told else self._introduce(car)
        self._told.add(source)
        held = list(self._held.pop(source, ()))
        for at in range(0, len(held), BATCH):
            out += encoder.history(car.plate, car.colour, held[at : at + BATCH], **self._head())
        self.sent += 1 + len(held)
        return out + encoder.real_location(car.plate, car.colour, place, **self._head())

    def _introduce(self, car: Car) -> bytes:
        """Say who drives, and what a truck carries."""
        card = identity.certificate(5000 + car.row)
        self.sent += 1 + (car.kind == Kind.HAZMAT)
        name = f"驾驶员{car.row % 100:02d}"
        out = encoder.driver(car.plate, car.colour, name, card, f"1405{car.row:08d}", "晋城市交通运输局", **self._head())
        if car.kind == Kind.HAZMAT:
            goods = GOODS[car.number % len(GOODS)]
            out += encoder.waybill(car.plate, car.colour, f"运单号 JC{car.number:06d}；{goods}；罐式运输", **self._head())
        return out

    def _place(self, car: Car) -> dict[str, Any]:
        s, i = self._world.snapshot, car.row
        return encoder.location_fields(
            ts=s.ts,
            lat=float(s.lat[i]),
            lon=float(s.lon[i]),
            edition="2011",
            alarm=int(s.alarm[i]),
            status=STATUS if s.engine[i] else STATUS & ~1,
            speed=float(s.speed[i]),
            direction=float(s.heading[i]),
            mileage=float(s.odometer[i]),
        )

    def _head(self) -> dict[str, Any]:
        self._sn = (self._sn + 1) & 0xFFFFFFFF
        return {"sn": self._sn, "center": CENTER, "edition": "2011"}


def _cars(world: World) -> tuple[Car, ...]:
    counts = world.size.vehicles
    return tuple(
        Car(int(world.base[kind]) + number - 1, kind, number, identity.plate(kind, number))
        for kind in (Kind.COACH, Kind.HAZMAT)
        for number in range(1, counts[kind] + 1)
        if identity.on_platform(kind, number, counts[kind])
    )
