"""A process may open as many files as the system allows it, and connections never take the last of them."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors._host import descriptors
from connectors._host.descriptors import RESERVE, raise_limit, room
from connectors._template import encoder
from tests.unit.host.test_tcp import Station, site

SOFT = 2 * RESERVE + 56


@pytest.fixture
def few() -> Iterator[int]:
    """A soft limit of few files; gives the hard one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (SOFT, hard))
    try:
        yield hard
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_soft_limit_is_raised_to_the_hard_one_and_some_files_are_kept(few: int) -> None:
    assert room() == SOFT - RESERVE
    most = descriptors.MOST if few == resource.RLIM_INFINITY else min(few, descriptors.MOST)
    assert [raise_limit(), raise_limit()] == [most, most]
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (most, few)
    assert room() == most - RESERVE


async def test_connections_leave_files_to_the_rest_of_the_process(few: int) -> None:
    async def refused(station: Station) -> bool:
        try:
            return not await station.reader.read()
        except ConnectionError:
            return True

    async with site(max_per_ip=0) as s:
        stations = [await s.station() for _ in range(room() // 2)]
        await s.until(lambda: len(s.server.connections) > 0)
        done, _ = await asyncio.wait([asyncio.create_task(refused(stations[-1]))], timeout=10)
        assert [task.result() for task in done] == [True]
        with Path(__file__).open("rb") as still:
            assert still.fileno() < SOFT
        stations[0].report(1)
        await s.until(lambda: s.server.intake.packets == 1)
        s.confirm()
        assert await stations[0].reply() == encoder.acknowledgement(1)
        assert len(s.server.connections) < len(stations)
