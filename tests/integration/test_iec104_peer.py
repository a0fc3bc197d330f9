"""IEC 60870-5-104 with others: a station and a client of c104 (lib60870) on the loopback, and tshark on what our encoder writes."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from cityops.place import free_port
from connectors._api import load
from connectors._api.session import describe
from connectors._host.options import TcpOptions
from connectors._host.tcp import TcpDialler
from connectors.iec104 import apci, asdu, encoder
from connectors.iec104.framing import Framing
from connectors.iec104.station import Station
from connectors.iec104.times import zone
from tests.conftest import REAL_PARTS
from tests.integration import capture
from tests.unit.connectors.test_iec104_asdu import elements_of, octets_of
from tests.unit.host.fakes import Bench, until

IEC104 = load("iec104")
PEER = Path(__file__).with_name("iec104_station.py")
SOURCE = {"source": "station-47", "kind": "power_load"}
FIELDS = {1: "closed", 2: "voltage_a", 4: "oil_temperature", 5: "load", 8: "voltage_b"}
POINTS = {f"47:{ioa}": {**SOURCE, "field": field} for ioa, field in FIELDS.items()}


@pytest.fixture
def c104(request: pytest.FixtureRequest) -> None:
    """The library c104, never imported here: it is GPL and runs in a process of its own."""
    if find_spec("c104") is None:
        why = "no peer: the package c104 is not installed"
        if os.environ.get("REQUIRE_STACK") == "1":
            pytest.fail(f"REQUIRE_STACK=1, but {why}")
        pytest.skip(why)
    request.config.stash[REAL_PARTS]["IEC 104 peer"] = "c104 (lib60870), a process of its own"


def clock() -> int:
    return time.time_ns() // 1000


@asynccontextmanager
async def peer(*arguments: str) -> AsyncIterator[subprocess.Popen[str]]:
    """The other side, ready."""
    argv = [sys.executable, str(PEER), *arguments]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        ready = await asyncio.wait_for(asyncio.to_thread(process.stdout.readline), 20)
        assert ready == "ready\n", ready
        yield process
    finally:
        process.kill()
        process.communicate()


class Host:
    """The real host dialling a station, everything confirmed as it comes, and what the session made of it."""

    def __init__(self, port: int, **settings: Any) -> None:
        given = IEC104.manifest.resolve({"points": POINTS, "time_zone": "UTC", **settings}, "peer")
        self.bench = Bench(clock=clock)
        self.door = TcpDialler(IEC104, given, TcpOptions(connect=[f"127.0.0.1:{port}"]), self.bench.intake, clock)
        self.messages: list[dict[str, Any]] = []
        self.readings: list[dict[str, Any]] = []
        self.rejects: list[Any] = []
        take = self.bench.intake.take

        def watched(received: Any, *rest: Any) -> Any:
            shown = describe(received)
            if shown["message"] is not None:
                self.messages.append(shown["message"])
            self.readings += shown["readings"]
            self.rejects += shown["rejects"]
            return take(received, *rest)

        self.bench.intake.take = watched  # type: ignore[method-assign,assignment] # a look at what passes

    async def until(self, met: Callable[[], object]) -> None:
        def confirmed() -> object:
            self.bench.confirm()
            return met()

        await until(confirmed)

    def last(self, field: str) -> Any:
        return next((r[field] for r in reversed(self.readings) if field in r), None)


async def test_a_station_of_another_library_is_interrogated_and_reports(c104: None) -> None:
    port = free_port()
    async with peer("station", str(port)) as station:
        host = Host(port, clock_sync=True)
        async with host.bench.opened(host.door):
            await host.until(lambda: any(m.get("cot") == 10 for m in host.messages))
            names = {m["type_name"] for m in host.messages if m.get("cot") == 20}
            assert names >= {"M_SP_NA_1", "M_DP_NA_1", "M_ME_NA_1", "M_ME_NB_1", "M_ME_NC_1", "M_ST_NA_1", "M_BO_NA_1"}
            assert names >= {"M_ME_TF_1", "M_SP_TB_1"}
            confirmed = {m["type_name"] for m in host.messages if m.get("cot") == 7}
            assert confirmed == {"C_CS_NA_1", "C_IC_NA_1"}
            found = [host.last(field) for field in FIELDS.values()]
            assert found == [True, 10.5, -25.0, 0.5, 220.25]
            assert station.stdin is not None
            for number in range(100):
                station.stdin.write(f"2 {number}\n8 {number}\n")
            station.stdin.write("1 0\n")
            station.stdin.flush()
            await host.until(lambda: host.last("closed") is False)
            assert [r["voltage_a"] for r in host.readings if "voltage_a" in r][-100:] == list(range(100))
            assert [r["voltage_b"] for r in host.readings if "voltage_b" in r][-100:] == list(range(100))
        assert not host.rejects


async def test_a_client_of_another_library_reads_our_station(c104: None) -> None:
    station = Station(47)
    station.set(1, [{"ioa": 1, "value": 1}])
    station.set(13, [{"ioa": 2, "value": 10.5, "quality": ("iv",)}])
    station.set(36, [encoder.stamped({"ioa": 8, "value": 220.25}, clock(), zone("UTC"))])
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        framing = Framing({})
        station.connect(clock())
        writers.append(writer)
        while chunk := await reader.read(4096):
            for packet in framing.feed(chunk):
                assert isinstance(packet, bytes), packet
                writer.write(station.receive(packet, clock()))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        async with peer("client", str(server.sockets[0].getsockname()[1])) as client:
            assert client.stdout is not None
            lines = [await asyncio.wait_for(asyncio.to_thread(client.stdout.readline), 20) for _ in range(3)]
            assert sorted(line.split() for line in lines) == [
                ["1", "True", "good"],
                ["2", "10.5", "invalid"],
                ["8", "220.25", "good"],
            ]
            writers[0].write(station.report(13, [{"ioa": 2, "value": 11.5}], clock()))
            assert (await asyncio.wait_for(asyncio.to_thread(client.stdout.readline), 20)).split() == ["2", "11.5", "good"]
            assert not station.closed
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()


COMMON = {"typeid": "type_id", "numix": "num_ix", "causetx": "cot", "nega": "negative", "test": "test", "oa": "oa", "addr": "ca"}
LISTS = {
    "ioa": "ioa",
    "siq.spi": "spi",
    "diq.dpi": "dpi",
    "qds.iv": "qds_iv",
    "float": "value_float",
    "normval": "value_normalized",
    "scalval": "value_scaled",
    "vti.v": "value_vti",
    "bcr.count": "value_bcr",
    "sco.on": "scs",
    "dco.on": "dcs",
    "rco.up": "rcs",
    "qoi": "qoi",
    "coi_r": "coi",
}
PARTS = {
    "vti.t": "transient",
    "bcr.sq": "sequence",
    "bcr.cy": "carry",
    "bcr.ca": "adjusted",
    "sco.se": "se",
    "dco.se": "se",
    "rco.qu": "qu",
    "qos.ql": "ql",
    "qos.se": "se",
    "qpm.kpa": "kpa",
    "qpm.pop": "pop",
    "rqt": "rqt",
    "frz": "frz",
    "qrp": "qrp",
    "cp56time.dow": "time_weekday",
}
BITS = {f"{element}.{bit}": bit for element in ("siq", "diq", "qds") for bit in ("bl", "sb", "nt")} | {
    "qds.ov": "ov",
    "bcr.iv": "iv",
}
CLOCK = ("year", "month", "day", "hour", "min", "ms")


def of_tshark(found: dict[str, list[str]], message: dict[str, Any]) -> Counter[str]:
    """Compare what tshark read of one APDU with the message; gives how often each field was equal.

    tshark shows a bit string with its first octet foremost; the standard counts its bits from that octet up.
    """
    equal: Counter[str] = Counter()

    def check(name: str, wanted: list[Any]) -> None:
        values = found.get(f"iec60870_asdu.{name}")
        if not values:
            return
        shown = [float(int(v, 0)) if v.startswith("0x") else float(v) for v in values]
        assert shown == pytest.approx([float(w) for w in wanted], rel=1e-5), (name, message)
        equal[name] += len(shown)

    for name, key in COMMON.items():
        check(name, [message[key]])
    if found["iec60870_asdu.rawdata"]:
        return equal
    for name, key in LISTS.items():
        check(name, message.get(key, []))
    check("bitstring", [int.from_bytes(value.to_bytes(4, "little")) for value in message.get("value_bsi", [])])
    for name, key in PARTS.items():
        check(name, [one[key] for one in message["objects"] if key in one])
    for name, bit in BITS.items():
        check(name, [bit in one.get("quality", ()) for one in message["objects"]])
    for column, parts in (("cp56", CLOCK), ("cp24", ("ms", "min"))):
        times = message.get(column, [])
        check(f"{column}time.iv", ["iv" in one["time_quality"] for one in message["objects"] if times])
        check(f"{column}time.su", ["su" in one["time_quality"] for one in message["objects"] if times])
        for part in parts:
            check(f"{column}time.{part}", [_part(text, part) for text in times])
    return equal


def _part(text: str, part: str) -> int:
    """One number of a time as the message shows it, in the unit in which it is sent."""
    *rest, second = text.replace("T", "-").replace(":", "-").split("-")
    if part == "ms":
        return round(float(second) * 1000)
    number = int(rest[CLOCK.index(part) - 5])
    return number % 100 if part == "year" else number


def test_tshark_reads_what_our_encoder_writes(tmp_path: Path) -> None:
    chance = random.Random(104)  # noqa: S311 - a repeatable choice, no secret
    messages: list[dict[str, Any]] = []
    segments: list[capture.Segment] = []
    for type_id, known in asdu.TYPES.items():
        for round_ in range(4):
            sq, count = round_ % 2 == 1, 1 if known.grows or type_id >= 45 else 1 + round_
            if known.grows and sq:
                continue
            objects = []
            for n in range(count):
                one: dict[str, Any] = {"ioa": 1000 * round_ + n}
                for name, element in zip(elements_of(type_id), known.elements, strict=True):
                    element.read(octets_of(name, chance), 0, one)
                objects.append(one)
            unit = asdu.write(type_id, objects, cot=3, ca=47, oa=5, sq=sq, negative=round_ == 2, test=round_ == 3)
            messages.append(asdu.read(unit)[0])
            segments.append((apci.i_frame(len(segments), 0, unit), type_id >= 45 and type_id != 70))
    path = tmp_path / "iec104.pcap"
    capture.write(path, segments, 2404)
    times = [f"cp56time.{part}" for part in (*CLOCK, "iv", "su")] + ["cp24time.ms", "cp24time.min", "cp24time.iv"]
    names = [*COMMON, *LISTS, *PARTS, *BITS, *times, "bitstring"]
    asked = [f"iec60870_asdu.{name}" for name in (*names, "rawdata")]
    rows = capture.fields(path, [*asked, "iec60870_104.tx", "_ws.malformed"])
    assert len(rows) == len(messages)
    equal: Counter[str] = Counter()
    for number, (found, message) in enumerate(zip(rows, messages, strict=True)):
        assert not found["_ws.malformed"], message
        assert found["iec60870_104.tx"] == [str(number)]
        equal += of_tshark(found, message)
    headers = {m["type_id"] for found, m in zip(rows, messages, strict=True) if found["iec60870_asdu.rawdata"]}
    print(
        f"tshark: {len(rows)} APDUs, {sum(equal.values())} values equal, of {len(equal)} fields; only headers of types {headers}"
    )
    assert set(names) - set(equal) == set()
