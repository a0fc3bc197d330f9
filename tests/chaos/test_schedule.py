"""Schedules: the committed one is complete, drawn ones can be run, flawed ones are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.chaos.schedule import DEVICES, HERE, KINDS, Fault, Flawed, Schedule, check, generate, load, resources


def test_the_committed_schedule_strikes_every_part_in_every_way() -> None:
    found = load(HERE / "default.toml")
    assert len([f for f in found.faults if not f.is_input]) >= 40
    assert {(f.target, f.fault) for f in found.faults} == set(KINDS)
    assert found.steps <= 15 * 60


def test_a_schedule_is_read_as_it_was_written(tmp_path: Path) -> None:
    drawn = generate(7, 30)
    (tmp_path / "some.toml").write_text(drawn.to_toml(), encoding="utf-8")
    assert load(tmp_path / "some.toml") == drawn


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 80))
def test_any_seed_draws_a_schedule_that_can_be_run(seed: int, count: int) -> None:
    drawn = generate(seed, count)
    check(drawn)
    assert len(drawn.faults) == count
    assert drawn == generate(seed, count)
    busy: dict[str, int] = {}
    for fault in drawn.faults:
        for name in () if fault.target == DEVICES else resources(fault):
            assert fault.at >= busy.get(name, 0)
            busy[name] = fault.at + fault.lasts


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault(5, "kafka", "melt"), "no such fault"),
        (Fault(90, "kafka", "stop", 20), "the input 100 s"),
        (Fault(5, "kafka", "freeze"), "needs its seconds"),
        (Fault(15, "kafka", "kill"), "the fault of kafka before it"),
    ],
)
def test_a_flawed_schedule_is_refused_with_its_reason(fault: Fault, words: str) -> None:
    with pytest.raises(Flawed, match=words):
        check(Schedule(1, 100, tuple(sorted([Fault(10, "spool", "fill", 20), fault]))))


def test_a_file_without_its_keys_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("seed = 1\n", encoding="utf-8")
    with pytest.raises(Flawed, match="give seed, steps"):
        load(tmp_path / "bad.toml")
