"""Following the settings file: read again when it has changed and is whole."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from schemas.config import Config
from schemas.errors import Fatal

log = structlog.get_logger()

LOOK_S = 1.0
Stamp = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Source:
    """Where the settings come from: the file that tells of changes, and how it is read; what is wrong raises ``Fatal``."""

    path: Path
    read: Callable[[], Config]


async def follow(
    source: Source,
    first: Config,
    apply: Callable[[Config], Awaitable[None]],
    *,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Apply the settings each time they have changed, until cancelled; broken ones are refused and change nothing.

    A file is read when it has looked the same twice: one that is being written is not read half.
    """
    known = looked = stamp(source.path)
    running = first
    while True:
        await sleep(LOOK_S)
        now = stamp(source.path)
        before, looked = looked, now
        if now is None or now == known or now != before:
            continue
        known = now
        try:
            config = source.read()
        except Fatal as error:
            log.error("new settings refused; those before stay in force", path=str(source.path), detail=str(error))  # noqa: TRY400
            continue
        await apply(config)
        later = [n for n in ("kafka", "connect", "data_dir", "metrics_ports") if getattr(config, n) != getattr(running, n)]
        if later:
            log.warning("settings that take effect at the next start have changed", tables=later)
        running = config


def stamp(path: Path) -> Stamp | None:
    """Give what changes when a file does; None while there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_ino, found.st_size, found.st_mtime_ns)
