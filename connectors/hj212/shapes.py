"""The usual frame read at the speed of C: a device sends the same names every minute, and only their values change."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from itertools import chain
from math import inf
from operator import itemgetter
from typing import Any, Final, NamedTuple

import msgspec

from connectors.hj212 import factors, segment
from connectors.hj212.segment import Item
from schemas.kinds.environment import EnvFactor
from schemas.reading import Reading

PLAIN: Final = bytes(set(range(0x21, 0x7F)) - set(b'"\\'))
"""Characters that need no stripping, and that stand for themselves in JSON."""
LONGEST: Final = 2048
"""Longest frame that is read this way, twice what the standard allows: it bounds what the plans hold."""
PLANS: Final = 1024
"""Most plans kept, for all sessions together."""
QN: Final = slice(3, 20)
"""Where a header that begins with ``QN=`` and ends it with a semicolon has its yyyyMMddHHmmssfff."""

_ITEMS: Final = msgspec.json.Decoder(list[Item])
_NUMBERS: Final = msgspec.json.Decoder(list[float])


def cut(frame: bytes) -> tuple[str, str, list[Item]] | None:
    """Give QN, the header behind it, and the items of ``CP``, as ``segment.parse`` would; ``None`` for an unusual frame."""
    if len(frame) > LONGEST or frame.translate(None, PLAIN) or frame[2:6] != b"%04d" % (len(frame) - 10):
        return None
    header, _, cp = frame[6:-4].decode().partition(segment.OPEN)
    if header[:3] != "QN=" or header[20:21] != ";" or not cp.endswith(segment.CLOSE):
        return None
    pairs = cp[:-2].replace("=", '":"').replace(",", '","').replace(";", '"},{"')
    try:
        return header[QN], header[21:], _ITEMS.decode(f'[{{"{pairs}"}}]')
    except msgspec.DecodeError:
        return None


class Quantity(NamedTuple):
    """A factor of a dust station: which number it is, times what, and the range it must lie in unless it is zero."""

    factor: str
    at: int
    scale: float
    low: float
    high: float


class Row(NamedTuple):
    """A factor that is a row of its own: what always holds, and which numbers are its value, low, high and total."""

    fixed: dict[str, Any]
    at: list[tuple[str, int]]


class Plan(NamedTuple):
    """What becomes of the values that stand under certain names."""

    pick: itemgetter[Any]
    """Takes the time and the numbers from all values."""
    flags: int
    station: list[Quantity]
    flag: str | None
    """That of the station."""
    rows: list[Row]

    def readings(self, items: list[Item], base: Mapping[str, Any], place: Mapping[str, float], serial: int) -> list[Reading] | None:
        """Give the readings ``factors.readings`` would, counted on from ``serial``; ``None`` unless all is plain.

        Plain are a valid time, decimal numbers without exponent in their plausible range, and flags N.
        """
        values = tuple(chain.from_iterable(map(dict.values, items)))
        stamp, *texts = self.pick(values)
        ts, joined = segment.time_of(stamp), ",".join(texts)
        if ts is None or values.count("N") != self.flags or "e" in joined.lower():
            return None
        try:
            numbers = _NUMBERS.decode(f"[{joined}]")
        except msgspec.DecodeError:
            return None
        found: list[Reading] = []
        if self.station:
            told: dict[str, float] = {}
            for factor, at, scale, low, high in self.station:
                value = told[factor] = (numbers[at] or 0.0) * scale
                if value and not low <= value <= high:
                    return None
            found.append(factors.kinds().reading("dust_station", told, flag=self.flag, ts=ts, serial=serial, **base, **place))
        for n, row in enumerate(self.rows, serial + len(found)):
            found.append(EnvFactor(**row.fixed, **{part: numbers[at] for part, at in row.at}, ts=ts, serial=n, **base))
        return found


@lru_cache(maxsize=PLANS)
def plan(system: str, units: tuple[tuple[str, str], ...], names: tuple[tuple[str, ...], ...]) -> Plan | None:
    """Give the plan for the names of each item, under a system type and a device's units.

    ``None`` unless the names are one DataTime and factors with at least one value.
    """
    flat = [name for item in names for name in item]
    parts = [factors.part_of(name)[1] for name in flat]
    stamps = [n for n, name in enumerate(flat) if name.lower() == "datatime"]
    numbers = [n for n, part in enumerate(parts) if part not in ("", "flag")]
    flags = parts.count("flag")
    if len(stamps) != 1 or not numbers or 1 + len(numbers) + flags != len(flat):
        return None
    # Each number is told its own place, so that the path all frames can take says where it goes.
    places = {n: str(at) for at, n in enumerate(numbers)}
    told = iter(places.get(n, "N") for n in range(len(flat)))
    found, _ = factors.sent([{name: next(told) for name in item} for item in names])
    best, others = factors.chosen(found, system)
    flag = "N" if any(one.flag for one in best.values()) else None
    unit = dict(units)
    station = [_quantity(name, int(one.value or 0), unit.get(name)) for name, one in best.items()]
    return Plan(itemgetter(*stamps, *numbers), flags, station, flag, [_row(one, system) for one in others])


def _quantity(name: str, at: int, unit: str | None) -> Quantity:
    factor = factors.factors()[name]
    return Quantity(name, at, factor.units[unit or factor.unit], *(factor.plausible or (-inf, inf)))


def _row(one: factors.Sent, system: str) -> Row:
    fixed = {"factor": one.code[:32], "system": system[:8] or None, "flag": one.flag}
    parts = {"value": one.value, "low": one.low, "high": one.high, "total": one.total}
    return Row(fixed, [(part, int(at)) for part, at in parts.items() if at is not None])
