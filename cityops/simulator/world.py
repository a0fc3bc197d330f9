"""The simulated city as a whole: moves vehicles, air and bikes in step, and lets the planned faults happen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cityops.simulator import bikes, dust, faults, identity, tempo
from cityops.simulator.faults import Fault
from cityops.simulator.fleet import Fleet
from cityops.simulator.places import SEATS
from cityops.simulator.roads import Floats, build, metres
from cityops.simulator.tempo import Kind
from connectors.jt808 import encoder

ENGINE, FIXED, OUT_OF_SERVICE, LADEN, GPS, BEIDOU = 1 << 0, 1 << 1, 1 << 4, 0b11 << 8, 1 << 18, 1 << 19
"""Status bits of JT/T 808 table 17."""
MILEAGE, FUEL, SIGNAL, SATELLITES = 0x01, 0x02, 0x30, 0x31
"""Items of JT/T 808 table 20."""


@dataclass(frozen=True, slots=True)
class Size:
    """How many devices of each sort the city has."""

    buses: int = 300
    taxis: int = 500
    coaches: int = 60
    hazmat: int = 80
    dust: int = 40
    bike_stations: int = 120

    @property
    def vehicles(self) -> tuple[int, int, int, int]:
        """Vehicles in the order of ``Kind``."""
        return self.buses, self.taxis, self.coaches, self.hazmat


class World:
    """The city from ``started_at`` (microseconds UTC) on; the same seed and step times give the same city."""

    def __init__(self, size: Size, seed: int, started_at: int, cycles: int) -> None:
        self.started_at = started_at
        self.roads = build(seed)
        self.fleet = Fleet(self.roads, size.vehicles, seed, started_at)
        self.sites = dust.sites(self.roads, size.dust, seed)
        self.dust = dust.Dust(size.dust, seed, started_at)
        self.bike_stations = bikes.stations(self.roads, size.bike_stations, seed)
        self.bikes = bikes.Bikes(np.array([s.capacity for s in self.bike_stations], dtype=np.int32), seed, started_at)
        self.sources = {
            identity.READING_KINDS[k]: tuple(identity.phone(k, n + 1) for n in range(size.vehicles[k])) for k in Kind
        } | {
            "dust_station": tuple(identity.mn(site.county, n) for n, site in enumerate(self.sites, 1)),
            "bike_station": tuple(s.id for s in self.bike_stations),
        }
        """The names of all sources by kind of reading."""
        self.faults = faults.plan(self.sources, tempo.hour_of_day(started_at), cycles)
        self.base = np.concatenate(([0], np.cumsum(size.vehicles)))[:4]
        """Index of the first vehicle of each kind."""
        self.active: tuple[Fault, ...] = ()
        self._prepare()
        self._impose(0.0)
        self.snapshot = self.fleet.snapshot()

    def _prepare(self) -> None:
        fast = [f for f in self.faults if f.effect == "speed" and f.start_s < 60.0]
        rural = [f for f in fast if f.kind in ("coach_position", "hazmat_position")]
        for place, fault in enumerate(rural):
            self.fleet.prefer_long_trip(self.vehicle(fault), place)

    def vehicle(self, fault: Fault) -> int:
        """Give the index in the fleet of the vehicle a fault befalls."""
        kind = next(k for k, name in identity.READING_KINDS.items() if name == fault.kind)
        return int(self.base[kind]) + fault.subject

    def step(self, now: int) -> None:
        """Advance everything to a time in microseconds UTC."""
        self._impose((now - self.started_at) / 1e6)
        self.fleet.step(now)
        self.dust.step(now)
        self.bikes.step(now)
        self.snapshot = self.fleet.snapshot()

    def _impose(self, elapsed: float) -> None:
        active = tuple(f for f in self.faults if f.active(elapsed))
        if active == self.active and active:
            return
        self.active = active
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
            case "speed":
                self.fleet.forced[self.vehicle(fault)] = fault.value * tempo.KMH
            case "alarm":
                self.fleet.alarm[self.vehicle(fault)] |= np.uint32(1 << int(fault.value))
            case "jump":
                self.fleet.shift[self.vehicle(fault)] = self._leap(self.vehicle(fault), fault.value)
            case "dust":
                self.dust.raise_pm10[fault.subject] = fault.value
            case "empty" | "full":
                self.bikes.forced[fault.subject] = fault.value
            case "silent" | "blind" | "night":
                pass  # the device's line carries it, or the speed fault beside it

    def _leap(self, who: int, length: float) -> Floats:
        """Give the shift, in degrees, that throws a vehicle so many metres towards the farthest county seat."""
        fleet = self.fleet
        lon, lat, _ = self.roads.locate(fleet.edge[who : who + 1], fleet.offset[who : who + 1])
        here = np.array([lon[0], lat[0]])
        seats = np.array([self.roads.nodes[self.roads.seat_nodes(s)].mean(axis=0) for s in range(SEATS)])
        away = metres(seats, here)
        return np.asarray((seats[np.argmax(away)] - here) * (length / away.max()))

    def fix(self, who: int) -> tuple[int, bytes]:
        """Give the time and JT/T 808 location body of a vehicle's newest fix."""
        s, kind = self.snapshot, self.fleet.kind[who]
        status = FIXED | GPS | BEIDOU | (ENGINE if s.engine[who] else OUT_OF_SERVICE)
        if kind == Kind.TAXI and s.occupied[who]:
            status |= LADEN
        odometer = float(s.odometer[who])
        items = {MILEAGE: encoder.mileage_item(odometer), SIGNAL: b"\x1f", SATELLITES: b"\x0c"}
        if kind in (Kind.COACH, Kind.HAZMAT):
            items[FUEL] = encoder.fuel_item(320.0 - odometer / 1000.0 * 0.3 % 250.0)
        body = encoder.location_body(
            ts=s.ts,
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

    def hour_means(self, station: int) -> tuple[int, float, float]:
        """Give the start of the last closed hour and a dust station's mean PM10 and PM2.5 in it."""
        start, means = self.dust.hour()
        return start, float(means[0, station]), float(means[1, station])
