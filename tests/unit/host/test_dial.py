"""Connections that we open: one session for each address, opened again with pauses, and served as those we accept."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from cityops.place import free_port
from connectors._api.session import Received, Reply
from connectors._host.options import TcpOptions
from connectors._host.tcp import TcpDialler
from connectors._template import encoder
from tests.contract.test_connectors import TEMPLATE, with_session
from tests.unit.host.fakes import START, Bench, certificate, until

REPORT = encoder.report("S1", START, 7, {"PM10": 50.0})


class Greeting(TEMPLATE.make_session):  # type: ignore[misc,name-defined]
    """Asks first, as a master does."""

    def start(self, now: int) -> Received:
        super().start(now)
        return Received(replies=[Reply(b"HELLO\n", "now")])


class Plant:
    """The other side: a station that waits to be called."""

    def __init__(self) -> None:
        self.calls: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._server: asyncio.Server | None = None
        self.port = free_port()

    async def open(self, tls: ssl.SSLContext | None = None) -> None:
        self._server = await asyncio.start_server(lambda r, w: self.calls.append((r, w)), "127.0.0.1", self.port, ssl=tls)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for _, writer in self.calls:
            writer.transport.abort()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)
        self.calls.clear()


class Pauses:
    """Sleeps that end when the test says so."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self._go = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.asked.append(seconds)
        await self._go.wait()
        self._go.clear()

    def over(self) -> None:
        self._go.set()


@asynccontextmanager
async def plants(count: int) -> AsyncIterator[list[Plant]]:
    made = [Plant() for _ in range(count)]
    try:
        yield made
    finally:
        for plant in made:
            await plant.close()


def dialler(bench: Bench, pauses: Pauses, *plants: Plant, connector: Any = None, **options: Any) -> TcpDialler:
    given = TcpOptions(connect=[f"127.0.0.1:{p.port}" for p in plants], **options)
    connector = connector or with_session(Greeting)
    settings = {"stations": [], "silence_s": 300.0}
    return TcpDialler(connector, settings, given, bench.intake, bench.clock, sleep=pauses.sleep)


async def test_session_speaks_first_and_replies_wait_for_their_readings() -> None:
    bench, pauses = Bench(), Pauses()
    async with plants(1) as (plant,):
        await plant.open()
        door = dialler(bench, pauses, plant)
        async with bench.opened(door):
            await until(lambda: plant.calls)
            reader, writer = plant.calls[0]
            assert await asyncio.wait_for(reader.readline(), 10) == b"HELLO\n"
            writer.write(REPORT)
            await until(lambda: bench.intake.readings == 1)
            assert (door.health, door.count) == ("live", 1)
            bench.confirm()
            assert await asyncio.wait_for(reader.readline(), 10) == encoder.acknowledgement(7)
        assert await asyncio.wait_for(reader.read(), 10) == b""
        assert door.count == 0


async def test_address_that_does_not_answer_is_dialled_again_and_the_others_are_served() -> None:
    bench, pauses = Bench(), Pauses()
    async with plants(2) as (here, away):
        await here.open()
        door = dialler(bench, pauses, here, away)
        async with bench.opened(door):
            await until(lambda: here.calls and pauses.asked)
            await until(lambda: door.health == "degraded")
            assert f"127.0.0.1:{away.port}: " in door.detail
            await away.open()
            pauses.over()
            await until(lambda: away.calls)
            assert (door.health, door.detail, door.count) == ("live", "", 2)


async def test_connection_that_ends_is_opened_again_with_a_new_session() -> None:
    bench, pauses = Bench(), Pauses()
    async with plants(1) as (plant,):
        await plant.open()
        door = dialler(bench, pauses, plant)
        async with bench.opened(door):
            for number in range(1, 4):
                await until(lambda n=number: len(plant.calls) == n)  # type: ignore[misc]
                reader, writer = plant.calls[-1]
                assert await asyncio.wait_for(reader.readline(), 10) == b"HELLO\n"
                writer.close()
                await until(lambda n=number: len(pauses.asked) == n)  # type: ignore[misc]
                assert door.health == "down"
                pauses.over()
        assert all(0.5 * 2**n <= pause <= 2**n for n, pause in enumerate(pauses.asked[:3]))


async def test_silent_peer_is_left_and_dialled_again() -> None:
    bench, pauses = Bench(), Pauses()
    async with plants(1) as (plant,):
        await plant.open()
        door = dialler(bench, pauses, plant, first_packet_s=0.05)
        async with bench.opened(door):
            await until(lambda: pauses.asked)
            assert door.health == "down"


async def test_tls_with_the_authorities_of_the_settings(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    stranger, _ = certificate(tmp_path, "other")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    async with plants(1) as (plant,):
        await plant.open(context)
        bench, pauses = Bench(), Pauses()
        door = dialler(bench, pauses, plant, tls_ca=cert)
        async with bench.opened(door):
            await until(lambda: plant.calls)
            assert await asyncio.wait_for(plant.calls[0][0].readline(), 10) == b"HELLO\n"
        door = dialler(bench, pauses, plant, tls_ca=stranger)
        async with bench.opened(door):
            await until(lambda: door.health == "down")
            assert "CERTIFICATE_VERIFY_FAILED" in door.detail
