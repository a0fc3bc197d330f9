"""Modbus with others: servers and clients of pymodbus on the loopback, TCP and RTU, and tshark on what our encoder writes."""

from __future__ import annotations

import asyncio
import os
import struct
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from cityops.place import free_port
from connectors._api import Peer, load
from connectors._api.session import describe
from connectors._host.options import TcpOptions
from connectors._host.tcp import TcpDialler
from connectors.modbus import encoder, pdu
from connectors.modbus.bank import Bank
from connectors.modbus.framing import Framing
from tests.conftest import REAL_PARTS
from tests.integration import capture
from tests.unit.connectors.test_modbus_pdu import EXAMPLES
from tests.unit.host.fakes import Bench, until

MODBUS = load("modbus")
PUMP = {"source": "pump-1", "kind": "water_node"}
REGISTERS: dict[str, Any] = {
    "pressure": {**PUMP, "field": "pressure", "address": 100, "type": "f32", "scale": 1e6},
    "level": {**PUMP, "field": "level", "address": 104, "type": "i16", "scale": 0.01},
    "volume": {**PUMP, "field": "volume", "address": 110, "type": "u32", "order": "CDAB"},
    "running": {**PUMP, "field": "pump_on", "address": 3, "table": "coil"},
    "valve": {"source": "valve-2", "kind": "gas_node", "field": "valve_open", "address": 5, "table": "discrete"},
    "inlet": {"source": "valve-2", "kind": "gas_node", "field": "inlet_pressure", "address": 0, "table": "input"},
    "nobody": {"source": "valve-2", "kind": "gas_node", "field": "lel", "address": 500},
}


def clock() -> int:
    return time.time_ns() // 1000


@pytest.fixture
def pymodbus(request: pytest.FixtureRequest) -> Any:
    """The library pymodbus."""
    try:
        import pymodbus
    except ImportError:
        why = "no peer: the package pymodbus is not installed"
        if os.environ.get("REQUIRE_STACK") == "1":
            pytest.fail(f"REQUIRE_STACK=1, but {why}")
        pytest.skip(why)
    request.config.stash[REAL_PARTS]["Modbus peer"] = f"pymodbus {pymodbus.__version__}"
    return pymodbus


@asynccontextmanager
async def device(mode: str, pressure: float) -> AsyncIterator[int]:
    """A server of pymodbus with unit 1, on a free port."""
    from pymodbus import FramerType
    from pymodbus.server import ModbusTcpServer
    from pymodbus.simulator import DataType, SimData, SimDevice

    bits = [SimData(0, values=[False, False, False, True] + [False] * 12, datatype=DataType.BITS)]
    inputs = [SimData(0, values=[False] * 5 + [True] + [False] * 10, datatype=DataType.BITS)]
    words = [0] * 120
    words[100:102] = struct.unpack(">HH", struct.pack(">f", pressure))
    words[104] = 0xFF38
    words[110:112] = [0x0304, 0x0102]
    holding = [SimData(0, values=words, datatype=DataType.REGISTERS)]
    given = [SimData(0, values=[2300], datatype=DataType.REGISTERS)]
    framer = FramerType.RTU if mode == "rtu" else FramerType.SOCKET
    port = free_port()
    server = ModbusTcpServer(SimDevice(1, (bits, inputs, holding, given)), framer=framer, address=("127.0.0.1", port))
    await server.serve_forever(background=True)
    try:
        yield port
    finally:
        await server.shutdown()  # type: ignore[no-untyped-call] # theirs


@pytest.mark.parametrize("mode", ["tcp", "rtu"])
async def test_a_server_of_another_library_is_polled_by_the_real_host(pymodbus: Any, mode: str) -> None:
    async with device(mode, 0.33) as port:
        settings = MODBUS.manifest.resolve({"registers": REGISTERS, "mode": mode, "interval_s": 0.5}, "peer")
        bench = Bench(clock=clock)
        door = TcpDialler(MODBUS, settings, TcpOptions(connect=[f"127.0.0.1:{port}"]), bench.intake, clock)
        readings: list[dict[str, Any]] = []
        rejects: list[dict[str, Any]] = []
        take = bench.intake.take

        def watched(received: Any, *rest: Any) -> Any:
            shown = describe(received)
            readings.extend(shown["readings"])
            rejects.extend(shown["rejects"])
            return take(received, *rest)

        bench.intake.take = watched  # type: ignore[method-assign,assignment] # a look at what passes

        def polled() -> bool:
            bench.confirm()
            return len(readings) >= 6

        async with bench.opened(door):
            await until(polled)
    pump = next(r for r in readings if r["source"] == "pump-1")
    valve = next(r for r in readings if r["source"] == "valve-2")
    assert (round(pump["pressure"]), pump["level"], pump["volume"], pump["pump_on"]) == (330000, -2.0, 0x01020304, True)
    assert (valve["inlet_pressure"], valve["valve_open"]) == (2300.0, True)
    assert {r["reason"] for r in rejects} == {"device_error"}
    assert "read_holding_registers 500-500: illegal_data_address" in rejects[0]["detail"]


@pytest.mark.parametrize("mode", ["tcp", "rtu"])
async def test_a_client_of_another_library_reads_and_writes_our_bank(pymodbus: Any, mode: str) -> None:
    from pymodbus import FramerType
    from pymodbus.client import AsyncModbusTcpClient

    bank = Bank(serial=mode == "rtu")
    bank.tables[1, "holding"].update(enumerate(range(1000, 1010)))
    bank.tables[1, "input"].update({0: 7, 1: 65535})
    bank.tables[1, "coil"].update(dict.fromkeys(range(20), 0))
    bank.tables[1, "discrete"].update({0: 1, 1: 0, 2: 1})
    async with serving(bank, mode) as port:
        framer = FramerType.RTU if mode == "rtu" else FramerType.SOCKET
        client = AsyncModbusTcpClient("127.0.0.1", port=port, framer=framer, retries=0, reconnect_delay=0)
        try:
            assert await client.connect()
            assert (await client.read_holding_registers(2, count=3, device_id=1)).registers == [1002, 1003, 1004]
            assert (await client.read_input_registers(0, count=2, device_id=1)).registers == [7, 65535]
            assert (await client.read_discrete_inputs(0, count=3, device_id=1)).bits[:3] == [True, False, True]
            assert not (await client.write_registers(0, [5, 6], device_id=1)).isError()
            assert not (await client.write_register(2, 8, device_id=1)).isError()
            assert not (await client.write_coils(9, [True, False, True], device_id=1)).isError()
            assert not (await client.write_coil(1, True, device_id=1)).isError()
            assert (await client.read_holding_registers(99, count=1, device_id=1)).exception_code == 2
        finally:
            client.close()
    assert [bank.tables[1, "holding"][n] for n in range(3)] == [5, 6, 8]
    assert [n for n in range(20) if bank.tables[1, "coil"][n]] == [1, 9, 11]


@asynccontextmanager
async def serving(bank: Bank, mode: str) -> AsyncIterator[int]:
    """The bank behind a socket."""
    settings = MODBUS.manifest.resolve({"mode": mode}, "peer")
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        framing = Framing(settings)
        while chunk := await reader.read(4096):
            for packet in framing.feed(chunk):
                assert isinstance(packet, bytes), packet
                writer.write(bank.answer(packet))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)


HEADER = {"mbtcp.trans_id": "trans_id", "mbtcp.len": "len", "mbtcp.unit_id": "unit_id", "modbus.func_code": "func_code"}
NAMES = (
    *("reference_num", "word_cnt", "bit_cnt", "byte_cnt", "exception_code", "and_mask", "or_mask", "mei", "read_device_id"),
    *("read_reference_num", "read_word_cnt", "write_reference_num", "write_word_cnt", "regval_uint16", "diagnostic_code"),
    *("num_objects", "conformity_level"),
)


def test_tshark_reads_what_our_encoder_writes(tmp_path: Path) -> None:
    session = MODBUS.make_session(MODBUS.manifest.resolve({}, "peer"), Peer("tshark"))
    segments, messages = [], []
    for number, (octets, direction) in enumerate(EXAMPLES, 1):
        body = bytes.fromhex(octets)
        code = body[0] & ~pdu.ERROR
        again = pdu.write(code, direction, pdu.read(body, direction))
        packet = encoder.tcp(number, 17, again)
        segments.append((packet, direction == "request"))
        messages.append(describe(session.receive(packet, 1))["message"])
    path = tmp_path / "modbus.pcap"
    capture.write(path, segments, 502)
    rows = capture.fields(path, [*HEADER, *(f"modbus.{name}" for name in NAMES), "_ws.malformed"])
    equal: Counter[str] = Counter()
    for found, message in zip(rows, messages, strict=True):
        assert not found["_ws.malformed"], message
        for name, key in (HEADER | {f"modbus.{name}": name for name in NAMES}).items():
            shown = found[name]
            if not shown or not _holds(message, key):
                continue
            wanted = message[key] if isinstance(message[key], list) else [message[key]]
            assert [_plain(text) for text in shown] == wanted, (name, message)
            equal[name] += len(shown)
    print(f"tshark: {len(rows)} ADUs, {sum(equal.values())} values equal, of {len(equal)} fields")
    assert {name.split(".")[1] for name in equal} >= {"trans_id", "len", "unit_id", *NAMES}


def _holds(message: dict[str, Any], key: str) -> bool:
    """Whether a field stands in the message itself; those of file records stand in each record."""
    return key in message and "records" not in message


def _plain(text: str) -> int:
    return int(text, 0)
