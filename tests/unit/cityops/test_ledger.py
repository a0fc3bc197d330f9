"""The ledger's arithmetic: the database's snapshot and the broker's frames put together."""

from __future__ import annotations

import pytest

from cityops.frames import under_way
from cityops.in_flight import Scan
from cityops.ledger import Book, balance, since_time
from cityops.ledger_snapshot import Snapshot, Total
from schemas.errors import Fatal
from schemas.frame import Header
from storage.balance import Balance

PLACE = ("gate", "bus_position", 1)
KEY = ("gate", "r1", "raw-transport", "bus_position", 1)


def header(seq: int, *, rows: int = 10, total: int = 0, run: str = "r1", stage: str = "raw", **more: object) -> Header:
    fields: dict[str, object] = {
        "kind": "bus_position", "stage": stage, "fingerprint": "f", "rows": rows, "ts_min": 0, "ts_max": 0, "seen_at": 1_000,
        "connector": "gate", "run": run, "bucket": 1, "seq": seq, "total": total or rows * seq,
    }  # fmt: skip
    return Header(**{**fields, **more})  # type: ignore[arg-type]


def snapshot(*, arrived: tuple[int, int, int, int] = (100, 97, 2, 1), mark: int = 10, **total: object) -> Snapshot:
    fields: dict[str, object] = {"received": 100, "produced": 100, "spooled": 0, "framed": 100, "current": True}
    one = Total(**{**fields, **total})  # type: ignore[arg-type]
    marks = {("store", "clean-transport", "gate", "r1", 1): mark}
    return Snapshot(arrived={PLACE: arrived}, taken={PLACE: one.taken}, totals={KEY: one}, marks=marks)


def see(at: Snapshot, *frames: tuple[str, Header]) -> Scan:
    found = Scan()
    for topic, one in frames:
        found.see(at, topic, 1, one)
    return found


def test_everything_stored_balances() -> None:
    book = balance(snapshot(), Scan())
    assert book.by == {PLACE: Balance(100, 97, 2, 1, 0)}
    assert book.balances and book.settled


def test_a_frame_between_clean_and_store_is_counted_once_whatever_copies_are_seen() -> None:
    at = snapshot(received=110, produced=110)
    seen = see(
        at,
        ("raw-transport", header(10)),  # stored already: a repetition
        ("raw-transport", header(11)),
        ("raw-transport", header(11)),
        ("clean-transport", header(11, rows=7, total=110, stage="clean", duplicates=2, rejected={"out_of_bounds": 1})),
    )
    book = balance(at, seen)
    assert book.by[PLACE] == Balance(110, 97, 2, 1, 10)
    assert book.by[PLACE].lost == 0 and not book.settled


def test_frames_the_connector_has_not_told_of_yet_raise_received() -> None:
    at = snapshot()
    book = balance(at, see(at, ("raw-transport", header(11)), ("raw-transport", header(12))))
    assert book.by[PLACE] == Balance(120, 97, 2, 1, 20)


def test_rows_of_a_frame_that_vanished_are_lost() -> None:
    book = balance(snapshot(received=110, produced=110), Scan())
    assert book.by[PLACE].lost == 10
    assert book.settled and not book.balances


def test_a_loss_is_not_hidden_by_later_frames_under_way() -> None:
    at = snapshot(received=120, produced=120)
    book = balance(at, see(at, ("raw-transport", header(12))))
    assert (book.by[PLACE].in_flight, book.by[PLACE].lost) == (10, 10)


def test_rows_in_a_live_connector_or_its_spool_are_under_way() -> None:
    book = balance(snapshot(received=125, produced=100, spooled=20), Scan())
    assert (book.by[PLACE].in_flight, book.by[PLACE].lost) == (25, 0)


def test_of_a_replaced_run_only_confirmed_and_spooled_rows_count() -> None:
    unconfirmed = balance(snapshot(received=125, produced=100, current=False), Scan())
    assert unconfirmed.by[PLACE] == Balance(100, 97, 2, 1, 0)
    spooled = balance(snapshot(received=125, produced=100, spooled=20, current=False), Scan())
    assert (spooled.by[PLACE].in_flight, spooled.by[PLACE].lost) == (20, 0)
    confirmed = balance(snapshot(received=125, produced=120, current=False), Scan())
    assert (confirmed.by[PLACE].in_flight, confirmed.by[PLACE].lost) == (0, 20)


def test_doubled_rows_show_below_zero() -> None:
    book = balance(snapshot(arrived=(110, 107, 2, 1)), Scan())
    assert book.by[PLACE].received == 110
    doubled = balance(snapshot(arrived=(100, 107, 2, 1)), Scan())
    assert doubled.by[PLACE].lost == -10 and not doubled.balances


def test_rows_that_clean_refused_are_not_counted_again_in_rejects() -> None:
    at = snapshot()
    refused = header(3, run="r1.clean", kind="reject", rows=4)
    assert see(at, ("rejects", refused)).rows == {}
    by_connector = header(3, kind="reject", rows=4, total=4)
    assert see(at, ("rejects", by_connector)).rows == {("gate", "reject", 1): 4}


def test_states_not_read_yet_mean_not_settled() -> None:
    assert not balance(snapshot(), Scan(states_behind=1)).settled


def test_the_ledger_of_one_replay_is_what_was_added() -> None:
    other = ("gate", "bus_position", 2)
    before = Book({PLACE: Balance(100, 97, 2, 1, 0), other: Balance(5, 5, 0, 0, 0)})
    after = Book({PLACE: Balance(160, 150, 7, 3, 0), other: Balance(5, 5, 0, 0, 0)})
    assert after.of("gate").minus(before.of("gate")).by == {PLACE: Balance(60, 53, 5, 2, 0)}
    assert after.of("elsewhere").by == {}


def test_json_has_the_promised_keys() -> None:
    found = balance(snapshot(), Scan()).as_dict()
    same = {"received", "stored", "duplicates", "rejected", "in_flight", "lost"}
    assert found.keys() == same | {"by"}
    assert found["by"][0].keys() == same | {"connector", "kind", "partition"}


def test_since_takes_iso_times_only() -> None:
    assert since_time("2026-05-01T08:00:00+08:00") == 1_777_593_600_000_000
    assert since_time(None) is None
    with pytest.raises(Fatal, match="not an ISO 8601 time"):
        since_time("yesterday")


def test_frames_under_way_are_named_in_stretches() -> None:
    stream = ("clean-transport", "buses", "r1", 0)
    seen = Scan(counted={(stream, n) for n in (3, 4, 5, 9)})
    assert [(f.state, f.first_seq, f.last_seq) for f in under_way(seen)] == [("in_flight", 3, 5), ("in_flight", 9, 9)]
