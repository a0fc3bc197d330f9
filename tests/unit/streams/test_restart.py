"""A worker that dies anywhere and comes back says exactly what one that lived on says."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import frame
from schemas.config import Stream
from schemas.events import Finding
from storage.checkpoints import Checkpoint
from streams.agents.clean import CleanTask
from streams.agents.watch import WatchTask
from streams.task import Outcome, Record, Task
from tests.scenarios.timeline import REFERENCE, RULES, City, drive, local

START = local("2026-11-23 08:00:00")


def day() -> City:
    """Six minutes of five buses, one too fast, one jumping, with repeated and refused rows."""
    city = City("transport", START)
    for t in range(0, 360, 10):
        rows = [row for n in range(5) for row in drive(f"b{n}", [t], 85 if n == 0 and 60 <= t <= 240 else 40)]
        if t == 200:
            rows[1]["lon"] += 0.4
        rows.append(rows[2])
        city.push("bus_position", [*rows, {**rows[3], "speed": -1.0}])
    return city


DAY = day()


@dataclass
class Stored:
    """What a checkpoint of one partition would hold, and what was said so far."""

    checkpoint: Checkpoint = field(default_factory=Checkpoint)
    findings: dict[tuple[str, str, str, int, int], Finding] = field(default_factory=dict)
    windows: dict[tuple[str, str, int], tuple[object, ...]] = field(default_factory=dict)

    def take(self, outcome: Outcome, next_offset: int) -> None:
        """Do as the transaction does."""
        kept = self.checkpoint
        kept.replay_from = next_offset if outcome.replay_from is None else outcome.replay_from
        kept.next_offset = next_offset
        kept.marks |= outcome.marks
        for key, value in outcome.state.items():
            if value is None:
                kept.state.pop(key, None)
            else:
                kept.state[key] = value
        for output in outcome.outputs:
            if output.topic == "findings":
                finding = msgspec.json.decode(output.value, type=Finding)
                self.findings[(finding.rule, finding.source, finding.state, finding.started, finding.at)] = finding
            elif output.topic == "windows":
                for row in frame.decode(output.value, frame.decode_header(output.headers)).to_pylist():
                    key = (row["source"], row["metric"], int(row["ts"].timestamp()))
                    self.windows[key] = (row["count"], row["mean"], row["low"], row["high"], row["last"])


def watch() -> WatchTask:
    return WatchTask("clean-transport", 0, RULES, Stream())


def run(log: list[Record], cuts: list[int], deaths: set[int]) -> Stored:
    """Process a log in batches cut at those places; at each death the memory is gone and the state loaded."""
    stored, task = Stored(), watch()
    edges = sorted({0, len(log), *(c for c in cuts if c < len(log))})
    for number, (start, end) in enumerate(itertools.pairwise(edges)):
        if number in deaths and stored.checkpoint.next_offset is not None:
            task = watch()
            task.restore(stored.checkpoint)
            task.remember(log[stored.checkpoint.replay_from or 0 : stored.checkpoint.next_offset])
        stored.take(task.process(log[start:end]), end)
    return stored


WHOLE = run(DAY.log, [], set())
CUTS = st.lists(st.integers(1, len(DAY.log) - 1), max_size=8)


@settings(max_examples=60, deadline=None)
@given(CUTS, st.sets(st.integers(0, 8)))
def test_any_cut_and_any_death_give_the_same_windows_and_findings(cuts: list[int], deaths: set[int]) -> None:
    found = run(DAY.log, cuts, deaths)
    assert found.windows == WHOLE.windows
    assert {k for k in found.findings if k[2] != "update"} == {k for k in WHOLE.findings if k[2] != "update"}


def test_the_day_has_something_to_find() -> None:
    assert {(rule, state) for rule, _, state, _, _ in WHOLE.findings} >= {
        ("bus-overspeed", "raise"), ("bus-overspeed", "clear"), ("position-jump", "raise"),
    }  # fmt: skip
    assert len(WHOLE.windows) >= 5 * 4


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 35), max_size=6), st.sets(st.integers(0, 6)), st.lists(st.integers(0, 35), max_size=5))
def test_clean_makes_the_same_frames_however_it_dies_and_whatever_is_sent_twice(
    cuts: list[int], deaths: set[int], twice: list[int]
) -> None:
    raw = raw_log()
    want = clean_frames(raw, [], set())
    again = [*raw, *(raw[i] for i in twice)]
    again = [Record(r.topic, 0, i, r.value, r.headers) for i, r in enumerate(again)]
    assert clean_frames(again, cuts, deaths) == want


def raw_log() -> list[Record]:
    """The raw frames the day was made from, kept by pushing it once more."""
    kept: list[Record] = []
    city = City("transport", START)
    feed = city.feed
    city.feed = lambda record: (kept.append(record), feed(record))[1]  # type: ignore[method-assign]
    for t in range(0, 360, 10):
        rows = [row for n in range(3) for row in drive(f"b{n}", [t], 40)]
        city.push("bus_position", [*rows, rows[0]])
    return kept


def clean_frames(log: list[Record], cuts: list[int], deaths: set[int]) -> list[tuple[int, int, list[dict[str, object]]]]:
    """Give (number, duplicates, rows) of every clean frame made from a raw log."""
    checkpoint = Checkpoint()

    def fresh() -> Task:
        task = CleanTask("raw-transport", 0, lambda: REFERENCE, Stream())
        task.restore(checkpoint)
        return task

    made, task = [], fresh()
    edges = sorted({0, len(log), *(c for c in cuts if c < len(log))})
    stored = Stored(checkpoint)
    for number, (start, end) in enumerate(itertools.pairwise(edges)):
        if number in deaths:
            task = fresh()
        outcome = task.process(log[start:end])
        stored.take(outcome, end)
        for output in outcome.outputs:
            header = frame.decode_header(output.headers)
            made.append((header.seq, header.duplicates, frame.decode(output.value, header).to_pylist()))
    return made
