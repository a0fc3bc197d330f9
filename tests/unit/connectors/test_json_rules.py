"""Paths, time formats and rules that fill a kind's fields from JSON."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors._api import times
from connectors._api.paths import Path, document, path
from connectors._api.rules import Fields, Rule, locate
from schemas.errors import Fatal, Reject
from schemas.kinds.lighting import Streetlight

DOCUMENT = {"a": {"b": [{"c": 1}, {"c": None}, {"c": 3}]}, "d.e": {"f": 2}, "rows": [], "g": [[1, 2], [3]]}
TS = 1_793_491_200_000_000
"""2026-11-01 00:00 UTC."""


@pytest.mark.parametrize(
    ("text", "one"),
    [
        ("a.b[0].c", 1),
        ("a.b[1].c", None),
        ("a.b[9].c", None),
        ("a.b[*].c", 1),
        ('["d.e"].f', 2),
        ("a.b.c", None),
        ("g[1][0]", 3),
        ("g[*][*]", 1),
        ("nothing", None),
        ("a[0]", None),
        ("", DOCUMENT),
    ],
)
def test_a_path_gives_what_lies_there(text: str, one: Any) -> None:
    assert Path(text).one(DOCUMENT) == one


def test_rows_of_a_path() -> None:
    assert path("a.b[*]").rows(DOCUMENT) == DOCUMENT["a"]["b"]  # type: ignore[index] # a table
    assert path("g[*][*]").rows(DOCUMENT) == [1, 2, 3]
    assert path("a").rows(DOCUMENT) == [DOCUMENT["a"]]
    assert path("rows[*]").rows(DOCUMENT) == []


@pytest.mark.parametrize("text", ["none[*]", "a[*]", "a.none"])
def test_absent_records_are_refused_by_their_path(text: str) -> None:
    with pytest.raises(Reject, match=r"missing_field.*" + text.replace("[", r"\[").replace("*", r"\*")):
        path(text).rows(DOCUMENT)


@pytest.mark.parametrize("text", [".a", "a[", "a[x]", "a..b", 'a["b]'])
def test_a_text_that_is_no_path_is_fatal(text: str) -> None:
    with pytest.raises(Fatal, match="no path"):
        Path(text)


@given(
    st.lists(st.one_of(st.from_regex(r"[a-z]{1,3}", fullmatch=True), st.integers(0, 3)), min_size=1, max_size=5), st.integers()
)
def test_what_is_put_is_found(steps: list[str | int], value: int) -> None:
    text = "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in steps).removeprefix(".")
    assert Path(text).one(Path(text).put(None, value)) == value


def test_a_document_that_is_none_is_refused() -> None:
    for packet in (b"", b"{", b"\xff", b'{"a": "\xff"}', b"[" * 100_000):
        with pytest.raises(Reject):
            document(packet)


BEIJING_8 = 1_793_491_200_000_000


@pytest.mark.parametrize(
    ("format", "value"),
    [
        ("s", 1793491200),
        ("s", "1793491200"),
        ("s", 1793491200.0),
        ("ms", 1793491200000),
        ("us", 1793491200000000),
        ("iso", "2026-11-01T08:00:00"),
        ("iso", "2026-11-01T00:00:00Z"),
        ("iso", "20261101T000000Z"),
        ("text", "2026-11-01 8:00:00"),
        ("text", "2026/11/1 08:00"),
        ("compact", 20261101080000),
        *(("auto", v) for v in (1793491200, "1793491200.0", 1793491200000, 1793491200000000)),
        *(("auto", v) for v in ("20261101080000", 20261101080000, "2026-11-01 8:00:00", "2026-11-01T00:00:00.000Z")),
    ],
)
def test_a_time_is_read(format: str, value: Any) -> None:
    assert times.reader(format)(value) == BEIJING_8


@pytest.mark.parametrize("format", times.FORMATS)
@pytest.mark.parametrize("value", ["", "soon", True, -5, 10**30, "9" * 40, "2026-13-01 00:00:00", float("1e300"), [], {}, "²"])
def test_what_is_no_time_is_refused(format: str, value: Any) -> None:
    fields = Fields("streetlight", {"ts": Rule(from_="t", format=format)})
    with pytest.raises(Reject, match="ts: t: "):
        fields.values({"t": value or "?"})


@given(
    st.integers(1, times.LAST // 1_000_000), st.sampled_from(times.FORMATS), st.sampled_from(["UTC", "Asia/Shanghai", "+05:30"])
)
def test_a_written_time_is_read_again(second: int, format: str, zone: str) -> None:
    ts = second * 1_000_000
    if format == "auto" and not 10**9 <= second < 10**10:
        return
    if second + 60_000 > times.LAST // 1_000_000:
        return
    if zone == "Asia/Shanghai" and second < 700_000_000:
        return  # summer time until 1991: an hour that happens twice is taken as the first
    if format in ("s", "ms", "us", "auto") or datetime.fromtimestamp(second, UTC).year > 1000:
        assert times.reader(format, zone)(times.write(ts, format, zone)) == ts


@pytest.mark.parametrize(("format", "zone"), [("text", "Asia/Nowhere"), ("fortnights", "UTC"), ("iso", "+x")])
def test_an_unknown_zone_or_format_is_fatal(format: str, zone: str) -> None:
    with pytest.raises(Fatal):
        times.reader(format, zone)


def lamp(record: Any, parts: dict[str, Any] | None = None, **rules: Rule) -> dict[str, Any]:
    return Fields("streetlight", rules).values(record, parts or {})


def test_rules_fill_fields() -> None:
    record = {"p": "1234", "i": 560, "s": 5, "f": 3, "n": 7, "x": 255, "e": ""}
    found = lamp(
        record,
        {"box": "C"},
        power=Rule(from_="p", scale=0.1),
        current=Rule(from_=["nothing", "i"], scale=0.001, offset=1.0),
        on=Rule(from_="s", bit=0),
        commanded_on=Rule(from_="s", bit=1),
        fault=Rule(from_="f", values={"3": "overvoltage"}),
        flag=Rule(from_="f", values={"4": "other"}),
        source=Rule(join=["@box", "n"]),
        dimming=Rule(from_="x", absent=[255]),
        cabinet=Rule(value="C9"),
        voltage=Rule(from_="e"),
    )
    assert found == {
        "power": 123.4,
        "current": 1.56,
        "on": True,
        "commanded_on": False,
        "fault": "overvoltage",
        "source": "C-7",
        "cabinet": "C9",
    }


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("power", "much"),
        ("power", True),
        ("power", []),
        ("power", 10**400),
        ("power", "nan"),
        ("serial", 1.5),
        ("serial", 2**63),
        ("serial", "1e300"),
        ("source", {}),
        ("source", True),
        ("on", "maybe"),
        ("fault", [1]),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_its_path(field: str, value: Any) -> None:
    with pytest.raises(Reject, match=rf"bad_field: streetlight\.{field}: a\.b"):
        Fields("streetlight", {field: Rule(from_="a.b")}).values({"a": {"b": value}})


@pytest.mark.parametrize(
    "rules",
    [
        {"nothing": Rule(from_="a")},
        {"power": Rule()},
        {"power": Rule(from_="a", value=1)},
        {"power": Rule(from_="a", values={"1": "x"})},
    ],
)
def test_wrong_rules_are_fatal(rules: dict[str, Rule]) -> None:
    with pytest.raises(Fatal):
        Fields("streetlight", rules)


def test_a_reading_needs_its_source_and_takes_the_arrival_where_no_rule_tells_the_time() -> None:
    fields = Fields("streetlight", {"source": Rule(from_="id"), "power": Rule(from_="p")})
    assert fields.reading(fields.values({"id": 5, "p": 1}), TS) == Streetlight(source="5", ts=TS, seen_at=TS, power=1.0)
    with pytest.raises(Reject, match=r"missing_field: streetlight\.source: id is absent"):
        fields.reading(fields.values({"p": 1}), TS)
    with pytest.raises(Reject, match="no rule fills it"):
        Fields("bike_event", {"source": Rule(from_="id")}).reading({"source": "a"}, TS)


@pytest.mark.parametrize(
    ("crs", "expected"),
    [
        ("wgs84", {"lon": 120.0, "lat": 30.0, "raw_lon": 120.0, "raw_lat": 30.0, "raw_crs": "wgs84"}),
        ("other", {"raw_lon": 120.0, "raw_lat": 30.0, "raw_crs": "other"}),
    ],
)
def test_coordinates_are_located(crs: str, expected: dict[str, Any]) -> None:
    values: dict[str, Any] = {"lon": 120.0, "lat": 30.0}
    locate(values, crs, keeps_raw=True)
    assert values == expected


@pytest.mark.parametrize(("lon", "lat"), [(1e308, 30.0), (120.0, 90.1), (-180.5, 0.0)])
@pytest.mark.parametrize("crs", ["wgs84", "gcj02", "bd09", "other"])
def test_what_lies_on_no_globe_is_refused(lon: float, lat: float, crs: str) -> None:
    with pytest.raises(Reject, match="out_of_bounds"):
        locate({"lon": lon, "lat": lat}, crs, keeps_raw=True)


def test_half_a_pair_and_the_point_zero_are_no_place() -> None:
    for values in ({"lon": 0.0, "lat": 0.0}, {"lon": 120.0}, {"lat": 30.0}):
        locate(values, "wgs84", keeps_raw=True)
        assert values == {}


@given(
    st.fixed_dictionaries(
        {
            "power": st.integers(0, 100_000).map(lambda v: v / 10),
            "on": st.booleans(),
            "commanded_on": st.booleans(),
            "fault": st.sampled_from(["lamp", "ballast"]),
            "dimming": st.integers(0, 100).map(float),
            "ts": st.integers(10**9, 4 * 10**9).map(lambda s: s * 1_000_000),
            "source": st.just("C1-7"),
            "cabinet": st.just("C1"),
        }
    )
)
def test_a_record_of_values_is_read_as_these_values(values: dict[str, Any]) -> None:
    fields = Fields(
        "streetlight",
        {
            "source": Rule(join=["@box", "lamp.no"]),
            "cabinet": Rule(from_="@box"),
            "ts": Rule(from_="t", format="text"),
            "power": Rule(from_="lamp.p", scale=0.1),
            "on": Rule(from_="bits", bit=0),
            "commanded_on": Rule(from_="bits", bit=4),
            "fault": Rule(from_="f[1]", values={"1": "lamp", "2": "ballast"}),
            "dimming": Rule(from_="dim"),
        },
    )
    record, parts = fields.record(values)
    assert fields.values(record, parts) == values
