"""The spool keeps what it acknowledged, in order, through every crash; it refuses when full."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors._host.spool import RECORD, Disk, Spool, Stored
from schemas.errors import Fatal
from tests.unit.host.fakes import START

REPO = Path(__file__).resolve().parents[3]


def record(number: int, size: int = 20, at: int = START) -> Stored:
    return Stored("raw-transport", number % 4, [("cityops", b"{}")], number.to_bytes(8, "big") + b"x" * size, at)


def numbers(records: list[Stored]) -> list[int]:
    return [int.from_bytes(r.value[:8], "big") for r in records]


def open_spool(folder: Path, *, disk: Disk | None = None, segment: int = 200, most: int = 1 << 20, age_us: int = 10**15) -> Spool:
    return Spool(folder, max_bytes=most, max_age_us=age_us, segment_bytes=segment, disk=disk)


def drain(spool: Spool) -> list[int]:
    found: list[int] = []
    while records := spool.read(150):
        found += numbers(records)
        spool.drop(len(records))
    return found


class Crash(BaseException):
    """The process ends here."""


class CrashingDisk(Disk):
    """Does ``steps`` operations, then half of a write or nothing, and ends the process."""

    def __init__(self, steps: int) -> None:
        self._left = steps

    def _step(self) -> None:
        if not self._left:
            raise Crash
        self._left -= 1

    def write(self, fd: int, content: bytes) -> None:
        if not self._left:
            super().write(fd, content[: len(content) // 2])
        self._step()
        super().write(fd, content)

    def sync(self, fd: int) -> None:
        self._step()
        super().sync(fd)

    def sync_folder(self, folder: Path) -> None:
        self._step()
        super().sync_folder(folder)

    def replace(self, source: Path, target: Path) -> None:
        self._step()
        super().replace(source, target)

    def unlink(self, path: Path) -> None:
        self._step()
        super().unlink(path)


def let_go(spool: Spool) -> None:
    """What the end of a process does to its files."""
    spool.close()


def reopen(folder: Path, crash: Iterator[int]) -> Spool:
    """Open it again, as often as that crashes too."""
    while True:
        try:
            return open_spool(folder, disk=CrashingDisk(next(crash, 10**9)))
        except Crash:
            continue


def test_records_come_back_in_order_over_segments_and_restarts(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    assert spool.write([record(n) for n in range(10)], START) == 10
    assert len(list(tmp_path.glob("*.seg"))) > 2
    assert numbers(spool.read(150))[:2] == [0, 1]
    spool.drop(2)
    spool.close()
    again = open_spool(tmp_path)
    assert again.write([record(10)], START) == 1
    assert drain(again) == list(range(2, 11))
    assert again.empty
    assert list(tmp_path.glob("*.seg")) == []
    assert again.write([record(11)], START) == 1
    again.close()
    assert drain(open_spool(tmp_path)) == [11]


@pytest.mark.parametrize("cut", [1, 5, 7, 8, 9, 30, 48, 49, 50, 51, 52, 53, 60])
def test_torn_tail_is_passed_over_and_what_was_whole_is_kept(tmp_path: Path, cut: int) -> None:
    spool = open_spool(tmp_path, segment=1 << 20)
    spool.write([record(n) for n in range(3)], START)
    spool.close()
    (segment,) = tmp_path.glob("*.seg")
    os.truncate(segment, segment.stat().st_size - cut)
    again = open_spool(tmp_path, segment=1 << 20)
    again.write([record(3)], START)
    assert drain(again) == ([0, 1, 3] if cut <= spool_record_size() else [0, 3])
    again.close()


def spool_record_size() -> int:
    import msgspec

    return RECORD.size + len(msgspec.msgpack.encode(record(1)))


def test_flipped_byte_ends_its_segment_and_the_next_segment_is_read(tmp_path: Path) -> None:
    spool = open_spool(tmp_path, segment=1)
    spool.write([record(n) for n in range(3)], START)
    spool.close()
    middle = sorted(tmp_path.glob("*.seg"))[1]
    content = bytearray(middle.read_bytes())
    content[20] ^= 1
    middle.write_bytes(content)
    assert drain(open_spool(tmp_path, segment=1)) == [0, 2]


def test_full_by_size_refuses_the_newest_and_keeps_the_oldest(tmp_path: Path) -> None:
    spool = open_spool(tmp_path, most=spool_record_size() * 3)
    assert spool.write([record(n) for n in range(5)], START) == 3
    assert spool.write([record(9)], START) == 0
    spool.read(1)
    spool.drop(1)
    assert spool.write([record(3), record(4)], START) == 1
    assert drain(spool) == [1, 2, 3]
    spool.close()


def test_full_by_age_of_its_oldest_record(tmp_path: Path) -> None:
    spool = open_spool(tmp_path, age_us=3_600_000_000)
    assert spool.write([record(0, at=START)], START) == 1
    assert spool.write([record(1)], START + 3_600_000_000) == 1
    assert spool.write([record(2)], START + 3_600_000_001) == 0
    spool.close()
    again = open_spool(tmp_path, age_us=3_600_000_000)
    assert again.write([record(2)], START + 3_600_000_001) == 0
    assert drain(again) == [0, 1]
    assert again.write([record(3)], START + 3_600_000_001) == 1
    again.close()


class FailingDisk(Disk):
    """Fails when told to."""

    failing = ""

    def write(self, fd: int, content: bytes) -> None:
        if self.failing == "write":
            super().write(fd, content[:5])
            raise OSError(28, "No space left on device")
        super().write(fd, content)

    def sync(self, fd: int) -> None:
        if self.failing == "sync":
            raise OSError(5, "Input/output error")
        super().sync(fd)


@pytest.mark.parametrize("what", ["write", "sync"])
def test_failing_disk_refuses_and_takes_again_once_it_is_mended(tmp_path: Path, what: str) -> None:
    disk = FailingDisk()
    spool = open_spool(tmp_path, disk=disk, segment=1 << 20)
    assert spool.write([record(0)], START) == 1
    disk.failing = what
    for _ in range(3):
        assert spool.write([record(1), record(2)], START) == 0
    disk.failing = ""
    assert spool.write([record(1), record(2)], START) == 2
    assert drain(spool) == [0, 1, 2]
    spool.close()


def test_second_process_is_told_the_folder_is_taken(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    with pytest.raises(Fatal, match="in use"):
        open_spool(tmp_path)
    spool.close()
    open_spool(tmp_path).close()


def test_unreadable_pointer_sends_all_again_rather_than_nothing(tmp_path: Path) -> None:
    spool = open_spool(tmp_path, segment=1 << 20)
    spool.write([record(n) for n in range(4)], START)
    spool.read(10_000)
    spool.drop(2)
    spool.close()
    (tmp_path / "pointer").write_bytes(b"rubbish")
    again = open_spool(tmp_path)
    assert drain(again) == [0, 1, 2, 3]
    again.close()


def first_seen(sequence: list[int]) -> list[int]:
    """What a consumer that skips numbers not above its last takes."""
    taken: list[int] = []
    for number in sequence:
        if number > (taken[-1] if taken else -1):
            taken.append(number)
    return taken


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    acts=st.lists(
        st.one_of(st.tuples(st.just("write"), st.integers(1, 4)), st.tuples(st.just("drain"), st.integers(1, 4))), max_size=14
    ),
    crashes=st.lists(st.integers(0, 40), max_size=3),
)
def test_nothing_acknowledged_is_lost_or_out_of_order_wherever_a_crash_falls(
    tmp_path_factory: pytest.TempPathFactory, acts: list[tuple[str, int]], crashes: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("spool")
    crash = iter(crashes)
    spool = open_spool(folder, disk=CrashingDisk(next(crash, 10**9)))
    kafka: list[int] = []
    acknowledged = next_number = 0
    for act, count in acts:
        try:
            if act == "write":
                accepted = spool.write([record(next_number + i) for i in range(count)], START)
                next_number += accepted
                acknowledged = next_number
            else:
                found = spool.read(150)[:count]
                kafka += numbers(found)
                spool.drop(len(found))
        except Crash:
            let_go(spool)
            spool = reopen(folder, crash)
    let_go(spool)
    last = open_spool(folder)
    kafka += drain(last)
    last.close()
    taken = first_seen(kafka)
    assert taken[:acknowledged] == list(range(acknowledged))


def test_every_single_crash_point_of_a_fixed_history(tmp_path: Path) -> None:
    """The same promise, for each operation in turn of one history that rolls, drains and empties."""
    for steps in range(120):
        folder = tmp_path / str(steps)
        spool = open_spool(folder, disk=CrashingDisk(steps))
        kafka: list[int] = []
        acknowledged = 0
        try:
            for start in (0, 6, 12):
                spool.write([record(start + i) for i in range(6)], START)
                acknowledged = start + 6
                for _ in range(2 if start == 0 else 5):
                    found = spool.read(150)
                    kafka += numbers(found)
                    spool.drop(len(found))
        except Crash:
            let_go(spool)
        else:
            let_go(spool)
            assert steps > 20, "the history must have more operations than that"
            return
        again = open_spool(folder)
        kafka += drain(again)
        again.close()
        assert first_seen(kafka)[:acknowledged] == list(range(acknowledged)), steps
    pytest.fail("the history never finished")


WRITER = """
import sys
from collections.abc import Iterator
from pathlib import Path
sys.path.insert(0, {repo!r})
from connectors._host.spool import Spool, Stored
spool = Spool(Path({folder!r}), max_bytes=1 << 30, max_age_us=10**15, segment_bytes=5000)
n = 0
while True:
    batch = [Stored("t", 0, [], (n + i).to_bytes(8, "big") + b"x" * 100, 1) for i in range(7)]
    assert spool.write(batch, 1) == 7
    n += 7
    print(n, flush=True)
"""


def test_kill_minus_nine_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    program = WRITER.format(repo=str(REPO), folder=str(tmp_path / "spool"))
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    acknowledged = 0
    try:
        for _ in range(60):
            acknowledged = int(process.stdout.readline())
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    spool = open_spool(tmp_path / "spool")
    found = drain(spool)
    spool.close()
    assert found == list(range(len(found)))
    assert len(found) >= acknowledged
