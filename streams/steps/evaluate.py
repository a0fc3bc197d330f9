"""Rules over clean batches: verdicts by array, then one small state machine per condition that lives.

Readings of a batch are judged in order of their time; one that comes after the batch in which its time was judged is
noted, and what was found around it is judged again from stored rows (steps/rejudge.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from schemas.events import Finding
from schemas.kinds import kind as kind_by_name
from schemas.reading import Lane
from schemas.rules import Bits, Jump, Rule, Silent, Threshold
from streams.steps.condition import Condition, Spoken, Step, Timing, begin, mature, observe
from streams.steps.disorder import Disorder
from streams.steps.silence import Silence
from streams.steps.sources import Codes, Columns, Mask, SourceTable, grown
from streams.steps.verdict import Fixes, Verdicts, judge

_PACK = msgspec.json.Encoder()
_UNPACK = msgspec.json.Decoder(Condition)


class Evaluator:
    """All rules of one kind in one partition; outside the live lane silence is not judged, for it is about arrival."""

    def __init__(self, kind: str, rules: Iterable[Rule], sources: SourceTable, lane: Lane = "live") -> None:
        self._kind = kind
        self._lane = lane
        self._rules = {r.id: r for r in rules if kind in r.kinds and not (lane != "live" and isinstance(r.when, Silent))}
        self._timing = {r.id: timing_of(r, kind_by_name(kind).interval_s) for r in self._rules.values()}
        self._silent_rules = [(r, r.when) for r in self._rules.values() if isinstance(r.when, Silent)]
        self._sources = sources
        self._conditions: dict[str, dict[int, Condition]] = {name: {} for name in self._rules}
        self._fixes = Fixes()
        self._silence = Silence(kind_by_name(kind).interval_s)
        self._places = Places()
        self._order = Disorder()
        self._newest = 0
        self._changed: dict[str, bytes | None] = {}
        self._phases: dict[str, str] = {}
        """Phase of each condition as last written: a change of it is written even if nothing is said."""

    def restore(self, key: str, value: bytes) -> None:
        """Take up one condition of a checkpoint; rules that no longer exist are forgotten."""
        rule, _, source = key.partition("|")
        if rule in self._conditions:
            code = self._sources.code(source)
            condition = self._conditions[rule][code] = _UNPACK.decode(value)
            self._phases[key] = condition.phase
            self._order.reach(code, max(condition.at, condition.since))

    def changes(self) -> dict[str, bytes | None]:
        """Give the conditions that changed since last asked; None for those that are over."""
        changed, self._changed = self._changed, {}
        return changed

    def missed(self) -> dict[str, tuple[int, int]]:
        """Give, by source, first and last event time of rows that no event-time rule saw in order since last asked."""
        found = self._order.missed()
        if len(self._silent_rules) == len(self._rules):
            return {}
        return {self._sources.names[code]: stretch for code, stretch in found.items()}

    def miss(self, columns: Columns, codes: Codes) -> None:
        """Note rows that came too late to be judged with those around them."""
        self._order.miss(codes, columns.times("ts"))

    def remember(self, rows: Columns, codes: Codes, frames: NDArray[np.int64] | None = None) -> None:
        """Take in rows judged before the restart, without speaking."""
        if len(rows) == 0:
            return
        self._order.observe(codes, rows.times("ts"), len(self._sources))
        self._order.missed()
        for rule in self._rules.values():
            if isinstance(rule.when, Jump):
                self._fixes.judge(rule, rows, codes, len(self._sources), self._living(rule))
        heard = _Rows(rows, codes)
        for rows_of, first in self._silence.pieces(heard.seen_at, _frames(frames, len(rows))):
            self._hear(heard, rows_of, first)
        self._newest = max(self._newest, int(rows.times("ts").max(initial=0)))

    def evaluate(self, columns: Columns, codes: Codes, frames: NDArray[np.int64] | None = None) -> list[Finding]:
        """Give what the rules find in these rows, in order of rule and time.

        ``codes`` number their sources; ``frames``, upwards, the frames they came in: absent, they are one.
        """
        if len(columns) == 0 or not self._rules:
            return []
        self._order.observe(codes, columns.times("ts"), len(self._sources))
        self._newest = max(self._newest, int(columns.times("ts").max()))
        rows = _Rows(columns, codes)
        found: list[Finding] = []
        if self._silent_rules:
            found += self._silent(rows, _frames(frames, len(columns)))
        for rule in self._rules.values():
            if isinstance(rule.when, Jump):
                living = self._living(rule)
                found += self._apply(rule, self._fixes.judge(rule, columns, codes, len(self._sources), living), rows)
            elif isinstance(rule.when, Threshold | Bits):
                found += self._apply(rule, judge(rule, columns), rows)
        return found

    def _living(self, rule: Rule) -> Mask:
        """Give the mask of sources on which a rule's condition lives."""
        mask = np.zeros(len(self._sources), np.bool_)
        mask[list(self._conditions[rule.id])] = True
        return mask

    def _apply(self, rule: Rule, verdicts: Verdicts, rows: _Rows) -> list[Finding]:
        living = self._conditions[rule.id]
        found: list[Finding] = []
        for row in self._concerned(rule, verdicts, rows):
            code, ts, value = int(rows.codes[row]), int(rows.ts[row]), float(verdicts.values[row])
            if code in living:
                found += self._pass_time(rule, code, ts - 1, int(rows.seen_at[row]))
            condition = living.get(code)
            if condition is not None:
                verdict = word(verdicts, int(row))
                after, said = observe(condition, ts, value, verdict, self._timing[rule.id])
            elif verdicts.bad[row]:
                after, said = begin(ts, value, self._timing[rule.id])
            else:
                continue
            if after is not None:
                after.lon, after.lat, after.zone = rows.place(int(row))
            found += self._keep(rule, code, after, said, value, int(rows.seen_at[row]))
        if self._lane == "live":
            for code in list(living):
                found += self._pass_time(rule, code, self._newest, rows.newest_seen)
        return found

    def _concerned(self, rule: Rule, verdicts: Verdicts, rows: _Rows) -> NDArray[np.int64]:
        """Give, in order of time, the rows of sources that are bad here or whose condition lives; mostly there is none."""
        bad = np.flatnonzero(verdicts.bad)
        if len(bad) == 0 and not self._conditions[rule.id]:
            return bad
        involved = self._living(rule)
        involved[rows.codes[bad]] = True
        found = np.flatnonzero(verdicts.usable & involved[rows.codes])
        return found[np.lexsort((rows.serial[found], rows.ts[found]))]

    def pass_time(self, now: int, seen_at: int) -> list[Finding]:
        """Give what time alone makes true up to ``now``."""
        living = [(rule, code) for rule in self._rules.values() for code in self._conditions[rule.id]]
        return [f for rule, code in living for f in self._pass_time(rule, code, now, seen_at)]

    def _pass_time(self, rule: Rule, code: int, now: int, seen_at: int) -> list[Finding]:
        """Let a long hold run up to ``now``: on the kind's own time, or to just before the source's next reading."""
        condition = self._conditions[rule.id][code]
        if condition.phase == "active":
            return []
        after, said = mature(condition, now, self._timing[rule.id])
        if not said:
            return []
        self._order.reach(code, said[-1][1])
        return self._keep(rule, code, after, said, condition.value, seen_at)

    def _silent(self, rows: _Rows, frames: NDArray[np.int64]) -> list[Finding]:
        found: list[Finding] = []
        for rows_of, first in self._silence.pieces(rows.seen_at, frames):
            codes, seen_at = rows.codes[rows_of], rows.seen_at[rows_of]
            self._hear(rows, rows_of, first)
            for rule, when in self._silent_rules:
                living = self._conditions[rule.id]
                for code in self._heard(living, codes):
                    at = int(seen_at[np.argmax(codes == code)])
                    found += self._keep(rule, code, None, [("clear", at)], 0.0, at)
                if first:
                    found += self._fallen_silent(rule, when)
        return found

    def _hear(self, rows: _Rows, rows_of: slice, first: bool) -> None:
        codes, seen_at = rows.codes[rows_of], rows.seen_at[rows_of]
        if first:
            self._silence.step(int(seen_at.max()))
        self._silence.observe(codes, seen_at, len(self._sources))
        self._places.observe(rows, rows_of, len(self._sources))

    def _fallen_silent(self, rule: Rule, when: Silent) -> list[Finding]:
        living, now = self._conditions[rule.id], self._silence.now
        found: list[Finding] = []
        for code, since, allowed in self._silence.silent(when.intervals):
            if code in living:
                continue
            started, limit = since + allowed, allowed / 1e6
            condition = Condition(phase="active", started=started, since=started, at=started, value=limit)
            condition.lon, condition.lat, condition.zone = self._places.of(code)
            found += self._keep(rule, code, condition, [("raise", started)], (now - since) / 1e6, now, limit)
        return found

    def _heard(self, living: dict[int, Condition], codes: Codes) -> list[int]:
        if not living:
            return []
        here = np.zeros(len(self._sources), np.bool_)
        here[codes] = True
        return [c for c in living if here[c]]

    def _keep(
        self,
        rule: Rule,
        code: int,
        condition: Condition | None,
        said: Sequence[Spoken],
        value: float,
        seen_at: int,
        limit: float | None = None,
    ) -> list[Finding]:
        """Keep a condition as it is now and give its findings; a clear belongs to the condition before."""
        living, name = self._conditions[rule.id], self._sources.names[code]
        before = living.get(code)
        if condition is None:
            living.pop(code, None)
        else:
            living[code] = condition
        key = f"{rule.id}|{name}"
        if condition is None:
            self._phases.pop(key, None)
            self._changed[key] = None
        elif said or self._phases.get(key) != condition.phase:
            self._phases[key] = condition.phase
            self._changed[key] = _PACK.encode(condition)
        found = []
        for step, at in said:
            subject = before if step == "clear" and before is not None else condition or before
            assert subject is not None
            found.append(self._finding(rule, name, subject, step, at, value, seen_at, limit))
        return found

    def _finding(
        self, rule: Rule, source: str, subject: Condition, step: Step, at: int, value: float, seen_at: int, limit: float | None
    ) -> Finding:
        return Finding(
            rule=rule.id,
            rule_version=rule.version,
            state=step,
            category=rule.category,
            severity=rule.severity,
            kind=self._kind,
            source=source,
            zone=subject.zone,
            lon=subject.lon,
            lat=subject.lat,
            started=subject.started,
            at=at,
            seen_at=seen_at,
            value=None if np.isnan(value) else round(value, 3),
            limit=rule.limit if limit is None else limit,
            unit=rule.unit,
            lane=self._lane,
            detected_late=self._lane != "live",
        )


def _frames(frames: NDArray[np.int64] | None, rows: int) -> NDArray[np.int64]:
    return np.zeros(rows, np.int64) if frames is None else frames


def timing_of(rule: Rule, interval_s: float) -> Timing:
    """Give a rule's times for a kind that reports every ``interval_s``."""
    return Timing(int(rule.hold_s * 1e6), int(rule.clear_s * 1e6), int(3 * interval_s * 1e6))


def word(verdicts: Verdicts, row: int) -> Literal["bad", "between", "good"]:
    """Give the verdict on one row as a word."""
    if verdicts.bad[row]:
        return "bad"
    return "good" if verdicts.good[row] else "between"


class Places:
    """Where each source was last, for findings that no reading of its own brings about."""

    def __init__(self) -> None:
        self._lon: NDArray[np.float64] = np.empty(0)
        self._lat: NDArray[np.float64] = np.empty(0)
        self._zone: NDArray[np.int64] = np.empty(0, np.int64)

    def observe(self, rows: _Rows, rows_of: slice, sources: int) -> None:
        """Take in those of the rows that have a place."""
        self._lon, self._lat = grown(self._lon, sources, np.nan), grown(self._lat, sources, np.nan)
        self._zone = grown(self._zone, sources, 0)
        if rows.lon is None or rows.lat is None or rows.zone is None:
            return
        code, lon, lat, zone = (column[rows_of] for column in (rows.codes, rows.lon, rows.lat, rows.zone))
        placed = ~np.isnan(lon)
        if not placed.all():
            code, lon, lat, zone = code[placed], lon[placed], lat[placed], zone[placed]
        self._lon[code], self._lat[code], self._zone[code] = lon, lat, zone

    def of(self, code: int) -> tuple[float | None, float | None, int | None]:
        """Give longitude, latitude and zone of a source, absent where never known."""
        if np.isnan(self._lon[code]):
            return None, None, None
        return float(self._lon[code]), float(self._lat[code]), int(self._zone[code]) or None


class _Rows:
    """The columns of a batch that findings speak of."""

    def __init__(self, rows: Columns, codes: Codes) -> None:
        self.codes = codes
        self.ts: NDArray[np.int64] = rows.times("ts")
        self.serial: NDArray[np.int64] = rows.integers("serial")
        self.seen_at: NDArray[np.int64] = rows.times("seen_at")
        self.newest_seen = int(self.seen_at.max(initial=0))
        placed = rows.has("lon", "lat", "zone")
        self.lon: NDArray[np.float64] | None = rows.floats("lon") if placed else None
        self.lat: NDArray[np.float64] | None = rows.floats("lat") if placed else None
        self.zone: NDArray[np.int64] | None = rows.integers("zone") if placed else None

    def place(self, row: int) -> tuple[float | None, float | None, int | None]:
        """Give longitude, latitude and zone of a row, where it has them."""
        if self.lon is None or self.lat is None or self.zone is None or np.isnan(self.lon[row]):
            return None, None, None
        return float(self.lon[row]), float(self.lat[row]), int(self.zone[row]) or None
