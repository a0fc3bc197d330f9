"""Findings judged again from stored rows where readings came late, doubled or out of order; run by one worker's timer.

Nothing is decided here that a crash could halve: what was judged is said on the findings' own topic, after all that was
said live of these readings, and the alert agent enters it. Saying it twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog

from schemas import topics
from schemas.events import Rejudgement, encode
from schemas.rules import Rule
from storage import findings
from storage.findings import Waiting
from streams.steps.rejudge import Judged, rejudge, within
from streams.steps.sources import Columns

log = structlog.get_logger()
AT_ONCE = 64
"""Sources judged in one go."""
REACH_US = 3_600_000_000
"""How far around the missed readings rows are loaded first; eight times as far while that is not enough."""
FARTHEST_US = 8**3 * REACH_US
"""A condition that lasts longer than these three weeks is judged from there."""
HEADERS = [("type", b"rejudgement")]


async def refresh(pool: Any, producer: Any, rules: Mapping[str, Rule], now: int) -> int:
    """Judge due sources again and say what is found; give how many. A database that is away raises ``Retry``."""
    due = await findings.waiting(pool, AT_ONCE)
    times: dict[str, int] = {}
    for one in due:
        if one.kind not in times:
            times[one.kind] = await findings.newest(pool, one.kind)
        judged, newest = await _judged(pool, rules, one, times[one.kind])
        sent = [await producer.send(topics.FINDINGS, **_record(one, r)) for r in await _spoken(pool, one, judged, now)]
        for delivery in sent:
            await delivery
        ends = [until for _, until, _ in judged.values()]
        settled = max((e for e in ends if e is not None), default=one.until)
        if None in ends:
            await findings.postpone(pool, one, settled=None, newest=newest)
        elif one.settled is not None and settled <= one.settled:
            await findings.done(pool, one)
        else:
            await findings.postpone(pool, one, settled=settled, newest=None)
    return len(due)


async def _judged(pool: Any, rules: Mapping[str, Rule], due: Waiting, newest: int) -> tuple[Judged, int]:
    """Judge as much as decides the matter: rows around those missed, more while some rule needs them."""
    reach = REACH_US
    while True:
        first, last = due.since - reach, min(due.until + reach, max(newest, due.until))
        rows = Columns(await findings.rows(pool, due.kind, due.source, first, last))
        judged = rejudge(due.kind, rules, rows, (due.since, due.until), last)
        early = reach >= FARTHEST_US or all(since is not None for since, _, _ in judged.values())
        late = last >= newest or all(until is not None for _, until, _ in judged.values())
        if early and late:
            start = int(rows.times("ts").min(initial=due.since)) - 1
            whole: Judged = {rule: (start if s is None else s, u, f) for rule, (s, u, f) in judged.items()}
            return whole, int(rows.times("ts").max(initial=due.until))
        reach *= 8


async def _spoken(pool: Any, due: Waiting, judged: Judged, now: int) -> list[Rejudgement]:
    """Give what is to be said of each rule."""
    said = []
    for rule, (since, until, found) in judged.items():
        assert since is not None
        kept = within(found, since, until)
        ends = {f.started: f.at for f in kept if f.state == "clear"}
        conditions = [(f.started, ends.get(f.started)) for f in kept if f.state == "raise"]
        known = await findings.standing(pool, rule, due.source, conditions) if conditions else []
        said.append(Rejudgement(rule=rule, source=due.source, since=since, until=until, at=now, findings=kept, known=known))
    return said


def _record(due: Waiting, said: Rejudgement) -> dict[str, Any]:
    key = f"{said.rule}|{said.source}".encode()
    return {"value": encode(said), "key": key, "partition": due.partition, "headers": HEADERS}
