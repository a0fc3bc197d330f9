"""Many locations at once: packets of equal length to arrays, for replays and dense trunks.

The arrays hold what ``Session.receive`` puts into readings one by one (a property test holds both to it);
answers, kinds and plates stay with the session.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from connectors._api import bcd
from connectors._api.episodes import AHEAD_US, Edge
from connectors.jt808 import header, location
from connectors.jt808.alarms import Alarms, bits
from connectors.jt808.terminals import source_of
from schemas.errors import Reject

LOCATION = 0x0200
SPEED, MILEAGE, FUEL = 0.027777777777777776, 100.0, 0.1
"""To m/s, m and L, as in ``mapping.toml``."""
MILEAGE_ITEM, FUEL_ITEM = (0x01, 4), (0x02, 2)
ACTIVE_FIRST, ACTIVE_LAST = 0x64, 0x67
"""Items of active-safety alarms."""
ALWAYS = 1 << 62
"""Later than any location, µs UTC."""
ITEMS_MAX = header.BODY_MAX // 2
BCD = np.array([(v >> 4) * 10 + (v & 15) if v >> 4 < 10 and v & 15 < 10 else -1 for v in range(256)], np.int64)
"""Value of a BCD byte; -1 where it is none."""

Array = NDArray[Any]


class Columns(NamedTuple):
    """Locations as arrays of equal length, in SI and degrees as sent; NaN where a location has no value."""

    row: Array
    """Place of the packet among those given."""
    source: list[str]
    serial: Array
    ts: Array
    """µs UTC."""
    lon: Array
    lat: Array
    speed: Array
    heading: Array
    altitude: Array
    mileage: Array
    fuel: Array
    alarm: Array
    status: Array
    edges: list[tuple[int, Edge]]
    """Alarms and states that changed, each with the place of its location in these arrays."""
    others: list[int]
    """Places of the packets that ``Session.receive`` must see: other messages, sub-packages, refusals, locations
    with active-safety items, and all of a source that has one of these, so that its packets keep their order."""


def receive_many(
    packets: Sequence[bytes], offset_us: int = bcd.BEIJING_US, alarms: Alarms | None = None, seen_at: int = ALWAYS
) -> Columns:
    """Decode the whole, unencrypted 0x0200 packets among unescaped packets of one length.

    Packets of another length than the first one's, or of another header form, are among ``others``. ``alarms`` are
    those standing before, and are brought up to date; without them each source's first location is its first report.
    Without ``seen_at`` no location is from the future.
    """
    size = len(packets[0]) if packets else 0
    even = [len(p) == size for p in packets]
    rows: Array = np.arange(len(packets)) if all(even) else np.flatnonzero(even)
    octets = np.frombuffer(b"".join(packets if len(rows) == len(packets) else [packets[i] for i in rows.tolist()]), np.uint8)
    newer = size > 3 and bool(packets[0][2] << 8 & header.VERSION_BIT)
    start = (header.FORM_2019 if newer else header.FORM_2013).size
    if size < start + location.BASE_BYTES:
        rows, octets, size = rows[:0], octets[:0], start + location.BASE_BYTES
    octets = octets.reshape(len(rows), size)
    plain = size - start | (header.VERSION_BIT if newer else 0)
    good = (_number(octets, 0, 2) == LOCATION) & (_number(octets, 2, 2) & ~0x8000 == plain)
    ts, timed = _instants(octets[:, start + 22 : start + 28], offset_us)
    items = _Items(octets, start + location.BASE_BYTES)
    good &= timed & ~items.active
    index, names = _sources(octets[:, 5:15] if newer else octets[:, 4:10])
    if not good.all() or len(rows) < len(packets):
        good &= ~_touched(packets, np.setdiff1d(np.arange(len(packets)), rows[good]), index, names)
    return _columns(rows, octets, start, good, ts, items, (index, names), len(packets), alarms or Alarms(), seen_at)


def _touched(packets: Sequence[bytes], others: Array, index: Array, names: list[str]) -> Array:
    """Tell which rows are of a source that has a packet among ``others``."""
    touched = set()
    for place in others.tolist():
        try:
            touched.add(source_of(header.parse(packets[place]).phone_bcd))
        except Reject:
            continue
    hit: Array = np.array([name in touched for name in names], bool)
    return hit[index]


def _columns(
    rows: Array,
    octets: Array,
    start: int,
    good: Array,
    ts: Array,
    items: _Items,
    sources: tuple[Array, list[str]],
    count: int,
    alarms: Alarms,
    seen_at: int,
) -> Columns:
    taken = rows[good]
    others = np.setdiff1d(np.arange(count), taken).tolist() if len(taken) < count else []
    octets, ts, index, names = octets[good], ts[good], sources[0][good], sources[1]
    alarm, status = _number(octets, start, 4), _number(octets, start + 4, 4)
    lon, lat = _degrees(octets, start, status)
    return Columns(
        row=taken,
        source=[names[i] for i in index.tolist()],
        serial=_number(octets, start - 2, 2),
        ts=ts,
        lon=lon,
        lat=lat,
        speed=_number(octets, start + 18, 2) * SPEED,
        heading=_number(octets, start + 20, 2).astype(np.float64),
        altitude=_number(octets, start + 16, 2).astype(np.float64),
        mileage=items.mileage[good] * MILEAGE,
        fuel=items.fuel[good] * FUEL,
        alarm=alarm,
        status=status,
        edges=_edges(alarms, index, names, ts, bits(alarm, status), seen_at),
        others=others,
    )


def _edges(alarms: Alarms, index: Array, names: list[str], ts: Array, now: Array, seen_at: int) -> list[tuple[int, Edge]]:
    """Give what changed, as ``alarms`` would tell row by row; rows that cannot change anything are not asked about.

    Of a source whose rows are in order of time, and which tells one thing at a time, these are all but its first, its
    last, and those that differ from the one before.
    """
    order = np.argsort(index, kind="stable")
    order = order[ts[order] <= seen_at + AHEAD_US]
    who, when, what = index[order], ts[order], now[order]
    first = np.ones(len(order), bool)
    first[1:] = who[1:] != who[:-1]
    asked = first.copy()
    asked[:-1] |= first[1:]
    asked[-1:] = True
    differs = what[1:] != what[:-1]
    asked[1:] |= differs
    back = ~first
    back[1:] &= (when[1:] < when[:-1]) | (when[1:] == when[:-1]) & differs
    unsteady = set(who[back].tolist())
    heads = np.flatnonzero(first)
    newest = alarms.memory.newest
    unsteady.update(w for w, t in zip(who[heads].tolist(), when[heads].tolist(), strict=True) if t <= newest(names[w]))
    if unsteady:
        asked |= np.isin(who, list(unsteady))
    places = order[asked].tolist()
    found = []
    for place, w, t, b in zip(places, who[asked].tolist(), when[asked].tolist(), what[asked].tolist(), strict=True):
        found += [(place, edge) for edge in alarms.observe(names[w], t, b, seen_at)]
    return found


def _degrees(octets: Array, start: int, status: Array) -> tuple[Array, Array]:
    lat = _number(octets, start + 8, 4).astype(np.uint32).view(np.int32).astype(np.int64)
    lon = _number(octets, start + 12, 4).astype(np.uint32).view(np.int32).astype(np.int64)
    nowhere = (lat == 0) & (lon == 0)
    lat = np.where(status & location.SOUTH, -np.abs(lat), lat)
    lon = np.where(status & location.WEST, -np.abs(lon), lon)
    return np.where(nowhere, np.nan, lon / 1e6), np.where(nowhere, np.nan, lat / 1e6)


def _number(octets: Array, at: int, size: int) -> Array:
    """Give big-endian integers of two or four bytes."""
    return np.ascontiguousarray(octets[:, at : at + size]).view(f">u{size}").ravel().astype(np.int64)


def _sources(phones: Array) -> tuple[Array, list[str]]:
    """Give each row's place in a list of sources, and the list."""
    raw, width = phones.tobytes(), phones.shape[1]
    known: dict[bytes, int] = {}
    index = [known.setdefault(raw[i : i + width], len(known)) for i in range(0, len(raw), width)]
    return np.array(index, np.int64), [source_of(phone) for phone in known]


def _instants(octets: Array, offset_us: int) -> tuple[Array, Array]:
    year, month, day, hour, minute, second = BCD[octets].T
    good = (BCD[octets] >= 0).all(axis=1) & (month >= 1) & (month <= 12) & (day >= 1)
    good &= (hour < 24) & (minute < 60) & (second < 60)
    months = np.where(good, (30 + year) * 12 + month - 1, 0).astype("datetime64[M]")
    days = months.astype("datetime64[D]") + np.where(good, day - 1, 0)
    good &= days.astype("datetime64[M]") == months
    seconds = days.astype(np.int64) * 86_400 + hour * 3600 + minute * 60 + second
    return seconds * 1_000_000 - offset_us, good


class _Items:
    """The items that columns need."""

    def __init__(self, octets: Array, at: int) -> None:
        count = len(octets)
        self.mileage, self.fuel = np.full(count, np.nan), np.full(count, np.nan)
        self.active = np.zeros(count, bool)
        """Rows with an active-safety item."""
        self._wanted = ((self.mileage, *MILEAGE_ITEM), (self.fuel, *FUEL_ITEM))
        if count:
            self._walk(octets, self._alike(octets, at))

    def _alike(self, octets: Array, at: int) -> int:
        """Read the items as long as all rows have the same ones; give where they part."""
        size = octets.shape[1]
        while at + 2 <= size and (octets[:, at : at + 2] == octets[0, at : at + 2]).all():
            item, length = octets[0, at : at + 2].tolist()
            if at + 2 + length > size:
                break
            self.active |= ACTIVE_FIRST <= item <= ACTIVE_LAST
            for found, wanted, wide in self._wanted:
                if (item, length) == (wanted, wide) and np.isnan(found[0]):
                    found[:] = _number(octets, at + 2, wide)
            at += 2 + length
        return at

    def _walk(self, octets: Array, at: int) -> None:
        """Read the items of all rows in step: each round every row moves on by one of its own."""
        count, size = octets.shape
        rows, places = np.arange(count), np.full(count, at)
        for _ in range(ITEMS_MAX):
            inside = places + 2 <= size
            rows, places = rows[inside], places[inside]
            if not len(rows):
                break
            item, length = octets[rows, places].astype(np.int64), octets[rows, places + 1].astype(np.int64)
            inside = places + 2 + length <= size
            rows, places, item, length = rows[inside], places[inside], item[inside], length[inside]
            self.active[rows] |= (item >= ACTIVE_FIRST) & (item <= ACTIVE_LAST)
            for found, wanted, wide in self._wanted:
                hit = (item == wanted) & (length == wide) & np.isnan(found[rows])
                value = np.zeros(int(hit.sum()), np.int64)
                for i in range(wide):
                    value = value << 8 | octets[rows[hit], places[hit] + 2 + i]
                found[rows[hit]] = value
            places = places + 2 + length
