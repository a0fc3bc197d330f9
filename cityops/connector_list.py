"""Every installed connector and, where a system runs, how each of its instances is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, TypedDict

import msgspec
from rich.table import Table

from cityops.parts import now
from schemas.config import Config
from schemas.errors import Fatal, Retry
from schemas.events import ConnectorState

STALE_US = 15_000_000
"""A connector that has said nothing for this long is stopped, whatever its last word was."""
STOPPED = "stopped"


class Row(TypedDict):
    """One line of ``cityops connectors``: an instance that speaks, or a connector without one."""

    name: str
    standard: str
    transport: str
    kinds: list[str]
    state: str
    rate: float
    last_reading: str | None


def rows(config: Config) -> list[Row]:
    """Give every installed connector; a database that is away means that all are stopped."""
    return combine(asyncio.run(states(config)), now())


async def states(config: Config) -> list[ConnectorState]:
    """Give the last word of every instance; nothing without a database that answers and has our tables."""
    import asyncpg

    from storage.connect import create_pool
    from storage.queries import connectors

    if not config.database.url:
        return []
    try:
        pool = await create_pool(config.database.url, config.database.schema, size=1)
        try:
            return [msgspec.convert(state, ConnectorState) for state in await connectors(pool)]
        finally:
            await pool.close()
    except (Retry, asyncpg.UndefinedTableError):
        return []


def combine(spoken: Iterable[ConnectorState], at: int) -> list[Row]:
    """Put the installed connectors and the states of instances together, by name; replays are left out."""
    from connectors._api import registry
    from connectors._api.manifest import Manifest, read
    from connectors._api.session import iso

    manifests: dict[str, Manifest] = {}
    found: dict[str, Row] = {}
    for name, folder in registry.installed().items():
        if name.startswith("_"):
            continue
        manifests[name] = m = read(folder / "connector.toml")
        found[name] = Row(
            name=name, standard=m.standard, transport=m.transport, kinds=list(m.kinds), state=STOPPED, rate=0.0, last_reading=None
        )
    for s in spoken:
        manifest = manifests.get(s.type)
        if manifest is None or s.connector.startswith("replay-"):
            continue
        alive = at - s.at <= STALE_US and s.health != "down"
        found[s.connector] = Row(
            name=s.connector,
            standard=manifest.standard,
            transport=manifest.transport,
            kinds=s.kinds or list(manifest.kinds),
            state=s.health if alive else STOPPED,
            rate=round(s.rate, 2) if alive else 0.0,
            last_reading=None if s.last_reading is None else iso(s.last_reading),
        )
    return [found[name] for name in sorted(found)]


def table(found: Iterable[Row]) -> Table:
    """Give the rows for people."""
    shown = Table(title="接入 / Connectors")
    for head in ("名称 name", "标准 standard", "方式 transport", "数据 kinds", "状态 state"):
        shown.add_column(head)
    shown.add_column("读数/秒 rate", justify="right")
    shown.add_column("最近 last reading")
    for row in found:
        colour = {"live": "green", "idle": "yellow", STOPPED: "dim"}.get(row["state"], "red")
        kinds = ", ".join(row["kinds"])
        state = f"[{colour}]{row['state']}[/]"
        shown.add_row(
            row["name"], row["standard"], row["transport"], kinds, state, f"{row['rate']:.1f}", (row["last_reading"] or "-")[:19]
        )
    return shown


def configured(config: Config) -> list[tuple[str, dict[str, Any]]]:
    """Give the enabled instances of the settings; one of an unknown connector raises ``Fatal``."""
    from connectors._api import registry

    found = []
    for name, given in config.connectors.items():
        kind = str(given.get("type", name))
        if kind not in registry.installed():
            msg = f"[connectors.{name}]: no connector {kind!r}; installed: {', '.join(registry.installed())}"
            raise Fatal(msg)
        if given.get("enabled", True):
            found.append((name, given))
    return found
