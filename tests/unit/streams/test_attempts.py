"""A poison record is found and set aside after a few deaths; bad luck sets nothing aside."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.attempts import Attempts

PLACE = "raw-transport/0"


def life(path: Path, at: int, records: int, poison: set[int], lives_left: Iterator[None]) -> tuple[int, list[int], bool]:
    """Work from offset ``at`` until all is done or the process dies; give how far it came and what it set aside."""
    next(lives_left)
    attempts, aside = Attempts(path), []
    while at < records:
        reach, set_aside = attempts.begin(PLACE, at, min(at + 4, records))
        attempts.save()
        if set_aside:
            aside.append(at)
        elif poison & set(range(at, at + reach)):
            attempts.fail()
            return at, aside, False
        attempts.wait()
        at += reach
    return at, aside, True


@pytest.mark.parametrize("poison", [set(), {0}, {5}, {9}, {2, 3}, {0, 9}])
def test_exactly_the_poison_is_set_aside_after_a_bounded_number_of_deaths(tmp_path: Path, poison: set[int]) -> None:
    at, aside, done = 0, list[int](), False
    lives = iter([None] * (1 + 4 * max(1, len(poison))))
    while not done:
        at, more, done = life(tmp_path / "a", at, 10, poison, lives)
        aside += more
    assert set(aside) == poison


def test_a_worker_killed_while_it_waits_has_not_failed(tmp_path: Path) -> None:
    for _ in range(20):
        attempts = Attempts(tmp_path / "a")
        assert attempts.begin(PLACE, 7, 11) == (4, False)
        attempts.save()
        attempts.wait()


def test_a_batch_that_died_is_tried_record_by_record_and_then_as_before(tmp_path: Path) -> None:
    for _ in range(2):
        attempts = Attempts(tmp_path / "a")
        assert attempts.begin(PLACE, 0, 3) == (3, False)
        attempts.save()
    attempts = Attempts(tmp_path / "a")
    assert [attempts.begin(PLACE, n, 3) for n in (0, 1, 2)] == [(1, False)] * 3
    assert attempts.begin(PLACE, 3, 6) == (3, False)


def test_a_torn_file_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b'{"raw-tr')
    assert Attempts(tmp_path / "a").begin(PLACE, 0, 2) == (2, False)
