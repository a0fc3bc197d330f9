"""Findings of record in memory: what the database would hold, with its rows judged again as the worker's timer does."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from schemas.events import Finding
from schemas.frame import Header
from schemas.rules import Rule
from streams.steps.rejudge import rejudge, within
from streams.steps.sources import Columns

Episode = tuple[int, int | None, float | None, int | None, float | None]
"""Raised, cleared, value, zone, longitude."""


@dataclass
class Record:
    """Stored rows, findings of record and sources to be judged again."""

    rows: dict[str, pa.Table] = field(default_factory=dict)
    episodes: dict[tuple[str, str, int], Episode] = field(default_factory=dict)
    due: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    said_late: list[Finding] = field(default_factory=list)

    async def execute(self, sql: str, *values: Any) -> None:
        """Take what ``note_due`` writes."""
        assert "due_findings" in sql
        for kind, source, since, until in zip(*values[:4], strict=True):
            before = self.due.get((kind, source), (since, until))
            self.due[(kind, source)] = min(since, before[0]), max(until, before[1])

    def note(self, write: Coroutine[Any, Any, None]) -> None:
        """Run a write that waits for nothing."""
        try:
            write.send(None)
        except StopIteration:
            return
        raise AssertionError("it waited")

    def store(self, header: Header, batch: pa.RecordBatch) -> None:
        """Keep clean rows, those stored already left out."""
        table = pa.Table.from_batches([batch])
        if header.kind in self.rows:
            table = pa.concat_tables([self.rows[header.kind], table])
        place = pa.array(range(table.num_rows))
        first = table.append_column("place", place).group_by(["source", "ts", "serial"]).aggregate([("place", "min")])
        self.rows[header.kind] = table.take(first.column("place_min").combine_chunks().sort())

    def enter(self, finding: Finding) -> None:
        """Enter a finding as it was said."""
        key = (finding.rule, finding.source, finding.started)
        if finding.state == "raise":
            self.episodes.setdefault(key, (finding.at, None, finding.value, finding.zone, finding.lon))
        elif finding.state == "clear" and key in self.episodes:
            self.episodes[key] = (self.episodes[key][0], finding.at, *self.episodes[key][2:])

    def judge(self, rules: Mapping[str, Rule]) -> None:
        """Judge what is due again; what has not settled stays due."""
        for (kind, source), missed in list(self.due.items()):
            whole = self.rows[kind]
            now = pc.max(whole.column("ts").cast(pa.int64())).as_py()
            rows = whole.filter(pc.equal(whole.column("source"), source))
            rows = rows.sort_by([("ts", "ascending"), ("serial", "ascending"), ("seen_at", "ascending")])
            judged = rejudge(kind, rules, Columns(rows), missed, now)
            start = rows.column("ts").cast(pa.int64())[0].as_py() - 1
            for rule, (since, until, found) in judged.items():
                self.replace(rule, source, start if since is None else since, until, found)
            if all(until is not None for _, until, _ in judged.values()):
                del self.due[(kind, source)]

    def replace(self, rule: str, source: str, since: int, until: int | None, found: Sequence[Finding]) -> None:
        """Put what was found anew in place of what stood there."""
        gone = [k for k in self.episodes if k[:2] == (rule, source) and since < k[2] and (until is None or k[2] < until)]
        for key in gone:
            del self.episodes[key]
        for finding in within(list(found), since, until):
            self.enter(finding)
            self.said_late.append(finding)
