"""Restarting with back-off, on a clock of our own."""

from __future__ import annotations

import pytest

from cityops.supervisor import LONGEST_S, SETTLED_S, Backoff, Part, Supervisor


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Program:
    """A program that ends when the test says so."""

    def __init__(self, name: str, journal: list[str]) -> None:
        self.name = name
        self.status: int | None = None
        self._journal = journal

    def start(self) -> None:
        self.status = None
        self._journal.append(f"start {self.name}")

    def poll(self) -> int | None:
        return self.status

    def stop(self, grace_s: float) -> int | None:
        self._journal.append(f"stop {self.name} within {grace_s:g}")
        self.status = 0
        return 0

    def tail(self, lines: int = 1) -> str:
        return f"last {lines} of {self.name}"


@pytest.mark.parametrize(("status", "first"), [(1, 2.0), (2, 2.0), (0, 2.0), (70, 0.2), (71, 0.2), (-9, 0.2), (-15, 0.2)])
def test_pause_depends_on_how_it_ended(status: int, first: float) -> None:
    assert Backoff().pause(status, ran_s=SETTLED_S) == first


def test_pause_doubles_up_to_the_longest_and_starts_anew_after_a_long_run() -> None:
    backoff = Backoff()
    assert [backoff.pause(2, 1.0) for _ in range(6)] == [2.0, 4.0, 8.0, 16.0, LONGEST_S, LONGEST_S]
    assert backoff.pause(2, SETTLED_S) == 2.0
    assert backoff.pause(2, 1.0) == 2.0


def test_an_ended_part_starts_again_when_its_pause_is_over_and_others_are_left_alone() -> None:
    journal: list[str] = []
    clock = Clock()
    one, two = Program("one", journal), Program("two", journal)
    supervisor = Supervisor([Part(one), Part(two)], clock=clock)
    one.status = 70
    supervisor.check()
    clock.now = 0.1
    supervisor.check()
    assert journal == ["start one", "start two"]
    clock.now = 0.2
    supervisor.check()
    assert journal == ["start one", "start two", "start one"]
    assert supervisor.part("one").restarts == 1
    assert supervisor.part("two").restarts == 0


def test_parts_stop_in_the_opposite_order_and_stay_stopped() -> None:
    journal: list[str] = []
    clock = Clock()
    programs = [Program(name, journal) for name in ("database", "stream", "connect")]
    supervisor = Supervisor([Part(p, grace_s=3.0 + n) for n, p in enumerate(programs)], clock=clock)
    journal.clear()
    assert supervisor.stop("connect") == 0
    supervisor.stop_all()
    clock.now = 100.0
    supervisor.check()
    assert journal == ["stop connect within 5", "stop connect within 5", "stop stream within 4", "stop database within 3"]
