"""What stands on an instance's sources, on disk: a line for each change, the last one of a source counts."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import structlog

from connectors._api.episodes import MOST_SOURCES, Standing
from connectors._host.spool import Disk
from schemas.errors import Fatal

log = structlog.get_logger()

SLACK_BYTES = 4 << 20
"""The file may outgrow twice what is still of use in it by this much."""
_lines = msgspec.json.Decoder(tuple[str, Standing])


def line(source: str, standing: Standing) -> bytes:
    """Give the line that tells what stands on a source."""
    return msgspec.json.encode((source, standing)) + b"\n"


def of_line(content: bytes) -> tuple[str, Standing]:
    """Read a line; one that is none raises ``DecodeError``."""
    return _lines.decode(content)


class Journal:
    """An append-only file, rewritten without its outdated lines when it is first written to and when it has grown.

    A line that a crash cut short is passed over: nobody was answered for it. Used by one thread at a time.
    """

    def __init__(self, path: Path, disk: Disk | None = None) -> None:
        self.path = path
        self._disk = disk or Disk()
        self._fd: int | None = None
        self._size = self._limit = 0

    def read(self) -> Iterator[tuple[str, Standing]]:
        """Give what stands on each source, the one changed longest ago first; an unreadable file raises ``Fatal``."""
        try:
            for content in self._last().values():
                yield of_line(content)
        except OSError as error:
            msg = f"{self.path}: {error.strerror}; make the file readable, or delete it to forget which alarms stand"
            raise Fatal(msg) from error

    def write(self, changes: Mapping[str, bytes]) -> bool:
        """Append lines by source and see them on disk; False, and nothing is certain of them, where the disk fails."""
        content = b"".join(changes.values())
        try:
            if self._fd is None or self._size + len(content) > self._limit:
                self._rewrite(changes)
            else:
                self._disk.write(self._fd, content)
                self._disk.sync(self._fd)
                self._size += len(content)
        except OSError as error:
            log.error("standing alarms cannot be kept", file=str(self.path), error=str(error), remedy="free or mend the disk")  # noqa: TRY400 - no trace
            self.close()
            return False
        return True

    def close(self) -> None:
        """Close the file; what is on disk stays."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _rewrite(self, changes: Mapping[str, bytes]) -> None:
        """Write what is still of use, and the changes, to a new file in place of the old one, and go on in that."""
        self.close()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        found = self._last()
        for source, content in changes.items():
            found.pop(source, None)
            found[source] = content
        whole = b"".join([*found.values()][-MOST_SOURCES:])
        draft = self.path.with_name(f"{self.path.name}.new")
        self._fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self._disk.write(self._fd, whole)
        self._disk.sync(self._fd)
        self._disk.replace(draft, self.path)
        self._disk.sync_folder(self.path.parent)
        self._size, self._limit = len(whole), 2 * len(whole) + SLACK_BYTES

    def _last(self) -> dict[str, bytes]:
        """Give the last whole line of each source."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return {}
        found: dict[str, bytes] = {}
        torn = 0
        for one in content.splitlines(keepends=True):
            try:
                source, _ = of_line(one)
            except (msgspec.DecodeError, UnicodeDecodeError):
                torn += 1
                continue
            found.pop(source, None)
            found[source] = one
        if torn:
            log.warning("journal has torn lines, passed over", file=str(self.path), lines=torn)
        return found
