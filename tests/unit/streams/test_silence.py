"""Which sources fell silent, and when, does not depend on how frames were gathered into batches."""

from __future__ import annotations

import itertools
import random

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.config import Stream
from schemas.events import Finding
from streams.agents.watch import WatchTask
from streams.task import Record
from tests.scenarios.timeline import RULES, City, drive, local


def frames() -> list[Record]:
    """Give ten minutes of five buses in frames that overlap in arrival; two fall silent, once all do."""
    city, rng = City("transport", local("2026-11-23 08:00:00")), random.Random(5)  # noqa: S311 - a test's choice, no secret
    for t in itertools.chain(range(0, 300, 5), range(460, 600, 5)):
        for n in range(5):
            if t // 5 % (n + 1) == 0 and not (n == 1 and 60 < t < 200) and not (n == 3 and t > 180):
                city.push("bus_position", [r | {"seen": t + rng.choice((0.2, 0.9, 2.5))} for r in drive(f"b{n}", [t], 30)])
    return city.log


LOG = frames()


def said(cuts: list[int]) -> list[Finding]:
    task = WatchTask("clean-transport", 0, RULES, Stream())
    found: list[Finding] = []
    for start, end in itertools.pairwise(sorted({0, len(LOG), *cuts})):
        outputs = task.process(LOG[start:end]).outputs
        found += [msgspec.json.decode(o.value, type=Finding) for o in outputs if o.topic == "findings"]
    return [f for f in found if f.rule == "source-silent"]


ONE_BY_ONE = said(list(range(len(LOG))))


def test_some_fall_silent_and_come_back() -> None:
    assert {(f.source, f.state) for f in ONE_BY_ONE} >= {("b1", "raise"), ("b1", "clear"), ("b3", "raise")}
    assert {f.source for f in ONE_BY_ONE} <= {"b1", "b3"}, "an outage of the whole feed silences nobody"


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, len(LOG) - 1), max_size=8))
def test_any_cut_into_batches_gives_the_same(cuts: list[int]) -> None:
    assert said(cuts) == ONE_BY_ONE
