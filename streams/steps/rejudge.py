"""What rules find of one source over a stretch of its stored readings, as if all had come in order.

How long a reading can matter has an end. A stretch of good readings that would clear an active condition leaves every
condition over, whatever it was before: so what such a stretch separates is judged apart. That is looked for before the
first and after the last reading that was missed; between the two, what is found here stands.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from schemas.events import Finding
from schemas.kinds import kind as kind_by_name
from schemas.rules import Jump, Rule, Silent
from streams.steps.condition import Condition, Timing, mature, observe
from streams.steps.evaluate import Evaluator, timing_of, word
from streams.steps.sources import Columns, SourceTable
from streams.steps.verdict import Fixes, Verdicts, judge

Judged = dict[str, tuple[int | None, int | None, list[Finding]]]
"""By rule that the missed readings may concern: the times between which the findings are all there are of conditions
that began there, and the findings.

Absent is the first where readings from further back are needed, and the second where none has come yet that ends it.
"""


def rejudge(kind: str, rules: Mapping[str, Rule], rows: Columns, missed: tuple[int, int], now: int) -> Judged:
    """Judge one source's stored rows, in order of time; ``missed`` is first and last time of those to be counted anew.

    Time passes up to ``now``. Rules about silence are left out: they judge arrival.
    """
    mine = {r.id: r for r in rules.values() if kind in r.kinds and not isinstance(r.when, Silent)}
    sources = SourceTable()
    codes, ts = rows.codes("source", sources), rows.times("ts")
    evaluator = Evaluator(kind, mine.values(), sources, "late")
    found = evaluator.evaluate(rows, codes)
    found += evaluator.pass_time(now, int(rows.times("seen_at").max(initial=0)))
    first, last = missed
    later = ts[ts > last]
    judged: Judged = {}
    for rule in mine.values():
        verdicts = Fixes().judge(rule, rows, codes, 1, np.ones(1, np.bool_)) if isinstance(rule.when, Jump) else judge(rule, rows)
        if not (verdicts.usable & (ts >= first) & (ts <= last)).any():
            continue  # the readings missed say nothing about this rule
        timing = timing_of(rule, kind_by_name(kind).interval_s)
        since = over(verdicts, ts, timing, int(ts.min(initial=first)) - 1, first - 1)
        # The first reading after those missed may itself be judged otherwise now: a jump is measured from the one before.
        until = over(verdicts, ts, timing, int(later.min()), now) if len(later) else None
        judged[rule.id] = since, until, [f for f in found if f.rule == rule.id and f.state != "update"]
    return judged


def over(verdicts: Verdicts, ts: NDArray[np.int64], timing: Timing, after: int, now: int) -> int | None:
    """Give when a condition active at ``after`` would be over by ``now``, hence any condition."""
    condition = Condition(phase="active", started=after, since=after, at=after, value=0.0)
    rows = np.flatnonzero(verdicts.usable & (ts > after) & (ts <= now))
    for row in rows[np.argsort(ts[rows], kind="stable")].tolist():
        found, said = observe(condition, int(ts[row]), 0.0, word(verdicts, row), timing)
        for step, moment in said:
            if step == "clear":
                return moment
        assert found is not None
        condition = found
    _, said = mature(condition, now, timing)
    return said[0][1] if said else None


def within(findings: list[Finding], since: int, until: int | None) -> list[Finding]:
    """Give the findings of conditions that began between two times."""
    return [f for f in findings if since < f.started and (until is None or f.started < until)]
