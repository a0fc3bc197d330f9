"""Datagrams: each peer has a session, replies wait for their readings, and nothing grows without bound."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from connectors._host import udp
from connectors._host.options import UdpOptions
from connectors._host.udp import UdpServer
from connectors._template import encoder
from tests.contract.test_connectors import TEMPLATE
from tests.unit.host.fakes import START, Bench, until

SETTINGS = {"stations": ["S1"], "silence_s": 300.0}
REPORT = encoder.report("S1", START, 7, {"PM10": 50.0})
STRANGER = encoder.report("S9", START, 8, {"PM10": 50.0})


class Device(asyncio.DatagramProtocol):
    """A device on the loopback."""

    def __init__(self) -> None:
        self.answers: asyncio.Queue[bytes] = asyncio.Queue()
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.answers.put_nowait(data)

    async def answer(self) -> bytes:
        return await asyncio.wait_for(self.answers.get(), 10)


@asynccontextmanager
async def served(bench: Bench, **options: Any) -> AsyncIterator[UdpServer]:
    door = UdpServer(TEMPLATE, SETTINGS, UdpOptions(listen="127.0.0.1:0", **options), bench.intake, bench.clock)
    async with bench.opened(door):
        yield door


@asynccontextmanager
async def device(door: UdpServer) -> AsyncIterator[Device]:
    loop = asyncio.get_running_loop()
    transport, made = await loop.create_datagram_endpoint(Device, remote_addr=("127.0.0.1", door.port))
    try:
        yield made
    finally:
        transport.abort()
        await asyncio.sleep(0)


async def test_reply_goes_to_its_sender_once_its_readings_are_safe() -> None:
    bench = Bench()
    async with served(bench) as door, device(door) as one, device(door) as other:
        one.transport.sendto(REPORT)
        await until(lambda: bench.intake.readings == 1)
        other.transport.sendto(STRANGER)
        assert await other.answer() == encoder.acknowledgement(8, accepted=False)
        assert one.answers.empty()
        bench.confirm()
        assert await one.answer() == encoder.acknowledgement(7)
        assert door.count == 2


async def test_rubbish_is_refused_and_the_peer_is_served_on() -> None:
    bench = Bench()
    async with served(bench) as door, device(door) as one:
        one.transport.sendto(b"rubbish")
        one.transport.sendto(REPORT + REPORT)
        await until(lambda: bench.intake.readings == 2)
        assert bench.intake.rejects == 1


async def test_peers_are_bounded_in_number_and_age() -> None:
    bench = Bench()
    async with served(bench, max_peers=2, idle_timeout_s=600.0) as door:
        for port in (1, 2, 1, 3):
            door.take(REPORT, ("127.0.0.9", port))
        assert list(door.peers) == [("127.0.0.9", 1), ("127.0.0.9", 3)]
        door.peers["127.0.0.9", 1].heard -= 700.0
        door.tick()
        assert list(door.peers) == [("127.0.0.9", 3)]


async def test_session_that_asks_to_close_is_forgotten() -> None:
    bench = Bench()
    async with served(bench) as door:
        door.take(REPORT, ("127.0.0.9", 1))
        door.clock = lambda: START + 301_000_000
        door.tick()
        assert door.count == 1, "its reply is still owed"
        bench.confirm()
        assert door.count == 0


async def test_who_sends_too_fast_or_is_not_allowed_is_dropped() -> None:
    bench = Bench()
    async with served(bench, packets_per_s=2) as door:
        for _ in range(5):
            door.take(REPORT, ("127.0.0.9", 1))
        assert (bench.intake.readings, door.dropped) == (2, 3)
        door.take(REPORT, ("127.0.0.9", 2))
        assert bench.intake.readings == 3
    async with served(bench, allow=["10.0.0.0/8"]) as door, device(door) as one:
        one.transport.sendto(REPORT)
        door.receive(REPORT, ("10.0.0.1", 5))
        await until(lambda: bench.intake.readings == 4)
        assert list(door.peers) == [("10.0.0.1", 5)]


async def test_what_cannot_be_decoded_in_time_is_dropped_and_memory_is_bounded() -> None:
    bench = Bench(max_unconfirmed=1)
    async with served(bench) as door:
        door.take(REPORT, ("127.0.0.9", 1))
        content = b"x" * 60_000
        for _ in range(100):
            door.receive(content, ("127.0.0.9", 1))
        assert door.dropped == 100 - udp.QUEUE_BYTES // len(content)
