"""What a rule says of each row of a clean batch: bad, good, or neither; one array operation per rule."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas import quality
from schemas.rules import Bits, Jump, Rule, Threshold
from streams.steps.sources import Codes, Columns, Mask, grown, in_order

CITY_OFFSET_S = 8 * 3600
"""Asia/Shanghai is UTC+8 all year."""
EARTH_RADIUS_M = 6_371_008.8
DEGREE_M = 111_320.0
"""No degree of longitude or latitude is longer."""
LONG_AGO = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Masks over rows, and each row's value in the rule's unit; rows in no mask count as between."""

    bad: NDArray[np.bool_]
    good: NDArray[np.bool_]
    values: NDArray[np.float64]
    usable: NDArray[np.bool_]


def judge(rule: Rule, rows: Columns) -> Verdicts:
    """Give a threshold or bits rule's verdict on each row; it has none on rows without its field."""
    assert isinstance(rule.when, Threshold | Bits)
    if not rows.has(rule.when.field):
        nothing = np.zeros(len(rows), np.bool_)
        return Verdicts(nothing, nothing, np.full(len(rows), np.nan), nothing)
    if isinstance(rule.when, Bits):
        return _judge_bits(rule.when, rows)
    return _judge_threshold(rule, rule.when, rows)


def _judge_bits(when: Bits, rows: Columns) -> Verdicts:
    column, usable = rows.integers(when.field), rows.present(when.field)
    found = column & sum(1 << b for b in when.bits)
    bad = (found != 0) & usable
    return Verdicts(bad, ~bad & usable, found.astype(np.float64), usable)


def _judge_threshold(rule: Rule, when: Threshold, rows: Columns) -> Verdicts:
    plain = rows.floats(when.field)
    values = plain / rule.factor
    usable = ~np.isnan(plain)
    if when.share_of is not None:
        with np.errstate(divide="ignore", invalid="ignore"):
            values = plain / rows.floats(when.share_of)
        usable &= np.isfinite(values)
    if when.period_s is not None:
        usable &= rows.integers("period") == when.period_s
    if rows.has("quality"):
        usable &= (rows.integers("quality") & quality.DEVICE_FLAG) == 0
    bad, good = _compare(when, values, plain)
    allowed: Mask | None = None
    if when.between is not None:
        allowed = local_between(rows.times("ts"), *when.between)
    for name, wanted in when.require.items():
        meets = rows.integers(name, int(wanted)) == int(wanted)
        allowed = meets if allowed is None else allowed & meets
    if allowed is not None:
        bad, good = bad & allowed, good | ~allowed
    return Verdicts(bad & usable, good & usable, values, usable)


def _compare(
    when: Threshold, values: NDArray[np.float64], plain: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    with np.errstate(invalid="ignore"):
        if when.at_most is not None:
            bad = values <= when.at_most
            if when.or_at_most is not None:
                bad |= plain <= when.or_at_most
            return bad, (values > when.clear) & ~bad
        bad = values >= when.at_least if when.at_least is not None else values > (when.above or 0.0)
        return bad, (values < when.clear) & ~bad


def local_between(ts: NDArray[np.int64], start: str, end: str) -> NDArray[np.bool_]:
    """Tell which times lie in [start, end) of the local day; a start after the end spans midnight."""
    seconds = (ts // 1_000_000 + CITY_OFFSET_S) % 86_400
    first, last = _seconds(start), _seconds(end)
    if first <= last:
        return (seconds >= first) & (seconds < last)
    return (seconds >= first) | (seconds < last)


def _seconds(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 3600 + int(minutes) * 60


def distance_m(
    lon1: NDArray[np.float64], lat1: NDArray[np.float64], lon2: NDArray[np.float64], lat2: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Give great-circle distances in metres between points in degrees."""
    phi1, phi2 = np.radians(lat1), np.radians(lat2)
    a = np.sin((phi2 - phi1) / 2) ** 2 + np.cos(phi1) * np.cos(phi2) * np.sin(np.radians(lon2 - lon1) / 2) ** 2
    distance: NDArray[np.float64] = 2 * EARTH_RADIUS_M * np.arcsin(np.sqrt(np.clip(a, 0, 1)))
    return distance


@dataclass(slots=True)
class Fixes:
    """The newest trusted fix of every source, to judge how far the next one is."""

    ts: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    lon: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    lat: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))

    def judge(self, rule: Rule, rows: Columns, codes: Codes, sources: int, living: Mask) -> Verdicts:
        """Give a jump rule's verdict on each row, its value being the implied speed; then move on.

        The exact distance is only worked out where it could matter: for fixes that may be far apart, and for
        sources on which the rule is ``living``.
        """
        assert isinstance(rule.when, Jump)
        self.ts = grown(self.ts, sources, LONG_AGO)
        self.lon = grown(self.lon, sources, np.nan)
        self.lat = grown(self.lat, sources, np.nan)
        n = len(rows)
        bad, values, good = np.zeros(n, np.bool_), np.full(n, np.nan), np.zeros(n, np.bool_)
        usable = ~(np.isnan(rows.floats("lon")) | np.isnan(rows.floats("lat")))
        usable &= (rows.integers("quality") & quality.NO_FIX) == 0
        order, first = _by_source(rows.times("ts"), codes, usable)
        if len(order) == 0:
            return Verdicts(bad, good, values, usable)
        code, t = codes[order], rows.times("ts")[order]
        x, y = rows.floats("lon")[order], rows.floats("lat")[order]
        kept = ((self.ts, t), (self.lon, x), (self.lat, y))
        before_t, before_x, before_y = (_before(new, old, code, first) for old, new in kept)
        known = (before_t != LONG_AGO) & (t > before_t)
        with np.errstate(invalid="ignore"):
            reach = (x - before_x) ** 2 + (y - before_y) ** 2
            close = known & ((reach >= (rule.when.distance_m / DEGREE_M) ** 2) | living[code])
        far = np.zeros(len(order))
        far[close] = distance_m(before_x[close], before_y[close], x[close], y[close])
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            speed = far / ((t - before_t) / 1e6)
        bad_here = known & (far >= rule.when.distance_m) & (speed > rule.when.above * rule.factor)
        bad[order], values[order], good[order] = bad_here, speed / rule.factor, known & ~bad_here
        last = np.ones(len(order), dtype=np.bool_)
        last[:-1] = first[1:]
        newer = last & (t >= self.ts[code])
        self.ts[code[newer]], self.lon[code[newer]], self.lat[code[newer]] = t[newer], x[newer], y[newer]
        return Verdicts(bad, good, values, usable)


def _before(new: NDArray[Any], old: NDArray[Any], code: Codes, first: Mask) -> NDArray[Any]:
    """Give of each row the value before it: that of the row before or, of a source's first, the one kept."""
    before = np.empty_like(new)
    before[1:] = new[:-1]
    before[first] = old[code[first]]
    return before


def _by_source(ts: NDArray[np.int64], codes: Codes, usable: Mask) -> tuple[NDArray[np.int64], Mask]:
    """Give usable rows source by source, each in order of time, and the mask of each source's first."""
    order = in_order(codes) if usable.all() else np.flatnonzero(usable)[in_order(codes[usable])]
    first = np.ones(len(order), dtype=np.bool_)
    first[1:] = codes[order[1:]] != codes[order[:-1]]
    if not (first[1:] | (ts[order[1:]] >= ts[order[:-1]])).all():
        order = order[np.lexsort((ts[order], codes[order]))]
    return order, first
