"""Tables of payments as a utility's billing system writes them: CSV, Excel and Parquet, for tests and the simulator."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq

from connectors._api import times

HEAD: Mapping[str, str] = {
    "bill": "缴费单号",
    "account": "户号",
    "paid_at": "缴费时间",
    "utility": "缴费类别",
    "amount": "金额",
    "balance": "余额",
    "channel": "渠道",
    "district": "片区",
    "volume": "用量",
}
UTILITIES: Mapping[str, str] = {"water": "水费", "electricity": "电费", "gas": "燃气费", "heat": "热费", "other": "其他"}


def payment(values: Mapping[str, Any]) -> dict[str, str]:
    """Give the row of a payment from fields of bill_payment; ``account`` is the plain number, ``paid_at`` microseconds UTC.

    Money is in fen and written in yuan.
    """
    words = {
        **values,
        "paid_at": times.write(values["paid_at"], "text"),
        "utility": UTILITIES[values["utility"]],
        "amount": yuan(values["amount"]),
    }
    if values.get("balance") is not None:
        words["balance"] = yuan(values["balance"])
    return {HEAD[name]: str(value) for name, value in words.items() if value is not None and name in HEAD}


def yuan(fen: int) -> str:
    """Give fen as yuan with two decimals."""
    return f"{'-' if fen < 0 else ''}{abs(fen) // 100}.{abs(fen) % 100:02d}"


def csv_body(rows: Sequence[Mapping[str, Any]], encoding: str = "utf-8") -> bytes:
    """Give rows as CSV lines under a head line of all their columns."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _columns(rows), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode(encoding)


def xlsx_body(rows: Sequence[Mapping[str, Any]], sheet: str = "Sheet1", title: str = "") -> bytes:
    """Give rows as a workbook of one sheet, under a line with a title if there is one."""
    book = openpyxl.Workbook(write_only=True)
    page = book.create_sheet(sheet)
    if title:
        page.append([title])
    columns = _columns(rows)
    page.append(columns)
    for row in rows:
        page.append([row.get(column) for column in columns])
    body = io.BytesIO()
    book.save(body)
    return body.getvalue()


def parquet_body(rows: Sequence[Mapping[str, Any]], group: int = 10_000) -> bytes:
    """Give rows as a Parquet file."""
    columns = _columns(rows)
    body = io.BytesIO()
    pq.write_table(pa.table({column: [row.get(column) for row in rows] for column in columns}), body, row_group_size=group)
    return body.getvalue()


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(column for row in rows for column in row))
