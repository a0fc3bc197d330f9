"""Carriers on loopback: what is refused or not answered is counted or sent again, what is taken is let go."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path

from aiohttp import web

from cityops.simulator.carriers import Carrier, Folder, Message, Poster
from cityops.simulator.outbox import ANSWER_US, KEEP, REPEATS, Outbox

SECOND = 1_000_000


class Once:
    """A feed with a few messages, all due at once."""

    def __init__(self, *messages: Message) -> None:
        self._messages = list(messages)

    def due(self, now: int) -> list[Message]:
        found, self._messages = self._messages, []
        return found


async def until(carrier: Carrier, done: Callable[[], bool]) -> None:
    async with asyncio.timeout(20.0):
        while not done():
            carrier.tick(0)
            await asyncio.sleep(0.01)


async def test_a_post_is_repeated_until_it_is_taken_and_a_refused_one_is_let_go(unused_tcp_port: int) -> None:
    answers = {"/good": [503, 200], "/bad": [400]}
    bodies: list[tuple[str, bytes]] = []

    async def answer(request: web.BaseRequest) -> web.Response:
        bodies.append((request.path, await request.read()))
        return web.Response(status=answers[request.path].pop(0))

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", unused_tcp_port).start()
    poster = Poster(Once(Message("/good", b"1", 3), Message("/bad", b"2", 2)), ("127.0.0.1", unused_tcp_port))
    try:
        await until(poster, lambda: poster.refused > 0)
    finally:
        await poster.close()
        await runner.cleanup()
    assert bodies == [("/good", b"1"), ("/good", b"1"), ("/bad", b"2")]
    assert (poster.sent, poster.acked, poster.refused, poster.waiting) == (5, 3, 2, 0)


async def test_a_platform_that_is_not_there_is_tried_again(unused_tcp_port: int) -> None:
    poster = Poster(Once(Message("/x", b"")), ("127.0.0.1", unused_tcp_port))
    poster.tick(0)
    await asyncio.sleep(0.05)
    assert (poster.waiting, poster.connected) == (1, False)
    await poster.close()


async def test_a_file_lies_there_with_its_checksum_until_it_is_taken(tmp_path: Path) -> None:
    folder = Folder(Once(Message("a.csv", b"x,y\n", 7)), tmp_path / "drop")
    file = tmp_path / "drop" / "a.csv"
    await until(folder, file.exists)
    assert file.read_bytes() == b"x,y\n"
    assert file.with_name("a.csv.sha256").read_text(encoding="utf-8").split() == [hashlib.sha256(b"x,y\n").hexdigest(), "a.csv"]
    assert (folder.acked, folder.waiting) == (0, 7)
    file.unlink()
    await until(folder, lambda: folder.acked == 7)
    assert folder.waiting == 0
    await folder.close()


def test_an_outbox_repeats_gives_the_line_up_and_sends_all_again_on_the_next() -> None:
    box = Outbox()
    assert box.put("a", b"A", 0, rows=2) == b"A"
    assert box.repeated(ANSWER_US - 1) == b""
    times = range(ANSWER_US, (REPEATS + 1) * ANSWER_US, ANSWER_US)
    assert [box.repeated(now) for now in times] == [b"A"] * REPEATS
    broken = [box.broken]
    assert box.repeated((REPEATS + 1) * ANSWER_US) == b""
    broken.append(box.broken)
    assert box.opened(100 * SECOND) == b"A"
    assert [*broken, box.broken] == [False, True, False]
    box.answered("unknown")
    box.answered("a")
    assert (box.sent, box.acked, box.waiting, box.dropped) == (2, 2, 0, 0)


def test_an_outbox_is_bounded() -> None:
    box = Outbox()
    for n in range(KEEP + 5):
        box.put(n, b"x", 0)
    assert (box.waiting, box.dropped) == (KEEP, 5)
