"""``cityops rejects``: refused input listed, shown, replayed after a fix, or discarded."""

from __future__ import annotations

import asyncio
import getpass
import json
import os
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar
from zoneinfo import ZoneInfo

import typer

from cityops import logs, settings
from schemas.config import Config
from schemas.errors import REASONS, Fatal

if TYPE_CHECKING:
    from rich.table import Table

    from cityops.ledger import Book
    from cityops.reject_replay import Judged
    from storage.connect import Pool
    from storage.rejects_store import Refused, Wanted

app = typer.Typer(help="拒收数据：查看、修复后回放、丢弃 / Refused input.", no_args_is_help=True, rich_markup_mode=None)

Ids = Annotated[list[str] | None, typer.Argument(help="编号 / Ids.")]
Name = Annotated[str | None, typer.Option("--connector", help="接入实例 / Connector instance.")]
Reason = Annotated[str | None, typer.Option("--reason", help="原因 / Reason, such as bad_checksum.")]
Since = Annotated[str | None, typer.Option("--since", help="起始时间 ISO 8601 / Only those that arrived since then.")]
Json = Annotated[bool, typer.Option("--json", help="输出 JSON / Print JSON.")]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="配置文件 (TOML) / Settings file.")]
DataDir = Annotated[Path | None, typer.Option("--data-dir", help="数据目录 / Data folder (default: CITYOPS_DATA, .cityops).")]
Answer = TypeVar("Answer")
BEIJING = ZoneInfo("Asia/Shanghai")
DETAIL = 100
"""Characters of a detail that the list shows."""


@app.command("list")
def list_(
    connector: Name = None,
    reason: Reason = None,
    since: Since = None,
    state: Annotated[str | None, typer.Option("--state", help="open | replayed | discarded")] = None,
    count: Annotated[int, typer.Option("-n", min=1, help="最多行数 / Most rows.")] = 100,
    as_json: Json = False,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """列出拒收数据，最新的在前 / List refused input, newest arrival first."""
    wanted = _wanted([], connector, reason, since, state=state, limit=count)
    found = _find(_settled(config, data_dir), wanted)
    _show([shown(r) for r in found], lambda: table(found), as_json=as_json)


@app.command()
def show(
    reject: Annotated[str, typer.Argument(metavar="ID", help="编号 / Id.")],
    as_json: Json = False,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """显示一条拒收数据及其字节 / Show one, with its bytes."""
    (found,) = _find(_settled(config, data_dir), _wanted([reject], None, None, None))
    _show(shown(found), lambda: sheet(found), as_json=as_json)


@app.command()
def replay(
    ids: Ids = None,
    connector: Name = None,
    reason: Reason = None,
    since: Since = None,
    given: Annotated[list[str] | None, typer.Option("--set", help="接入设置 key=value / A setting of the connector.")] = None,
    lane: Annotated[str | None, typer.Option("--lane", help="live | late | backfill; 缺省按时间 / by event time.")] = None,
    as_json: Json = False,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """用当前的接入与设置重新解码并入库 / Decode again with the connector and settings of today, and store."""
    from cityops.replay import LANES

    if lane is not None and lane not in LANES:
        msg = f"--lane {lane!r}: give one of {', '.join(LANES)}"
        raise Fatal(msg)
    found = _settled(config, data_dir)
    result = run(found, chosen(found, ids or [], connector, reason, since), given or [], lane)
    _show(result.as_dict(), result.table, as_json=as_json)
    raise typer.Exit(0 if result.balances and not result.still_refused else 1)


@app.command()
def discard(
    ids: Ids = None,
    connector: Name = None,
    reason: Reason = None,
    since: Since = None,
    as_json: Json = False,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """标记为丢弃 / Mark as discarded; the bytes stay until their retention is over."""
    from storage.rejects_store import Verdict

    found = _settled(config, data_dir)
    refused = chosen(found, ids or [], connector, reason, since)
    _mark(found, [Verdict(r, "discarded", r.reason, r.detail) for r in refused], replayed=False)
    typer.echo(json.dumps({"discarded": len(refused)}) if as_json else f"已丢弃 / discarded: {len(refused)}")


@dataclass(slots=True)
class Outcome:
    """What a replay of rejects came to."""

    judged: Sequence[Judged]
    books: list[Book] = field(default_factory=list)
    complete: bool = True
    """Whether everything sent has arrived."""

    @property
    def still_refused(self) -> list[Judged]:
        """Those that stay open."""
        return [j for j in self.judged if j.refusal is not None]

    @property
    def balances(self) -> bool:
        """Whether every row sent is accounted for."""
        return self.complete and all(book.balances for book in self.books)

    def as_dict(self) -> dict[str, Any]:
        """Give it for JSON: counts, each reject, and the replay's own ledger."""
        rows = [
            {
                "id": j.refused.id,
                "state": "replayed" if j.refusal is None else "open",
                "reason": None if j.refusal is None else j.refusal.reason,
                "detail": None if j.refusal is None else j.refusal.detail,
                "readings": len(j.received.readings),
            }
            for j in self.judged
        ]
        open_ones = len(self.still_refused)
        counts = {"replayed": len(self.judged) - open_ones, "still_refused": open_ones}
        return {**counts, "balances": self.balances, "rejects": rows, "ledger": [book.as_dict() for book in self.books]}

    def table(self) -> Table:
        """Give it for people."""
        from rich.markup import escape
        from rich.table import Table

        made = Table(title="回放拒收数据 / Rejects replayed")
        for head in ("编号 id", "接入 connector", "结果 result", "原因 reason"):
            made.add_column(head, overflow="fold")
        for j in self.judged:
            mark = "[green]已入库 replayed[/]" if j.refusal is None else "[red]仍拒收 refused[/]"
            why = "" if j.refusal is None else f"{j.refusal.reason}: {j.refusal.detail}"
            made.add_row(j.refused.id, escape(j.refused.connector), mark, escape(why))
        stored = sum(b.whole.stored for b in self.books), sum(b.whole.duplicates for b in self.books)
        verdict = "平 balances" if self.balances else "不平 does not balance"
        made.caption = f"入库 stored {stored[0]:,}，重复 twice {stored[1]:,}，对账 ledger: {verdict}"
        return made


def run(config: Config, refused: Sequence[Refused], given: Sequence[str], lane: Any) -> Outcome:
    """Judge rejects anew, send the accepted ones through the replay's own path, wait until they are stored, and mark all."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from cityops.parts import now
    from cityops.reject_replay import Judge, parcels
    from storage.rejects_store import Verdict

    judge = Judge(config, given, lane, now())
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        result = Outcome([judge.judge(r) for r in bar.track(refused, description="解码 / decode")])
        accepted = [j for j in result.judged if j.refusal is None]
        for name, sent in parcels(accepted, judge.connector_of).items():
            _send(config, name, sent, lane, result, bar)
    if result.complete:
        marks = [Verdict(j.refused, "replayed") for j in accepted]
        marks += [Verdict(j.refused, "open", j.refusal.reason, j.refusal.detail) for j in result.judged if j.refusal is not None]
        _mark(config, marks, replayed=True)
    return result


def _send(config: Config, name: str, sent: Sequence[Judged], lane: Any, result: Outcome, bar: Any) -> None:
    """Send what one connector's rejects were decoded to, and wait until the store has it."""
    import uvloop

    from cityops.ledger import read, wait_until
    from cityops.parts import new_run, now
    from cityops.replay import SETTLE_S
    from connectors._api import registry
    from connectors._host.replay import resend

    instance = f"replay-{name}"
    before = read(config).of(instance)
    task = bar.add_task(f"发送 / send {name}", total=len(sent))
    done = uvloop.run(
        resend(
            config,
            registry.load(name),
            [(j.received, j.refused.raw or b"", j.refused.source) for j in sent],
            clock=now,
            progress=lambda n, _: bar.update(task, completed=n),
            run_id=new_run(),
            lane=lane,
        )
    )
    expected = sum(done.received.values())

    def stored(book: Book) -> bool:
        added = book.of(instance).minus(before)
        return added.whole.received >= expected and added.whole.in_flight == 0

    mine = wait_until(config, stored, SETTLE_S).of(instance).minus(before)
    result.books.append(mine)
    result.complete = result.complete and mine.whole.received == expected and mine.balances


def chosen(config: Config, ids: Sequence[str], connector: str | None, reason: str | None, since: str | None) -> list[Refused]:
    """Give the rejects named: by id whatever their state, else the open ones that fit; naming nothing raises ``Fatal``."""
    wanted = _wanted(ids, connector, reason, since, state=None if ids else "open", limit=None)
    if wanted.everything:
        raise Fatal("which rejects? give ids, --connector, --reason or --since; `cityops rejects list` shows them")
    return _find(config, wanted)


def _wanted(
    ids: Sequence[str],
    connector: str | None,
    reason: str | None,
    since: str | None,
    *,
    state: Any = None,
    limit: int | None = 100,
) -> Wanted:
    from cityops.ledger import since_time
    from storage.rejects_store import STATES, Wanted

    if reason is not None and reason not in REASONS:
        msg = f"--reason {reason!r}: give one of {', '.join(REASONS)}"
        raise Fatal(msg)
    if state is not None and state not in STATES:
        msg = f"--state {state!r}: give one of {', '.join(STATES)}"
        raise Fatal(msg)
    return Wanted(tuple(ids), connector, reason, since_time(since), state, limit)


def _find(config: Config, wanted: Wanted) -> list[Refused]:
    from storage.rejects_store import find

    found = _ask(config, lambda pool: find(pool, wanted))
    absent = set(wanted.ids) - {r.id for r in found}
    if absent:
        msg = f"no reject {min(absent)!r}; `cityops rejects list` shows what there is"
        raise Fatal(msg)
    return found


def _mark(config: Config, verdicts: Sequence[Any], *, replayed: bool) -> None:
    from cityops.parts import now
    from storage.rejects_store import mark

    if verdicts:
        _ask(config, lambda pool: mark(pool, verdicts, actor=actor(), at=now(), replayed=replayed))


def _ask(config: Config, work: Callable[[Pool], Awaitable[Answer]]) -> Answer:
    from storage.connect import create_pool

    url = settings.database_url(config)

    async def asked() -> Answer:
        pool = await create_pool(url, config.database.schema, size=1)
        try:
            return await work(pool)
        finally:
            await pool.close()

    return asyncio.run(asked())


def actor() -> str:
    """Name the person at the command line."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return f"uid {os.getuid()}"


def shown(refused: Refused) -> dict[str, Any]:
    """Give a reject for JSON: times in RFC 3339, bytes in hex."""
    import msgspec

    from connectors._api.session import iso

    plain = msgspec.structs.asdict(refused)
    times = {name: iso(plain[name]) for name in ("seen_at", "ts", "at") if plain[name] is not None}
    return {**plain, **times, "raw": (refused.raw or b"").hex().upper()}


def table(found: Iterable[Refused]) -> Table:
    """Give a list for people; times are Beijing's."""
    from rich.markup import escape
    from rich.table import Table

    made = Table(title="拒收数据 / Rejects")
    for head in ("编号 id", "到达 arrival", "接入 connector", "来源 source", "原因 reason", "状态 state"):
        made.add_column(head, overflow="fold")
    for r in found:
        reason = f"{REASONS.get(r.reason, (r.reason, ''))[0]} {r.reason}\n{(r.detail or '')[:DETAIL]}"
        made.add_row(r.id, local(r.seen_at), escape(r.connector), escape(r.source), escape(reason), r.state)
    return made


def sheet(refused: Refused) -> Table:
    """Give one reject for people, all of it."""
    from rich.markup import escape
    from rich.table import Table

    made = Table(title=f"拒收数据 / Reject {refused.id}", show_header=False)
    for name, value in shown(refused).items():
        if value in (None, ""):
            continue
        text = local(getattr(refused, name)) if name in ("seen_at", "ts", "at") else str(value)
        made.add_row(name, escape(text))
    if refused.stage == "decode" and refused.raw:
        made.caption = f"cityops connector explain {refused.connector_type or refused.connector} RAW"
    return made


def local(ts: int) -> str:
    """Give a time in Beijing."""
    return datetime.fromtimestamp(ts / 1e6, BEIJING).strftime("%Y-%m-%d %H:%M:%S")


def _settled(config: Path | None, data_dir: Path | None) -> Config:
    logs.configure(process=False)
    return settings.settle(config, data_dir)


def _show(found: Any, made: Callable[[], Table], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False))
        return
    from cityops.shown import show as print_table

    print_table(made())
