"""Table files: every format gives the same payments, money is exact, accounts are hidden, broken files are refused."""

from __future__ import annotations

import io
import random
import zipfile
from typing import Any

import msgspec
import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors._api import registry
from connectors._api.pseudonym import pseudonym
from connectors._api.session import Peer, Received
from connectors.table_file import encoder, pages
from connectors.table_file.decoder import Session
from schemas.errors import Reject
from schemas.kinds.payments import BillPayment

NOW = 1_793_491_200_000_000
KEY = "city-key"
CONNECTOR = registry.load("table_file")


def session(**given_settings: Any) -> Session:
    return Session(CONNECTOR.manifest.resolve({"hash_key": KEY, **given_settings}, "test"), Peer("table_file"))


def payments(received: Received) -> list[BillPayment]:
    assert received.rejects == []
    return [r for r in received.readings if isinstance(r, BillPayment)]


PAYMENT = st.fixed_dictionaries(
    {
        "bill": st.from_regex(r"P[0-9]{1,12}", fullmatch=True),
        "account": st.from_regex(r"31[0-9]{8}", fullmatch=True),
        "paid_at": st.integers(1_600_000_000, 1_900_000_000).map(lambda s: s * 1_000_000),
        "utility": st.sampled_from(sorted(encoder.UTILITIES)),
        "amount": st.integers(-(10**12), 10**12),
        "balance": st.none() | st.integers(-(10**12), 10**12),
        "channel": st.none() | st.sampled_from(["微信", "网点"]),
    }
)


@settings(max_examples=40, deadline=None)
@given(st.lists(PAYMENT, min_size=1, max_size=6), st.sampled_from(["csv", "gb18030", "xlsx", "parquet"]))
def test_payments_of_every_format_are_decoded_exactly(rows: list[dict[str, Any]], format: str) -> None:
    table = [encoder.payment(row) for row in rows]
    body = {
        "csv": encoder.csv_body,
        "gb18030": lambda t: encoder.csv_body(t, "gb18030"),
        "xlsx": encoder.xlsx_body,
        "parquet": encoder.parquet_body,
    }[format](table)
    found = payments(session().receive(body, NOW, f"payments.{format}"))
    for payment, row in zip(found, rows, strict=True):
        assert payment.source == pseudonym(row["account"], KEY)
        assert (payment.bill, payment.ts, payment.utility) == (row["bill"], row["paid_at"], row["utility"])
        assert (payment.amount, payment.balance, payment.channel) == (row["amount"], row["balance"], row["channel"])


@pytest.mark.parametrize(
    ("cell", "fen"),
    [
        (35.1, 3510),
        (0.1 + 0.2, 30),
        (1234.56, 123456),
        (45.669999999999995, 4567),
        (7, 700),
        ("1,234.50", 123450),
        ("¥ 3.2元", 320),
    ],
)
def test_money_of_a_workbook_is_what_it_shows(cell: float | str, fen: int) -> None:
    row = {**encoder.payment({"bill": "P1", "account": "1", "paid_at": NOW, "utility": "water", "amount": 0}), "金额": cell}
    (payment,) = payments(session().receive(encoder.xlsx_body([row]), NOW))
    assert payment.amount == fen


@pytest.mark.parametrize("cell", ["35.105", "", "NaN", "Infinity", "1e400", "9" * 30, "many", "1e-400", "--1"])
def test_what_is_no_whole_number_of_fen_is_refused(cell: str) -> None:
    row = {**encoder.payment({"bill": "P1", "account": "310001", "paid_at": NOW, "utility": "water", "amount": 0}), "金额": cell}
    received = session().receive(encoder.csv_body([row]), NOW)
    assert received.readings == []
    assert [r.reason for r in received.rejects] == ["missing_field" if not cell else "bad_field"]
    assert b"310001" not in received.rejects[0].raw


def test_no_account_leaves_the_decoder() -> None:
    rows = [
        encoder.payment({"bill": f"P{n}", "account": "31000177", "paid_at": NOW, "utility": "gas", "amount": n}) for n in range(3)
    ]
    rows[1]["缴费时间"] = "never"
    received = session().receive(encoder.csv_body(rows), NOW)
    assert (len(received.readings), len(received.rejects)) == (2, 1)
    told = msgspec.json.encode([received.message, *(r.raw.decode() for r in received.rejects)]) + repr(received.readings).encode()
    assert b"31000177" not in told


def test_a_chosen_sheet_below_a_title_with_empty_rows_between() -> None:
    book = openpyxl.Workbook()
    book.active.append(["nothing here"])  # type: ignore[union-attr] # a new workbook has a sheet
    sheet = book.create_sheet("明细")
    head = list(encoder.payment({"bill": "P1", "account": "1", "paid_at": NOW, "utility": "water", "amount": 1}))
    for line in (
        ["十一月"],
        [],
        head,
        ["P1", 310001, "2026-11-01 08:00:00", "水费", 1.5],
        [],
        ["P2", 310001, "2026-11-01 08:00:00", "气", 2],
    ):
        sheet.append(line)
    body = io.BytesIO()
    book.save(body)
    found = payments(session(changes={"sheet": "明细", "skip": 2}).receive(body.getvalue(), NOW))
    assert [(p.bill, p.amount, p.utility) for p in found] == [("P1", 150, "water"), ("P2", 200, "gas")]
    with pytest.raises(Reject, match="no sheet 'x'"):
        session(changes={"sheet": "x"}).receive(body.getvalue(), NOW)


def test_large_files_come_in_pages() -> None:
    row = {"account": "1", "paid_at": NOW, "utility": "water", "amount": 1}
    table = [encoder.payment({**row, "bill": f"P{n}"}) for n in range(2300)]
    complete = CONNECTOR.manifest.resolve({"hash_key": KEY}, "test")
    for body in (encoder.csv_body(table), encoder.xlsx_body(table), encoder.parquet_body(table)):
        made = [session().receive(page, NOW) for page in pages.pages(complete, io.BytesIO(body), "x")]
        assert [len(r.readings) for r in made] == [500, 500, 500, 500, 300]
        assert [p.bill for r in made for p in payments(r)] == [f"P{n}" for n in range(2300)]


def test_a_workbook_that_unpacks_too_large_or_too_wide_is_refused() -> None:
    body = encoder.xlsx_body([{"a": "1"}])
    wide = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(body)) as old, zipfile.ZipFile(wide, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            content = old.read(name)
            if name.endswith("sheet1.xml"):
                content = content.replace(b"</sheetData>", b'<row r="3"><c r="XFD3"><v>1</v></c></row></sheetData>')
            new.writestr(name, content)
    with pytest.raises(Reject, match="16384 cells"):
        session().receive(wide.getvalue(), NOW)


@pytest.mark.parametrize("body", [b"", b"PK\x03\x04", b"PAR1PAR1", b"\xd0\xcf\x11\xe0", b"\x1f\x8b\x08", b"\x00" * 50])
def test_what_is_no_table_is_refused(body: bytes) -> None:
    with pytest.raises(Reject):
        session().receive(body, NOW)


@pytest.mark.parametrize("format", ["xlsx", "parquet"])
def test_mutated_files_never_crash(format: str) -> None:
    chance = random.Random(7)  # noqa: S311 - a repeatable choice, no secret
    rows = [encoder.payment({"bill": f"P{n}", "account": "1", "paid_at": NOW, "utility": "gas", "amount": n}) for n in range(3)]
    body = encoder.xlsx_body(rows) if format == "xlsx" else encoder.parquet_body(rows)
    made = session()
    for _ in range(200):
        packet = bytearray(body)
        for _ in range(chance.randint(1, 4)):
            packet[chance.randrange(len(packet))] = chance.randrange(256)
        try:
            made.receive(bytes(packet), NOW, "x")
        except Reject as error:
            assert error.reason in ("bad_frame", "too_large", "unsupported", "bad_encoding", "missing_field")
