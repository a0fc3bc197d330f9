"""Files as input: whole files as packets, or recordings with one packet a line."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import msgspec
import structlog

from connectors._api.manifest import Settings
from connectors._api.registry import Connector
from connectors._api.session import Framing, Peer, Received
from connectors._host.intake import Intake, guarded
from connectors._host.options import FileOptions
from schemas.errors import Fatal, Reject

log = structlog.get_logger()

RECORDINGS = (".jsonl", ".hex", ".txt")
"""Suffixes of files with one packet a line."""


class Line(msgspec.Struct):
    """A line of a ``.jsonl`` recording: ``hex`` or ``text`` is the packet, other fields are ignored."""

    hex: str | None = None
    text: str | None = None


def recorded(path: Path) -> Iterator[bytes]:
    """Give the packets of a recording: lines of ``.jsonl``, ``.hex`` and ``.txt``, any other file whole.

    Text gets the line end its protocol had on the wire.
    """
    if path.suffix not in RECORDINGS:
        yield path.read_bytes()
        return
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if content := line.strip():
                try:
                    yield _packet(content, path.suffix)
                except (msgspec.MsgspecError, ValueError) as error:
                    msg = f"{path}:{number}: {error}"
                    raise Fatal(msg) from error


def _packet(line: bytes, suffix: str) -> bytes:
    if suffix == ".hex":
        return bytes.fromhex(line.decode("ascii"))
    if suffix == ".txt":
        return line + b"\r\n"
    found = msgspec.json.decode(line, type=Line)
    if found.hex is not None:
        return bytes.fromhex(found.hex)
    if found.text is None:
        msg = "has neither hex nor text"
        raise ValueError(msg)
    return found.text.rstrip("\r\n").encode() + b"\r\n"


def listing(path: Path) -> list[Path]:
    """Give a file, or the files of a folder in order of name, hidden ones left out; ``Fatal`` if there is nothing."""
    if path.is_file():
        return [path]
    if path.is_dir():
        return sorted(p for p in path.iterdir() if p.is_file() and not p.name.startswith("."))
    msg = f"{path}: no such file or folder"
    raise Fatal(msg)


def cut(make_framing: Callable[[Settings], Framing] | None, settings: Settings, content: bytes) -> list[bytes | Reject]:
    """Give the packets in a line or file that stands for itself."""
    if make_framing is None:
        return [content]
    framing = make_framing(settings)
    packets = [*framing.feed(content), *flush(framing)]
    return packets or [Reject("bad_frame", f"no packet in {len(content)} bytes", content)]


def flush(framing: Framing) -> list[bytes | Reject]:
    """Give what a framing still holds when its stream ends, where it has a ``flush`` for that."""
    end: Callable[[], list[bytes | Reject]] | None = getattr(framing, "flush", None)
    return end() if end is not None else []


class FileReader:
    """Reads each file once, and files that appear later when they do."""

    def __init__(
        self, connector: Connector, settings: Settings, options: FileOptions, intake: Intake, clock: Callable[[], int]
    ) -> None:
        self._connector = connector
        self._settings = settings
        self._options = options
        self._intake = intake
        self._clock = clock
        self._session = connector.make_session(settings, Peer(intake.name))
        self._seen: dict[Path, tuple[int, int]] = {}

    async def serve(self, ready: Callable[[], None] = lambda: None) -> None:
        """Read until cancelled."""
        listing(Path(self._options.path))
        ready()
        while True:
            for path in listing(Path(self._options.path)):
                status = path.stat()
                if self._seen.get(path) != (status.st_mtime_ns, status.st_size):
                    self._seen[path] = (status.st_mtime_ns, status.st_size)
                    await self.read(path)
            await asyncio.sleep(self._options.rescan_s)
            self._take(partial(self._session.tick, self._clock()), b"", "")

    async def read(self, path: Path) -> None:
        """Take in all packets of one file."""
        for content in recorded(path):
            for packet in cut(self._connector.make_framing, self._settings, content):
                await self._intake.room()
                if isinstance(packet, Reject):
                    self._intake.take(Received(rejects=[packet]), packet.raw, self._clock(), path.name)
                else:
                    self._take(partial(self._session.receive, packet, self._clock(), path.name), packet, path.name)
            await asyncio.sleep(0)

    def _take(self, call: Callable[[], Received], packet: bytes, origin: str) -> None:
        self._intake.take(guarded(self._connector.type, call, packet), packet, self._clock(), origin)
