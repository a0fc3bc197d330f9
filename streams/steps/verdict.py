"""What a rule says of each row of a clean batch: bad, good, or neither; one array operation per rule."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas import quality
from schemas.rules import Bits, Jump, Rule, Threshold
from streams.steps.sources import Codes, floats, grown, integers, times

CITY_OFFSET_S = 8 * 3600
"""Asia/Shanghai is UTC+8 all year."""
EARTH_RADIUS_M = 6_371_008.8
LONG_AGO = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Masks over rows, and each row's value in the rule's unit; rows in no mask count as between."""

    bad: NDArray[np.bool_]
    good: NDArray[np.bool_]
    values: NDArray[np.float64]
    usable: NDArray[np.bool_]


def judge(rule: Rule, batch: pa.RecordBatch) -> Verdicts:
    """Give a threshold or bits rule's verdict on each row."""
    if isinstance(rule.when, Bits):
        return _judge_bits(rule.when, batch)
    assert isinstance(rule.when, Threshold)
    return _judge_threshold(rule, rule.when, batch)


def _judge_bits(when: Bits, batch: pa.RecordBatch) -> Verdicts:
    column = integers(batch, when.field)
    usable = ~np.asarray(batch.column(when.field).is_null().to_numpy(zero_copy_only=False), dtype=np.bool_)
    wanted = sum(1 << b for b in when.bits)
    bad = ((column & wanted) != 0) & usable
    return Verdicts(bad, ~bad & usable, (column & wanted).astype(np.float64), usable)


def _judge_threshold(rule: Rule, when: Threshold, batch: pa.RecordBatch) -> Verdicts:
    plain = floats(batch, when.field)
    values = plain / rule.factor
    usable = ~np.isnan(plain)
    if when.share_of is not None:
        whole = floats(batch, when.share_of)
        with np.errstate(divide="ignore", invalid="ignore"):
            values = plain / whole
        usable &= np.isfinite(values)
    if when.period_s is not None:
        usable &= integers(batch, "period") == when.period_s
    if "quality" in batch.schema.names:
        usable &= (integers(batch, "quality") & quality.DEVICE_FLAG) == 0
    bad, good = _compare(when, values, plain)
    allowed = np.ones(len(values), dtype=np.bool_)
    if when.between is not None:
        allowed &= local_between(times(batch, "ts"), *when.between)
    for name, wanted in when.require.items():
        column = batch.column(name).fill_null(wanted).to_numpy(zero_copy_only=False)
        allowed &= column.astype(np.bool_) == wanted
    return Verdicts(bad & allowed & usable, (good | ~allowed) & usable, values, usable)


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

    def judge(self, rule: Rule, batch: pa.RecordBatch, codes: Codes, sources: int) -> Verdicts:
        """Give a jump rule's verdict on each row, its value being the implied speed; then move on."""
        assert isinstance(rule.when, Jump)
        self.ts = grown(self.ts, sources, LONG_AGO)
        self.lon = grown(self.lon, sources, np.nan)
        self.lat = grown(self.lat, sources, np.nan)
        ts, lon, lat = times(batch, "ts"), floats(batch, "lon"), floats(batch, "lat")
        usable = ~(np.isnan(lon) | np.isnan(lat)) & ((integers(batch, "quality") & quality.NO_FIX) == 0)
        order = np.flatnonzero(usable)
        order = order[np.lexsort((ts[order], codes[order]))]
        code, t, x, y = codes[order], ts[order], lon[order], lat[order]
        first = np.ones(len(order), dtype=np.bool_)
        first[1:] = code[1:] != code[:-1]
        before_t = np.where(first, self.ts[code], np.roll(t, 1))
        before_x = np.where(first, self.lon[code], np.roll(x, 1))
        before_y = np.where(first, self.lat[code], np.roll(y, 1))
        far = distance_m(before_x, before_y, x, y)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            speed = far / ((t - before_t) / 1e6)
        known = (before_t != LONG_AGO) & (t > before_t)
        bad_here = known & (far >= rule.when.distance_m) & (speed > rule.when.above * rule.factor)
        bad, values, good = np.zeros(len(ts), np.bool_), np.full(len(ts), np.nan), np.zeros(len(ts), np.bool_)
        bad[order], values[order], good[order] = bad_here, speed / rule.factor, known & ~bad_here
        last = np.ones(len(order), dtype=np.bool_)
        last[:-1] = first[1:]
        newer = last & (t >= self.ts[code])
        self.ts[code[newer]], self.lon[code[newer]], self.lat[code[newer]] = t[newer], x[newer], y[newer]
        return Verdicts(bad, good, values, usable)
