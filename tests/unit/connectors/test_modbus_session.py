"""The polling session against a bank of registers, on a clock that the tests set."""

from __future__ import annotations

from typing import Any

import pytest

from connectors._api import Peer, Received, load
from connectors._api.session import describe
from connectors.modbus import encoder
from connectors.modbus.bank import Bank
from connectors.modbus.framing import Framing
from connectors.modbus.registers import Ask, Registers
from schemas.errors import Fatal, Reject

MODBUS = load("modbus")
SECOND = 1_000_000
NOW = 1_793_491_200 * SECOND
PUMP = {"source": "pump-1", "kind": "water_node"}


def settings_of(**settings: Any) -> Any:
    return MODBUS.manifest.resolve(settings, "test")


def session(address: str = "10.0.0.1:502", **settings: Any) -> Any:
    return MODBUS.make_session(settings_of(**settings), Peer("test", address))


def registers(*addresses: int, **rest: Any) -> dict[str, Any]:
    return {f"r{n}": {**PUMP, "field": "pressure", "address": n, **rest} for n in addresses}


MAP = {
    "pressure": {**PUMP, "field": "pressure", "address": 100, "type": "f32", "scale": 1e6},
    "level": {**PUMP, "field": "level", "address": 104, "type": "i16", "scale": 0.01, "absent": [-32768]},
    "running": {**PUMP, "field": "pump_on", "address": 3, "table": "coil"},
    "other": {"source": "valve-2", "kind": "gas_node", "field": "inlet_pressure", "address": 0, "unit": 2, "table": "input"},
}


class Line:
    """A session and a bank without a network."""

    def __init__(self, **settings: Any) -> None:
        serial = settings.get("mode") == "rtu"
        self.ours, self.bank, self.now = session(**settings), Bank(serial=serial), NOW
        self.framing = Framing(settings_of(**settings))
        self.readings: list[dict[str, Any]] = []
        self.rejects: list[tuple[str, str]] = []
        self.asked: list[bytes] = []
        self.deaf: set[int] = set()

    def hear(self, received: Received) -> None:
        shown = describe(received)
        self.readings += shown["readings"]
        self.rejects += [(r["reason"], r["detail"]) for r in shown["rejects"]]
        for reply in received.replies:
            self.asked.append(reply.data)
            unit = reply.data[0] if self.framing._serial else reply.data[6]
            if unit in self.deaf:
                continue
            for packet in self.framing.feed(self.bank.answer(reply.data)):
                assert isinstance(packet, bytes), packet
                self.hear(self.ours.receive(packet, self.now))

    def wait(self, seconds: int) -> None:
        for _ in range(seconds):
            self.now += SECOND
            self.hear(self.ours.tick(self.now))


def full(line: Line) -> Line:
    line.bank.tables[1, "holding"].update({100: 0x3EA8, 101: 0xF5C3, 102: 0, 103: 0, 104: 0xFF38})
    line.bank.tables[1, "coil"][3] = 1
    line.bank.tables[2, "input"][0] = 2300
    return line


@pytest.mark.parametrize("mode", ["tcp", "rtu"])
def test_a_round_is_one_reading_of_each_source(mode: str) -> None:
    line = full(Line(mode=mode, registers=MAP))
    line.hear(line.ours.start(NOW))
    pump, valve = sorted(line.readings, key=lambda r: str(r["source"]))
    assert (pump["pump_on"], round(pump["pressure"]), pump["level"]) == (True, 330000, -2.0)
    assert valve["inlet_pressure"] == 2300
    assert len(line.asked) == 3
    assert not line.rejects


def test_a_round_is_asked_every_interval() -> None:
    line = full(Line(registers=MAP, interval_s=5))
    line.hear(line.ours.start(NOW))
    line.wait(21)
    assert len(line.readings) == 2 * 5
    assert [r["ts"] for r in line.readings if r["source"] == "valve-2"][:2] == ["2026-11-01T00:00:00Z", "2026-11-01T00:00:05Z"]


def test_requests_behind_readings_wait_for_them() -> None:
    ours = session(mode="rtu", registers=MAP)
    (first,) = ours.start(NOW).replies
    bank = full(Line(mode="rtu", registers=MAP)).bank
    (second,) = ours.receive(bank.answer(first.data), NOW).replies
    received = ours.receive(bank.answer(second.data), NOW)
    assert (first.when, second.when, [r.when for r in received.replies]) == ("now", "now", ["durable"])
    assert len(received.readings) == 1


def test_a_value_that_means_no_data_is_absent() -> None:
    line = full(Line(registers=MAP))
    line.bank.tables[1, "holding"][104] = 0x8000
    line.hear(line.ours.start(NOW))
    assert "level" not in next(r for r in line.readings if r["source"] == "pump-1")


def test_a_unit_that_is_silent_is_rejected_and_the_others_go_on() -> None:
    line = full(Line(registers=MAP, interval_s=10, timeout_s=3))
    line.deaf = {1}
    line.hear(line.ours.start(NOW))
    line.wait(12)
    assert [r["source"] for r in line.readings] == ["valve-2", "valve-2"]
    assert line.rejects == [("no_response", "unit 1: read_coils 3-3: no response within 3 s")]
    line.deaf = set()
    line.wait(10)
    assert [r["source"] for r in line.readings if r["source"] == "pump-1"] == ["pump-1"]


def test_a_silent_unit_on_a_bus_holds_the_others_only_until_its_time_out() -> None:
    line = full(Line(mode="rtu", registers=MAP, timeout_s=2))
    line.deaf = {1}
    line.hear(line.ours.start(NOW))
    assert not line.readings
    line.wait(2)
    assert [r["source"] for r in line.readings] == ["valve-2"]


def test_what_a_unit_said_before_it_fell_silent_counts() -> None:
    ours = session(registers={k: MAP[k] for k in ("pressure", "running")})
    bank = full(Line(registers=MAP)).bank
    (first,) = ours.start(NOW).replies
    ours.receive(bank.answer(first.data), NOW + 1)
    received = ours.tick(NOW + 3 * SECOND + 1)
    assert [r["pump_on"] for r in describe(received)["readings"]] == [True]
    assert [r.reason for r in received.rejects] == ["no_response"]


def test_an_exception_is_rejected_by_name_and_the_rest_is_read() -> None:
    line = full(Line(registers=MAP))
    del line.bank.tables[1, "holding"][102]
    line.hear(line.ours.start(NOW))
    assert line.rejects == [("device_error", "unit 1: read_holding_registers 100-104: illegal_data_address")]
    assert next(r for r in line.readings if r["source"] == "pump-1")["pump_on"] is True


def test_an_answer_with_too_few_registers_is_refused() -> None:
    ours = session(registers=registers(10, 11))
    ours.start(NOW)
    received = ours.receive(encoder.tcp(1, 1, encoder.response(3, regval_uint16=[7])), NOW)
    assert [r.reason for r in received.rejects] == ["bad_length"]
    assert not received.readings


def test_a_late_answer_counts_for_nothing_and_polling_goes_on() -> None:
    ours = session(registers=registers(*range(3), table="coil", field="pump_on"), timeout_s=1, interval_s=2)
    ours.start(NOW)
    ours.tick(NOW + SECOND)
    late = ours.receive(encoder.tcp(1, 1, encoder.response(1, bits=[1] * 24)), NOW + SECOND + 1)
    assert not late.readings
    assert len(ours.tick(NOW + 2 * SECOND).replies) == 1


def test_a_gateway_that_echoes_is_no_second_master() -> None:
    ours = session(mode="rtu", registers=registers(10))
    (asked,) = ours.start(NOW).replies
    assert describe(ours.receive(asked.data, NOW))["message"]["direction"] == "request"
    received = ours.receive(encoder.rtu(1, encoder.response(3, regval_uint16=[7])), NOW)
    assert [r["pressure"] for r in describe(received)["readings"]] == [7.0]


def test_where_others_ask_we_read_along() -> None:
    ours = session(registers=registers(100, 103))
    ours.start(NOW)
    ours.receive(encoder.tcp(900, 1, encoder.read(3, 99, 4)), NOW)
    received = ours.receive(encoder.tcp(900, 1, encoder.response(3, regval_uint16=[0, 5, 0, 9])), NOW)
    assert [r["pressure"] for r in describe(received)["readings"]] == [5.0]
    assert not ours.tick(NOW + 60 * SECOND).replies


def test_nobody_is_asked_where_there_is_no_peer() -> None:
    assert not session("", registers=MAP).start(NOW).replies


@pytest.mark.parametrize(
    ("addresses", "limits", "asks"),
    [
        ([0, 1, 2], (0, 125), [(0, 3)]),
        ([0, 9], (8, 125), [(0, 10)]),
        ([0, 10], (8, 125), [(0, 1), (10, 1)]),
        (list(range(300)), (8, 125), [(0, 125), (125, 125), (250, 50)]),
        ([5, 3, 4], (0, 2), [(3, 2), (5, 1)]),
    ],
)
def test_requests_are_as_few_as_the_limits_allow(
    addresses: list[int], limits: tuple[int, int], asks: list[tuple[int, int]]
) -> None:
    plan = Registers(settings_of(registers=registers(*addresses)), "test").plan(
        gap=limits[0], max_registers=limits[1], max_bits=2000
    )
    assert plan == {1: [Ask(1, 3, start, count) for start, count in asks]}


def test_a_value_of_several_registers_is_never_parted() -> None:
    wide = registers(0, 124, type="f64")
    plan = Registers(settings_of(registers=wide), "test").plan(gap=125, max_registers=125, max_bits=2000)
    assert plan == {1: [Ask(1, 3, 0, 4), Ask(1, 3, 124, 4)]}


@pytest.mark.parametrize(
    ("kind", "order", "words", "value"),
    [
        ("u16", "ABCD", [0x1234], 0x1234),
        ("u16", "BADC", [0x1234], 0x3412),
        ("i16", "ABCD", [0xFFFE], -2),
        ("u32", "ABCD", [0x0102, 0x0304], 0x01020304),
        ("u32", "CDAB", [0x0304, 0x0102], 0x01020304),
        ("u32", "BADC", [0x0201, 0x0403], 0x01020304),
        ("u32", "DCBA", [0x0403, 0x0201], 0x01020304),
        ("i32", "ABCD", [0xFFFF, 0xFFFF], -1),
        ("f32", "ABCD", [0x41BC, 0x0000], 23.5),
        ("f32", "DCBA", [0x0000, 0xBC41], 23.5),
        ("u64", "CDAB", [4, 3, 2, 1], 0x0001000200030004),
        ("i64", "ABCD", [0xFFFF] * 4, -1),
        ("f64", "ABCD", [0x4037, 0x8000, 0, 0], 23.5),
        ("f64", "DCBA", [0, 0, 0x0080, 0x3740], 23.5),
        ("bcd", "ABCD", [0x1234], 1234),
        ("bcd32", "CDAB", [0x5678, 0x1234], 12345678),
    ],
)
def test_types_and_orders(kind: str, order: str, words: list[int], value: float) -> None:
    given = Registers(settings_of(registers=registers(0, type=kind, order=order)), "test")
    values: Any = {}
    assert not given.take(Ask(1, 3, 0, len(words)), words, values)
    (reading,) = given.readings(values, NOW)
    assert describe(Received(readings=[reading]))["readings"][0]["pressure"] == value


@pytest.mark.parametrize(("kind", "words"), [("bcd", [0x12AB]), ("f32", [0x7FC0, 0]), ("f64", [0xFFF0, 0, 0, 0])])
def test_what_is_no_number_is_refused(kind: str, words: list[int]) -> None:
    values: Any = {}
    rejects = Registers(settings_of(registers=registers(0, type=kind)), "test").take(Ask(1, 3, 0, len(words)), words, values)
    assert [r.reason for r in rejects] == ["bad_field"]
    assert "r0" in rejects[0].detail
    assert not values


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({**PUMP, "field": "pressure"}, "address"),
        ({**PUMP, "field": "speed", "address": 1}, "no field 'speed'"),
        ({**PUMP, "field": "pressure", "address": 65536}, "65535"),
        ({**PUMP, "field": "pressure", "address": 65535, "type": "u32"}, "65535"),
        ({**PUMP, "field": "pressure", "address": 1, "unit": 300}, "unit"),
        ({**PUMP, "field": "pressure", "address": 1, "type": "u8"}, "u8"),
        ({**PUMP, "field": "pressure", "address": 1, "kind": "noise"}, "noise"),
    ],
)
def test_a_wrong_register_is_named(row: dict[str, Any], words: str) -> None:
    with pytest.raises(Fatal, match=words):
        session(registers={"x": row})


def test_registers_come_from_a_file_too(tmp_path: Any) -> None:
    file = tmp_path / "map.toml"
    file.write_text('[p]\naddress = 7\nsource = "a"\nkind = "gas_node"\nfield = "inlet_pressure"\n')
    (reply,) = session(registers_file=str(file)).start(NOW).replies
    assert reply.data == encoder.tcp(1, 1, encoder.read(3, 7, 1))


@pytest.mark.parametrize(
    ("mode", "packet", "reason"),
    [
        ("tcp", "0001000100060103006400", "bad_frame"),
        ("tcp", "00010000000701030064", "bad_length"),
        ("tcp", "", "bad_frame"),
        ("rtu", "010300640002FFFF", "bad_checksum"),
        ("rtu", "01", "bad_checksum"),
    ],
)
def test_what_is_no_adu_is_refused(mode: str, packet: str, reason: str) -> None:
    with pytest.raises(Reject, match=reason):
        session("", mode=mode).receive(bytes.fromhex(packet), NOW)


@pytest.mark.parametrize("side", ["request", "response"])
def test_the_direction_can_be_given(side: str) -> None:
    packet = encoder.tcp(1, 1, bytes.fromhex("0500ACFF00"))
    assert describe(session("", direction=side).receive(packet, NOW))["message"]["direction"] == side


@pytest.mark.parametrize(
    ("body", "sides"),
    [
        ("0600010003", ["request", "response", "request"]),
        ("0100130013", ["request", "request", "request"]),
        ("0103CD6B05", ["response", "response", "response"]),
        ("0103000007", ["request", "response", "request"]),
        ("140605060DFE0020", ["response", "response", "response"]),
        ("8102", ["response", "response", "response"]),
    ],
)
def test_directions_are_told_by_length_and_pairs(body: str, sides: list[str]) -> None:
    made = session("")
    packet = encoder.tcp(5, 1, bytes.fromhex(body))
    assert [describe(made.receive(packet, NOW))["message"]["direction"] for _ in sides] == sides


def test_requests_nobody_answers_are_forgotten() -> None:
    made = session("")
    for n in range(5000):
        made.receive(encoder.tcp(n, 1, encoder.read(3, 0, 1)), NOW)
    assert len(made._transactions._pending) == 256


def test_a_bank_takes_writes_and_refuses_what_it_does_not_have() -> None:
    bank = Bank()
    bank.tables[1, "holding"].update({0: 1, 1: 2})
    bank.tables[1, "coil"].update(dict.fromkeys(range(3), 0))

    def ask(body: bytes) -> str:
        return bank.answer(encoder.tcp(1, 1, body))[7:].hex().upper()

    assert ask(encoder.request(6, reference_num=1, regval_uint16=[9])) == "0600010009"
    assert ask(encoder.request(16, reference_num=0, word_cnt=2, regval_uint16=[5, 6])) == "1000000002"
    assert ask(encoder.request(5, reference_num=2, output_value=0xFF00)) == "050002FF00"
    assert ask(encoder.request(15, reference_num=0, bit_cnt=2, bits=[1, 0])) == "0F00000002"
    assert ask(encoder.read(3, 0, 2)) == "030400050006"
    assert ask(encoder.read(1, 0, 3)) == "010105"
    assert ask(encoder.read(3, 0, 3)) == "8302"
    assert ask(encoder.read(3, 0, 0)) == "8303"
    assert ask(encoder.request(16, reference_num=1, word_cnt=2, regval_uint16=[5, 6])) == "9002"
    assert ask(bytes.fromhex("07")) == "8701"
    assert ask(bytes.fromhex("03")) == "8303"
