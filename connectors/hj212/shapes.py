"""The usual frame read at the speed of C: a device sends the same names every minute, and only their values change."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from math import inf
from operator import itemgetter
from typing import Any, Final, NamedTuple

import msgspec

from connectors.hj212 import factors, segment
from connectors.hj212.segment import Item
from schemas.kinds.environment import DustStation, EnvFactor
from schemas.reading import Reading

LONGEST: Final = 2048
"""Longest frame that is read this way, twice what the standard allows: it bounds what the plans hold."""
PLANS: Final = 1024
"""Most plans kept, for all sessions together."""
OTHERS: Final = bytes(set(range(256)) - set(b"=,;"))
"""Every byte that joins no words."""

_NUMBERS: Final = msgspec.json.Decoder(list[float])


def cut(frame: bytes) -> tuple[str, str, bytes, list[str]] | None:
    """Give QN, the header behind it, what joins the words of ``CP``, and these words; ``None`` for an unusual frame.

    Usual is a frame of ASCII whose length counts its bytes and whose header begins with a QN of 17 digits.
    """
    if len(frame) > LONGEST or not frame.isascii() or frame[2:6] != b"%04d" % (len(frame) - 10):
        return None
    header, _, cp = frame[6:-4].partition(b"CP=&&")
    if header[:3] != b"QN=" or header[20:21] != b";" or cp[-2:] != b"&&":
        return None
    cp = cp[:-2]
    words = cp.decode().replace(",", "=").replace(";", "=").split("=")
    return header[3:20].decode(), header[21:].decode(), cp.translate(None, OTHERS), words


class Quantity(NamedTuple):
    """A field of a dust station: which number it is, times what, and the range it must lie in unless it is zero."""

    field: str
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
    """Takes the time and the numbers from all words."""
    flags: int
    station: list[Quantity]
    flag: str | None
    """That of the station."""
    rows: list[Row]

    def readings(
        self, words: list[str], base: Mapping[str, Any], place: Mapping[str, float], serial: int
    ) -> list[Reading] | None:
        """Give the readings ``factors.readings`` would, counted on from ``serial``; ``None`` unless all is plain.

        Plain are a valid time, decimal numbers without exponent in their plausible range, and flags N.
        """
        stamp, *texts = self.pick(words)
        ts, joined = segment.time_of(stamp), ",".join(texts)
        if ts is None or words.count("N") != self.flags or "e" in joined or "E" in joined:
            return None
        try:
            numbers = _NUMBERS.decode(f"[{joined}]")
        except msgspec.DecodeError:
            return None
        if len(numbers) != len(texts):
            return None
        found: list[Reading] = []
        fields: dict[str, Any]
        if self.station:
            fields = {**base, **place, "ts": ts, "serial": serial, "flag": self.flag}
            for field, at, scale, low, high in self.station:
                value = fields[field] = (numbers[at] or 0.0) * scale
                if value and not low <= value <= high:
                    return None
            found.append(DustStation(**fields))
        for n, row in enumerate(self.rows, serial + len(found)):
            fields = {**base, **row.fixed, "ts": ts, "serial": n}
            for part, at in row.at:
                fields[part] = numbers[at]
            found.append(EnvFactor(**fields))
        return found


@lru_cache(maxsize=PLANS)
def plan(system: str, units: tuple[tuple[str, str], ...], joints: bytes, names: tuple[str, ...]) -> Plan | None:
    """Give the plan for names joined so, under a system type and a device's units.

    ``None`` unless the names are one DataTime and factors with at least one value, none twice in an item.
    """
    parts = [factors.part_of(name)[1] for name in names]
    stamps = [n for n, name in enumerate(names) if name.lower() == "datatime"]
    numbers = [n for n, part in enumerate(parts) if part not in ("", "flag")]
    flags = parts.count("flag")
    if len(stamps) != 1 or not numbers or 1 + len(numbers) + flags != len(names) or any(name != name.strip() for name in names):
        return None
    # Each number is told its own place, so that the path all frames can take says where it goes.
    places = {n: str(at) for at, n in enumerate(numbers)}
    items = _items(joints, [(name, places.get(n, "N")) for n, name in enumerate(names)])
    if items is None:
        return None
    best, others = factors.chosen(factors.sent(items)[0], system)
    fields = factors.kinds().plain("dust_station")
    if not fields.keys() >= best.keys():
        return None
    unit = dict(units)
    station = [_quantity(name, fields[name], int(one.value or 0), unit.get(name)) for name, one in best.items()]
    flag = "N" if any(one.flag for one in best.values()) else None
    pick = itemgetter(*(2 * n + 1 for n in (*stamps, *numbers)))
    return Plan(pick, flags, station, flag, [_row(one, system) for one in others])


def _items(joints: bytes, pairs: list[tuple[str, str]]) -> list[Item] | None:
    """Give the pairs item by item; ``None`` if they are not joined as pairs, or a name stands twice in an item."""
    if joints[::2] != b"=" * len(pairs) or b"=" in joints[1::2]:
        return None
    items: list[Item] = [{}]
    for (name, value), joint in zip(pairs, b"," + joints[1::2], strict=True):
        if joint == ord(";"):
            items.append({})
        if name in items[-1]:
            return None
        items[-1][name] = value
    return items


def _quantity(name: str, field: str, at: int, unit: str | None) -> Quantity:
    factor = factors.factors()[name]
    return Quantity(field, at, factor.units[unit or factor.unit], *(factor.plausible or (-inf, inf)))


def _row(one: factors.Sent, system: str) -> Row:
    fixed = {"factor": one.code[:32], "system": system[:8] or None, "flag": one.flag}
    parts = {"value": one.value, "low": one.low, "high": one.high, "total": one.total}
    return Row(fixed, [(part, int(at)) for part, at in parts.items() if at is not None])
