"""What a run left in the database: every row against the devices' own list, and as text for comparison.

Left out of the comparison are only columns and rows that tell when or how often something arrived, which a
fault changes by nature; ``LEFT_OUT`` names them and says why.
"""

# ruff: noqa: S608 - every name put into SQL here is declared in code

from __future__ import annotations

import importlib.resources
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from schemas.config import Config
from schemas.rules import Silent
from schemas.rules import load as load_rules
from storage.tables import columns, identity, quoted, reading_kinds
from tests.chaos.script import Row

LEFT_OUT: Mapping[str, str] = {
    "seen_at of every table": "when the bytes arrived",
    "sources.first_at": "when the source was first stored",
    "alerts.opened_at, alerts.resolved_at": "arrival of the readings that opened and resolved it",
    "alert_events.at, alert_events.event": "arrival, and the alert as it then was, arrival times included",
    "reject.ts, reject.detail, reject.serial": "arrival, the distance to it, and the row's place in its frame",
    "repetitions of a refused row": "a device without an answer sends it again, and it is refused again; never more often than sent",
    "rules of type silent": "they judge arrival: a cut network is what they are there to find",
}
EXAMPLES = 20
ALERT = (
    "id", "version", "status", "rule", "rule_version", "category", "severity", "kind", "source", "zone", "lon", "lat", "started",
    "last", "cleared", "count", "reopened", "value", "limit", "unit", "detected_late", "evidence", "resolved_by",
)  # fmt: skip
REFUSED = "(convert_from(raw, 'UTF8')::jsonb - 'seen_at')"
REJECT = f"""
SELECT DISTINCT source, connector, stage, reason, refused_kind,
       CASE WHEN stage = 'clean' THEN {REFUSED}::text ELSE encode(raw, 'hex') END AS content FROM reject
"""
REFUSALS = f"""
SELECT refused_kind, source, extract(epoch FROM ({REFUSED} ->> 'ts')::timestamptz) * 1000000, reason, count(*)
FROM reject WHERE stage = 'clean' GROUP BY 1, 2, 3, 4
"""


@dataclass
class Accounts:
    """Every row the devices sent against every row stored."""

    lost: int = 0
    doubled: int = 0
    strange: int = 0
    """Rows that no device sent."""
    examples: list[str] = field(default_factory=list)

    def note(self, what: str, row: Row, count: int) -> None:
        """Keep an example."""
        if len(self.examples) < EXAMPLES:
            self.examples.append(f"{what} {count} x {row}")


def account(wanted: Counter[Row], found: Counter[Row], different: Counter[Row], sent: Counter[Row]) -> Accounts:
    """Compare what was sent with what is there.

    ``found`` counts rows, ``different`` those of them that differ in their identity, ``sent`` how often a refused
    row went out: so often it may be refused. Kinds that connectors derive from what devices sent (alarm episodes)
    are on no device's list; the comparison with the fault-free run looks at them.
    """
    result, kinds = Accounts(), {row[0] for row in wanted}
    for row in wanted.keys() | {row for row in found if row[0] in kinds}:
        want, rows, unlike = wanted[row], found[row], different[row]
        refused = row[3] != "stored"
        lost = max(0, want - unlike)
        doubled = max(0, rows - max(sent[row], want)) if refused else rows - unlike
        strange = 0 if refused and want else max(0, unlike - want)
        for what, count in (("lost", lost), ("doubled", doubled), ("strange", strange)):
            if count:
                setattr(result, what, getattr(result, what) + count)
                result.note(what, row, count)
    return result


def connect(config: Config) -> psycopg.Connection[tuple[Any, ...]]:
    """Give a connection that sees the system's schema and speaks UTC."""
    options = f"-c search_path={config.database.schema},public -c timezone=UTC -c jit=off"
    return psycopg.connect(config.database.url, options=options)


def read_rows(config: Config) -> tuple[Counter[Row], Counter[Row]]:
    """Give how many rows the database holds of each, and how many that differ in their identity."""
    found: Counter[Row] = Counter()
    different: Counter[Row] = Counter()
    with connect(config) as db:
        for kind in reading_kinds():
            sql = (
                f"SELECT source, (extract(epoch FROM ts) * 1000000)::bigint, count(*), count(DISTINCT ({quoted(identity(kind))}))"
                f' FROM "{kind}" GROUP BY 1, 2'
            )
            for source, ts, rows, unlike in db.execute(sql):
                row: Row = (kind, source, ts, "stored")
                found[row], different[row] = rows, unlike
        for kind, source, ts, reason, rows in db.execute(REFUSALS):
            row = (kind, source, int(ts), reason)
            found[row], different[row] = rows, 1
    return found, different


def silent_rules() -> list[str]:
    """Name the rules that judge arrival."""
    packs = sorted(Path(str(importlib.resources.files("streams") / "rules")).glob("*.toml"))
    return sorted(r.id for r in load_rules(packs).values() if isinstance(r.when, Silent))


def statements() -> dict[str, str]:
    """Give the statement that reads each table for comparison."""
    skip = ", ".join(f"'{name}'" for name in silent_rules()) or "''"
    found = {kind: _all_but_arrival(kind, f'"{kind}"') for kind in reading_kinds()}
    found["windows"] = _all_but_arrival("window", "windows")
    found["reject"] = REJECT
    found["sources"] = "SELECT kind, source, ts, lon, lat, zone FROM sources"
    found["alerts"] = f"SELECT {quoted(ALERT)} FROM alerts WHERE rule NOT IN ({skip})"
    found["alert_events"] = (
        f"SELECT id, alert_id, version, change FROM alert_events WHERE event -> 'alert' ->> 'rule' NOT IN ({skip})"
    )
    return found


def _all_but_arrival(kind: str, table: str) -> str:
    return f"SELECT {quoted(tuple(c for c in columns(kind) if c != 'seen_at'))} FROM {table}"


def read_tables(config: Config) -> dict[str, list[bytes]]:
    """Give every table's rows as the server's own text, sorted."""
    found = {}
    with connect(config) as db:
        for name, sql in statements().items():
            with db.cursor() as cursor, cursor.copy(f"COPY ({sql}) TO STDOUT") as copy:
                found[name] = sorted(b"".join(map(bytes, copy)).splitlines())
    return found


@dataclass
class Difference:
    """Rows of one table that only one of two runs has."""

    rows: int
    only_without: list[bytes]
    only_with: list[bytes]

    @property
    def count(self) -> int:
        """How many rows differ: a changed row is one, not two."""
        return max(len(self.only_without), len(self.only_with))


def compare(without: Mapping[str, list[bytes]], with_faults: Mapping[str, list[bytes]]) -> dict[str, Difference]:
    """Give, for every table, the rows that are not in both runs equally often."""
    found = {}
    for name in sorted(without.keys() | with_faults.keys()):
        one, other = Counter(without.get(name, [])), Counter(with_faults.get(name, []))
        found[name] = Difference(one.total(), sorted((one - other).elements()), sorted((other - one).elements()))
    return found
