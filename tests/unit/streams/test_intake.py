"""Records come to an agent in batches that are paced by the last one's beginning."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from streams import intake


@dataclass
class Message:
    value: bytes | None


def filled(*numbers: int) -> asyncio.Queue[Message]:
    queue: asyncio.Queue[Message] = asyncio.Queue()
    for number in numbers:
        queue.put_nowait(numbered(number))
    return queue


def numbered(number: int) -> Message:
    return Message(str(number).encode())


async def messages(queue: asyncio.Queue[Message], most: int, begun: float, within_s: float, most_bytes: int = 1000) -> list[int]:
    return [int(m.value or -1) for m in await intake.messages(queue, most, most_bytes, begun, within_s)]


async def test_a_batch_holds_what_comes_until_its_time_is_over() -> None:
    queue, loop = filled(1, 2), asyncio.get_running_loop()
    loop.call_later(0.02, queue.put_nowait, numbered(3))
    assert await messages(queue, 100, loop.time(), 1.0) == [1, 2, 3]


async def test_after_a_long_batch_what_is_there_is_taken_almost_at_once() -> None:
    queue, loop = filled(1, 2), asyncio.get_running_loop()
    later = loop.call_later(5.0, queue.put_nowait, numbered(3))
    assert await messages(queue, 100, loop.time() - 60, 1.0) == [1, 2]
    later.cancel()


async def test_a_batch_has_at_most_so_many_and_the_rest_stays() -> None:
    queue = filled(*range(5))
    assert await messages(queue, 3, 0.0, 60.0) == [0, 1, 2]
    assert await messages(queue, 2, 0.0, 60.0) == [3, 4]
    assert queue.empty()


async def test_a_batch_ends_with_the_record_that_brings_it_to_its_bytes() -> None:
    queue = filled(10, 11, 12, 13)
    queue.put_nowait(Message(None))
    assert await messages(queue, 100, 0.0, 60.0, most_bytes=3) == [10, 11]
    assert await messages(queue, 100, 0.0, 60.0, most_bytes=2) == [12]
    assert await messages(queue, 100, 0.0, 0.01) == [13, -1]


async def test_nothing_is_lost_when_the_time_is_over_while_waiting() -> None:
    queue, found = filled(0), list[int]()
    producer = asyncio.ensure_future(_produce(queue, 300))
    while len(found) < 301:
        found += await messages(queue, 7, 0.0, 0.001)
    await producer
    assert found == [0, *range(300)]


async def _produce(queue: asyncio.Queue[Message], number: int) -> None:
    for n in range(number):
        queue.put_nowait(numbered(n))
        await asyncio.sleep(0.0007)
