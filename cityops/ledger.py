"""The ledger: what came in is stored, doubled, rejected or still under way; the rest is lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from rich.table import Table

from cityops import settings
from cityops.frames import Frames, missing, under_way
from cityops.in_flight import Scan, scan
from cityops.ledger_snapshot import Snapshot, take
from schemas.config import Config
from schemas.errors import Fatal
from storage.balance import Balance, Place

LOOK_EVERY_S = 1.0


@dataclass(slots=True)
class Book:
    """The balance of everything, by connector, kind and partition."""

    by: dict[Place, Balance] = field(default_factory=dict)
    states_behind: int = 0
    """States of connectors that the store has not read yet; until then ``received`` may be too low."""
    frames: list[Frames] = field(default_factory=list)
    """Frames that explain what is lost or in flight."""

    @property
    def whole(self) -> Balance:
        """The sum of all."""
        total = Balance()
        for balance in self.by.values():
            total.add(balance)
        return total

    @property
    def balances(self) -> bool:
        """Whether every row is accounted for: nothing lost, doubled or under way, in any partition."""
        return all(b.lost == 0 and b.in_flight == 0 for b in self.by.values())

    @property
    def settled(self) -> bool:
        """Whether nothing is under way any more."""
        return self.states_behind == 0 and all(b.in_flight == 0 for b in self.by.values())

    def of(self, connector: str) -> Book:
        """Give the part of one connector instance."""
        return Book({place: b for place, b in self.by.items() if place[0] == connector}, self.states_behind)

    def minus(self, earlier: Book) -> Book:
        """Give what was added since an earlier book; places without change are left out."""
        found = {}
        for place, b in self.by.items():
            e = earlier.by.get(place, Balance())
            change = Balance(
                b.received - e.received, b.stored - e.stored, b.duplicates - e.duplicates, b.rejected - e.rejected, b.in_flight
            )
            if change != Balance():
                found[place] = change
        return Book(found, self.states_behind)

    def as_dict(self) -> dict[str, Any]:
        """Give the shape of ``cityops ledger --json``."""
        rows = [{"connector": c, "kind": k, "partition": p, **b.plain()} for (c, k, p), b in sorted(self.by.items())]
        explained = {"frames": [asdict(f) for f in self.frames]} if self.frames else {}
        return {**self.whole.plain(), "by": rows, **explained}


def read(config: Config, since: int | None = None) -> Book:
    """Read the ledger from database and broker; one of them absent raises ``Fatal``.

    With ``since`` (microseconds) only frames that arrived from that minute on count.
    """
    settings.database_url(config)
    snapshot = asyncio.run(take(config, since))
    seen = scan(config.kafka.bootstrap, snapshot, since)
    book = balance(snapshot, seen, since)
    book.frames = [*missing(snapshot), *under_way(seen)]
    return book


def balance(snapshot: Snapshot, seen: Scan, since: int | None = None) -> Book:
    """Put the database's snapshot and the broker's frames together.

    The broker is read after the snapshot, so it may hold frames that no connector's state told of yet: these
    raise ``received``. Nothing that is missing can hide behind that, because a frame under way is counted
    only beyond the checkpoint of the snapshot itself.
    """
    by: dict[Place, Balance] = {}
    for place, arrived in snapshot.arrived.items():
        by[place] = Balance(*arrived)
    for place, taken in snapshot.taken.items():
        found = by.setdefault(place, Balance())
        found.received = max(found.received, taken)
    for place, rows in seen.rows.items():
        by.setdefault(place, Balance()).in_flight += rows
    if since is None:
        for key, rows in snapshot.held(seen.totals).items():
            by.setdefault(key, Balance()).in_flight += rows
    for found in by.values():
        found.received += min(max(-found.lost, 0), found.in_flight)
    return Book(by, seen.states_behind)


def settled(book: Book) -> bool:
    """Whether nothing of a book is under way any more."""
    return book.settled


def wait_until(
    config: Config, done: Callable[[Book], bool], timeout_s: float, *, look: Callable[[], None] = lambda: None
) -> Book:
    """Read the ledger until it is ``done``, or for ``timeout_s``; gives the last one read.

    ``look`` is called often meanwhile, to keep processes running.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        book = read(config)
        if done(book) or time.monotonic() > deadline:
            return book
        again = time.monotonic() + LOOK_EVERY_S
        while time.monotonic() < again:
            look()
            time.sleep(0.05)


def since_time(text: str | None) -> int | None:
    """Read an ISO 8601 time, local where it names no zone, as microseconds UTC; anything else raises ``Fatal``."""
    if text is None:
        return None
    try:
        return int(datetime.fromisoformat(text).astimezone().timestamp() * 1_000_000)
    except ValueError as error:
        msg = f"--since {text!r}: not an ISO 8601 time such as 2026-05-01T08:00"
        raise Fatal(msg) from error


def table(book: Book) -> Table:
    """Give the ledger for people: one line per connector and kind, and the sum."""
    shown = Table(title="对账 / Ledger")
    for text in ("接入\nconnector", "数据\nkind"):
        shown.add_column(text, overflow="fold")
    for text in ("接收\nreceived", "入库\nstored", "重复\ntwice", "拒收\nrejected", "在途\nin flight", "丢失\nlost"):
        shown.add_column(text, justify="right", no_wrap=True)
    sums: dict[tuple[str, str], Balance] = {}
    for (connector, kind, _), part in sorted(book.by.items()):
        sums.setdefault((connector, kind), Balance()).add(part)
    for (connector, kind), part in sums.items():
        shown.add_row(connector, kind, *_numbers(part))
    shown.add_section()
    shown.add_row("合计 all", "", *_numbers(book.whole), style="bold")
    return shown


def _numbers(part: Balance) -> Iterable[str]:
    return (f"{n:,}" for n in (part.received, part.stored, part.duplicates, part.rejected, part.in_flight, part.lost))


def frames_table(book: Book) -> Table:
    """Give the frames that explain a difference, for people."""
    shown = Table(title="差异说明 / Frames behind the difference")
    for text in ("状态\nstate", "接入\nconnector", "运行\nrun", "主题\ntopic"):
        shown.add_column(text, overflow="fold")
    for text in ("分区\npartition", "首帧\nfirst", "末帧\nlast"):
        shown.add_column(text, justify="right", no_wrap=True)
    words = {"missing": "缺失 missing", "in_flight": "在途 in flight"}
    for f in book.frames:
        shown.add_row(words[f.state], f.connector, f.run, f.topic, str(f.bucket), f"{f.first_seq:,}", f"{f.last_seq:,}")
    return shown
