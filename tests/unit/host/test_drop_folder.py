"""A drop folder: complete files only, each content once, crashes in the middle, broken files put aside."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from connectors._api import registry
from connectors._host.doors import make_door
from connectors._host.drop_folder import DropFolder, pages_of
from connectors._host.files import FileReader
from connectors._host.options import FileOptions
from connectors._host.pickup import JOURNAL, Journal
from connectors.table_file import encoder
from schemas.errors import Fatal
from schemas.frame import decode
from tests.unit.host.fakes import START, Bench, FakeTime, until

TABLE = registry.load("table_file")
SETTINGS = TABLE.manifest.resolve({"hash_key": "k"}, "test")
SETTLE_S = 30.0


def payments(count: int, first: int = 0, **fields: Any) -> bytes:
    row = {"account": "31", "paid_at": START, "utility": "water", "amount": 100, **fields}
    return encoder.csv_body([encoder.payment({**row, "bill": f"P{n}"}) for n in range(first, first + count)])


class Drop:
    """A drop folder that is served, with a clock of its own; what it takes in is safe when the test says so."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.folder = folder
        self.time = FakeTime()
        self.bench = Bench(self.time.clock)
        given = FileOptions(path=str(folder), settle_s=SETTLE_S, rescan_s=1.0, **options)
        self.door = DropFolder(TABLE, SETTINGS, given, self.bench.intake, self.time.clock, sleep=self.time.sleep)

    async def until(self, met: Callable[[], object], *, confirm: bool = True) -> None:
        """Let time pass, and make safe what was taken in, until it is so."""

        async def pass_time() -> None:
            while True:
                await self.time.advance(1.0)
                if confirm:
                    self.bills += self.safe()
                await asyncio.sleep(0.001)

        passing = asyncio.create_task(pass_time())
        try:
            await until(met)
        finally:
            passing.cancel()
        if confirm:
            self.bills += self.safe()

    bills: list[str]

    def safe(self) -> list[str]:
        self.bench.intake.flush()
        frames = [f for f in self.bench.submitted if f.header.kind == "bill_payment"]
        found = [bill for frame in frames for bill in decode(frame.value, frame.header).column("bill").to_pylist()]
        self.bench.confirm()
        return found

    def has(self, *names: str) -> bool:
        """Whether all these files are there."""
        return all((self.folder / name).is_file() for name in names)


@pytest.fixture
def drop(tmp_path: Path) -> Drop:
    made = Drop(tmp_path)
    made.bills = []
    return made


def again(drop: Drop, **options: Any) -> Drop:
    """A new process on the same folder."""
    made = Drop(drop.folder, **options)
    made.bills = []
    return made


async def test_a_file_is_taken_up_when_it_has_settled_and_put_away_when_it_is_safe(drop: Drop) -> None:
    (drop.folder / "a.csv").write_bytes(payments(1200))
    async with drop.bench.opened(drop.door):
        await drop.time.advance(SETTLE_S - 2)
        assert drop.bench.intake.packets == 0
        await drop.until(lambda: drop.bench.intake.packets == 3, confirm=False)
        assert drop.has("a.csv")
        await drop.until(lambda: drop.has("done/a.csv"))
    assert sorted(drop.bills) == sorted(f"P{n}" for n in range(1200))
    assert not drop.has("a.csv")


async def test_a_file_that_grows_waits(drop: Drop) -> None:
    path = drop.folder / "a.csv"
    path.write_bytes(payments(10)[:100])
    async with drop.bench.opened(drop.door):
        await drop.time.advance(SETTLE_S - 2)
        path.write_bytes(payments(10))
        await drop.time.advance(SETTLE_S - 2)
        assert drop.bench.intake.packets == 0
        await drop.until(lambda: drop.has("done/a.csv"))
    assert len(drop.bills) == 10


async def test_a_checksum_lets_a_file_in_at_once_and_moves_with_it(drop: Drop) -> None:
    content = payments(5)
    (drop.folder / "a.csv").write_bytes(content)
    (drop.folder / "a.csv.sha256").write_text(f"{hashlib.sha256(content).hexdigest()}  a.csv\n")
    async with drop.bench.opened(drop.door):
        await drop.until(lambda: drop.has("done/a.csv", "done/a.csv.sha256"))
        assert drop.time.now < START + SETTLE_S * 1_000_000
    assert len(drop.bills) == 5


async def test_a_file_that_is_not_what_its_checksum_says_is_rejected_once_it_has_settled(drop: Drop) -> None:
    (drop.folder / "a.csv").write_bytes(payments(5))
    (drop.folder / "a.csv.sha256").write_text("0" * 64)
    (drop.folder / "b.csv").write_bytes(payments(6))
    (drop.folder / "b.csv.sha256").write_text("soon")
    async with drop.bench.opened(drop.door):
        await drop.time.advance(SETTLE_S - 2)
        (drop.folder / "b.csv.sha256").write_text(hashlib.sha256(payments(6)).hexdigest().upper())
        await drop.until(lambda: drop.has("rejected/a.csv", "rejected/a.csv.reason.txt", "done/b.csv"))
    assert len(drop.bills) == 6
    assert "bad_checksum 校验错误" in (drop.folder / "rejected" / "a.csv.reason.txt").read_text(encoding="utf-8")


async def test_where_checksums_are_required_a_file_waits_for_its_own(drop: Drop) -> None:
    strict = again(drop, checksum="required")
    (drop.folder / "a.csv").write_bytes(payments(5))
    async with strict.bench.opened(strict.door):
        await strict.time.advance(5 * SETTLE_S, 1.0)
        assert strict.bench.intake.packets == 0
        (drop.folder / "a.csv.sha256").write_text(hashlib.sha256(payments(5)).hexdigest())
        await strict.until(lambda: strict.has("done/a.csv"))


async def test_the_same_content_is_taken_up_once_under_any_name_and_after_a_restart(drop: Drop) -> None:
    (drop.folder / "a.csv").write_bytes(payments(5))
    async with drop.bench.opened(drop.door):
        await drop.until(lambda: drop.has("done/a.csv"))
    later = again(drop)
    (drop.folder / "a.csv").write_bytes(payments(5))
    (drop.folder / "b.csv").write_bytes(payments(5))
    (drop.folder / "c.csv").write_bytes(payments(5, first=5))
    async with later.bench.opened(later.door):
        await later.until(lambda: later.has("done/b.csv", "done/c.csv") and not later.has("a.csv"))
    assert (len(drop.bills), sorted(later.bills)) == (5, [f"P{n}" for n in range(5, 10)])
    assert len(list((drop.folder / "done").glob("a*.csv"))) == 2


async def test_after_a_crash_only_pages_that_were_not_safe_are_read_again(drop: Drop) -> None:
    (drop.folder / "a.csv").write_bytes(payments(500 * 20))
    async with drop.bench.opened(drop.door):
        await drop.until(lambda: drop.bench.intake.packets >= 4, confirm=False)
        first = drop.safe()
        await drop.until(lambda: drop.bench.intake.packets >= len(first) // 500 + 9, confirm=False)
    pages = len(first) // 500
    assert pages >= 4
    later = again(drop)
    async with later.bench.opened(later.door):
        await later.until(lambda: later.has("done/a.csv"))
    assert later.bench.intake.packets == 20 - pages
    assert sorted(first + later.bills) == sorted(f"P{n}" for n in range(10_000))


async def test_bad_rows_are_told_by_line_and_the_rest_goes_on(drop: Drop) -> None:
    (drop.folder / "a.csv").write_bytes(payments(3) + b"P9,31\n" + payments(3, first=3).split(b"\n", 1)[1])
    async with drop.bench.opened(drop.door):
        await drop.until(lambda: drop.has("done/a.csv", "done/a.csv.reason.txt"))
    assert (len(drop.bills), drop.bench.intake.rejects) == (6, 1)
    assert "line 5: 2 cells" in (drop.folder / "done" / "a.csv.reason.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xd0\xcf\x11\xe0old", "unsupported"),
        (b"PK\x03\x04broken", "bad_frame"),
        (b"", "bad_frame"),
        (b"a,b\n1,2\n", "missing_field"),
        (payments(3).replace("水费".encode(), b"parking"), "missing_field"),
    ],
)
async def test_a_file_that_is_no_table_or_has_no_usable_row_is_put_aside_with_the_reason(
    drop: Drop, content: bytes, reason: str
) -> None:
    content = (
        payments(3).replace(b"P", b"\xe6\xb0\xb4").replace("水费".encode(), b"parking") if content.startswith(b"a,b") else content
    )
    (drop.folder / "x.dat").write_bytes(content)
    (drop.folder / "y.csv").write_bytes(payments(2))
    async with drop.bench.opened(drop.door):
        await drop.until(lambda: drop.has("rejected/x.dat", "rejected/x.dat.reason.txt", "done/y.csv"))
    assert reason in (drop.folder / "rejected" / "x.dat.reason.txt").read_text(encoding="utf-8")
    assert len(drop.bills) == 2


async def test_a_rejected_file_may_be_dropped_again_when_the_settings_are_mended(drop: Drop) -> None:
    (drop.folder / "a.csv").write_bytes(payments(3))
    drop.door.settings = TABLE.manifest.resolve({}, "test")
    drop.door._session = drop.door.make_session()
    async with drop.bench.opened(drop.door):
        await drop.until(lambda: drop.has("rejected/a.csv"))
    (drop.folder / "rejected" / "a.csv").rename(drop.folder / "a.csv")
    later = again(drop)
    async with later.bench.opened(later.door):
        await later.until(lambda: later.has("done/a.csv"))
    assert len(later.bills) == 3


async def test_hidden_files_folders_and_links_are_left_alone(drop: Drop, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "secret.csv"
    elsewhere.write_bytes(payments(1))
    (drop.folder / ".part.csv").write_bytes(payments(2))
    (drop.folder / "sub").mkdir()
    (drop.folder / "link.csv").symlink_to(elsewhere)
    async with drop.bench.opened(drop.door):
        await drop.time.advance(3 * SETTLE_S, 1.0)
    assert drop.bench.intake.packets == 0
    assert drop.has(".part.csv", JOURNAL)


def test_a_folder_without_a_journal_or_a_connector_without_pages_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Fatal, match="writable"):
        Journal(tmp_path / "none" / JOURNAL)
    assert pages_of(registry.load("gbfs")) is None
    options = FileOptions(path=str(tmp_path))
    bench = Bench()
    with pytest.raises(Fatal, match=r"no pages\.py"):
        DropFolder(registry.load("gbfs"), {}, options, bench.intake, bench.clock)


def test_a_folder_is_a_drop_folder_where_the_connector_reads_pages(tmp_path: Path) -> None:
    bench = Bench()
    (tmp_path / "a.csv").write_bytes(payments(1))

    def door(name: str, path: Path) -> object:
        connector = registry.load(name)
        return make_door(
            connector, connector.manifest.resolve({}, "test"), FileOptions(path=str(path)), bench.intake, bench.clock
        )

    assert isinstance(door("table_file", tmp_path), DropFolder)
    assert isinstance(door("traffic_csv", tmp_path), DropFolder)
    assert isinstance(door("table_file", tmp_path / "a.csv"), FileReader)
    assert isinstance(door("gbfs", tmp_path), FileReader)
