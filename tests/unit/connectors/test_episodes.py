"""Episodes are the same wherever connections break and processes end; what an instance remembers is bounded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors._api import Peer, episodes, load
from connectors._api.episodes import AHEAD_US, Edge, Episodes, Memory, Standing
from connectors._host.journal import line, of_line

CODES = {0: "overspeed", 1: "fatigue", 4: "running"}
NOTED = frozenset({"running"})
LATER = 1 << 40
Row = tuple[str, int, str, str]


class Report(NamedTuple):
    """What a source says at a time."""

    source: str
    ts: int
    bits: int


class Cut(NamedTuple):
    """A connection that ends after so many reports, the newest of them not answered."""

    reports: int
    unanswered: int
    killed: bool
    unwritten: int
    """So many of the unanswered reports the journal has not, if the process is killed."""
    unsafe: int
    """Of those, so many whose rows are nowhere either."""


def told(reports: Sequence[Report], held: Episodes) -> list[tuple[Row, int]]:
    return [
        ((r.source, r.ts, e.code, e.phase), e.started_at) for r in reports for e in held.observe(r.source, r.ts, r.bits, LATER)
    ]


class Run:
    """Reports on their way through connections that break: what is not answered is sent again, in order."""

    def __init__(self, reports: Sequence[Report]) -> None:
        self.reports = reports
        self.rows: list[list[tuple[Row, int]]] = []
        """By arrival."""
        self.journal: list[tuple[int, bytes]] = []
        """Lines, and of which arrival they are."""
        self.held = Episodes(CODES, NOTED)
        self.held.adopt(Memory(self._note))

    def _note(self, source: str, standing: Standing) -> None:
        self.journal.append((len(self.rows), line(source, standing)))

    def take(self, first: int, count: int) -> int:
        """Take in reports; gives how many there were."""
        found = self.reports[first : first + count]
        for report in found:
            self.rows.append(told([report], self.held))
        return len(found)

    def kill(self, written: int, safe: int) -> None:
        """Lose what is in memory, lines from arrival ``written`` on and rows from ``safe`` on."""
        self.journal = [(n, content) for n, content in self.journal if n < written]
        self.rows = [*self.rows[:safe], *([] for _ in self.rows[safe:])]
        self.held = Episodes(CODES, NOTED)
        self.held.adopt(Memory(self._note))
        for source, content in {of_line(content)[0]: content for _, content in self.journal}.items():
            self.held.memory.restore(source, of_line(content)[1])

    def through(self, cuts: Sequence[Cut]) -> dict[Row, int]:
        """Give the rows that are left without repetitions."""
        answered = 0
        for cut in cuts:
            taken = self.take(answered, cut.reports)
            unanswered = min(cut.unanswered, taken)
            answered += taken - unanswered
            if cut.killed:
                unwritten = min(cut.unwritten, unanswered)
                arrived = len(self.rows)
                self.kill(arrived - unwritten, arrived - min(cut.unsafe, unwritten))
        self.take(answered, len(self.reports))
        return distinct(row for rows in self.rows for row in rows)


def distinct(rows: Any) -> dict[Row, int]:
    """Give the first of each row."""
    found: dict[Row, int] = {}
    for row, started_at in rows:
        found.setdefault(row, started_at)
    return found


def in_order(steps: list[tuple[str, int, int]]) -> list[Report]:
    ts, found = 0, []
    for source, step, bits in steps:
        ts += step
        found.append(Report(source, ts, bits))
    return found


BITS = st.sampled_from([0, 0, 1, 2, 3, 16, 17, 19])
SOURCES = st.sampled_from("ab")
ORDERLY = st.lists(st.tuples(SOURCES, st.integers(0, 2), BITS), max_size=30).map(in_order)
ANY_ORDER = st.lists(st.builds(Report, SOURCES, st.integers(0, 9), BITS), max_size=30)
FEW = st.integers(0, 6)
CUTS = st.lists(st.builds(Cut, FEW, FEW, st.booleans(), FEW, FEW), max_size=8)


@settings(deadline=None)
@given(ORDERLY, CUTS)
def test_any_cut_of_a_stream_gives_the_episodes_of_one_connection(reports: list[Report], cuts: list[Cut]) -> None:
    assert Run(reports).through(cuts) == distinct(told(reports, Episodes(CODES, NOTED)))


@settings(deadline=None)
@given(ANY_ORDER, CUTS)
def test_so_does_any_order_of_reports_while_the_process_lives(reports: list[Report], cuts: list[Cut]) -> None:
    lively = [cut._replace(killed=False) for cut in cuts]
    assert Run(reports).through(lively) == distinct(told(reports, Episodes(CODES, NOTED)))


@given(ORDERLY)
def test_what_is_told_adds_up(reports: list[Report]) -> None:
    held, standing = Episodes(CODES, NOTED), dict[tuple[str, str], int]()
    for report in reports:
        new = held.memory.newest(report.source) < 0
        if new and report.bits & 16:
            standing[report.source, "running"] = report.ts
        for edge in held.observe(*report, LATER):
            key = report.source, edge.code
            assert (key in standing) == (edge.phase == "fall")
            if edge.phase == "fall":
                assert edge.started_at == standing.pop(key)
            else:
                standing[key] = report.ts


def test_within_one_time_nothing_leads_back_and_the_next_report_tells_the_rest() -> None:
    held = Episodes(CODES)
    assert held.observe("a", 10, 1, LATER) == [Edge("overspeed", "rise", 10)]
    assert held.observe("a", 10, 2, LATER) == [Edge("overspeed", "fall", 10), Edge("fatigue", "rise", 10)]
    assert held.observe("a", 10, 1, LATER) == []
    assert held.observe("a", 11, 1, LATER) == [Edge("overspeed", "rise", 11), Edge("fatigue", "fall", 10)]


def test_a_flood_of_reports_of_one_time_is_not_remembered() -> None:
    held = Episodes({bit: str(bit) for bit in range(32)})
    for bits in range(1000):
        held.observe("a", 10, bits, LATER)
    standing = held.memory.heard("a")
    assert standing is not None
    assert len(standing.stood) == episodes.MOST_AT_ONCE


def test_a_report_from_the_future_silences_nothing() -> None:
    held = Episodes(CODES)
    assert held.observe("a", 11 + AHEAD_US, 1, 10) == []
    assert held.observe("a", 10 + AHEAD_US, 1, 10) == [Edge("overspeed", "rise", 10 + AHEAD_US)]


def test_the_source_longest_unheard_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(episodes, "MOST_SOURCES", 2)
    held = Episodes(CODES)
    for source in ("a", "b", "a", "c"):
        held.observe(source, 1, 1, LATER)
    assert len(held.memory) == 2
    assert (held.memory.newest("a"), held.memory.newest("b")) == (1, -1)


@pytest.mark.parametrize("name", ["jt808", "jt809", "jt905", "gb32960"])
def test_sessions_of_every_connector_with_episodes_share_a_memory(name: str) -> None:
    connector = load(name)
    session: Any = connector.make_session(connector.manifest.resolve({}, "test"), Peer("test"))
    memory = Memory()
    session.adopt(memory)
    holders = [getattr(session, name, None) for name in ("_alarms", "_episodes")]
    holders.append(getattr(getattr(session, "_readings", None), "episodes", None))
    assert [h.memory for h in holders if h is not None] == [memory]
