"""From factor values as sent to readings: units, plausibility, dust station or single factors."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final

import msgspec

from connectors._api import mapping
from connectors.hj212.segment import Item, number
from schemas.errors import Fatal, Reject
from schemas.kinds.environment import EnvFactor
from schemas.reading import Reading

HERE: Final = Path(__file__).resolve().parent
AIR: Final = frozenset({"22", "39"})
"""System types of ambient air and of construction dust (HJ 212-2017 table 5)."""
PARTICLES: Final = frozenset({"a34002", "a34004", "a34001"})
"""Factors that make a station of any system type a dust station."""
PARTS: Final = {"rtd": "value", "avg": "value", "data": "value", "min": "low", "max": "high", "cou": "total", "flag": "flag"}
"""What a factor's field is by its suffix, whose case differs between devices; rtd, avg and data (noise) are its one value."""
LEVELS: Final = ("daydata", "nightdata")
"""Suffixes of noise levels that stand beside the factor's own value."""


class Factor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A factor of a dust or air station, as ``factors.toml`` declares it."""

    unit: str
    units: dict[str, float]
    plausible: tuple[float, float] | None = None
    same: list[str] = []
    older: list[str] = []


class Sent(msgspec.Struct):
    """What one item says of one factor, in the device's unit."""

    code: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    total: float | None = None
    flag: str | None = None

    def has_value(self) -> bool:
        """Tell whether it is more than a flag."""
        return self.value is not None or self.low is not None or self.high is not None or self.total is not None


@cache
def factors() -> Mapping[str, Factor]:
    """Give the declared factors by code."""
    return msgspec.toml.decode((HERE / "factors.toml").read_bytes(), type=dict[str, Factor])


@cache
def _codes(*, older: bool) -> Mapping[str, tuple[str, int]]:
    """Give, by code in lower case, the factor it stands for and how far it stands back behind better codes."""
    found = {}
    for code, factor in factors().items():
        for rank, name in enumerate([code, *factor.same, *(factor.older if older else [])]):
            found[name.lower()] = (code, rank)
    return found


def check_units(units: Mapping[str, Any], where: str) -> dict[str, str]:
    """Give configured units by factor; an unknown factor or unit raises ``Fatal`` naming those that exist."""
    known = _codes(older=True)
    checked: dict[str, str] = {}
    for code, unit in units.items():
        if code.lower() not in known:
            msg = f"{where}: no unit is needed for factor {code!r}; known: {', '.join(factors())}"
            raise Fatal(msg)
        name = known[code.lower()][0]
        if unit not in factors()[name].units:
            msg = f"{where}: factor {code!r} has no unit {unit!r}; known: {', '.join(factors()[name].units)}"
            raise Fatal(msg)
        checked[name] = unit
    return checked


def sent(items: list[Item]) -> tuple[list[Sent], list[Reject]]:
    """Give every factor of every item, and a reject for each value that cannot be read."""
    found: list[Sent] = []
    rejects: list[Reject] = []
    for item in items:
        here: dict[str, Sent] = {}
        for key, text in item.items():
            code, part = part_of(key)
            if not part:
                continue
            one = here.get(code)
            if one is None:
                one = here[code] = Sent(code)
            try:
                setattr(one, part, (text[:8] or None) if part == "flag" else number(text))
            except Reject as error:
                rejects.append(Reject(error.reason, f"{key[:40]}: {error.detail}"))
        found += [one for one in here.values() if one.has_value()]
    return found, rejects


@lru_cache(maxsize=4096)
def part_of(key: str) -> tuple[str, str]:
    """Give the factor's code and the part of it that a field is; no part where it is none."""
    code, _, suffix = key.rpartition("-")
    what = suffix.lower()
    if not code:
        return key, ""
    return (key, "value") if what in LEVELS else (code, PARTS.get(what, ""))


def readings(
    found: list[Sent], system: str, units: Mapping[str, str], base: Mapping[str, Any], place: Mapping[str, float]
) -> tuple[list[Reading], list[Reject]]:
    """Give one dust station of the factors that belong to it, and a row for every other factor.

    ``base`` holds source, times, serial and period; ``units`` the device's units by factor; ``place`` its
    lon and lat. A value out of its factor's plausible range is refused, for then the unit is wrong.
    """
    best, others = chosen(found, system)
    station, rejects = _station(best, units, {**base, **place})
    return [*station, *(_row(one, system, base) for one in others)], rejects


def chosen(found: list[Sent], system: str) -> tuple[dict[str, Sent], list[Sent]]:
    """Give what a dust station is made of, by factor, and all that becomes rows of their own."""
    if system not in AIR and PARTICLES.isdisjoint(one.code.lower() for one in found):
        return {}, found
    codes = _codes(older=system in AIR)
    best: dict[str, tuple[int, Sent]] = {}
    others: list[Sent] = []
    for one in found:
        name, rank = codes.get(one.code.lower(), ("", 0))
        if not name or one.value is None:
            others.append(one)
        elif name not in best or rank < best[name][0]:
            best[name] = (rank, one)
    return {name: one for name, (_, one) in best.items()}, others


def _row(one: Sent, system: str, base: Mapping[str, Any]) -> EnvFactor:
    return EnvFactor(
        factor=one.code[:32],
        system=system[:8] or None,
        value=one.value,
        low=one.low,
        high=one.high,
        total=one.total,
        flag=one.flag,
        **base,
    )


def _station(chosen: Mapping[str, Sent], units: Mapping[str, str], base: Mapping[str, Any]) -> tuple[list[Reading], list[Reject]]:
    values: dict[str, Any] = {}
    rejects: list[Reject] = []
    for name, one in chosen.items():
        try:
            values[name] = _converted(name, one, units.get(name, factors()[name].unit))
        except Reject as error:
            rejects.append(error)
    if not values:
        return [], rejects
    flags = [one.flag for name, one in chosen.items() if name in values and one.flag]
    flag = next((flag for flag in flags if flag != "N"), "N" if flags else None)
    return [kinds().reading("dust_station", values, flag=flag, **base)], rejects


@cache
def kinds() -> mapping.Mapping:
    """Give the mapping of factors to the fields of a dust station."""
    return mapping.read(HERE / "mapping.toml")


def _converted(name: str, one: Sent, unit: str) -> float:
    factor = factors()[name]
    value = (one.value or 0.0) * factor.units[unit]
    if factor.plausible and value != 0 and not factor.plausible[0] <= value <= factor.plausible[1]:
        raise Reject(
            "out_of_bounds", f"{one.code} = {one.value:g} is implausible in {unit}; set the device's units, or repair its sensor"
        )
    return value
