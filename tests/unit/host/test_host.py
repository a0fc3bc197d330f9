"""Settings that change while connectors run: only the instances they concern notice, and broken ones change nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog

from cityops.place import free_port
from connectors._host.follow import Source, follow
from connectors._host.host import Host
from connectors._host.run import run
from connectors._template import encoder
from schemas.config import Config
from schemas.errors import Fatal
from tests.unit.host.fakes import START, MemoryKafka, clock, config, states, until

pytestmark = pytest.mark.usefixtures("connectors")


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are looked at often, so that nobody waits for it."""
    monkeypatch.setattr("connectors._host.follow.LOOK_S", 0.02)


class Settings:
    """A settings file that the test rewrites; what it says is kept beside it."""

    def __init__(self, folder: Path, first: Config) -> None:
        self.path = folder / "cityops.toml"
        self.now: Config | Fatal = first
        self.written = 0
        self.change(first)

    def change(self, to: Config | Fatal) -> None:
        self.now = to
        self.written += 1
        self.path.write_text("x" * self.written)

    def read(self) -> Config:
        if isinstance(self.now, Fatal):
            raise self.now
        return self.now


class Steps:
    """A sleep that returns when the test says so."""

    def __init__(self) -> None:
        self._go = asyncio.Semaphore(0)
        self._at = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self._at.set()
        await self._go.acquire()

    async def step(self, times: int = 2) -> None:
        for _ in range(times):
            await self._at.wait()
            self._at.clear()
            self._go.release()
        await self._at.wait()


async def test_file_is_read_when_it_has_changed_and_is_whole(tmp_path: Path) -> None:
    first, second = config(tmp_path), config(tmp_path, line={"listen": ":1"})
    file, steps, applied = Settings(tmp_path, first), Steps(), []

    async def apply(found: Config) -> None:
        applied.append(found)

    task = asyncio.create_task(follow(Source(file.path, file.read), first, apply, sleep=steps.sleep))
    await steps.step(3)
    assert applied == []
    file.change(second)
    await steps.step(1)
    assert applied == []
    await steps.step(1)
    assert applied == [second]
    with structlog.testing.capture_logs() as logs:
        file.change(Fatal("line 3 is no TOML"))
        await steps.step(4)
    assert applied == [second]
    assert [(e["log_level"], e["detail"]) for e in logs] == [("error", "line 3 is no TOML")]
    file.path.unlink()
    await steps.step(3)
    file.change(first)
    await steps.step(2)
    assert applied == [second, first]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


class Line:
    """A device of the template's protocol."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def report(self, serial: int) -> bytes:
        """Give the answer; nothing where the connection has been closed."""
        self._writer.write(encoder.report("S1", START, serial, {"PM10": 50.5}))
        try:
            return await asyncio.wait_for(self._reader.readline(), 10)
        except ConnectionError:
            return b""

    async def close(self) -> None:
        self._writer.transport.abort()
        await asyncio.gather(self._writer.wait_closed(), return_exceptions=True)


@asynccontextmanager
async def device(port: int) -> AsyncIterator[Line]:
    async def attempt() -> Line:
        while True:
            try:
                return Line(*await asyncio.open_connection("127.0.0.1", port))
            except ConnectionRefusedError:
                await asyncio.sleep(0.01)

    made = await asyncio.wait_for(attempt(), 10)
    try:
        yield made
    finally:
        await made.close()


@asynccontextmanager
async def running(folder: Path, first: Config) -> AsyncIterator[tuple[MemoryKafka, Callable[[Config], Any]]]:
    """Run connectors whose settings the test changes."""
    kafka, stop, file = MemoryKafka(), asyncio.Event(), Settings(folder, first)
    file_task = asyncio.create_task(
        run(first, stop=stop, clock=clock, run_id="r1", transport=kafka, source=Source(file.path, file.read))
    )
    try:
        yield kafka, file.change
    finally:
        stop.set()
        await asyncio.wait_for(file_task, 20)


async def test_instances_come_change_and_go_and_the_others_notice_nothing(tmp_path: Path) -> None:
    steady, moved, new_port = free_port(), free_port(), free_port()
    listen = {"listen": f"127.0.0.1:{steady}"}
    before = config(tmp_path, line=listen, second={"type": "line", "listen": f"127.0.0.1:{moved}"})
    async with running(tmp_path, before) as (kafka, change), device(steady) as untouched, device(moved) as served:
        assert await untouched.report(1) == await served.report(1) == encoder.acknowledgement(1)
        change(
            config(
                tmp_path,
                line=listen,
                second={"type": "line", "listen": f"127.0.0.1:{moved}", "stations": ["S2"]},
                third={"type": "line", "listen": f"127.0.0.1:{new_port}"},
            )
        )
        async with device(new_port) as new:
            assert await new.report(1) == encoder.acknowledgement(1)
        assert await served.report(2) == b""
        async with device(moved) as again:
            assert await again.report(3) == encoder.acknowledgement(3, accepted=False)
        assert await untouched.report(2) == encoder.acknowledgement(2)
        change(config(tmp_path, line=listen))
        await until(lambda: [s.health for s in states(kafka, "second")][-1] == "down")
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", moved)
        assert await untouched.report(3) == encoder.acknowledgement(3)
    numbers = kafka.seen()
    assert all(found == list(range(1, len(found) + 1)) for found in numbers.values()), "a restart must not number anew"
    assert sum(h.rows for headers in kafka.log.values() for h in headers) == 6
    last = states(kafka, "second")[-1]
    assert (last.readings, last.rejects, {t.received - t.produced for t in last.totals}) == (1, 1, {0})


async def test_broken_settings_of_one_instance_refuse_that_one_only(tmp_path: Path) -> None:
    port = free_port()
    good = {"listen": f"127.0.0.1:{port}"}
    async with running(tmp_path, config(tmp_path, line=good, bad={"type": "line", "lisen": ":1"})) as (kafka, change):
        await until(lambda: states(kafka, "bad"))
        assert (states(kafka, "bad")[-1].health, states(kafka, "bad")[-1].type) == ("refused", "line")
        assert "unknown setting 'lisen'" in states(kafka, "bad")[-1].detail
        async with device(port) as served:
            assert await served.report(1) == encoder.acknowledgement(1)
            change(config(tmp_path, line={**good, "colour": "red"}, other={"type": "nope"}))
            await until(lambda: states(kafka, "other"))
            await until(lambda: states(kafka, "line")[-1].health == "degraded")
            assert "unknown setting 'colour'" in states(kafka, "line")[-1].detail
            assert await served.report(2) == encoder.acknowledgement(2)
            change(Fatal("broken file"))  # type: ignore[arg-type]
            change(config(tmp_path, line=good))
            await until(lambda: states(kafka, "line")[-1].health == "live")
            assert await served.report(3) == encoder.acknowledgement(3)


async def test_reply_that_waits_for_kafka_is_sent_before_its_instance_is_replaced(tmp_path: Path) -> None:
    port = free_port()
    table = {"listen": f"127.0.0.1:{port}"}
    async with running(tmp_path, config(tmp_path, line=table)) as (kafka, change), device(port) as served:
        kafka.gate.clear()
        waiting = asyncio.create_task(served.report(1))
        await until(lambda: kafka.waiting)
        change(config(tmp_path, line={**table, "stations": ["S1"]}))
        await until(lambda: states(kafka, "line")[-1].health == "down")
        kafka.gate.set()
        assert await waiting == encoder.acknowledgement(1)
        assert await served.report(2) == b""


def test_connector_that_cannot_be_imported_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr("connectors._api.registry.load", load)
    with pytest.raises(Fatal, match=r"connectors\.plc: .*No module named 'opcua'.*install"):
        Host(config(tmp_path, plc={"type": "opcua"}), None, "r1", clock).prepare()  # type: ignore[arg-type]


async def test_door_whose_files_are_wrong_is_refused_and_not_down(tmp_path: Path) -> None:
    table = {"listen": f"127.0.0.1:{free_port()}", "tls_cert": "/no/cert", "tls_key": "/no/key"}
    async with running(tmp_path, config(tmp_path, line=table)) as (kafka, _):
        await until(lambda: states(kafka, "line") and states(kafka, "line")[-1].health == "refused")
        assert "/no/cert" in states(kafka, "line")[-1].detail
