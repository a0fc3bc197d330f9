"""Batch sources against real parts: a legacy table in PostgreSQL, files in a drop folder, and restarts in the middle."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from connectors._api import registry
from connectors._api.pseudonym import pseudonym
from connectors._api.session import Peer
from connectors._host.client import ClientDoor
from connectors._host.options import ClientOptions
from connectors._host.run import run
from connectors.sql_poll import client
from connectors.sql_poll.decoder import Session
from connectors.table_file import encoder
from schemas.errors import Fatal, Retry
from schemas.frame import decode
from schemas.kinds.payments import BillPayment
from tests.unit.host.fakes import START, Bench, MemoryKafka, clock, config, until

SQL = registry.load("sql_poll")
KEY = "city-key"
READER = "cityops_test_reader"


@pytest.fixture
def legacy(database: str) -> Iterator[psycopg.Connection[Any]]:
    """A billing system: 30 payments in a schema and table with awkward names, ten a second."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute('CREATE SCHEMA "计费"')
        connection.execute(
            'CREATE TABLE "计费"."Pay ""ments" (id bigint PRIMARY KEY, bill text, "户号" text, paid_at timestamptz,'
            " utility text, amount numeric(12, 2), note jsonb)"
        )
        for n in range(30):
            pay(connection, n, f"2026-11-01 08:00:{n // 10:02}+08")
        yield connection


def pay(connection: psycopg.Connection[Any], n: int, at: str) -> None:
    row = (n, f"P{n}", f"31{n:04}", at, "水费", n + 0.1)
    connection.execute('INSERT INTO "计费"."Pay ""ments" VALUES (%s, %s, %s, %s, %s, %s, \'{"a": 1}\')', row)


def settings(database: str, folder: Path, **given: Any) -> dict[str, Any]:
    table = {
        **{"database": database, "table": '计费.Pay "ments', "watermark": "paid_at", "key": "id", "page_rows": 7},
        **{"state_file": str(folder / "mark.json"), "hash_key": KEY, "interval_s": 0.02, "lag_s": 0.0, **given},
    }
    return dict(SQL.manifest.resolve(table, "test"))


def bills(bench: Bench) -> list[str]:
    """The bills in the frames that are submitted, and then safe."""
    bench.intake.flush()
    found = [bill for frame in bench.submitted for bill in decode(frame.value, frame.header).column("bill").to_pylist()]
    bench.confirm()
    return sorted(found, key=lambda bill: int(bill[1:]))


async def run_until_crash(found: dict[str, Any], pages: int) -> list[str]:
    """Read so many pages that become safe, and one more that does not; give the bills of the safe ones."""
    bench, seen = Bench(), []
    async with bench.opened(ClientDoor(SQL, found, ClientOptions(), bench.intake, bench.clock)):
        for number in range(1, pages + 1):
            await until(partial(lambda wanted: bench.intake.packets == wanted, number))
            seen += bills(bench)
        await until(lambda: bench.intake.packets == pages + 1)
    assert bench.intake.rejects == 0
    return seen


async def test_a_legacy_table_is_read_once_in_order_with_a_crash_in_the_middle(
    database: str, legacy: psycopg.Connection[Any], tmp_path: Path
) -> None:
    found = settings(database, tmp_path)
    seen = [bill for pages in (2, 1, 1) for bill in await run_until_crash(found, pages)]
    assert seen == [f"P{n}" for n in range(28)]
    pay(legacy, 30, "2026-11-01 08:00:02+08")
    bench = Bench()
    async with bench.opened(ClientDoor(SQL, found, ClientOptions(), bench.intake, bench.clock)):
        await until(lambda: bench.intake.packets == 1)
        assert bills(bench) == ["P28", "P29", "P30"]
        pay(legacy, 31, "2026-11-01 08:00:03+08")
        await until(lambda: bench.intake.packets == 2)
        assert bills(bench) == ["P31"]


async def first_page(found: dict[str, Any]) -> list[BillPayment]:
    packets = client.packets(found, lambda: START)
    try:
        async with asyncio.timeout(20):
            packet, origin = await anext(packets)
    finally:
        await packets.aclose()  # type: ignore[attr-defined] # a generator
    received = Session(found, Peer("sql_poll")).receive(packet, START, origin)
    assert received.rejects == []
    return [r for r in received.readings if isinstance(r, BillPayment)]


async def test_values_of_postgresql_arrive_exactly(database: str, legacy: psycopg.Connection[Any], tmp_path: Path) -> None:
    (payment, *_) = await first_page(settings(database, tmp_path, begin="2026-11-01 08:00:01+08"))
    assert (payment.bill, payment.serial, payment.amount, payment.utility) == ("P20", 20, 2010, "water")
    assert (payment.source, payment.ts) == (pseudonym("310020", KEY), 1_793_491_202_000_000)


async def test_rows_younger_than_the_lag_wait(database: str, legacy: psycopg.Connection[Any], tmp_path: Path) -> None:
    legacy.execute('UPDATE "计费"."Pay ""ments" SET paid_at = now() - interval \'1 minute\' WHERE id < 5')
    legacy.execute('UPDATE "计费"."Pay ""ments" SET paid_at = now() WHERE id >= 5')
    assert [p.bill for p in await first_page(settings(database, tmp_path, lag_s=30.0))] == [f"P{n}" for n in range(5)]


async def test_times_without_a_zone_are_of_the_profile_and_do_not_wait_for_hours(
    database: str, legacy: psycopg.Connection[Any], tmp_path: Path
) -> None:
    legacy.execute('ALTER TABLE "计费"."Pay ""ments" ALTER paid_at TYPE timestamp USING now() AT TIME ZONE \'Asia/Shanghai\'')
    found = settings(database, tmp_path, lag_s=0.1)
    await asyncio.sleep(0.2)
    assert len(await first_page(found)) == found["page_rows"]


def as_reader(database: str) -> str:
    parts = urlsplit(database)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{READER}:pass@{host}"))


async def test_nothing_can_be_written_and_slow_statements_end(
    database: str, legacy: psycopg.Connection[Any], tmp_path: Path
) -> None:
    found = settings(database, tmp_path, timeout_s=0.3)
    async with client.opened(database, client.query_of(found), lambda: START) as source:
        with pytest.raises(Retry, match="read-only"):
            await source._run(psycopg.sql.SQL('DELETE FROM "计费"."Pay ""ments"').format(), ())  # type: ignore[attr-defined] # PostgreSQL's own
        with pytest.raises(Retry, match="timeout"):
            await source._run(psycopg.sql.SQL("SELECT pg_sleep(5)").format(), ())  # type: ignore[attr-defined] # PostgreSQL's own
    assert legacy.execute('SELECT count(*) FROM "计费"."Pay ""ments"').fetchone() == (30,)


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"table": "计费.payments"}, Fatal),
        ({"table": '计费.Pay "ments"; DROP TABLE x; --'}, Fatal),
        ({"watermark": "paid"}, Fatal),
        ({"key": "id; --"}, Fatal),
        ({"columns": ["bill", "colour"]}, Fatal),
        ({"begin": "yesterday-ish"}, Fatal),
        ({"database": "postgresql://nobody:x@127.0.0.1:1/none"}, Retry),
    ],
)
async def test_what_is_wrong_is_named(
    database: str, legacy: psycopg.Connection[Any], tmp_path: Path, given: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        await first_page(settings(**{"database": database, **given, "folder": tmp_path}))


async def test_a_lost_connection_is_taken_up_where_it_was(database: str, legacy: psycopg.Connection[Any], tmp_path: Path) -> None:
    found = settings(database, tmp_path)
    packets = client.packets(found, lambda: START)
    await anext(packets)
    legacy.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'cityops'")
    with pytest.raises(Retry):
        await anext(packets)
    assert [p.bill for p in await first_page(found)] == [f"P{n}" for n in range(7, 14)]


def dropped(folder: Path, name: str, first: int, count: int, **fields: Any) -> None:
    """Drop a workbook with that many payments and its checksum."""
    row = {"account": "31", "paid_at": START, "utility": "gas", "amount": 100, **fields}
    body = encoder.xlsx_body([encoder.payment({**row, "bill": f"B{n}"}) for n in range(first, first + count)])
    (folder / f"{name}.sha256").write_text(f"{hashlib.sha256(body).hexdigest()}  {name}\n")
    (folder / name).write_bytes(body)


async def test_dropped_files_are_taken_up_by_the_whole_host_and_once_over_restarts(tmp_path: Path) -> None:
    folder = tmp_path / "bills"
    folder.mkdir()
    dropped(folder, "a.xlsx", 0, 1200)
    (folder / "broken.xlsx").write_bytes(b"PK\x03\x04 torn")
    table = {"type": "table_file", "path": str(folder), "hash_key": KEY, "settle_s": 0.1, "rescan_s": 0.05}
    kafka = MemoryKafka()
    for number, name in enumerate(("a.xlsx", "b.xlsx")):
        stop = asyncio.Event()
        if number:
            dropped(folder, name, 1200, 300)
            (folder / "again.xlsx").write_bytes((folder / "done" / "a.xlsx").read_bytes())
        serving = asyncio.create_task(run(config(tmp_path, bills=table), stop=stop, clock=clock, transport=kafka))
        try:
            await until((folder / "done" / name).is_file)
            await until((folder / "rejected" / "broken.xlsx.reason.txt").is_file)
            await until((folder / "done" / ("again.xlsx" if number else name)).is_file)
        finally:
            stop.set()
            await serving
    headers = [header for log in kafka.log.values() for header in log]
    assert sum(h.rows for h in headers if h.kind == "bill_payment") == 1500
    assert sum(h.rows for h in headers if h.kind == "reject") == 1
    assert not list(folder.glob("*.xlsx"))
