"""A device is answered once what its packet changed is written, and an instance goes on from there, whatever ended."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from connectors._api import Peer, load
from connectors._host.builder import Delivery
from connectors._host.journal import Journal
from connectors._host.keeper import Keeper
from connectors._host.options import split
from connectors._host.tcp import TcpServer
from connectors.jt808 import encoder
from connectors.jt808.framing import Framing
from schemas.kinds.services import VehicleAlarmEpisode
from tests.unit.host.fakes import START, Bench

JT808 = load("jt808")
S = 1_000_000
PHONE = "13912345678"


def packet(second: int, alarm: int = 0, status: int = 1, phone: str = PHONE) -> bytes:
    wire = encoder.location(phone, second, version="2013", ts=START + second * S, lat=31.2, lon=121.5, alarm=alarm, status=status)
    (found,) = Framing({}).feed(wire)
    assert isinstance(found, bytes)
    return found


class Site:
    """One life of the process: an instance, and its connections."""

    def __init__(self, path: Path | None) -> None:
        self.bench = Bench(keeper=Keeper(path))
        options, settings = split(JT808, {"listen": "127.0.0.1:0"}, "test")
        self.door = TcpServer(JT808, settings, options, self.bench.intake, self.bench.clock)  # type: ignore[arg-type]
        self.session = self.door.make_session()

    def reconnect(self) -> None:
        self.session = self.door.make_session()

    def take(self, content: bytes) -> tuple[list[tuple[str, str, int]], Delivery]:
        """Take in a packet; gives the edges it brought, and what tells that it may be answered."""
        received = self.session.receive(content, START + 3600 * S)
        edges = [r for r in received.readings if isinstance(r, VehicleAlarmEpisode)]
        delivery = self.bench.intake.take(received, content, START)
        return [(e.code, e.phase, (e.started_at or 0) - START) for e in edges], delivery

    async def safe(self) -> None:
        """All rows are safe, and what follows is written."""
        self.bench.confirm()
        await self.bench.intake.keeper.settled()


RISE = ("overspeed", "rise", 1 * S)


async def test_a_new_connection_goes_on_from_the_one_before() -> None:
    site = Site(None)
    assert [site.take(packet(n, alarm=2))[0] for n in (1, 2)] == [[RISE], []]
    site.reconnect()
    assert site.take(packet(2, alarm=2))[0] == []
    assert site.take(packet(3))[0] == [("overspeed", "fall", 1 * S)]


async def test_a_new_process_goes_on_from_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "j"
    site = Site(path)
    site.take(packet(0))
    site.take(packet(1, alarm=2))
    await site.safe()
    site = Site(path)
    assert site.take(packet(1, alarm=2))[0] == []
    assert site.take(packet(4, status=0))[0] == [("overspeed", "fall", 1 * S), ("status_acc", "fall", 0)]


async def test_what_was_not_answered_is_told_again_by_a_new_process(tmp_path: Path) -> None:
    path = tmp_path / "j"
    site = Site(path)
    site.take(packet(0))
    await site.safe()
    edges, delivery = site.take(packet(1, alarm=2))
    assert not delivery.safe
    assert Site(path).take(packet(1, alarm=2))[0] == edges == [RISE]


async def test_an_answer_waits_for_the_rows_and_then_for_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written, held = Journal.write, threading.Event()

    def slowly(journal: Journal, changes: Any) -> bool:
        held.wait(15)
        return written(journal, changes)

    monkeypatch.setattr(Journal, "write", slowly)
    site = Site(tmp_path / "j")
    _, delivery = site.take(packet(1, alarm=2))
    site.bench.confirm()
    site.reconnect()
    edges, again = site.take(packet(1, alarm=2))
    _, other = site.take(packet(1, phone="13900000000", status=0))
    site.bench.confirm()
    await asyncio.sleep(0)
    assert edges == []
    assert [d.safe for d in (delivery, again, other)] == [False] * 3
    held.set()
    await site.bench.intake.keeper.settled()
    assert [d.safe for d in (delivery, again, other)] == [True] * 3


async def test_a_packet_without_an_edge_waits_for_no_journal_and_writes_nothing(tmp_path: Path) -> None:
    site = Site(tmp_path / "j")
    site.take(packet(1))
    await site.safe()
    before = (tmp_path / "j").read_bytes()
    _, delivery = site.take(packet(2))
    site.bench.confirm()
    assert delivery.safe
    await site.bench.intake.keeper.settled()
    assert (tmp_path / "j").read_bytes() == before


async def test_changes_are_written_in_their_order_even_if_later_rows_are_safe_first(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path / "j")
    first, second = Delivery(), Delivery()
    for rows in (first, second):
        rows.hold()
        rows.seal()
    told = JT808.make_session(JT808.manifest.resolve({}, "test"), Peer("test"))
    told.adopt(keeper.memory)  # type: ignore[attr-defined]
    told.receive(packet(1, alarm=2), START + 3600 * S)
    one = keeper.after(first, [PHONE])
    told.receive(packet(2), START + 3600 * S)
    two = keeper.after(second, [PHONE])
    second.release()
    await keeper.settled()
    assert not (tmp_path / "j").exists()
    first.release()
    await keeper.settled()
    assert one.safe
    assert two.safe
    assert [one.ts - START for _, one in Journal(tmp_path / "j").read()] == [2 * S]


async def test_a_disk_that_fails_stops_no_answer_and_gets_it_all_when_it_is_mended(tmp_path: Path) -> None:
    path = tmp_path / "away" / "j"
    site = Site(path)
    path.parent.write_bytes(b"in the way")
    _, delivery = site.take(packet(1, alarm=2))
    await site.safe()
    assert delivery.safe
    path.parent.unlink()
    site.take(packet(1, alarm=4, phone="13900000000"))
    await site.safe()
    assert {source for source, _ in Journal(path).read()} == {PHONE, "13900000000"}
