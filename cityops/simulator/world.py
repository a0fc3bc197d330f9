"""The simulated city as a whole: moves vehicles, air and bikes in step, and lets the planned faults happen."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from cityops.simulator import bikes, dust, faults, identity, tempo
from cityops.simulator.conditions import conditions, wobble
from cityops.simulator.estate import Counts, Estate, estate
from cityops.simulator.faults import Effect, Fault
from cityops.simulator.fleet import Fleet
from cityops.simulator.places import SEATS
from cityops.simulator.roads import Floats, build, metres
from cityops.simulator.tempo import Kind
from connectors.jt808 import encoder

ENGINE, FIXED, OUT_OF_SERVICE, LADEN, GPS, BEIDOU = 1 << 0, 1 << 1, 1 << 4, 0b11 << 8, 1 << 18, 1 << 19
"""Status bits of JT/T 808 table 17."""
MILEAGE, FUEL, SIGNAL, SATELLITES = 0x01, 0x02, 0x30, 0x31
"""Items of JT/T 808 table 20."""
KINDS = {name: kind for kind, name in identity.READING_KINDS.items()}
FEEDS = ("traffic",)
"""Feeds that may fail as a whole."""


@dataclass(frozen=True, slots=True)
class Size:
    """How many devices of each sort the city has."""

    buses: int = 300
    taxis: int = 400
    coaches: int = 60
    hazmat: int = 80
    dust: int = 40
    bike_stations: int = 120
    bikes: int = 200
    hailing: int = 120
    evs: int = 60
    """Electric ones among the buses."""
    rivers: int = 6
    fixed: Counts = field(default_factory=Counts)

    @property
    def vehicles(self) -> tuple[int, int, int, int]:
        """Vehicles in the order of ``Kind``."""
        return self.buses, self.taxis, self.coaches, self.hazmat


class World:
    """The city from ``started_at`` (microseconds UTC) on; the same seed and step times give the same city.

    With ``platform`` some coaches and hazardous freight report through their operator's platform.
    """

    def __init__(self, size: Size, seed: int, started_at: int, cycles: int, *, platform: bool = False) -> None:
        self.size, self.seed, self.started_at, self.now = size, seed, started_at, started_at
        self.roads = build(seed)
        self.estate = estate(size.fixed, seed)
        self.conditions = conditions(seed, started_at)
        self.fleet = Fleet(self.roads, size.vehicles, seed, started_at)
        self.hailing = Fleet(self.roads, (0, size.hailing, 0, 0), seed + 1, started_at)
        """Ride-hailing cars: they drive as taxis do."""
        self.sites = dust.sites(self.roads, size.dust, seed)
        self.dust = dust.Dust(size.dust, seed, started_at)
        self.bike_stations = bikes.stations(self.roads, size.bike_stations, seed)
        self.bikes = bikes.Bikes(np.array([s.capacity for s in self.bike_stations], dtype=np.int32), seed, started_at)
        self.sources = _sources(size, self.estate, platform=platform) | {
            "dust_station": tuple(identity.mn(site.county, n) for n, site in enumerate(self.sites, 1)),
            "bike_station": tuple(s.id for s in self.bike_stations),
        }
        """The names of all sources by kind of reading."""
        places = {kind: [(s.lon, s.lat) for s in sites] for kind, sites in self.estate.sites.items()}
        self.faults = faults.plan(self.sources, tempo.hour_of_day(started_at), cycles, places)
        self.base = np.concatenate(([0], np.cumsum(size.vehicles)))[:4]
        """Index of the first vehicle of each kind."""
        self.active: tuple[Fault, ...] = ()
        self._on: dict[tuple[str, int, str], Fault] = {}
        self._frozen: dict[int, dict[str, float]] = {}
        self._prepare()
        self._impose(0.0)
        self.snapshot = self.fleet.snapshot()
        self.cars = self.hailing.snapshot()

    def _prepare(self) -> None:
        fast = [f for f in self.faults if f.effect == "speed" and f.start_s < 60.0]
        rural = [f for f in fast if f.kind in ("coach_position", "hazmat_position")]
        for place, fault in enumerate(rural):
            self.fleet.prefer_long_trip(self.vehicle(fault), place)
        for fault in self.faults:
            if fault.effect == "trespass":
                self.fleet.trespass(self.vehicle(fault))

    def vehicle(self, fault: Fault) -> int:
        """Give the index in the fleet of the vehicle a fault befalls."""
        return int(self.base[KINDS[fault.kind]]) + fault.subject

    def step(self, now: int) -> None:
        """Advance everything to a time in microseconds UTC."""
        self.now, self.conditions = now, conditions(self.seed, now)
        self._impose((now - self.started_at) / 1e6)
        for fleet in (self.fleet, self.hailing):
            fleet.slow = self.conditions.pace / tempo.pace(self.conditions.hour)
            fleet.step(now)
        self.dust.step(now)
        self.bikes.step(now)
        self.snapshot = self.fleet.snapshot()
        self.cars = self.hailing.snapshot()

    def on(self, kind: str, subject: int, effect: Effect) -> float | None:
        """Give the value of a fault that befalls source number ``subject`` (from 0) of a kind now; None without one."""
        fault = self._on.get((kind, subject, effect))
        return None if fault is None else fault.value

    def since(self, kind: str, subject: int, effect: Effect) -> int | None:
        """Give when such a fault began, in microseconds UTC."""
        fault = self._on.get((kind, subject, effect))
        return None if fault is None else self.started_at + int(fault.start_s * 1e6)

    def link_speed(self, number: int) -> tuple[float, float]:
        """Give the speed of traffic on a link now and in free flow, m/s: what vehicles there drive by as well."""
        link = self.estate.links[number]
        free = (65.0 if link.trunk else 45.0) * tempo.KMH
        pace = (1.0 + self.conditions.pace) / 2.0 if link.trunk else self.conditions.pace
        share = pace * float(self.fleet.jam[link.edge]) * (1.0 + 0.05 * wobble(self.seed, 300 + number, self.now, 300.0))
        return free * min(max(share, 0.04), 1.05), free

    def _impose(self, elapsed: float) -> None:
        active = tuple(f for f in self.faults if f.active(elapsed))
        if active == self.active and active:
            return
        begun = set(active) - set(self.active)
        self.active = active
        self._on = {(f.kind, f.subject, f.effect): f for f in active}
        for fault in begun:
            if fault.effect == "detour":
                self.fleet.detour(self.vehicle(fault))
        self.fleet.jam[:] = self.hailing.jam[:] = 1.0
        self.fleet.forced[:] = np.nan
        self.fleet.alarm[:] = 0
        jumps = [self.vehicle(f) for f in active if f.effect == "jump"]
        kept = self.fleet.shift.copy()
        self.fleet.shift[:] = 0.0
        self.dust.raise_pm10[:] = 0.0
        self.bikes.forced[:] = np.nan
        for fault in active:
            self._impose_one(fault)
        for who in jumps:
            if kept[who].any():
                self.fleet.shift[who] = kept[who]

    def _impose_one(self, fault: Fault) -> None:
        match fault.effect:
            case "speed" | "crawl":
                self.fleet.forced[self.vehicle(fault)] = fault.value * tempo.KMH
            case "alarm":
                self.fleet.alarm[self.vehicle(fault)] |= np.uint32(1 << int(fault.value))
            case "jump":
                self.fleet.shift[self.vehicle(fault)] = self._leap(self.vehicle(fault), fault.value)
            case "dust":
                self.dust.raise_pm10[fault.subject] = fault.value
            case "empty" | "full":
                self.bikes.forced[fault.subject] = fault.value
            case "jam":
                edge = self.estate.links[fault.subject].edge
                for fleet in (self.fleet, self.hailing):
                    fleet.jam[[edge, edge ^ 1]] = fault.value
            case _:
                pass  # the device itself, or its line, carries it

    def _leap(self, who: int, length: float) -> Floats:
        """Give the shift, in degrees, that throws a vehicle so many metres towards the farthest county seat."""
        fleet = self.fleet
        lon, lat, _ = self.roads.locate(fleet.edge[who : who + 1], fleet.offset[who : who + 1])
        here = np.array([lon[0], lat[0]])
        seats = np.array([self.roads.nodes[self.roads.seat_nodes(s)].mean(axis=0) for s in range(SEATS)])
        away = metres(seats, here)
        return np.asarray((seats[np.argmax(away)] - here) * (length / away.max()))

    def fix(self, who: int) -> tuple[int, bytes]:
        """Give the time and JT/T 808 location body of a vehicle's newest fix; a wrong clock is wrong in the body only."""
        s, kind = self.snapshot, self.fleet.kind[who]
        status = FIXED | GPS | BEIDOU | (ENGINE if s.engine[who] else OUT_OF_SERVICE)
        if kind == Kind.TAXI and s.occupied[who]:
            status |= LADEN
        odometer = float(s.odometer[who])
        items = {MILEAGE: encoder.mileage_item(odometer), SIGNAL: b"\x1f", SATELLITES: b"\x0c"}
        if kind in (Kind.COACH, Kind.HAZMAT):
            items[FUEL] = encoder.fuel_item(320.0 - odometer / 1000.0 * 0.3 % 250.0)
        body = encoder.location_body(
            ts=s.ts + int(self.on(identity.READING_KINDS[Kind(kind)], who - int(self.base[kind]), "clock") or 0.0) * 1_000_000,
            lat=float(s.lat[who]),
            lon=float(s.lon[who]),
            alarm=int(s.alarm[who]),
            status=status,
            altitude=float(780.0 + 160.0 * np.sin(s.lon[who] * 9.0) * np.cos(s.lat[who] * 11.0)),
            speed=float(s.speed[who]),
            direction=float(s.heading[who]),
            items=items,
        )
        return s.ts, body

    def air(self, station: int) -> dict[str, float]:
        """Give a dust station's momentary values; a stuck monitor repeats what it measured first."""
        factors = self.dust.factors(station)
        if self.on("dust_station", station, "stuck") is None:
            return factors
        return self._frozen.setdefault(station, factors)

    def hour_means(self, station: int) -> tuple[int, float, float]:
        """Give the start of the last closed hour and a dust station's mean PM10 and PM2.5 in it."""
        start, means = self.dust.hour()
        return start, float(means[0, station]), float(means[1, station])


def _sources(size: Size, fixed: Estate, *, platform: bool) -> dict[str, tuple[str, ...]]:
    vehicles = {
        identity.READING_KINDS[k]: tuple(
            identity.source(k, n, size.vehicles[k], platform=platform) for n in range(1, size.vehicles[k] + 1)
        )
        for k in Kind
    }
    return {
        **vehicles,
        "ride_hailing_position": tuple(identity.hailing(n) for n in range(1, size.hailing + 1)),
        "env_factor": tuple(identity.river_mn(n) for n in range(1, size.rivers + 1)),
        "ev_battery": tuple(identity.phone(Kind.BUS, n) for n in range(1, min(size.evs, size.buses) + 1)),
        "bill_payment": ("payments",),
        "feed": FEEDS,
        **{kind: tuple(site.id for site in sites) for kind, sites in fixed.sites.items()},
    }
