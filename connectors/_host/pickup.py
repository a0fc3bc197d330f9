"""Files in a drop folder: when one is complete, which content was taken up how far, and where it goes then."""

from __future__ import annotations

import hashlib
import re
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from schemas.errors import REASONS, Fatal, Reject

State = Literal["begun", "done", "rejected"]
CHECKSUM = ".sha256"
JOURNAL = ".pickup.sqlite"
DIGEST = re.compile(r"[0-9a-fA-F]{64}")
Signature = tuple[int, int, int]
"""What changes when a file does: inode, size, time of change."""


@dataclass(frozen=True, slots=True)
class Taken:
    """How far the content of a file was taken up: its safe pages, and the readings and rejects in them."""

    state: State = "begun"
    pages: int = 0
    readings: int = 0
    rejects: int = 0


class Journal:
    """What was taken up, by the sha256 of the content; every change is on the disk when the call returns."""

    def __init__(self, path: Path) -> None:
        try:
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS pickup (digest TEXT PRIMARY KEY, name TEXT NOT NULL, state TEXT NOT NULL,"
                " pages INTEGER NOT NULL, readings INTEGER NOT NULL, rejects INTEGER NOT NULL, at INTEGER NOT NULL)"
            )
        except sqlite3.Error as error:
            msg = f"{path}: the journal of the drop folder cannot be kept: {error}; the folder must be writable"
            raise Fatal(msg) from error

    def of(self, digest: str) -> Taken | None:
        """Give how far this content was taken up, ``None`` if it is new."""
        query = "SELECT state, pages, readings, rejects FROM pickup WHERE digest = ?"
        row = self._connection.execute(query, (digest,)).fetchone()
        return None if row is None else Taken(*row)

    def keep(self, digest: str, name: str, taken: Taken, now: int) -> None:
        """Remember how far this content was taken up."""
        row = (digest, name, taken.state, taken.pages, taken.readings, taken.rejects, now)
        self._connection.execute("INSERT OR REPLACE INTO pickup VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


class Watch:
    """Tells which files are complete: those with a checksum file at once, others when they have not changed for a while."""

    def __init__(self, settle_s: float, *, needs_checksum: bool) -> None:
        self._settle_us = int(settle_s * 1_000_000)
        self._needs_checksum = needs_checksum
        self._seen: dict[str, tuple[Signature, int]] = {}

    def ready(self, files: list[Path], now: int) -> list[Path]:
        """Give the complete files of a listing; those that are gone are forgotten."""
        found = {path.name: mark for path in files if (mark := signature(path)) is not None}
        self._seen = {
            name: before if (before := self._seen.get(name)) is not None and before[0] == mark else (mark, now)
            for name, mark in found.items()
        }
        return [path for path in files if path.name in found and self._is_ready(path, now)]

    def is_settled(self, path: Path, now: int) -> bool:
        """Tell whether a file has not changed for the time to settle."""
        seen = self._seen.get(path.name)
        return seen is not None and now - seen[1] >= self._settle_us

    def _is_ready(self, path: Path, now: int) -> bool:
        if companion(path).is_file():
            return True
        return not self._needs_checksum and self.is_settled(path, now)


def listing(folder: Path) -> list[Path]:
    """Give the files of a drop folder by name: no hidden ones, no checksums, nothing that is no plain file."""
    return sorted(
        p for p in folder.iterdir() if not p.name.startswith(".") and p.suffix != CHECKSUM and p.is_file() and not p.is_symlink()
    )


def signature(path: Path) -> Signature | None:
    """Give what changes when the file does, ``None`` if it is gone."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def digest_of(path: Path) -> str:
    """Give the sha256 of a file's content in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def companion(path: Path) -> Path:
    """Give the checksum file of a file: its name and ``.sha256``."""
    return path.with_name(path.name + CHECKSUM)


def check(path: Path, digest: str) -> None:
    """Refuse content that is not what its checksum file says; without such a file all is well."""
    beside = companion(path)
    if not beside.is_file():
        return
    words = beside.read_text(encoding="utf-8", errors="replace")[:4096].split()
    if not words or not DIGEST.fullmatch(words[0].removeprefix("\\")):
        raise Reject("bad_checksum", f"{beside.name} does not begin with a sha256 in hexadecimal")
    if words[0].removeprefix("\\").lower() != digest:
        raise Reject("bad_checksum", f"{beside.name} says {words[0].lower()}, the content has {digest}")


def put_away(path: Path, folder: str, digest: str) -> Path:
    """Move a file and its checksum to a folder beside it; where that name is taken, its content names it too."""
    to = path.parent / folder
    to.mkdir(exist_ok=True)
    target = to / path.name
    if target.exists():
        target = to / f"{path.stem}.{digest[:12]}{path.suffix}"
    path.rename(target)
    beside = companion(path)
    if beside.is_file():
        beside.rename(companion(target))
    return target


def report(target: Path, taken: Taken, rejects: list[Reject]) -> None:
    """Write what was wrong with a file beside it, both languages, the first rejects by line."""
    lines = [f"{len(rejects)} / {taken.rejects} 条拒收 / rejects; {taken.readings} 条入库 / readings"]
    lines += [f"{reject.reason} {REASONS[reject.reason][0]} / {REASONS[reject.reason][1]}: {reject.detail}" for reject in rejects]
    target.with_name(target.name + ".reason.txt").write_text("\n".join(lines) + "\n", encoding="utf-8", errors="backslashreplace")
