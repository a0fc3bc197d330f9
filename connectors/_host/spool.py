"""The disk spool: frames wait here, fsynced and in order, while Kafka is away.

A folder of append-only segments (``<number>.seg``: records of length, CRC-32 and content) and a pointer to
the oldest record Kafka has not confirmed. A drained segment is deleted only after the pointer past it is on
disk; a record that a crash cut short ends its segment and was never acknowledged. After a crash a record
may come again, never out of order: its frame's identity lets every consumer skip it.
"""

from __future__ import annotations

import fcntl
import os
import struct
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
import structlog

from schemas.errors import Fatal
from schemas.frame import Headers
from schemas.metrics import SPOOL_BYTES

log = structlog.get_logger()

RECORD = struct.Struct(">II")
"""Length and CRC-32 of the content that follows."""
POINTER = struct.Struct(">QQI")
"""Segment, offset, CRC-32 of both."""
RECORD_LIMIT = 64 << 20


class Stored(msgspec.Struct, frozen=True, array_like=True):
    """One frame as it lies on disk."""

    topic: str
    bucket: int
    headers: Headers
    value: bytes
    at: int
    """When it was spooled, microseconds UTC."""

    @property
    def size(self) -> int:
        """Bytes of the record's value and headers."""
        return len(self.value) + sum(len(v) for _, v in self.headers)


class Disk:
    """The file operations of the spool, apart so that tests can fail each of them."""

    def write(self, fd: int, content: bytes) -> None:
        """Append all of ``content``."""
        view = memoryview(content)
        while view:
            view = view[os.write(fd, view) :]

    def sync(self, fd: int) -> None:
        """Return when the file's content is on disk."""
        os.fsync(fd)

    def sync_folder(self, folder: Path) -> None:
        """Return when the folder's entries are on disk."""
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def truncate(self, path: Path, size: int) -> None:
        """Cut the file to ``size`` bytes."""
        os.truncate(path, size)

    def replace(self, source: Path, target: Path) -> None:
        """Give the file a new name, atomically."""
        source.replace(target)

    def unlink(self, path: Path) -> None:
        """Delete the file."""
        path.unlink()


@dataclass(slots=True)
class Segment:
    """One file of the spool; ``size`` counts what is known to be on disk."""

    number: int
    path: Path
    size: int = 0
    first_at: int | None = None


Position = tuple[int, int]
"""Segment number and offset."""


class Spool:
    """Frames on disk, oldest first; used by one thread of one process at a time."""

    def __init__(
        self, folder: Path, *, max_bytes: int, max_age_us: int, segment_bytes: int = 16 << 20, disk: Disk | None = None
    ) -> None:
        self.folder = folder
        self._max_bytes = max_bytes
        self._max_age_us = max_age_us
        self._segment_bytes = segment_bytes
        self._disk = disk or Disk()
        self._ends: list[Position] = []
        self._fd: int | None = None
        self._lock = self._lock_folder()
        try:
            self._head = self._read_pointer()
            self._segments = self._find_segments()
        except BaseException:
            os.close(self._lock)
            raise
        self._next = max([self._head[0], 1, *(s.number + 1 for s in self._segments)])
        if self._segments:
            self._head = max(self._head, (self._segments[0].number, 0))
        self._gauge()

    @property
    def size(self) -> int:
        """Bytes of records not yet drained."""
        held = sum(s.size for s in self._segments)
        return held - (self._head[1] if self._segments and self._segments[0].number == self._head[0] else 0)

    @property
    def empty(self) -> bool:
        """Whether every record has been drained."""
        return self.size <= 0

    def write(self, records: Sequence[Stored], now: int) -> int:
        """Append records and return how many of them, from the first, are on disk for certain.

        Fewer than given means the spool is full, by size or by the age of its oldest record, or the disk
        failed; the rest was refused and may be offered again.
        """
        room = self._max_bytes - self.size
        oldest = self._segments[0].first_at if self._segments else None
        if oldest is not None and now - oldest > self._max_age_us:
            return 0
        accepted = 0
        before = (self._segments[-1], self._segments[-1].size) if self._segments else None
        try:
            for record in records:
                content = msgspec.msgpack.encode(record)
                room -= RECORD.size + len(content)
                if room < 0:
                    break
                self._append(RECORD.pack(len(content), zlib.crc32(content)) + content, record.at)
                accepted += 1
            if self._fd is not None:
                self._disk.sync(self._fd)
        except OSError as error:
            log.error("spool cannot write", folder=str(self.folder), error=str(error), remedy="free or mend the disk")  # noqa: TRY400 - no trace
            self._cut_back(before)
            accepted = 0
        self._gauge()
        return accepted

    def read(self, limit: int) -> list[Stored]:
        """Give the oldest records, up to about ``limit`` bytes; ``drop`` tells which of them are in Kafka."""
        found: list[Stored] = []
        self._ends = []
        taken = 0
        position = self._head
        for segment in self._segments:
            offset = position[1] if segment.number == position[0] else 0
            with segment.path.open("rb") as file:
                file.seek(offset)
                while offset < segment.size and taken < limit:
                    content = _content(file.read(RECORD.size), file.read)
                    if content is None:
                        log.error(
                            "spool segment is unreadable", segment=segment.path.name, offset=offset, lost=segment.size - offset
                        )
                        segment.size = offset
                        if segment is self._segments[-1]:
                            self._stop_segment()
                        break
                    offset += RECORD.size + len(content)
                    taken += RECORD.size + len(content)
                    found.append(msgspec.msgpack.decode(content, type=Stored))
                    self._ends.append((segment.number, offset))
            if taken >= limit:
                break
        if not found:
            self._forget((self._next, 0))
        return found

    def drop(self, count: int) -> None:
        """Let go of the first ``count`` records of the last ``read``: Kafka has them."""
        if count:
            number, offset = self._ends[count - 1]
            self._ends = self._ends[count:]
            last = self._segments[-1]
            self._forget((self._next, 0) if (number, offset) >= (last.number, last.size) else (number, offset))

    def close(self) -> None:
        """Close the files; what is on disk stays."""
        self._stop_segment()
        os.close(self._lock)

    def _forget(self, head: Position) -> None:
        """Advance the pointer, see it on disk, and only then delete what lies before it."""
        if head <= self._head or not self._segments:
            return
        if head[0] > self._segments[-1].number:
            self._stop_segment()
        self._write_pointer(head)
        self._head = head
        for segment in [s for s in self._segments if s.number < head[0]]:
            self._disk.unlink(segment.path)
            self._segments.remove(segment)
        self._gauge()

    def _append(self, content: bytes, at: int) -> None:
        segment = self._segments[-1] if self._segments else None
        if self._fd is None or segment is None or segment.size >= self._segment_bytes:
            segment = self._start_segment()
        assert self._fd is not None
        self._disk.write(self._fd, content)
        segment.size += len(content)
        segment.first_at = segment.first_at or at

    def _start_segment(self) -> Segment:
        if self._fd is not None:
            self._disk.sync(self._fd)
            self._stop_segment()
        path = self.folder / f"{self._next:012d}.seg"
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        segment = Segment(self._next, path)
        self._next += 1
        self._segments.append(segment)
        self._disk.sync_folder(self.folder)
        return segment

    def _cut_back(self, before: tuple[Segment, int] | None) -> None:
        """Undo a write that failed: what follows goes to a new segment.

        Records that survive this nevertheless come before their repetition and are skipped downstream.
        """
        self._stop_segment()
        while self._segments and (before is None or self._segments[-1] is not before[0]):
            with suppress(OSError):
                self._disk.unlink(self._segments[-1].path)
            self._segments.pop()
        if before is not None:
            segment = before[0]
            segment.size = before[1]
            with suppress(OSError):
                self._disk.truncate(segment.path, segment.size)

    def _stop_segment(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _lock_folder(self) -> int:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            msg = f"spool {self.folder}: {error.strerror}; give a writable folder as connect.spool_dir"
            raise Fatal(msg) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(lock)
            msg = f"spool {self.folder} is in use by another process; give each its own connect.spool_dir"
            raise Fatal(msg) from error
        return lock

    def _find_segments(self) -> list[Segment]:
        found = []
        for path in sorted(self.folder.glob("*.seg")):
            segment = Segment(int(path.stem), path, path.stat().st_size)
            if segment.number < self._head[0]:
                self._disk.unlink(path)
                continue
            found.append(segment)
            self._measure(segment)
        return found

    def _measure(self, segment: Segment) -> None:
        """Find where the whole records of a segment end; what a crash left behind them is never read."""
        offset = 0
        with segment.path.open("rb") as file:
            while (content := _content(file.read(RECORD.size), file.read)) is not None:
                if segment.first_at is None:
                    segment.first_at = msgspec.msgpack.decode(content, type=Stored).at
                offset += RECORD.size + len(content)
        if offset < segment.size:
            log.warning("spool segment ends in a torn record", segment=segment.path.name, bytes=segment.size - offset)
            segment.size = offset

    def _read_pointer(self) -> Position:
        try:
            content = (self.folder / "pointer").read_bytes()
        except FileNotFoundError:
            return (0, 0)
        if len(content) != POINTER.size or zlib.crc32(content[:16]) != POINTER.unpack(content)[2]:
            log.error("spool pointer is unreadable; all segments are sent again and skipped downstream", folder=str(self.folder))
            return (0, 0)
        number, offset, _ = POINTER.unpack(content)
        return (number, offset)

    def _write_pointer(self, head: Position) -> None:
        content = struct.pack(">QQ", *head)
        content += struct.pack(">I", zlib.crc32(content))
        draft = self.folder / "pointer.new"
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            self._disk.write(fd, content)
            self._disk.sync(fd)
        finally:
            os.close(fd)
        self._disk.replace(draft, self.folder / "pointer")
        self._disk.sync_folder(self.folder)

    def _gauge(self) -> None:
        SPOOL_BYTES.set(max(self.size, 0))


def _content(prefix: bytes, read: Callable[[int], bytes]) -> bytes | None:
    """Give the content of the record at the file's position, or None where there is no whole one."""
    if len(prefix) < RECORD.size:
        return None
    length, crc = RECORD.unpack(prefix)
    content = read(length) if length <= RECORD_LIMIT else b""
    return content if len(content) == length and zlib.crc32(content) == crc else None
