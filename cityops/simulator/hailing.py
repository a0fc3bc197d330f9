"""Ride-hailing: the companies' reports of cars and orders, as they post them to the regulator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from cityops.simulator import identity
from cityops.simulator.carriers import Message
from cityops.simulator.conditions import drawn
from cityops.simulator.roads import M_PER_DEGREE
from cityops.simulator.world import World
from connectors.ridehailing import encoder

REPORT_US = 15_000_000
REGION = "140502"
FARE_START, FARE_PER_KM = 900, 190
"""Fen."""
LOGIN_AFTER_US = 8_000_000
DRIVERS = 9000
"""Certificates of ride-hailing drivers begin here."""


@dataclass(slots=True)
class Order:
    """An order under way."""

    number: str
    started_at: int
    odometer: float


class Companies:
    """All companies of the city: cars are grouped by the one they drive for."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._count = len(world.sources["ride_hailing_position"])
        self._was = world.cars.occupied.copy()
        self._orders: dict[int, Order] = {}
        self._next_report = world.started_at + 3_000_000
        self._login_at: int | None = world.started_at + LOGIN_AFTER_US
        self._seen = self._numbers = 0

    def due(self, now: int) -> list[Message]:
        """Give the posts of the moment: shifts begun, orders that moved on, positions in their rhythm."""
        s = self._world.cars
        if s.ts == self._seen:
            return []
        self._seen = s.ts
        found: list[Message] = []
        if self._login_at is not None and now >= self._login_at:
            self._login_at = None
            found += self._posts("operateLogin", list(range(self._count)), self._login)
        began = np.flatnonzero(s.occupied & ~self._was)
        ended = [n for n in np.flatnonzero(self._was & ~s.occupied) if n in self._orders]
        self._was = s.occupied.copy()
        for n in began:
            self._orders[int(n)] = self._order(int(n))
        for kind in ("orderCreate", "orderMatch", "operateDepart"):
            found += self._posts(kind, [int(n) for n in began], lambda n, kind=kind: self._step(kind, n))
        for kind in ("operateArrive", "operatePay"):
            found += self._posts(kind, [int(n) for n in ended], lambda n, kind=kind: self._step(kind, n))
        for n in ended:
            del self._orders[int(n)]
        if now >= self._next_report:
            self._next_report += REPORT_US * ((now - self._next_report) // REPORT_US + 1)
            found += self._posts("positionVehicle", list(range(self._count)), self._position)
        return found

    def _posts(self, kind: str, cars: list[int], record: Any) -> list[Message]:
        """Give one post per company."""
        groups: dict[str, list[dict[str, Any]]] = {}
        for n in cars:
            groups.setdefault(identity.company(n + 1), []).append(record(n))
        return [Message(f"/{kind}", encoder.body(records), len(records)) for records in groups.values()]

    def _order(self, n: int) -> Order:
        self._numbers += 1
        return Order(f"JC{self._seen // 1_000_000}{self._numbers:05d}", self._seen, float(self._world.cars.odometer[n]))

    def _who(self, n: int) -> dict[str, Any]:
        """Give the car's name; one without a licence uses a plate that no register has."""
        plate = identity.hailing(n + 1)
        if self._world.on("ride_hailing_position", n, "unlicensed") is not None:
            plate = plate.replace("晋E·D", "晋E·X")
        return {"source": plate, "plate": plate, "company": identity.company(n + 1), "ts": self._seen}

    def _place(self, n: int) -> dict[str, float]:
        s = self._world.cars
        away = (self._world.on("ride_hailing_position", n, "fake") or 0.0) / M_PER_DEGREE
        return {"lon": float(s.lon[n]) + away, "lat": float(s.lat[n])}

    def _position(self, n: int) -> dict[str, Any]:
        s, order = self._world.cars, self._orders.get(n)
        state = "carrying" if s.occupied[n] else "empty" if s.engine[n] else "stopped"
        motion = {"speed": float(s.speed[n]), "heading": round(float(s.heading[n])), "mileage": float(s.odometer[n])}
        told = {"order": order.number} if order else {}
        return encoder.position({**self._who(n), **self._place(n), **motion, **told, "business": state}, region=REGION)

    def _login(self, n: int) -> dict[str, Any]:
        return encoder.step("operateLogin", {**self._who(n), **self._place(n)}, licence=self._licence(n))

    def _step(self, kind: str, n: int) -> dict[str, Any]:
        order = self._orders[n]
        values: dict[str, Any] = {**self._who(n), "order": order.number, **self._place(n)}
        if kind == "operatePay":
            driven = float(self._world.cars.odometer[n]) - order.odometer
            fare = FARE_START + round(max(driven / 1000.0 - 3.0, 0.0) * FARE_PER_KM)
            values |= {"distance": driven, "duration": (self._seen - order.started_at) // 1_000_000, "fare": fare}
            values |= {"empty_distance": 400.0 + 300.0 * drawn(n, self._numbers)}
        return encoder.step(kind, values, licence=self._licence(n))

    def _licence(self, n: int) -> str:
        return identity.certificate(DRIVERS + n)
