"""The journal of standing alarms: what was written is read again, whatever end the process or the disk made of it."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors._api.episodes import Standing
from connectors._host import journal as journals
from connectors._host.journal import Journal, line
from connectors._host.spool import Disk
from schemas.errors import Fatal


def standing(ts: int) -> Standing:
    return Standing(ts, [0, 1 << 54], {"overspeed": ts})


def change(ts: int, *sources: str) -> dict[str, bytes]:
    return {source: line(source, standing(ts)) for source in sources}


def found(path: Path) -> list[tuple[str, int]]:
    return [(source, one.ts) for source, one in Journal(path).read()]


def test_the_last_line_of_a_source_counts(tmp_path: Path) -> None:
    path = tmp_path / "memory" / "buses.jsonl"
    journal = Journal(path)
    assert list(journal.read()) == []
    assert journal.write(change(1, "a", "粤B12345_2"))
    assert journal.write(change(2, "a"))
    assert list(Journal(path).read()) == [("粤B12345_2", standing(1)), ("a", standing(2))]


@settings(deadline=None, max_examples=50)
@given(st.integers(min_value=0), st.binary(max_size=40))
def test_a_torn_end_costs_only_its_own_line(tmp_path_factory: pytest.TempPathFactory, cut: int, junk: bytes) -> None:
    path = tmp_path_factory.mktemp("torn") / "j"
    Journal(path).write(change(1, "a", "b"))
    whole, torn = path.read_bytes(), line("a", standing(2))
    path.write_bytes(whole + torn[: cut % (len(torn) - 1)] + b"\n" * bool(junk) + junk.replace(b"[", b"("))
    assert found(path) == [("a", 1), ("b", 1)]
    journal = Journal(path)
    assert journal.write(change(3, "b"))
    assert path.read_bytes() == line("a", standing(1)) + line("b", standing(3))


def test_outdated_lines_go_when_the_file_has_grown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "SLACK_BYTES", 1000)
    journal = Journal(tmp_path / "j")
    for ts in range(1000):
        assert journal.write(change(ts, "ab"[ts % 2]))
        assert journal.path.stat().st_size < 2000
    assert found(journal.path) == [("a", 998), ("b", 999)]


def test_no_more_sources_are_kept_than_a_memory_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "MOST_SOURCES", 2)
    assert Journal(tmp_path / "j").write(change(1, "a", "b", "c"))
    assert found(tmp_path / "j") == [("b", 1), ("c", 1)]


class Full(Disk):
    """A disk with so many bytes of room."""

    def __init__(self, room: int) -> None:
        self.room = room

    def write(self, fd: int, content: bytes) -> None:
        super().write(fd, content[: self.room])
        self.room -= len(content)
        if self.room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_leaves_what_was_there_and_takes_more_when_it_has_room(tmp_path: Path) -> None:
    disk = Full(len(line("a", standing(1))) + 5)
    journal = Journal(tmp_path / "j", disk)
    assert journal.write(change(1, "a"))
    assert not journal.write(change(2, "a"))
    assert found(journal.path) == [("a", 1)]
    assert not journal.write(change(2, "a"))
    assert found(journal.path) == [("a", 1)]
    disk.room = 1000
    assert journal.write(change(3, "a"))
    assert found(journal.path) == [("a", 3)]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(Fatal, match=str(tmp_path)):
        list(Journal(tmp_path).read())
