"""Incremental reading: order, ties, crashes, marks and names, on SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from connectors._api import registry
from connectors._api.session import Peer
from connectors.sql_poll import client
from connectors.sql_poll.decoder import Session
from schemas.errors import Fatal, Retry
from schemas.kinds.payments import BillPayment

NOW = 1_793_491_200_000_000
CONNECTOR = registry.load("sql_poll")


@pytest.fixture
def billing(tmp_path: Path) -> Path:
    """A billing system with 25 payments, five at each second."""
    path = tmp_path / "billing.db"
    with sqlite3.connect(path) as database:
        database.execute('CREATE TABLE payments (id INTEGER PRIMARY KEY, bill, account, "paid at" TEXT, utility, amount)')
        for n in range(25):
            pay(database, n)
    return path


def pay(database: sqlite3.Connection, n: int) -> None:
    row = (n, f"P{n}", f"31{n:04}", f"2026-11-01 08:00:{n // 5:02}", "水费", f"{n}.10")
    database.execute("INSERT INTO payments VALUES (?, ?, ?, ?, ?, ?)", row)


def settings(path: Path, **given: Any) -> dict[str, Any]:
    table = {
        **{"database": f"sqlite://{path}", "table": "payments", "watermark": "paid at", "key": "id", "page_rows": 4},
        **{"state_file": str(path.with_suffix(".mark")), "hash_key": "k", "interval_s": 0.0},
        **{"changes": {"rename": {"paid at": "paid_at"}}, **given},
    }
    return dict(CONNECTOR.manifest.resolve(table, "test"))


async def read(found: dict[str, Any], pages: int) -> list[bytes]:
    """Give so many pages; the last of them is not confirmed, as if the process ended."""
    packets: AsyncIterator[tuple[bytes, str]] = client.packets(found, lambda: NOW)
    got = [(await anext(packets))[0] for _ in range(pages)]
    await packets.aclose()  # type: ignore[attr-defined] # a generator
    return got


def bills(found: dict[str, Any], packets: list[bytes]) -> list[str]:
    session = Session(found, Peer("sql_poll"))
    received = [session.receive(packet, NOW, "payments") for packet in packets]
    assert not any(r.rejects for r in received)
    readings = [p for r in received for p in r.readings if isinstance(p, BillPayment)]
    assert all(p.serial == int(p.bill[1:]) and p.amount == int(p.bill[1:]) * 100 + 10 for p in readings)
    return [p.bill for p in readings]


async def test_pages_follow_each_other_within_ties_and_what_comes_later_is_read(billing: Path) -> None:
    found = settings(billing)
    packets = client.packets(found, lambda: NOW)
    got = [(await anext(packets))[0] for _ in range(7)]
    assert bills(found, got) == [f"P{n}" for n in range(25)]
    with sqlite3.connect(billing) as database:
        for n in (26, 27):
            pay(database, n)
    assert bills(found, [(await anext(packets))[0]]) == ["P26", "P27"]
    await packets.aclose()  # type: ignore[attr-defined] # a generator


async def test_after_a_crash_only_the_page_that_was_not_safe_is_read_again(billing: Path) -> None:
    found = settings(billing)
    assert bills(found, await read(found, 3)) == [f"P{n}" for n in range(12)]
    assert bills(found, await read(found, 2)) == [f"P{n}" for n in range(8, 16)]


async def test_begin_and_chosen_columns(billing: Path) -> None:
    columns = ["bill", "account", "utility", "amount"]
    found = settings(billing, begin="2026-11-01 08:00:03", columns=columns, page_rows=100)
    (packet,) = await read(found, 1)
    assert bills(found, [packet]) == [f"P{n}" for n in range(20, 25)]
    page = msgspec.json.decode(packet)
    assert (page["columns"], page["watermark"]) == ([*columns, "paid at", "id"], "2026-11-01 08:00:04")


@pytest.mark.parametrize(
    "given",
    [
        {"table": "payment"},
        {"table": 'payments"; DROP TABLE payments; --'},
        {"watermark": "paid_at"},
        {"key": "id = id"},
        {"columns": ["bill", "1; --"]},
        {"columns": ["bi\0ll"]},
        {"state_file": ""},
        {"database": "mysql://host/db"},
        {"database": ""},
    ],
)
async def test_wrong_settings_are_named_and_nothing_is_run(billing: Path, given: dict[str, Any]) -> None:
    with pytest.raises(Fatal):
        await read(settings(billing, **given), 1)
    with sqlite3.connect(billing) as database:
        assert database.execute("SELECT count(*) FROM payments").fetchone() == (25,)


async def test_a_database_that_is_away_is_tried_again(billing: Path) -> None:
    with pytest.raises(Retry, match="unable to open"):
        await read(settings(billing, database=f"sqlite://{billing}.none"), 1)


async def test_a_mark_of_another_table_or_a_broken_one_is_refused(billing: Path) -> None:
    await read(settings(billing), 2)
    with sqlite3.connect(billing) as database:
        database.execute("CREATE VIEW other AS SELECT * FROM payments")
    with pytest.raises(Fatal, match="payments"):
        await read(settings(billing, table="other"), 1)
    billing.with_suffix(".mark").write_text("{")
    with pytest.raises(Fatal, match="cannot be read"):
        await read(settings(billing), 1)


async def test_the_database_cannot_be_written_and_statements_have_a_limit(billing: Path) -> None:
    ticks = iter(range(0, 10**15, 10**9))
    found = settings(billing)
    with sqlite3.connect(billing) as database:
        database.execute("CREATE VIEW slow AS SELECT a.* FROM payments a, payments b, payments c, payments d, payments e")
    packets = client.packets({**found, "table": "slow"}, lambda: next(ticks))
    with pytest.raises(Retry, match="interrupted"):
        await anext(packets)
    async with client.opened(found["database"], client.query_of(found), lambda: NOW) as source:
        assert isinstance(source, client.InThread)
        with pytest.raises(Retry, match="readonly"):
            source._inner._run("DELETE FROM payments", ())
