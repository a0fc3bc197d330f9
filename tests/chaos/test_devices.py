"""A device keeps what is not answered, sends it again unchanged and in order, and never runs ahead of the slowest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from connectors.jt808 import encoder, header
from connectors.jt808.framing import Framing
from tests.chaos.devices import LEAD, Device, Fleet
from tests.chaos.isolation import plain_socket
from tests.chaos.script import S, Terminal

START = 1_790_000_040 * S
COUNT = 120


class Platform:
    """Hears every packet; answers all but those of ``deaf_to``; hangs up after ``patience`` packets."""

    def __init__(self, deaf_to: str = "", patience: int = 10_000) -> None:
        self.heard: dict[str, list[int]] = {}
        self._deaf_to = deaf_to
        self._patience = patience

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        framing, packets = Framing({}), 0
        while packets < self._patience and (chunk := await reader.read(65536)):
            for packet in framing.feed(chunk):
                assert isinstance(packet, bytes)
                head = header.parse(packet)
                phone = head.phone.lstrip("0")
                self.heard.setdefault(phone, []).append(head.serial)
                packets += 1
                if phone != self._deaf_to:
                    writer.write(encoder.general_ack(head, packets, 0))
        writer.close()


@pytest.fixture
async def server() -> AsyncIterator[tuple[Platform, int]]:
    platform = Platform(patience=30)
    listening = await asyncio.start_server(platform.serve, "127.0.0.1", 0)
    yield platform, listening.sockets[0].getsockname()[1]
    listening.close()
    await listening.wait_closed()


def terminal(index: int) -> Terminal:
    return Terminal(index, "bus_position", f"{13800000000 + index}", START, COUNT, remote=False)


async def test_everything_arrives_in_order_over_many_broken_connections(server: tuple[Platform, int]) -> None:
    platform, port = server
    devices = [Device(terminal(i), ("127.0.0.1", port), plain_socket, 0.0) for i in range(5)]
    fleet = Fleet(devices, COUNT, pace=60.0)
    await asyncio.wait_for(fleet.run(), 30)
    await fleet.close()
    assert fleet.answered == 5 * COUNT
    assert fleet.repeated > 0
    for serials in platform.heard.values():
        first = list(dict.fromkeys(serials))
        assert first == list(range(COUNT))


async def test_nobody_runs_ahead_of_one_that_gets_no_answer(server: tuple[Platform, int]) -> None:
    platform, port = server
    platform._patience, platform._deaf_to = 10_000, "13800000003"
    devices = [Device(terminal(i), ("127.0.0.1", port), plain_socket, 0.0) for i in range(5)]
    fleet = Fleet(devices, COUNT, pace=100.0)
    running = asyncio.create_task(fleet.run())
    async with asyncio.timeout(30):
        while any(d.made < LEAD for d in devices) or fleet.step < 2 * LEAD:
            await asyncio.sleep(0.01)
    assert fleet.floor == 0
    assert max(d.made for d in devices) == LEAD
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await fleet.close()
