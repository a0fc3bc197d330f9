"""Who the simulated devices are: phones, plates and station numbers, and the settings connectors need to know them."""

from __future__ import annotations

from typing import Any

from cityops.simulator.dust import Site
from cityops.simulator.tempo import Kind
from connectors.jt808.header import Version

PREFIXES = {Kind.BUS: "13910", Kind.TAXI: "13920", Kind.COACH: "13930", Kind.HAZMAT: "13940"}
READING_KINDS = {
    Kind.BUS: "bus_position",
    Kind.TAXI: "taxi_position",
    Kind.COACH: "coach_position",
    Kind.HAZMAT: "hazmat_position",
}
LETTERS = {Kind.BUS: "A", Kind.TAXI: "T", Kind.COACH: "K", Kind.HAZMAT: "W"}
COLOURS = {Kind.BUS: 2, Kind.TAXI: 1, Kind.COACH: 2, Kind.HAZMAT: 2}
"""Plate colours of JT/T 415-2006 5.4.12: 1 blue, 2 yellow."""
COMPANIES = ("LTCX", "JCYC", "TXDC")
"""Ride-hailing companies; car ``n`` drives for the ``n``-th in turn."""
OPERATOR = 14
"""Number of the bus company in HFP."""


def phone(kind: Kind, number: int) -> str:
    """Give the eleven digits of a terminal's phone; numbers count from 1 within a group."""
    return f"{PREFIXES[kind]}{number:06d}"


def plate(kind: Kind, number: int) -> str:
    """Give the number plate of a vehicle, of Jincheng."""
    return f"晋E·{LETTERS[kind]}{number:04d}"


def hailing(number: int) -> str:
    """Give the number plate of a ride-hailing car, which is its name too."""
    return f"晋E·D{number:04d}"


def company(number: int) -> str:
    """Give the company a ride-hailing car drives for."""
    return COMPANIES[number % len(COMPANIES)]


def vin(number: int) -> str:
    """Give the vehicle identification number of an electric bus."""
    return f"LJCEB14050{number:07d}"


def on_platform(kind: Kind, number: int, total: int) -> bool:
    """Tell whether a vehicle reports through its operator's platform: a third of coaches and hazardous freight."""
    return kind in (Kind.COACH, Kind.HAZMAT) and number > total - total // 3


def source(kind: Kind, number: int, total: int, *, platform: bool) -> str:
    """Give the name a vehicle's readings bear: its terminal's, or plate and colour where ``platform`` carries some."""
    if platform and on_platform(kind, number, total):
        return f"{plate(kind, number)}_{COLOURS[kind]}"
    return phone(kind, number)


def certificate(key: int) -> str:
    """Give the eighteen digits of a driver's certificate."""
    return f"140502{1970 + key % 30}{key % 12 + 1:02d}{key % 28 + 1:02d}{key % 10000:04d}"


def edition(kind: Kind, number: int) -> Version:
    """Give the edition of JT/T 808 a terminal speaks: one in ten 2011, the rest half 2013, half 2019."""
    if number % 10 == 3:
        return "2011"
    return "2019" if (number + kind) % 2 else "2013"


def mn(county: int, number: int) -> str:
    """Give the 24 digits of a dust station's MN; numbers count from 1."""
    return f"{county}39{number:016d}"


def ev_vehicles(count: int) -> dict[str, dict[str, str]]:
    """Give the setting ``vehicles`` of the gb32960 connector: the first buses are electric, and keep their name."""
    return {vin(n): {"source": phone(Kind.BUS, n), "kind": "", "plate": plate(Kind.BUS, n)} for n in range(1, count + 1)}


def river_mn(number: int) -> str:
    """Give the 24 digits of a river station's MN."""
    return f"14050021{number:016d}"


def jt809_vehicles() -> list[dict[str, str]]:
    """Give the setting ``vehicles`` of the jt809 connector."""
    return [{"prefix": f"晋E·{LETTERS[kind]}", "kind": READING_KINDS[kind]} for kind in (Kind.COACH, Kind.HAZMAT)]


def jt808_groups() -> list[dict[str, str]]:
    """Give the setting ``groups`` of the jt808 connector: which phones are which kind of vehicle."""
    return [{"prefix": prefix, "kind": READING_KINDS[kind]} for kind, prefix in PREFIXES.items()]


def hj212_devices(sites: tuple[Site, ...]) -> dict[str, dict[str, Any]]:
    """Give the setting ``devices`` of the hj212 connector: where each station stands, by MN."""
    return {mn(site.county, number): {"lon": site.lon, "lat": site.lat} for number, site in enumerate(sites, 1)}
