"""The harness cannot lie: a row planted as lost, doubled, strange or changed is seen, and so is a stall."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.chaos.outcome import Accounts, account, compare, silent_rules, statements
from tests.chaos.report import complaints, line, report
from tests.chaos.run import Ran
from tests.chaos.schedule import generate
from tests.chaos.script import Row
from tests.chaos.stalls import Stalls

A: Row = ("bus_position", "1", 10, "stored")
B: Row = ("bus_position", "2", 10, "stored")
FACTOR: Row = ("env_factor", "3", 10, "stored")
AHEAD: Row = ("bus_position", "4", 99, "future_time")
WANTED = Counter({A: 1, B: 1, FACTOR: 3, AHEAD: 1})
FOUND = Counter({A: 1, B: 1, FACTOR: 3, AHEAD: 1})
DIFFERENT = Counter({A: 1, B: 1, FACTOR: 3, AHEAD: 1})
SENT = Counter({AHEAD: 2})


def figures(found: Accounts) -> tuple[int, int, int]:
    return found.lost, found.doubled, found.strange


def test_a_whole_run_has_nothing_to_complain_of() -> None:
    assert figures(account(WANTED, FOUND, DIFFERENT, SENT)) == (0, 0, 0)


@pytest.mark.parametrize("row", [A, FACTOR, AHEAD])
def test_a_lost_row_is_seen(row: Row) -> None:
    one = Counter({row: 1})
    told = account(WANTED, FOUND - one, DIFFERENT - one, SENT)
    assert figures(told) == (1, 0, 0)
    assert row[1] in told.examples[0]


@pytest.mark.parametrize("row", [A, FACTOR])
def test_a_doubled_row_is_seen(row: Row) -> None:
    assert figures(account(WANTED, FOUND + Counter({row: 1}), DIFFERENT, SENT)) == (0, 1, 0)


def test_a_refused_row_may_be_there_as_often_as_it_was_sent_but_not_more() -> None:
    assert figures(account(WANTED, FOUND + Counter({AHEAD: 1}), DIFFERENT, SENT)) == (0, 0, 0)
    assert figures(account(WANTED, FOUND + Counter({AHEAD: 2}), DIFFERENT, SENT)) == (0, 1, 0)


def test_a_row_that_nobody_sent_is_seen() -> None:
    stranger: Counter[Row] = Counter({("bus_position", "9", 1, "stored"): 1})
    assert figures(account(WANTED, FOUND + stranger, DIFFERENT + stranger, SENT)) == (0, 0, 1)
    more = Counter({FACTOR: 1})
    assert figures(account(WANTED, FOUND + more, DIFFERENT + more, SENT)) == (0, 0, 1)


def test_a_row_refused_that_had_to_be_stored_is_lost_and_strange() -> None:
    refused: Row = (*A[:3], "future_time")
    found = FOUND - Counter({A: 1}) + Counter({refused: 1})
    assert figures(account(WANTED, found, found, SENT)) == (1, 1, 1)


def test_kinds_that_are_on_no_list_are_left_to_the_comparison() -> None:
    derived: Counter[Row] = Counter({("vehicle_alarm_episode", "1", 10, "stored"): 2})
    assert figures(account(WANTED, FOUND + derived, DIFFERENT + derived, SENT)) == (0, 0, 0)


def test_changed_missing_and_repeated_rows_differ() -> None:
    tables = {"windows": [b"a\t1", b"b\t2", b"c\t3"]}
    assert compare(tables, tables)["windows"].count == 0
    assert compare(tables, {"windows": [b"a\t1", b"b\t2.0", b"c\t3"]})["windows"].count == 1
    assert compare(tables, {"windows": [b"a\t1", b"c\t3"]})["windows"].count == 1
    assert compare(tables, {"windows": [b"a\t1", b"a\t1", b"b\t2", b"c\t3"]})["windows"].count == 1
    assert compare(tables, {})["windows"].count == 3


def test_every_table_of_readings_and_results_is_compared_without_arrival_times() -> None:
    found = statements()
    assert {
        "bus_position",
        "env_factor",
        "vehicle_alarm_episode",
        "bike_station",
        "windows",
        "reject",
        "alerts",
        "alert_events",
        "sources",
    } <= found.keys()
    assert all('"seen_at"' not in sql for sql in found.values())
    assert "source-silent" in silent_rules()


def good() -> Ran:
    balanced = {"lost": 0, "in_flight": 0, "by": [{"lost": 0, "in_flight": 0}]}
    return Ran(tables={"windows": [b"a"]}, ledger=balanced)


def test_only_a_run_without_any_flaw_passes() -> None:
    assert report(generate(1, 3), good(), good(), [])["passed"]


@pytest.mark.parametrize(
    ("flaw", "words"),
    [
        ({"accounts": Accounts(lost=1)}, "1 lost"),
        ({"accounts": Accounts(doubled=1)}, "1 doubled"),
        ({"accounts": Accounts(strange=1)}, "1 rows nobody sent"),
        ({"tables": {"windows": [b"b"]}}, "1 rows of windows differ"),
        ({"tables": {"windows": [b"a"], "vehicle_alarm_episode": [b"b"]}}, "1 rows of vehicle_alarm_episode differ"),
        ({"amiss": ["devices wait"]}, "devices wait"),
        ({"refused": [("1380", (3, 2))]}, "not 'done'"),
        ({"ledger": {"lost": 0, "in_flight": 0, "by": [{"lost": 1, "in_flight": 0}, {"lost": -1, "in_flight": 0}]}}, "balance"),
        ({"ledger": {"error": "no broker"}}, "balance"),
    ],
)
def test_any_flaw_fails_the_run_and_is_named(flaw: dict[str, object], words: str) -> None:
    ran = good()
    for name, value in flaw.items():
        setattr(ran, name, value)
    told = report(generate(1, 3), ran, good(), [])
    assert not told["passed"]
    assert words in " ".join(told["complaints"])
    assert "FAILED" in line(told)
    assert complaints(good(), ran, {}) or told["differing"]


def test_the_longest_stretch_without_progress_is_found() -> None:
    stalls = Stalls()
    made = {0: 100}
    for at, stored in ((1.0, 5), (2.0, 6), (3.0, 6), (9.0, 6), (10.0, 7), (11.0, 7)):
        stalls.look(at, made, {0: stored})
    stalls.finish(12.0)
    assert stalls.seconds == 8.0
    assert stalls.longest[0].at == 2.0


def test_a_stretch_without_anything_to_store_is_no_stall() -> None:
    stalls = Stalls()
    for at in range(1, 20):
        stalls.look(float(at), {0: 5}, {0: 5})
    assert stalls.seconds == 1.0


def test_while_anything_is_down_the_clock_does_not_run() -> None:
    stalls = Stalls()
    stalls.look(1.0, {0: 100}, {0: 5})
    for at in range(2, 30):
        stalls.look(float(at), {0: 100}, None)
    stalls.look(31.0, {0: 100}, {0: 5})
    stalls.look(33.0, {0: 100}, {0: 6})
    assert stalls.seconds == 4.0
