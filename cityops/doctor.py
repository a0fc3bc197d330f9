"""Looking at everything a working system needs, and saying what to do about what is missing."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from rich.markup import escape
from rich.table import Table

from cityops import connector_list, parts
from schemas.config import Config
from schemas.errors import Fatal

Verdict = Literal["good", "note", "bad"]
LOOPBACK = re.compile(r"(127\.\d+\.\d+\.\d+|localhost|\[?::1\]?)?")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at: ``good``, a ``note`` worth knowing, or ``bad`` with its remedy."""

    name: str
    verdict: Verdict
    detail: str

    def as_dict(self) -> dict[str, Any]:
        """Give it for JSON."""
        return asdict(self)


def examine(config: Config) -> list[Check]:
    """Look at everything; a check that fails is an answer, not an exception."""
    found: list[Check] = []
    for look in (_broker, _database, _page, _embedded, _connectors, _listeners):
        found += _guarded(look, config)
    return found


def _guarded(look: Callable[[Config], Iterable[Check]], config: Config) -> list[Check]:
    try:
        return list(look(config))
    except Fatal as error:
        return [Check(look.__name__.strip("_"), "bad", str(error))]


def _broker(config: Config) -> Iterator[Check]:
    from cityops.topics import ANSWER_S, connect, wanted

    admin = connect(config.kafka.bootstrap, ANSWER_S)
    try:
        brokers = len(admin.describe_cluster()["brokers"])
        existing = {t["name"]: len(t["partitions"]) for t in admin.describe_topics()}
    finally:
        admin.close()
    yield Check("broker", "good", f"{config.kafka.bootstrap}, brokers: {brokers}")
    plan = wanted(config.kafka.partitions)
    absent = sorted(plan.keys() - existing.keys())
    other = [f"{n} has {existing[n]}" for n in plan if n in existing and existing[n] != plan[n]]
    if absent:
        yield Check("topics", "bad", f"absent: {', '.join(absent)}; run `cityops migrate`")
    elif other:
        yield Check("topics", "bad", f"partitions differ from kafka.partitions = {config.kafka.partitions}: {', '.join(other)}")
    else:
        yield Check("topics", "good", f"all {len(plan)}, {config.kafka.partitions} partitions each")


def _database(config: Config) -> Iterator[Check]:
    from cityops.settings import database_url
    from storage.migrate import probe, status

    url = database_url(config)
    found = probe(url)
    yield Check("database", "good", f"PostgreSQL {found.server_version}")
    if found.timescale is None:
        yield Check("timescaledb", "note", "not installed in this database: plain tables with BRIN, own retention jobs")
    elif found.licence == "timescale":
        yield Check("timescaledb", "good", f"{found.timescale}, licence timescale: compression, retention, continuous aggregates")
    else:
        yield Check("timescaledb", "note", f"{found.timescale}, licence {found.licence}: hypertables, own retention jobs")
    due = [m.name for m in status(url, config.database.schema) if m.applied_at is None]
    if due:
        yield Check("migrations", "bad", f"not run: {', '.join(due)}; run `cityops migrate`")
    else:
        yield Check("migrations", "good", "all have run")


def _page(_config: Config) -> Iterator[Check]:
    build = parts.build_id()
    if build:
        yield Check("page", "good", f"built, {build}")
    else:
        yield Check("page", "bad", "the page is not built; run `make dashboard`, the API works without it")


def _embedded(_config: Config) -> Iterator[Check]:
    from cityops.kafka import java
    from cityops.postgres import binaries

    for name, find in (("embedded kafka", java), ("embedded postgres", binaries)):
        try:
            find()
        except Fatal as error:
            yield Check(name, "note", str(error))
        else:
            yield Check(name, "good", "installed")


def _connectors(config: Config) -> Iterator[Check]:
    """Tell every instance of the settings, and every other that speaks: a settings file may belong to another machine."""
    rows = {row["name"]: row for row in connector_list.rows(config)}
    names = [name for name, _ in connector_list.configured(config)]
    names += [name for name, row in rows.items() if name not in names and row["state"] != connector_list.STOPPED]
    if not names:
        yield Check("connectors", "note", f"none configured, none speaks; installed: {', '.join(rows)}")
    for name in names:
        row = rows.get(name)
        state = connector_list.STOPPED if row is None else row["state"]
        words = f"{state}, {row['rate']:.1f} readings/s, last {row['last_reading'] or 'never'}" if row else state
        yield Check(f"connector {name}", "good" if state in ("live", "idle") else "bad", words)


def _listeners(config: Config) -> Iterator[Check]:
    """Tell every listener that other machines can reach without encryption or proof of identity."""
    open_ones = list(exposed(config))
    for name, detail in open_ones:
        yield Check(f"listener {name}", "bad", detail)
    if not open_ones:
        yield Check("listeners", "good", "none is open to other machines unprotected")


def exposed(config: Config) -> Iterator[tuple[str, str]]:
    """Give each listener that others can reach and that lacks TLS or authentication, and what to do."""
    if not _loopback(config.gateway.host):
        yield "gateway", f"{config.gateway.host}:{config.gateway.port} speaks plain HTTP; put a TLS proxy before it"
    for name, table in config.connectors.items():
        host = str(table.get("listen", "")).rpartition(":")[0]
        if _loopback(host):
            continue
        if not (table.get("tls_cert") and table.get("tls_key")):
            yield name, f"{table['listen']} without TLS; set tls_cert and tls_key, or keep it in a private network"
        if table.get("authentication") == "none":
            yield name, f'{table["listen"]} accepts devices without proof of who they are; set authentication = "required"'
    with contextlib.suppress(ValueError):
        host = urlsplit(f"//{config.kafka.bootstrap.split(',')[0]}").hostname or ""
        if not _loopback(host):
            yield "kafka", f"{config.kafka.bootstrap} is reached without TLS; keep it in a private network"


def _loopback(host: str) -> bool:
    return LOOPBACK.fullmatch(host) is not None


def table(checks: Iterable[Check]) -> Table:
    """Give the checks for people."""
    shown = Table(title="体检 / Doctor")
    for head in ("", "检查 check", "结果 result"):
        shown.add_column(head)
    marks = {"good": "[green]✓ 好 good[/]", "note": "[yellow]· 注意 note[/]", "bad": "[red]✗ 坏 bad[/]"}
    for check in checks:
        shown.add_row(marks[check.verdict], escape(check.name), escape(check.detail))
    return shown
