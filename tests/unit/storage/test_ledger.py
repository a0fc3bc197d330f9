"""What the ledger says of frames, before any database."""

from __future__ import annotations

import pytest

from schemas.frame import from_readings
from schemas.kinds.derived import RejectRow
from storage.balance import Balance
from storage.ledger import LedgerRow, added, ledger_row, owners, refused_rows
from tests.unit.storage.rows import NOON, SECOND, buses, header


def test_a_clean_frame_says_what_became_of_the_raw_one() -> None:
    told = header(buses(7), duplicates=2, rejected={"future_time": 1}, total=110, seen_at=NOON + 61 * SECOND)
    row = ledger_row(told, "clean-transport", 3)
    assert (row.received, row.stored, row.duplicates, row.rejected) == (10, 7, 2, {"future_time": 1})
    assert row.key == ("buses", "bus_position", "clean-transport", 3, NOON + 60 * SECOND)
    assert (row.run, row.total) == ("r1", 110)


def refused(stage: str, reason: str, seen_at: int = NOON) -> RejectRow:
    return RejectRow(source="13800000000", ts=NOON, seen_at=seen_at, connector="buses", stage=stage, reason=reason)


def test_only_what_a_connector_refused_is_counted_from_the_rows() -> None:
    rows = [refused("decode", "bad_checksum"), refused("decode", "bad_length"), refused("clean", "future_time")]
    rows.append(refused("decode", "bad_length", NOON + 60 * SECOND))
    found = refused_rows(from_readings(rows, "reject"), "rejects", 1)
    assert [(r.minute, r.received, r.stored, r.rejected) for r in found] == [
        (NOON, 2, 0, {"bad_checksum": 1, "bad_length": 1}),
        (NOON + 60 * SECOND, 1, 0, {"bad_length": 1}),
    ]


def test_rows_of_one_key_add_up() -> None:
    one = LedgerRow("c", "bus_position", "t", 0, NOON, 5, 3, 1, {"a": 1})
    two = LedgerRow("c", "bus_position", "t", 0, NOON, 4, 1, 0, {"a": 1, "b": 2})
    whole = added(one, two)
    assert (whole.received, whole.stored, whole.duplicates, whole.rejected) == (9, 4, 1, {"a": 2, "b": 2})


def test_a_ledger_that_does_not_describe_its_rows_is_refused() -> None:
    rows = [LedgerRow("c", "bus_position", "t", 0, NOON, 5, 3), LedgerRow("d", "bus_position", "t", 0, NOON, 2, 2)]
    assert owners(rows, 5).tolist() == [0, 0, 0, 1, 1]
    with pytest.raises(ValueError, match="says 5 rows to store, its batches hold 6"):
        owners(rows, 6)


def test_what_nothing_explains_is_lost_and_doubling_shows_below_zero() -> None:
    assert Balance(10, 6, 1, 1, 1).lost == 1
    assert Balance(10, 11).lost == -1
