"""A connector's own client is asked for the next packet only when the one before is safe, and its faults end nothing else."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from connectors._host.client import ClientDoor, load
from connectors._host.options import ClientOptions
from connectors._template import encoder
from schemas.errors import Fatal, Retry
from tests.contract.test_connectors import TEMPLATE
from tests.unit.host.fakes import START, Bench, until

SETTINGS = {"stations": [], "silence_s": 300.0}


class Library:
    """Stands in for a client library: remembers how many packets it was asked for, and whether it was let go."""

    def __init__(self, *packets: bytes, end: Exception | None = None) -> None:
        self.packets = packets
        self.asked = 0
        self.released = False
        self._end = end

    async def __call__(self, settings: Any, clock: Callable[[], int]) -> AsyncIterator[tuple[bytes, str]]:
        assert (settings, clock()) == (SETTINGS, START)
        try:
            for packet in self.packets:
                self.asked += 1
                yield packet, "opc.tcp://plc"
            if self._end is not None:
                raise self._end
            await asyncio.Event().wait()
        finally:
            self.released = True


def door(bench: Bench, library: Library) -> ClientDoor:
    return ClientDoor(TEMPLATE, SETTINGS, ClientOptions(), bench.intake, bench.clock, packets=library)


async def test_next_packet_is_asked_for_when_the_one_before_is_safe() -> None:
    bench = Bench()
    library = Library(*(encoder.report("S1", START, n, {"PM10": 5.0}) for n in range(3)))
    async with bench.opened(door(bench, library)):
        for number in (1, 2, 3):
            await until(lambda n=number: bench.intake.readings == n)  # type: ignore[misc]
            assert library.asked == number
            bench.confirm()
    assert library.released


async def test_refused_packet_is_recorded_before_the_next_is_asked_for() -> None:
    bench = Bench()
    library = Library(b"rubbish\n", encoder.report("S1", START, 1, {"PM10": 5.0}))
    async with bench.opened(door(bench, library)):
        await until(lambda: bench.intake.rejects == 1)
        assert library.asked == 1
        bench.confirm()
        await until(lambda: bench.intake.readings == 1)


async def test_fault_of_the_client_ends_the_door_for_its_instance_to_start_anew() -> None:
    bench = Bench()
    library = Library(end=Retry("the plant is away"))
    with pytest.raises(Retry, match="away"):
        await door(bench, library).serve()
    assert library.released


@pytest.mark.parametrize(
    ("package", "message"), [("connectors.nowhere", r"client\.py cannot be loaded"), ("connectors._host", "has no packets")]
)
def test_connector_without_a_client_is_named(package: str, message: str) -> None:
    with pytest.raises(Fatal, match=message):
        load(dataclasses.replace(TEMPLATE, package=package))
