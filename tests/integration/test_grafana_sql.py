"""Every SQL panel runs, as Grafana's own account, on a migrated database with a row of everything, and shows something."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from psycopg import sql

from cityops.reader import NAME, granted
from schemas.derive import Field, fields
from schemas.kinds import kind as kind_by_name
from storage.migrate import migrate
from storage.tables import reading_kinds, table_of
from tests.contract.checks import REPO, grafana

pytestmark = pytest.mark.stack

QUERIES = grafana.queries(grafana.dashboards(REPO / "grafana/dashboards"))
PERIODS = (0, 3600)
DIMENSIONS = ("source", "zone", "line", "operator")
CLOSED = {"users", "sessions", "login_failures", "gateway_keys", "audit", "settings", "reject"}
Connection = psycopg.Connection[Any]


def value(field: Field, at: datetime, period: int) -> Any:
    """Give a value inside a field's bounds."""
    if field.name == "period":
        return period
    if field.type == pa.timestamp("us", tz="UTC"):
        return at
    if pa.types.is_boolean(field.type):
        return True
    if pa.types.is_string(field.type):
        return "x"
    if pa.types.is_binary(field.type):
        return b"x"
    number = min(max(field.ge if field.ge is not None else 1, 1), field.le if field.le is not None else 1)
    return float(number) if pa.types.is_floating(field.type) else int(number)


def insert(connection: Connection, table: str, row: dict[str, Any]) -> None:
    """Insert one row."""
    statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
        sql.Identifier(table),
        sql.SQL(", ").join(map(sql.Identifier, row)),
        sql.SQL(", ").join([sql.Placeholder()] * len(row)),
    )
    connection.execute(statement, list(row.values()))


def fill(connection: Connection, at: datetime) -> None:
    """Put a row of everything that panels show into the database, an hour old."""
    for kind in reading_kinds():
        for period in PERIODS:
            row = {f.name: value(f, at, period) for f in fields(kind, "clean")} | {"bikes": 0, "docks": 0}
            insert(connection, table_of(kind), {k: v for k, v in row.items() if k in {f.name for f in fields(kind, "clean")}})
        domain = kind_by_name(kind).domain
        insert(connection, "sources", {"kind": kind, "source": f"{domain}-1", "ts": at, "seen_at": at})
        for metric, dimension, size in itertools.product(kind_by_name(kind).metrics, DIMENSIONS, (900, 3600)):
            window = {f.name: value(f, at, 0) for f in fields("window", "clean")} | {"kind": kind, "metric": metric}
            insert(connection, "windows", window | {"dimension": dimension, "size": size})
        alert = {"id": kind, "version": 1, "status": "open", "rule": "r", "rule_version": 1, "category": "city", "kind": kind}
        alert |= {"severity": "major", "source": "x", "started": at, "last": at, "opened_at": at, "count": 1, "reopened": 0}
        insert(connection, "alerts", alert | {"unit": "", "detected_late": False, "evidence": "{}"})
    rule = {
        "id": "r",
        "version": 1,
        "severity": "major",
        "category": "city",
        "zh": "规则",
        "en": "rule",
        "clause": "c",
        "unit": "",
    }
    insert(connection, "rules", rule | {"reason_zh": "", "reason_en": "", "kinds": ["bus_position"], "pack": "{}"})
    counted = {"received": 4, "stored": 2, "duplicates": 1, "rejected": 1}
    where = {"connector": "c", "kind": "bus_position", "topic": "clean-transport", "partition": 0, "minute": at}
    insert(connection, "ledger", where | counted)
    state = {"connector": "c", "type": "jt808", "health": "live", "since": at, "at": at, "state": "{}"}
    insert(connection, "connector_states", state)


@pytest.fixture
def reader(database: str) -> Iterator[Connection]:
    """A connection with the rights of Grafana's account, on a filled database."""
    migrate(database)
    with psycopg.connect(database, autocommit=True) as admin:
        existed = admin.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [NAME]).fetchone()
        admin.execute("SET search_path = cityops, public")
        fill(admin, datetime.now(UTC) - timedelta(hours=1))
        for _ in range(2):  # the second time nothing may fail: it runs at every start
            admin.execute((REPO / "grafana/reader.sql").read_bytes())
        try:
            admin.execute(f"SET ROLE {NAME}")
            yield admin
        finally:
            admin.execute("RESET ROLE")
            if existed is None:
                admin.execute(f"DROP OWNED BY {NAME}")
                admin.execute(f"DROP ROLE {NAME}")


def test_every_panel_shows_something_under_the_account_of_grafana(reader: Connection) -> None:
    now = datetime.now(UTC)
    empty, broken = [], []
    for where, text in QUERIES:
        try:
            rows = reader.execute(grafana.expand(text, now - timedelta(hours=3), now).encode()).fetchall()
        except psycopg.Error as error:
            broken.append(f"{where}: {error}")
            continue
        if not rows or all(v is None for row in rows for v in row):
            empty.append(where)
    assert broken == []
    assert empty == []
    assert len(QUERIES) > 30


def test_grafanas_account_sees_no_account_no_packet_and_nothing_sensitive(reader: Connection) -> None:
    tables = {r[0] for r in reader.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'cityops'").fetchall()}
    assert tables >= CLOSED
    for table in sorted(tables - granted().keys()):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(table)))
    for column in ("lon", "plate", "cargo"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute(sql.SQL("SELECT {} FROM hazmat_position").format(sql.Identifier(column)))
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        reader.execute("INSERT INTO sources (kind, source, ts, seen_at) VALUES ('k', 's', now(), now())")
