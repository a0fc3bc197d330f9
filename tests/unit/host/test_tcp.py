"""A connection's replies keep their order and wait for their readings; limits hold; a bad packet ends nothing."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from connectors._api.manifest import Settings
from connectors._api.session import Peer, Received, Reply
from connectors._host import tcp
from connectors._host.builder import Frame, FrameBuilder
from connectors._host.intake import Intake
from connectors._host.options import TcpOptions
from connectors._host.tcp import TcpServer
from connectors._template import encoder
from schemas.errors import Fatal, Reject
from tests.contract.test_connectors import TEMPLATE, with_session
from tests.unit.host.fakes import START, bus


class Station:
    """A device on the loopback."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def report(self, serial: int) -> None:
        self.writer.write(encoder.report("S1", START, serial, {"PM10": 50.0}))

    async def reply(self) -> bytes:
        return await asyncio.wait_for(self.reader.readline(), 10)


class Site:
    """A server, what it handed on, and its devices."""

    def __init__(self, server: TcpServer, submitted: list[Frame]) -> None:
        self.server = server
        self.submitted = submitted
        self.stations: list[Station] = []

    async def station(self, **options: Any) -> Station:
        self.stations.append(Station(*await asyncio.open_connection("127.0.0.1", self.server.port, **options)))
        return self.stations[-1]

    async def until(self, met: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not met():
                await asyncio.sleep(0.005)

    def confirm(self) -> None:
        self.server.intake.flush()
        for frame in self.submitted:
            frame.safe()
        self.submitted.clear()


@asynccontextmanager
async def site(connector: Any = TEMPLATE, settings: Settings | None = None, **options: Any) -> AsyncIterator[Site]:
    submitted: list[Frame] = []
    builder = FrameBuilder("c1", "run1", partitions=4, frame_rows=1000, flush_us=200_000)
    intake = Intake(
        "c1", builder, submitted.extend, lambda: START, max_unconfirmed=options.pop("max_unconfirmed", 1000), flush_s=60
    )
    server = TcpServer(
        connector,
        settings or connector.manifest.resolve({}, "test"),
        TcpOptions(listen="127.0.0.1:0", **options),
        intake,
        lambda: START,
    )
    opened = asyncio.Event()
    task = asyncio.create_task(server.serve(opened.set))
    await asyncio.wait_for(opened.wait(), 10)
    made = Site(server, submitted)
    try:
        yield made
    finally:
        for station in made.stations:
            station.writer.transport.abort()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await server.close()
        for station in made.stations:
            await asyncio.gather(station.writer.wait_closed(), return_exceptions=True)


async def test_durable_reply_goes_out_only_when_its_readings_are_safe() -> None:
    async with site() as s:
        station = await s.station()
        station.report(7)
        await s.until(lambda: s.server.intake.packets == 1)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(station.reader.read(1), 0.05)
        s.confirm()
        assert await station.reply() == encoder.acknowledgement(7)


async def test_reply_that_may_go_now_waits_for_an_earlier_durable_one_of_its_connection_only() -> None:
    async with site(settings={"stations": ["S1"], "silence_s": 300.0}) as s:
        station, other = await s.station(), await s.station()
        station.report(1)
        stranger = encoder.report("S9", START, 2, {"PM10": 1.0})
        station.writer.write(stranger)
        other.writer.write(stranger)
        assert await other.reply() == encoder.acknowledgement(2, accepted=False)
        await s.until(lambda: s.server.intake.packets == 3)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(station.reader.read(1), 0.05)
        s.confirm()
        assert [await station.reply() for _ in range(2)] == [
            encoder.acknowledgement(1),
            encoder.acknowledgement(2, accepted=False),
        ]


async def test_bad_packets_are_rejects_and_the_connection_lives() -> None:
    async with site() as s:
        station = await s.station()
        station.writer.write(b"rubbish\r\n#S1,x,y*00\r\n")
        station.report(3)
        await s.until(lambda: s.server.intake.packets == 3)
        s.confirm()
        assert await station.reply() == encoder.acknowledgement(3)
        assert (s.server.intake.rejects, s.server.intake.readings) == (2, 1)


async def test_decoder_that_crashes_refuses_the_packet_and_the_connection_lives() -> None:
    class Crashing:
        def __init__(self, settings: Settings, peer: Peer) -> None:
            assert peer.connector == "c1"
            assert peer.address.startswith("127.0.0.1:")

        def start(self, now: int) -> Received:
            return Received()

        def tick(self, now: int) -> Received:
            return Received()

        def receive(self, packet: bytes, seen_at: int, origin: str = "") -> Received:
            if b",1," in packet:
                raise ZeroDivisionError
            return Received(message={"name": "x"}, readings=[bus()], replies=[Reply(b"ok\n")])

    async with site(with_session(Crashing)) as s:
        station = await s.station()
        station.report(1)
        station.report(2)
        await s.until(lambda: s.server.intake.packets == 2)
        s.confirm()
        assert await station.reply() == b"ok\n"
        assert s.server.intake.rejects == 1


async def test_framing_that_crashes_is_replaced() -> None:
    class Brittle(TEMPLATE.make_framing):  # type: ignore[misc,name-defined]
        def feed(self, data: bytes) -> list[bytes | Reject]:
            if b"boom" in data:
                raise ZeroDivisionError
            return super().feed(data)  # type: ignore[no-any-return]

    async with site(with_session(TEMPLATE.make_session, Brittle)) as s:
        station = await s.station()
        station.writer.write(b"boom\n")
        await s.until(lambda: s.server.intake.rejects == 1)
        station.report(2)
        await s.until(lambda: s.server.intake.readings == 1)
        s.confirm()
        assert await station.reply() == encoder.acknowledgement(2)


async def test_reading_stops_while_too_much_is_unconfirmed() -> None:
    async with site(max_unconfirmed=2) as s:
        station = await s.station()
        for serial in (1, 2):
            station.report(serial)
        await s.until(lambda: s.server.intake.unconfirmed == 2)
        for serial in range(3, 50):
            station.report(serial)
            await station.writer.drain()
        await asyncio.sleep(0.05)
        before = s.server.intake.packets
        assert before < 49
        while s.server.intake.packets < 49:
            s.confirm()
            await asyncio.sleep(0.005)
        s.confirm()
        assert [await station.reply() for _ in range(49)] == [encoder.acknowledgement(n) for n in range(1, 50)]


async def test_replies_owed_go_out_after_the_peer_has_ended() -> None:
    async with site() as s:
        station = await s.station()
        station.report(1)
        station.writer.write(encoder.report("S1", START, 2, {"LA": 60.0}).rstrip(b"\r\n"))
        station.writer.write_eof()
        await s.until(lambda: s.server.intake.packets == 2)
        s.confirm()
        assert await asyncio.wait_for(station.reader.read(), 10) == encoder.acknowledgement(1) + encoder.acknowledgement(2)
        assert s.server.connections == set()


async def test_session_that_asks_to_close_is_closed_after_its_replies() -> None:
    class Closing(TEMPLATE.make_session):  # type: ignore[misc,name-defined]
        def receive(self, packet: bytes, seen_at: int, origin: str = "") -> Received:
            return Received(message={"name": "bye"}, readings=[bus()], replies=[Reply(b"bye\n")], close=True)

    async with site(with_session(Closing)) as s:
        station = await s.station()
        station.report(1)
        station.report(2)
        await s.until(lambda: s.server.intake.packets == 1)
        s.confirm()
        assert await asyncio.wait_for(station.reader.read(), 10) == b"bye\n"
        assert s.server.intake.packets == 1


async def test_connections_beyond_the_limits_are_closed_at_once() -> None:
    async with site(max_per_ip=2) as s:
        first, second = await s.station(), await s.station()
        await s.until(lambda: len(s.server.connections) == 2)
        third = await s.station()
        with pytest.raises(ConnectionError):
            if not await asyncio.wait_for(third.reader.read(), 10):
                raise ConnectionResetError
        first.writer.close()
        await s.until(lambda: len(s.server.connections) == 1)
        fourth = await s.station()
        await s.until(lambda: len(s.server.connections) == 2)
        second.writer.close()
        fourth.writer.close()
    async with site(max_connections=1, max_per_ip=0) as s:
        await s.station()
        await s.until(lambda: len(s.server.connections) == 1)
        refused = await s.station()
        with pytest.raises(ConnectionError):
            if not await asyncio.wait_for(refused.reader.read(), 10):
                raise ConnectionResetError


async def test_silent_connection_and_one_that_sends_only_rubbish_are_closed() -> None:
    async with site(first_packet_s=0.1) as s:
        silent, rubbish = await s.station(), await s.station()
        rubbish.writer.write(b"rubbish\n")
        assert await asyncio.wait_for(silent.reader.read(), 10) == b""
        assert await asyncio.wait_for(rubbish.reader.read(), 10) == b""
        await s.until(lambda: not s.server.connections)


async def test_silent_connection_is_closed_only_when_its_owed_reply_is_out() -> None:
    async with site(idle_timeout_s=0.1) as s:
        station = await s.station()
        station.report(1)
        await s.until(lambda: s.server.intake.packets == 1)
        (connection,) = s.server.connections
        await s.until(lambda: connection._closing)
        assert not connection.idle
        s.confirm()
        assert await asyncio.wait_for(station.reader.read(), 10) == encoder.acknowledgement(1)


async def test_silent_connection_that_is_halted_at_that_moment_still_gets_its_owed_reply() -> None:
    async with site() as s:
        station = await s.station()
        station.report(1)
        await s.until(lambda: s.server.intake.packets == 1)
        (connection,) = s.server.connections
        await s.until(lambda: connection._listening)
        connection._deadline = 0.0
        connection.tick(START)
        s.server.halt()
        connection.finish()
        s.confirm()
        assert await asyncio.wait_for(station.reader.read(), 10) == encoder.acknowledgement(1)


async def test_connection_that_is_not_read_for_want_of_room_is_not_silent() -> None:
    async with site(idle_timeout_s=0.1, max_unconfirmed=1) as s:
        station = await s.station()
        station.report(1)
        await s.until(lambda: s.server.intake.packets == 1)
        (connection,) = s.server.connections
        connection._deadline = 0.0
        connection.tick(START)
        assert not connection._closing
        s.confirm()
        assert await asyncio.wait_for(station.reader.read(), 10) == encoder.acknowledgement(1)


async def test_time_passes_for_every_session_when_they_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    ticked: list[str] = []

    class Ticking(TEMPLATE.make_session):  # type: ignore[misc,name-defined]
        def __init__(self, settings: Settings, peer: Peer) -> None:
            super().__init__(settings, peer)
            self.address = peer.address

        def tick(self, now: int) -> Received:
            ticked.append(self.address)
            return Received()

    monkeypatch.setattr(tcp, "TICKED_TOGETHER", 2)
    async with site(with_session(Ticking)) as s:
        for _ in range(5):
            await s.station()
        await s.until(lambda: len(set(ticked)) == 5)
        assert len(ticked) <= 2 * 5


async def test_peer_that_does_not_read_its_replies_is_cut_off() -> None:
    class Talkative(TEMPLATE.make_session):  # type: ignore[misc,name-defined]
        def receive(self, packet: bytes, seen_at: int, origin: str = "") -> Received:
            return Received(message={"name": "x"}, replies=[Reply(b"x" * 200_000, "now")])

    async with site(with_session(Talkative)) as s:
        station = await s.station(limit=1)
        for serial in range(100):
            station.report(serial)
        await s.until(lambda: s.server.intake.packets > 0 and not s.server.connections)


async def test_tls(tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "1",
            "-subj",
            "/CN=localhost",
            "-keyout",
            key,
            "-out",
            cert,
        ],
        check=True,
        capture_output=True,
    )
    trust = ssl.create_default_context(cafile=str(cert))
    async with site(tls_cert=str(cert), tls_key=str(key)) as s:
        station = await s.station(ssl=trust, server_hostname="localhost")
        station.report(1)
        await s.until(lambda: s.server.intake.packets == 1)
        s.confirm()
        assert await station.reply() == encoder.acknowledgement(1)
        station.writer.close()


@pytest.mark.parametrize("turns", range(6))
async def test_connection_that_arrives_while_the_server_closes_is_closed_too(turns: int) -> None:
    async with site() as s:
        with socket.create_connection(("127.0.0.1", s.server.port), 10) as late:
            for _ in range(turns):
                await asyncio.sleep(0)
            await s.server.close()
            with suppress(ConnectionResetError):
                assert await asyncio.to_thread(late.recv, 1) == b""
        assert s.server.connections == set()


async def test_missing_certificate_is_named() -> None:
    server = TcpServer(
        TEMPLATE, {}, TcpOptions(listen="127.0.0.1:0", tls_cert="/no/cert", tls_key="/no/key"), None, lambda: START
    )  # type: ignore[arg-type]
    with pytest.raises(Fatal, match="/no/cert"):
        await server.serve()
