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
from connectors._api.session import Received
from connectors._host.cut import cut
from connectors._host.door import Door
from connectors._host.intake import Intake, guarded
from connectors._host.options import FileOptions
from schemas.errors import Fatal, Reject

log = structlog.get_logger()

RECORDINGS = (".jsonl", ".hex", ".txt", ".dump")
"""Suffixes of files with one packet a line."""


class Line(msgspec.Struct):
    """A line of a ``.jsonl`` recording: ``hex`` or ``text`` is the packet, ``origin`` or ``topic`` where it came by."""

    hex: str | None = None
    text: str | None = None
    origin: str = ""
    topic: str = ""


def recorded(path: Path) -> Iterator[bytes]:
    """Give the packets of a recording: lines of ``.jsonl``, ``.hex`` and ``.txt``, any other file whole.

    Text gets the line end its protocol had on the wire.
    """
    return (packet for packet, _ in messages(path))


def messages(path: Path) -> Iterator[tuple[bytes, str]]:
    """Give the packets of a recording and where each came by: the file's name where the recording does not say.

    A line of a ``.dump``, as MQTT tools write them, is time, topic and payload.
    """
    if path.suffix not in RECORDINGS:
        yield path.read_bytes(), path.name
        return
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if content := line.strip():
                try:
                    packet, origin = _packet(content, path.suffix)
                except (msgspec.MsgspecError, ValueError) as error:
                    msg = f"{path}:{number}: {error}"
                    raise Fatal(msg) from error
                yield packet, origin or path.name


def _packet(line: bytes, suffix: str) -> tuple[bytes, str]:
    if suffix == ".hex":
        return bytes.fromhex(line.decode("ascii")), ""
    if suffix == ".txt":
        return line + b"\r\n", ""
    if suffix == ".dump":
        _, topic, payload = line.split(b" ", 2)
        return payload, topic.decode()
    found = msgspec.json.decode(line, type=Line)
    origin = found.origin or found.topic
    if found.hex is not None:
        return bytes.fromhex(found.hex), origin
    if found.text is None:
        msg = "has neither hex nor text"
        raise ValueError(msg)
    return found.text.rstrip("\r\n").encode() + (b"" if origin else b"\r\n"), origin


def listing(path: Path) -> list[Path]:
    """Give a file, or the files of a folder in order of name, hidden ones left out; ``Fatal`` if there is nothing."""
    if path.is_file():
        return [path]
    if path.is_dir():
        return sorted(p for p in path.iterdir() if p.is_file() and not p.name.startswith("."))
    msg = f"{path}: no such file or folder"
    raise Fatal(msg)


class FileReader(Door):
    """Reads each file once, and files that appear later when they do."""

    def __init__(
        self, connector: Connector, settings: Settings, options: FileOptions, intake: Intake, clock: Callable[[], int]
    ) -> None:
        super().__init__(connector, settings, intake, clock)
        self._options = options
        self._session = self.make_session()
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
            self._take(partial(self._session.tick, self.clock()), b"", "")

    async def read(self, path: Path) -> None:
        """Take in all packets of one file."""
        for content in recorded(path):
            for packet in cut(self.connector.make_framing, self.settings, content):
                await self.intake.room()
                if isinstance(packet, Reject):
                    self.intake.take(Received(rejects=[packet]), packet.raw, self.clock(), path.name)
                else:
                    self._take(partial(self._session.receive, packet, self.clock(), path.name), packet, path.name)
            await asyncio.sleep(0)

    def _take(self, call: Callable[[], Received], packet: bytes, origin: str) -> None:
        self.intake.take(guarded(self.connector.type, call, packet), packet, self.clock(), origin)
