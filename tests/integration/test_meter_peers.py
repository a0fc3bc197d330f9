"""Meters that others wrote: servers and clients of dlt645 and dlt698 on loopback, spoken to by our sessions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from cityops.place import free_port
from connectors._api import Peer, Received, load
from connectors.dlt645 import items
from connectors.dlt698 import apdu
from schemas.errors import Reject
from schemas.reading import as_row, kind_of

aio = pytest.importorskip("dlt645.aio", reason="no peer: the package dlt645 is not installed")
variable_types = pytest.importorskip("dlt645.config.variable_types", reason="no peer: the package dlt645 is not installed")
dlt698 = pytest.importorskip("dlt698", reason="no peer: the package dlt698 is not installed")
codec = pytest.importorskip("dlt698.codec", reason="no peer: the package dlt698 is not installed")

ADDRESS = "123456781012"
WIRE = bytes.fromhex(ADDRESS)[::-1]
WAIT_S = 10.0


def now() -> int:
    return time.time_ns() // 1000


class Line:
    """A session over a real connection, as the host would run it; everything it gives is kept."""

    def __init__(self, name: str, settings: dict[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connector = load(name)
        resolved = connector.manifest.resolve(settings, "test")
        assert connector.make_framing is not None
        self.framing = connector.make_framing(resolved)
        self.session = connector.make_session(resolved, Peer(name, "loopback"))
        self.reader, self.writer = reader, writer
        self.messages: list[dict[str, Any]] = []
        self.readings: list[dict[str, Any]] = []
        self.rejects: list[Reject] = []

    def take(self, received: Received) -> None:
        if received.message is not None:
            self.messages.append(dict(received.message))
        self.readings += [{"kind": kind_of(r), **as_row(r)} for r in received.readings]
        self.rejects += received.rejects
        for reply in received.replies:
            self.writer.write(reply.data)

    async def run_until(self, done: Callable[[], bool]) -> None:
        """Read, decode and answer until ``done``; fails after ten seconds with what came."""
        self.take(self.session.start(now()))
        end = time.monotonic() + WAIT_S
        while not done():
            assert time.monotonic() < end, (self.messages, self.readings, self.rejects)
            with suppress(TimeoutError):
                chunk = await asyncio.wait_for(self.reader.read(4096), 0.2)
                assert chunk, ("peer closed", self.messages, self.rejects)
                for packet in self.framing.feed(chunk):
                    if isinstance(packet, Reject):
                        self.rejects.append(packet)
                    else:
                        self.take(self.session.receive(packet, now()))
            self.take(self.session.tick(now()))


async def connected(name: str, settings: dict[str, Any], port: int) -> Line:
    return Line(name, settings, *await asyncio.open_connection("127.0.0.1", port))


async def test_a_dlt645_server_is_polled() -> None:
    port = free_port()
    meter = aio.AsyncMeterServerService.new_tcp_server("127.0.0.1", port, 30)
    meter.set_address(WIRE)
    values = {
        0x00010000: 123456.78,
        0x00020000: 9.5,
        0x02010100: 230.5,
        0x02020100: -12.345,
        0x02030000: -1.2345,
        0x02800002: 49.98,
    }
    for di, value in values.items():
        assert (meter.set_00 if di < 0x01000000 else meter.set_02)(di, value)
    async with meter:
        line = await connected("dlt645", {"meters": {ADDRESS: {"source": "M-1", "lon": 121.5, "lat": 31.2}}}, port)
        await line.run_until(lambda: bool(line.readings))
        line.writer.close()
    (reading,) = line.readings
    assert not line.rejects
    found = {m["di"]: m["value"] for m in line.messages}
    assert found == pytest.approx({f"{di:08X}": value for di, value in values.items()})
    assert (reading["kind"], reading["source"], reading["lon"]) == ("meter_reading", "M-1", 121.5)
    assert reading["energy"] == pytest.approx(123456.78 * 3.6e6)
    assert reading["reverse_energy"] == pytest.approx(9.5 * 3.6e6)
    assert (reading["voltage"], reading["current"], reading["frequency"]) == pytest.approx((230.5, -12.345, 49.98))
    assert reading["power"] == pytest.approx(-1234.5)


async def test_a_dlt645_server_refuses_what_it_does_not_have() -> None:
    port = free_port()
    meter = aio.AsyncMeterServerService.new_tcp_server("127.0.0.1", port, 30)
    meter.set_address(WIRE)
    meter.set_02(0x02010100, 220.0)
    async with meter:
        settings = {"meters": {ADDRESS: {}}, "registers": ["0FFFFF00", "02010100"]}
        line = await connected("dlt645", settings, port)
        await line.run_until(lambda: bool(line.readings))
        line.writer.close()
    assert [m["name"] for m in line.messages] == ["read_error", "read_reply"]
    assert line.readings[0]["voltage"] == 220.0


def test_the_tables_agree_with_the_peers_on_every_shared_item() -> None:
    shared = 0
    for row in variable_types.VARIABLE_TYPES:
        found = items.item(row["Di"])
        assert found is not None, row["Di"]
        decimals = len(row["DataFormat"].partition(".")[2])
        assert found.formats[0].divisor == 10**decimals, row["Di"]
        assert found.size == len(row["DataFormat"].replace(".", "")) // 2, row["Di"]
        shared += 1
    assert shared >= 160


OBJECTS = {
    "00100200": ("uint32", 123456, 1234.56),
    "20000200": ("uint16", 2305, 230.5),
    "20010200": ("int32", -12345, -12.345),
    "20040200": ("int32", 15000, 1500.0),
}


def device() -> Any:
    made = dlt698.Device()
    for oad, (kind, raw, _) in OBJECTS.items():
        one = getattr(dlt698.Data, kind)(raw)
        count = {"00100200": 5, "20040200": 4}.get(oad, 3)
        made.set(dlt698.Oad(oi=int(oad[:4], 16), attribute=2), dlt698.Data.array([one] * count))
    made.set(dlt698.Oad(oi=0x200F, attribute=2), dlt698.Data.uint16(4998))
    return made


REGISTERS = [*OBJECTS, "200F0200", "0EEE0200"]


async def test_a_dlt698_server_logs_in_and_is_polled() -> None:
    async with dlt698.AsyncServer(device()) as server:
        await server.start_tcp("127.0.0.1", 0)
        line = await connected("dlt698", {"registers": REGISTERS, "associate": True}, server.local_port)
        await line.run_until(lambda: any(r["kind"] == "meter_reading" and r["register"] is None for r in line.readings))
        line.writer.close()
    assert not line.rejects
    assert [m["name"] for m in line.messages] == ["link_request", "connect_response", "get_response_normal_list"]
    results = {r["oad"]: r for r in line.messages[-1]["results"]}
    assert results["0EEE0200"]["dar"] > 0
    for oad, (_, _, value) in OBJECTS.items():
        assert results[oad]["value"][0] == pytest.approx(value)
    reading = next(r for r in line.readings if r["kind"] == "meter_reading" and r["register"] is None)
    assert reading["energy"] == pytest.approx(1234.56 * 3.6e6)
    assert (reading["voltage"], reading["current"], reading["power"]) == pytest.approx((230.5, -12.345, 1500.0))
    assert reading["frequency"] == pytest.approx(49.98)
    assert [r["register"] for r in line.readings if r.get("register")] == [f"001002{n:02X}" for n in range(2, 6)]
    load_reading = next(r for r in line.readings if r["kind"] == "power_load")
    assert load_reading["voltage_c"] == pytest.approx(230.5)


APDUS: dict[str, str] = {
    "get_request_normal": "0501150010020000",
    "get_request_normal_list": "0502010300100200200002004000020000",
    "get_request_record": "050301500402000120210200" + "1C07EA0B01000000" + "0200" + "202A0200" + "0000100200" + "00",
    "get_request_next": "0505010003" + "00",
    "get_response_normal": "85010100100200010102060001E240060000000A0000",
    "get_response_normal_list": "850201" + "02" + "20000200" + "010101" + "1208FC" + "40000200" + "011C07EA0B010C2238" + "0000",
    "get_response_record": "850301"
    + "50040200"
    + "02"
    + "00202A0200"
    + "0000100200"
    + "0101"
    + "5507050000000000010101060001E240"
    + "0000",
    "set_response_normal": "860101400002000000" + "00",
    "action_response_normal": "87010180008100" + "0000" + "0000",
    "report_notification_list": "88010101001002000101010600000064" + "0000",
    "proxy_request_get_list": "090101001E" + "01" + "0705000000000001" + "001E" + "0100100200" + "00",
    "proxy_response_get_list": "890101" + "01" + "0705000000000001" + "01" + "00100200" + "010101060001E240" + "0000",
    "release_request": "030100",
    "connect_request": "02010010" + "FF" * 24 + "0400040001080000001C2000" + "00",
}


@pytest.mark.parametrize("name", APDUS)
def test_the_peers_codec_agrees_that_these_are_whole_apdus(name: str) -> None:
    raw = bytes.fromhex(APDUS[name])
    assert apdu.parse(raw)["name"] == name
    assert "rest" not in apdu.parse(raw)
    assert codec.encode_apdu(codec.decode_apdu(raw)) == raw
