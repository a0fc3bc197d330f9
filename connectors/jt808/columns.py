"""Many locations at once: packets of equal length to arrays, for replays and dense trunks.

The arrays hold what ``Session.receive`` puts into readings one by one (a property test holds both to it);
answers, kinds and plates stay with the session.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from connectors.jt808 import bcd, header, location

LOCATION = 0x0200
SPEED, MILEAGE, FUEL = 0.027777777777777776, 100.0, 0.1
"""To m/s, m and L, as in ``mapping.toml``."""
MILEAGE_ITEM, FUEL_ITEM = (0x01, 4), (0x02, 2)
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
    others: list[int]
    """Places of the packets that ``Session.receive`` must see: other messages, sub-packages, refusals."""


def receive_many(packets: Sequence[bytes], offset_us: int = bcd.BEIJING_US) -> Columns:
    """Decode the whole, unencrypted 0x0200 packets among unescaped packets of one length.

    Packets of another length than the first one's, or of another header form, are among ``others``.
    """
    size = len(packets[0]) if packets else 0
    even = np.array([len(p) == size for p in packets], bool)
    rows: Array = np.flatnonzero(even)
    octets = np.frombuffer(b"".join(packets[i] for i in rows.tolist()), np.uint8).reshape(len(rows), size)
    newer = size > 3 and bool(packets[0][2] << 8 & header.VERSION_BIT)
    form = header.FORM_2019 if newer else header.FORM_2013
    start = form.size
    if size < start + location.BASE_BYTES:
        return _columns(rows[:0], octets[:0], start, np.zeros(0, np.int64), list(range(len(packets))), newer=newer)
    plain = size - start | (header.VERSION_BIT if newer else 0)
    reserved = _number(octets, 2, 2) & ~0x8000
    good = (_number(octets, 0, 2) == LOCATION) & (reserved == plain)
    ts, timed = _instants(octets[:, start + 22 : start + 28], offset_us)
    good &= timed
    taken = rows[good]
    others = np.setdiff1d(np.arange(len(packets)), taken).tolist()
    return _columns(taken, octets[good], start, ts[good], others, newer=newer)


def _columns(rows: Array, octets: Array, start: int, ts: Array, others: list[int], *, newer: bool) -> Columns:
    if not len(rows):
        octets = np.zeros((0, start + location.BASE_BYTES), np.uint8)
    phone_at, phone_bytes = (5, 10) if newer else (4, 6)
    status = _number(octets, start + 4, 4)
    lat = _number(octets, start + 8, 4).astype(np.uint32).view(np.int32).astype(np.int64)
    lon = _number(octets, start + 12, 4).astype(np.uint32).view(np.int32).astype(np.int64)
    nowhere = (lat == 0) & (lon == 0)
    lat = np.where(status & location.SOUTH, -np.abs(lat), lat)
    lon = np.where(status & location.WEST, -np.abs(lon), lon)
    mileage, fuel = _items(octets, start + location.BASE_BYTES)
    return Columns(
        row=rows,
        source=_sources(octets[:, phone_at : phone_at + phone_bytes]),
        serial=_number(octets, start - 2, 2),
        ts=ts,
        lon=np.where(nowhere, np.nan, lon / 1e6),
        lat=np.where(nowhere, np.nan, lat / 1e6),
        speed=_number(octets, start + 18, 2) * SPEED,
        heading=_number(octets, start + 20, 2).astype(np.float64),
        altitude=_number(octets, start + 16, 2).astype(np.float64),
        mileage=mileage * MILEAGE,
        fuel=fuel * FUEL,
        alarm=_number(octets, start, 4),
        status=status,
        others=others,
    )


def _number(octets: Array, at: int, size: int) -> Array:
    value = np.zeros(len(octets), np.int64)
    for i in range(at, at + size):
        value = value << 8 | octets[:, i]
    return value


def _sources(phones: Array) -> list[str]:
    known: dict[bytes, str] = {}
    width = phones.shape[1]
    raw = phones.tobytes()
    keys = [raw[i : i + width] for i in range(0, len(raw), width)]
    for key in set(keys):
        known[key] = key.hex().upper().lstrip("0") or "0"
    return [known[key] for key in keys]


def _instants(octets: Array, offset_us: int) -> tuple[Array, Array]:
    year, month, day, hour, minute, second = BCD[octets].T
    good = (BCD[octets] >= 0).all(axis=1) & (month >= 1) & (month <= 12) & (day >= 1)
    good &= (hour < 24) & (minute < 60) & (second < 60)
    months = np.where(good, (30 + year) * 12 + month - 1, 0).astype("datetime64[M]")
    days = months.astype("datetime64[D]") + np.where(good, day - 1, 0)
    good &= days.astype("datetime64[M]") == months
    seconds = days.astype(np.int64) * 86_400 + hour * 3600 + minute * 60 + second
    return seconds * 1_000_000 - offset_us, good


def _items(octets: Array, at: int) -> tuple[Array, Array]:
    """Walk the items of all rows in step: each round every row moves on by one item."""
    count, size = octets.shape
    mileage, fuel = np.full(count, np.nan), np.full(count, np.nan)
    rows, places = np.arange(count), np.full(count, at)
    for _ in range(ITEMS_MAX):
        inside = places + 2 <= size
        rows, places = rows[inside], places[inside]
        if not len(rows):
            break
        item, length = octets[rows, places].astype(np.int64), octets[rows, places + 1].astype(np.int64)
        inside = places + 2 + length <= size
        rows, places, item, length = rows[inside], places[inside], item[inside], length[inside]
        for found, (wanted, wide) in ((mileage, MILEAGE_ITEM), (fuel, FUEL_ITEM)):
            hit = (item == wanted) & (length == wide) & np.isnan(found[rows])
            value = np.zeros(int(hit.sum()), np.int64)
            for i in range(wide):
                value = value << 8 | octets[rows[hit], places[hit] + 2 + i]
            found[rows[hit]] = value
        places = places + 2 + length
    return mileage, fuel
