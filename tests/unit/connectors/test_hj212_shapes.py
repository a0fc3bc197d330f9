"""HJ 212's way for usual frames gives what its way for all frames gives, whatever the frame."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors._api import golden, registry
from connectors._api.session import Peer, describe
from connectors.hj212 import encoder, shapes
from connectors.hj212.decoder import Session
from schemas.errors import Reject

MN = "010000A8900016F000169DC0"
NOON = 1_793_505_600_000_000
HJ212 = registry.load("hj212")
CONFIGURED: list[dict[str, Any]] = [
    {},
    {"units": {"a34002": "mg/m³"}, "devices": {MN: {"units": {"a01006": "hPa"}, "lon": 121.4, "lat": 31.2, "crc": "annex_a"}}},
    {"registered": [MN], "passwords": {MN: "123456"}},
]


class Thorough(Session):
    """A session that takes the way for all frames with every frame."""

    def _usual(self, frame: bytes, crc: str, seen_at: int) -> None:
        return None


def made(kind: type[Session], given_settings: dict[str, Any]) -> Session:
    return kind(dict(HJ212.manifest.resolve(given_settings, "test")), Peer("hj212"))


def result(one: Session, packet: bytes) -> tuple[Any, ...] | Reject:
    try:
        found = one.receive(packet, NOON)
    except Reject as reject:
        return reject
    return found.message, list(found.readings), list(found.replies), list(found.rejects), describe(found)


def often(usual: list[Any], *odd: Any) -> st.SearchStrategy[Any]:
    """Draw what is usual, and once in twenty what is odd."""
    return st.integers(0, 19).flatmap(lambda n: st.sampled_from([*odd] if n == 7 and odd else usual))


CODES = st.sampled_from(
    [
        "a34002",
        "a34004",
        "A34001",
        "LA",
        "Leq",
        "a50001",
        "a01001",
        "a01006",
        "a01007",
        "a21026",
        "w01018",
        "w21003",
        "107",
        "126",
        "B03",
        "i11001",
    ]
)
SUFFIXES = st.sampled_from(["Rtd", "Avg", "Min", "Max", "Cou", "Data", "DayData", "RTD", "Info", "ZsRtd"])
PLAIN = st.one_of(
    st.sampled_from(["0", "35.0", "85.5", "101.3", "-3.5", "-0", "0.0", "700", "99999"]),
    st.from_regex(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,25})?", fullmatch=True),
    st.floats(-1e4, 1e4).map(lambda value: f"{value:.6g}"),
)
ODD = st.one_of(
    st.sampled_from(
        ["", "----", "1e3", "1E0005", "9" * 400, "+1", "007", "1.", ".5", "1_0", "nan", "1]", "[1", '"1"', " 2 ", "１", "5…"]
    ),
    st.text(max_size=4),
)
VALUES = st.integers(0, 29).flatmap(lambda n: ODD if n == 7 else PLAIN)
FLAGS = often(["N"], "D", "n", "", " N", "NN")
TIMES = often(["20261101120000", "20261101115900", "19690101000000", "20261101120000123"], "20261301120000", "noon", "")


@st.composite
def items(draw: st.DrawFn) -> str:
    """Draw one item: a factor with some parts, seldom of odd names."""
    code = draw(CODES)
    pairs = [f"{code}-{suffix}={draw(VALUES)}" for suffix in draw(st.lists(SUFFIXES, min_size=1, max_size=3))]
    if draw(st.integers(0, 3)):
        pairs.append(f"{code}-Flag={draw(FLAGS)}")
    return ",".join(pairs)


@st.composite
def segments(draw: st.DrawFn) -> str:
    """Draw a data segment, most of them of the usual shape."""
    qn = draw(often(["QN=20261101120001123;", "QN=19261101120059999;"], "QN=20261301120000000;", "", "QN=7;", "qn=1;"))
    head = draw(often(["ST=39", "ST=22", "ST=32", "ST=21", "st=39"], "ST=39;ST=39", "ST=39;Qn=20261101120001123", "CP=1;ST=39"))
    command = draw(often(["2011", "2051", "2061", "2031"], "2021", "3020", "1063"))
    rest = draw(often(["Flag=5;", "Flag=4;", "Flag=7;PNUM=2;PNO=1;", "FLAG=1;", "", "Flag=x; "], "MN=;"))
    mn, pw = draw(often([MN], "M" * 70, "8")), draw(often(["123456"], "wrong"))
    parts = draw(st.lists(items(), max_size=4))
    stamp = draw(often(["DataTime={};", "DATATIME={};"], "", "DataTime={},", "MinInterval=5;DataTime={};", ";DataTime={};"))
    return f"{qn}{head};CN={command};PW={pw};MN={mn};{rest}CP=&&{stamp.format(draw(TIMES))}{';'.join(parts)}&&"


@st.composite
def packets(draw: st.DrawFn) -> bytes:
    """Draw a frame; of some a byte is changed, its check code made anew."""
    body = draw(segments()).encode()
    if draw(st.integers(0, 9)) == 7:
        at = draw(st.integers(0, len(body) - 1))
        body = body[:at] + draw(st.binary(max_size=2)) + body[at + 1 :]
    return encoder.frame(body, draw(st.sampled_from(["annex_a", "annex_a", "annex_a", "modbus"])))


@settings(max_examples=400, deadline=None)
@given(st.lists(packets(), min_size=1, max_size=5), st.sampled_from(CONFIGURED))
def test_every_frame_gives_what_the_way_for_all_frames_gives(sent: list[bytes], configured: dict[str, Any]) -> None:
    thorough, warm = made(Thorough, configured), made(Session, configured)
    for packet in [*sent, *sent]:
        assert result(warm, packet) == result(thorough, packet), packet


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(CODES, PLAIN), min_size=1, max_size=6, unique_by=lambda pair: pair[0]), st.sampled_from(CONFIGURED))
def test_usual_frames_with_new_values(values: list[tuple[str, str]], configured: dict[str, Any]) -> None:
    cp = [{"DataTime": "20261101120000"}, *({f"{code}-Rtd": value, f"{code}-Flag": "N"} for code, value in values)]
    packet = encoder.upload(qn="20261101120001123", st="39", cn="2011", pw="123456", mn=MN, flag=5, cp=cp)
    assert result(made(Session, configured), packet) == result(made(Thorough, configured), packet)


@pytest.mark.parametrize("name", ["dust_realtime", "noise_day"])
def test_golden_uploads_go_the_usual_way(name: str) -> None:
    case = golden.cases(HJ212.path)[name]
    packet = golden.packet(case.steps[0], HJ212.path).rstrip()
    one = made(Session, case.settings)
    assert one._usual(packet, "annex_a", NOON) is not None
    assert result(one, packet) == result(made(Thorough, case.settings), packet)


def test_a_damaged_frame_of_known_names_is_refused() -> None:
    wire = encoder.realtime(MN, ts=NOON, values={"a34002": 85.5, "LA": 50.0})
    one = made(Session, {})
    assert one.receive(wire, NOON).readings
    with pytest.raises(Reject, match="check code"):
        one.receive(wire.replace(b"=85.5", b"=86.5"), NOON)


def test_the_period_a_device_tells_holds_for_known_names() -> None:
    one = made(Session, {})
    minute = encoder.minute(MN, ts=NOON, values={"a34002": 85.5})
    told = encoder.upload(qn="", st="39", cn="1063", pw="1", mn=MN, flag=4, cp=[{"MinInterval": "5"}])
    periods = [r.period for wire in (minute, minute, told, minute) for r in one.receive(wire, NOON).readings]  # type: ignore[attr-defined]  # kinds with a period
    assert periods == [600, 600, 300]


def test_what_is_remembered_is_bounded() -> None:
    one = made(Session, {})
    for n in range(1000):
        one.receive(encoder.realtime(f"M{n}", ts=NOON, values={f"w{n:05d}": 1.0}), NOON)
    assert len(one._heads) <= 256
    assert shapes.plan.cache_info().currsize <= shapes.PLANS
