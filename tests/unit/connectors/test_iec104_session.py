"""The controlling station's session and the controlled station, face to face on a clock that the tests set."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from connectors._api import Peer, Received, Reply, load
from connectors._api.session import describe
from connectors.iec104 import apci, asdu, encoder
from connectors.iec104.framing import Framing
from connectors.iec104.link import Limits
from connectors.iec104.station import Station
from schemas.errors import Fatal, Reject

IEC104 = load("iec104")
SECOND = 1_000_000
NOW = 1_793_491_200 * SECOND
SHANGHAI = ZoneInfo("Asia/Shanghai")
FEEDER = {"source": "feeder-1", "kind": "power_load"}
POINTS = {"1:1": {**FEEDER, "field": "closed"}, "1:2": {**FEEDER, "field": "voltage_a", "scale": 1000}}


def session(address: str = "10.0.0.1:2404", **settings: Any) -> Any:
    return IEC104.make_session(IEC104.manifest.resolve(settings, "test"), Peer("test", address))


def sent(replies: Sequence[Reply]) -> list[str]:
    return [reply.data.hex().upper() for reply in replies]


def i_frame(number: int, unit: bytes, acknowledged: int = 1) -> bytes:
    return apci.i_frame(number, acknowledged, unit)


def single(value: int = 1, ioa: int = 1) -> bytes:
    return asdu.write(1, [{"ioa": ioa, "value": value}], cot=3, ca=1)


def begun(**settings: Any) -> Any:
    """A session whose station confirmed STARTDT and the interrogation's number."""
    made = session(**settings)
    made.start(NOW)
    made.receive(apci.u_frame("STARTDT con"), NOW)
    made.receive(apci.s_frame(1), NOW)
    return made


class Line:
    """Both ends without a network: what one sends the other receives at once."""

    def __init__(self, station: Station, **settings: Any) -> None:
        self.ours, self.station, self.now = session(**settings), station, NOW
        self.readings: list[dict[str, Any]] = []
        self.rejects: list[str] = []
        self.closed = False
        self._framing = Framing({})

    def begin(self) -> None:
        self.station.connect(self.now)
        self.hear(self.ours.start(self.now))

    def hear(self, received: Received) -> None:
        shown = describe(received)
        self.readings += shown["readings"]
        self.rejects += [r["reason"] for r in shown["rejects"]]
        self.closed = self.closed or received.close
        for reply in received.replies:
            self.tell(self.station.receive(reply.data, self.now))

    def tell(self, octets: bytes) -> None:
        for packet in self._framing.feed(octets):
            assert isinstance(packet, bytes), packet
            self.hear(self.ours.receive(packet, self.now))

    def wait(self, seconds: int) -> None:
        for _ in range(seconds):
            self.now += SECOND
            self.hear(self.ours.tick(self.now))
            self.tell(self.station.tick(self.now))


def test_a_connection_begins_with_startdt_and_interrogation() -> None:
    made = session(points=POINTS)
    assert sent(made.start(NOW).replies) == ["680407000000"]
    received = made.receive(apci.u_frame("STARTDT con"), NOW)
    assert sent(received.replies) == ["680E0000000064010600010000000014"]


def test_the_clock_is_set_only_where_the_settings_say_so() -> None:
    made = session(common_addresses=[3], clock_sync=True, originator=9)
    made.start(NOW)
    clock, interrogation = made.receive(apci.u_frame("STARTDT con"), NOW).replies
    fields, flaw = asdu.read(clock.data[apci.HEAD :])
    assert (fields["type_name"], fields["ca"], fields["oa"], flaw) == ("C_CS_NA_1", 3, 9, "")
    assert fields["cp56"] == ["2026-11-01T08:00:00.000"]
    assert interrogation.data[6] == encoder.INTERROGATION


def test_readings_are_acknowledged_one_by_one_when_durable() -> None:
    made = begun(points=POINTS)
    first = made.receive(i_frame(0, single()), NOW)
    second = made.receive(i_frame(1, single(0)), NOW)
    assert [(r.data.hex(), r.when) for r in (*first.replies, *second.replies)] == [
        ("680401000200", "durable"),
        ("680401000400", "durable"),
    ]
    assert [r["closed"] for r in describe(first)["readings"] + describe(second)["readings"]] == [True, False]


def test_what_brings_no_reading_is_acknowledged_after_w() -> None:
    made = begun(w=3)
    replies = [sent(made.receive(i_frame(n, single()), NOW).replies) for n in range(6)]
    assert replies == [[], [], ["680401000600"], [], [], ["680401000C00"]]


def test_what_brings_no_reading_is_acknowledged_after_t2() -> None:
    made = begun()
    made.receive(i_frame(0, single()), NOW)
    assert sent(made.tick(NOW + 9 * SECOND).replies) == []
    assert sent(made.tick(NOW + 10 * SECOND).replies) == ["680401000200"]
    assert sent(made.tick(NOW + 11 * SECOND).replies) == []


def test_a_silent_line_is_tested_and_closed() -> None:
    made = begun()
    assert sent(made.tick(NOW + 19 * SECOND).replies) == []
    assert sent(made.tick(NOW + 20 * SECOND).replies) == ["680443000000"]
    assert not made.tick(NOW + 34 * SECOND).close
    received = made.tick(NOW + 35 * SECOND)
    assert received.close
    assert [r.reason for r in received.rejects] == ["no_response"]


def test_an_answered_test_keeps_the_line() -> None:
    made = begun()
    made.tick(NOW + 20 * SECOND)
    made.receive(apci.u_frame("TESTFR con"), NOW + 21 * SECOND)
    assert not made.tick(NOW + 40 * SECOND).close


def test_startdt_without_answer_closes() -> None:
    made = session()
    made.start(NOW)
    received = made.tick(NOW + 15 * SECOND)
    assert received.close
    assert "STARTDT act" in received.rejects[0].detail


def test_a_command_without_acknowledgement_closes() -> None:
    made = session()
    made.start(NOW)
    made.receive(apci.u_frame("STARTDT con"), NOW)
    received = made.tick(NOW + 15 * SECOND)
    assert received.close
    assert "not acknowledged" in received.rejects[0].detail


@pytest.mark.parametrize(
    ("packet", "what"),
    [(i_frame(1, single()), "N(S) = 1"), (i_frame(0, single(), acknowledged=5), "N(R) = 5"), (apci.s_frame(9), "N(R) = 9")],
)
def test_a_number_out_of_sequence_closes(packet: bytes, what: str) -> None:
    received = begun(points=POINTS).receive(packet, NOW)
    assert received.close
    assert not received.readings
    assert [(r.reason, what in r.detail) for r in received.rejects] == [("bad_field", True)]


def test_a_recording_of_both_directions_is_read_without_regard_to_numbers() -> None:
    for address in ("", "10.0.0.1:50000"):
        made = session(address, points=POINTS)
        made.start(NOW)
        recorded = [
            apci.u_frame("STARTDT act"),
            apci.u_frame("STARTDT con"),
            i_frame(900, single(), 77),
            i_frame(77, encoder.interrogation(1), 901),
            i_frame(5, single(0), 3),
            apci.s_frame(12345),
        ]
        results = [made.receive(packet, NOW) for packet in recorded]
        assert not any(r.rejects or r.close for r in results)
        assert sum(len(r.readings) for r in results) == 2


def test_commands_wait_while_k_are_unacknowledged() -> None:
    made = session(common_addresses=list(range(1, 6)), k=2)
    made.start(NOW)
    assert len(made.receive(apci.u_frame("STARTDT con"), NOW).replies) == 2
    assert [r.data[10] for r in made.receive(apci.s_frame(1), NOW).replies] == [3]
    assert [r.data[10] for r in made.receive(apci.s_frame(3), NOW).replies] == [4, 5]


def test_interrogations_are_repeated() -> None:
    made = begun(interrogation_s=60, counter_interrogation_s=30)
    made.receive(apci.s_frame(2), NOW)
    orders = [reply.data[6] for s in range(1, 61) for reply in _awake(made, NOW + s * SECOND)]
    assert orders == [101, 100, 101]


def _awake(made: Any, now: int) -> list[Reply]:
    made.receive(apci.u_frame("TESTFR act"), now)
    replies = made.tick(now).replies
    for reply in replies:
        made.receive(apci.s_frame(apci.numbers(reply.data)[0] + 1), now)
    return list(replies)


@pytest.mark.parametrize("packet", ["680403000000", "FF0403000000", "6804"])
def test_what_is_no_apdu_is_refused(packet: str) -> None:
    with pytest.raises(Reject):
        session().receive(bytes.fromhex(packet), NOW)


def test_a_wrong_length_shows_what_is_there() -> None:
    unit = bytes.fromhex("0D0203000100010000" + "0000803F00")
    received = session("").receive(i_frame(0, unit), NOW)
    assert describe(received)["message"]["value_float"] == [1.0]
    assert [r.reason for r in received.rejects] == ["bad_length"]


def test_a_time_zone_with_summer_time_tells_the_doubled_hour_apart() -> None:
    made = session("", points=POINTS, time_zone="Europe/Berlin")
    one = {"ioa": 1, "value": 1, "time": "2026-10-25T02:30:00.000", "time_weekday": 7}
    found = []
    for number, quality in enumerate((("su",), ())):
        unit = asdu.write(30, [{**one, "time_quality": quality}], cot=3, ca=1)
        found += [r["ts"] for r in describe(made.receive(i_frame(number, unit), NOW))["readings"]]
    assert found == ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"]


def test_a_number_that_is_none_is_refused_alone() -> None:
    made = session("", points={"1:1": {**FEEDER, "field": "voltage_a"}, "1:2": {**FEEDER, "field": "voltage_b"}})
    unit = asdu.write(13, [{"ioa": 1, "value": float("nan")}, {"ioa": 2, "value": 220.0}], cot=3, ca=1)
    received = made.receive(i_frame(0, unit), NOW)
    assert [r.reason for r in received.rejects] == ["bad_field"]
    assert [r["voltage_b"] for r in describe(received)["readings"]] == [220.0]


def test_a_flag_holds_the_gravest_names_that_fit() -> None:
    made = session("", points=POINTS)
    unit = asdu.write(13, [{"ioa": 2, "value": 10.0, "quality": ("iv", "nt", "sb", "bl", "ov")}], cot=3, ca=1)
    (reading,) = describe(made.receive(i_frame(0, unit), NOW))["readings"]
    assert reading["flag"] == "invalid,not_topical,substituted"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"points": {"1": {**FEEDER, "field": "closed"}}}, "ca:ioa"),
        ({"points": {"1:x": {**FEEDER, "field": "closed"}}}, "ca:ioa"),
        ({"points": {"1:1": {**FEEDER, "field": "speed"}}}, "no field 'speed'"),
        ({"points": {"1:1": {**FEEDER, "field": "flag"}}}, "no field 'flag'"),
        ({"points": {"1:1": {**FEEDER, "kind": "noise", "field": "closed"}}}, "kind 'noise'"),
        ({"points": {"1:1": {"source": "l", "kind": "streetlight", "field": "fault"}}}, "values"),
        ({"points": {"1:1": {**FEEDER, "field": "closed", "colour": 1}}}, "colour"),
        ({"points_file": "/nowhere.toml"}, "nowhere"),
        ({"time_zone": "Asia/Nowhere"}, "time_zone"),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(Fatal, match=words):
        session(**settings)


def test_points_come_from_a_file_too(tmp_path: Any) -> None:
    file = tmp_path / "points.toml"
    file.write_text('["1:1"]\nsource = "from-file"\nkind = "power_load"\nfield = "closed"\n')
    made = session("", points_file=str(file))
    (reading,) = describe(made.receive(i_frame(0, single()), NOW))["readings"]
    assert reading["source"] == "from-file"


def test_a_station_is_interrogated_and_reports() -> None:
    station = Station(1)
    station.set(1, [{"ioa": 1, "value": 1}])
    station.set(13, [{"ioa": 2, "value": 10.0}])
    station.set(15, [{"ioa": 3, "value": 99}])
    line = Line(station, points=POINTS)
    line.begin()
    assert [(r.get("closed"), r.get("voltage_a")) for r in line.readings] == [(True, None), (None, 10000.0)]
    line.now += SECOND
    line.tell(station.report(30, [encoder.stamped({"ioa": 1, "value": 0}, NOW - 5 * SECOND, SHANGHAI)], line.now))
    assert line.readings[-1]["closed"] is False
    assert line.readings[-1]["ts"] == "2026-10-31T23:59:55Z"
    assert not line.rejects


def test_a_long_quiet_line_stays_up() -> None:
    line = Line(Station(1), points=POINTS)
    line.begin()
    line.wait(300)
    assert not line.closed and not line.station.closed and not line.rejects


def test_many_reports_keep_both_windows_past_the_largest_number() -> None:
    station = Station(1, limits=Limits(k=4))
    line = Line(station, points=POINTS)
    line.begin()
    near = apci.MODULUS - 500
    station._link.sent = station._link._acknowledged = line.ours._link.received = line.ours._link._told = near
    for n in range(1000):
        line.tell(station.report(1, [{"ioa": 1, "value": n & 1}], line.now))
        line.now += 1
    assert len(line.readings) == 1000
    assert station._link.sent == 500
    assert not line.rejects and not station.closed
    assert all(a["closed"] != b["closed"] for a, b in pairwise(line.readings))


@pytest.mark.parametrize(
    ("type_id", "objects", "ca", "answers"),
    [
        (45, [{"ioa": 1, "value": 1, "se": 1}], 1, [(7, 0)]),
        (45, [{"ioa": 1, "value": 1}], 1, [(7, 0), (10, 0)]),
        (45, [{"ioa": 99, "value": 1}], 1, [(47, 1)]),
        (102, [{"ioa": 1}], 1, [(5, 0)]),
        (102, [{"ioa": 9}], 1, [(47, 1)]),
        (103, [{"ioa": 0, "time": "2026-11-01T08:00:00.000"}], 1, [(7, 0)]),
        (101, [{"ioa": 0, "rqt": 5}], 1, [(7, 0), (37, 0), (10, 0)]),
        (100, [{"ioa": 0, "qoi": 20}], 2, [(46, 1)]),
        (105, [{"ioa": 0, "qrp": 1}], 1, [(44, 1)]),
    ],
)
def test_a_station_answers_commands(type_id: int, objects: list[dict[str, Any]], ca: int, answers: list[tuple[int, int]]) -> None:
    station = Station(1)
    station.set(1, [{"ioa": 1, "value": 1}])
    station.set(37, [{"ioa": 2, "value": 5, "time": "2026-11-01T08:00:00.000"}])
    station.connect(NOW)
    station.receive(apci.u_frame("STARTDT act"), NOW)
    octets = station.receive(i_frame(0, asdu.write(type_id, objects, cot=6, ca=ca), 0), NOW)
    units = [asdu.read(p[apci.HEAD :])[0] for p in Framing({}).feed(octets) if isinstance(p, bytes)]
    assert [(unit["cot"], unit["negative"]) for unit in units] == answers


def test_a_station_keeps_reports_until_data_transfer_starts_and_stops_at_k() -> None:
    station = Station(1)
    station.connect(NOW)
    assert all(not station.report(1, [{"ioa": 1, "value": 1}], NOW) for _ in range(20))
    octets = station.receive(apci.u_frame("STARTDT act"), NOW)
    assert len(Framing({}).feed(octets)) == 1 + 12
    assert len(Framing({}).feed(station.receive(apci.s_frame(5), NOW))) == 5
    assert station.receive(apci.u_frame("STOPDT act"), NOW) == apci.u_frame("STOPDT con")
    assert not station.started
    station.receive(apci.s_frame(30), NOW)
    assert "N(R) = 30" in station.closed
