"""The whole simulator on loopback sockets, against the connectors' own framings and sessions."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from cityops.simulator import identity
from cityops.simulator.bike_feed import gbfs_path
from cityops.simulator.run import SimulatorSettings, hj212_devices, run
from connectors._api import Peer
from connectors._api.registry import load
from schemas.reading import Reading, kind_of


class Listener:
    """A platform of one protocol: answers at once and keeps the readings; ``cut`` packets in, it hangs up on every peer once."""

    def __init__(self, name: str, given: dict[str, Any], cut: int = 0) -> None:
        self._connector = load(name)
        self._settings = self._connector.manifest.resolve(given, "test")
        self.readings: list[Reading] = []
        self.rejects: list[object] = []
        self.lanes: set[str] = set()
        self.changed = asyncio.Event()
        self._cut = cut
        self._writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert self._connector.make_framing is not None
        framing = self._connector.make_framing(self._settings)
        session = self._connector.make_session(self._settings, Peer(self._connector.type))
        self._writers.append(writer)
        while chunk := await self._read(reader):
            for packet in framing.feed(chunk):
                if not isinstance(packet, bytes):
                    self.rejects.append(packet)
                    continue
                received = session.receive(packet, time.time_ns() // 1000)
                if received.readings and self._hangs_up():
                    return
                self.readings += received.readings
                self.rejects += received.rejects
                self.lanes.add(received.lane)
                self.changed.set()
                writer.writelines(r.data for r in received.replies)
        writer.close()

    @staticmethod
    async def _read(reader: asyncio.StreamReader) -> bytes:
        try:
            return await reader.read(65536)
        except ConnectionError:
            return b""

    def _hangs_up(self) -> bool:
        self._cut -= 1
        if self._cut != 0:
            return False
        for writer in self._writers:
            writer.transport.abort()
        return True

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(30.0):
            while not true():
                self.changed.clear()
                await self.changed.wait()


@asynccontextmanager
async def listening(listener: Listener) -> AsyncIterator[int]:
    server = await asyncio.start_server(listener.serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


async def test_devices_log_in_report_and_drain_and_the_truth_matches(
    tmp_path: Path, unused_tcp_port_factory: Callable[[], int]
) -> None:
    jt808 = Listener(
        "jt808", {"groups": identity.jt808_groups(), "default_kind": "", "authentication": "required", "secret": "s"}
    )
    feed_port = unused_tcp_port_factory()
    size: dict[str, Any] = {"buses": 4, "taxis": 4, "coaches": 3, "hazmat": 3, "dust": 3, "bike_stations": 10}
    settings = SimulatorSettings(jt808=("", 0), hj212=("", 0), gbfs_port=feed_port, data_dir=tmp_path, report_s=1.0, **size)
    hj212 = Listener("hj212", {"devices": hj212_devices(settings)})
    async with listening(jt808) as one, listening(hj212) as two:
        settings = SimulatorSettings(
            jt808=("127.0.0.1", one), hj212=("127.0.0.1", two), gbfs_port=feed_port, data_dir=tmp_path, report_s=1.0, **size
        )
        stop = asyncio.Event()
        simulator = asyncio.create_task(run(settings, stop))
        await jt808.until(lambda: len({r.source for r in jt808.readings}) == 14)
        await hj212.until(lambda: len({r.source for r in hj212.readings}) == 3)
        async with aiohttp.ClientSession() as client, client.get(f"http://127.0.0.1:{feed_port}{gbfs_path()}") as answer:
            assert (await answer.json())["version"] == "2.3"
        stop.set()
        await asyncio.wait_for(simulator, 15.0)
    truth = json.loads(settings.truth_file.read_text(encoding="utf-8"))
    assert jt808.rejects == hj212.rejects == []
    assert {kind_of(r) for r in jt808.readings} == set(identity.READING_KINDS.values())
    assert truth["final"]
    assert truth["totals"]["waiting"] == 0
    for phone, counts in truth["terminals"].items():
        stored = {r.ts for r in jt808.readings if r.source == phone}
        assert counts["collected"] == counts["sent"] == counts["acked"] == len(stored) > 0
    uploads = {mn: counts["acked"] for mn, counts in truth["stations"].items()}
    assert sum(uploads.values()) == len(hj212.readings)
    assert {f["rule"] for f in truth["faults"]} >= {"bus-overspeed", "hazmat-emergency", "dust-pm10-hourly"}


async def test_a_broken_connection_is_made_again_and_nothing_is_lost(
    tmp_path: Path, unused_tcp_port_factory: Callable[[], int]
) -> None:
    jt808 = Listener("jt808", {"groups": identity.jt808_groups()}, cut=4)
    hj212 = Listener("hj212", {})
    async with listening(jt808) as one, listening(hj212) as two:
        settings = SimulatorSettings(
            jt808=("127.0.0.1", one),
            hj212=("127.0.0.1", two),
            gbfs_port=unused_tcp_port_factory(),
            data_dir=tmp_path,
            buses=6,
            taxis=0,
            coaches=0,
            hazmat=0,
            dust=1,
            bike_stations=1,
            report_s=0.5,
        )
        stop = asyncio.Event()
        simulator = asyncio.create_task(run(settings, stop))
        await jt808.until(lambda: "late" in jt808.lanes and len(jt808.readings) > 16)
        stop.set()
        await asyncio.wait_for(simulator, 15.0)
    truth = json.loads(settings.truth_file.read_text(encoding="utf-8"))
    for phone, counts in truth["terminals"].items():
        stored = {r.ts for r in jt808.readings if r.source == phone}
        assert counts["collected"] == counts["acked"] == len(stored) > 0
