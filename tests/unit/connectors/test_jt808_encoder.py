"""JT/T 808 built and read back: every message of the tables, and locations in SI values."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors._api import Peer, bcd, load
from connectors._api.layouts import Codec, Layout, Many, Number, Stretch
from connectors.jt808 import encoder, location, messages
from connectors.jt808.framing import Framing
from schemas.kinds.transport import BusPosition

JT808 = load("jt808")
SETTINGS = JT808.manifest.resolve({}, "test")
BODIES = {key: body for key, body in messages.standard().items() if key[0] not in messages.BY_HAND}
TEXT = st.text(st.characters(codec="gb18030", exclude_characters="\0 ", min_codepoint=33, max_codepoint=0x9FA5), max_size=3)
PARAMETERS = {"report_interval_s": 10, "plate": "沪A1", "0x7777": b"\1\2"}
PLACE = location.read_base(encoder.location_body(ts=10**15, lat=31.2, lon=-121.4))
INSTANTS = st.integers(946_684_800, 4_070_908_799).map(lambda s: s * 1_000_000)  # 2000 to 2098


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_every_layout_reads_what_it_writes(data: st.DataObject) -> None:
    message_id, edition = data.draw(st.sampled_from(sorted(BODIES)))
    form = data.draw(st.sampled_from(BODIES[message_id, edition].forms))
    values = data.draw(layouts(form))
    raw = form.write(values)
    again, end = form.read(raw, 0)
    assert (again, end) == (values, len(raw)), hex(message_id) + edition
    shown = messages.decode(messages.standard(), message_id, edition, raw)
    built = messages.encode(messages.standard(), message_id, edition, shown)
    assert messages.decode(messages.standard(), message_id, edition, built) == shown


@st.composite
def layouts(draw: st.DrawFn, form: Layout) -> dict[str, Any]:
    """Fields a layout can hold; the last ones are left out at times where they may be."""
    values: dict[str, Any] = {}
    for field in form.fields:
        if (field.maybe and not field.maybe(values)) or (field.ends and draw(st.booleans())):
            if field.ends:
                break
            continue
        values[field.name] = draw(codecs(field.codec, field.ends))
    return values


def codecs(codec: Codec, wanted: bool) -> st.SearchStrategy[Any]:
    """Values of one field; ``wanted`` ones are not empty, for an empty end of a body is none."""
    if isinstance(codec, Layout):
        return layouts(codec)
    if isinstance(codec, Many):
        return st.lists(codecs(codec.element, False), min_size=int(wanted), max_size=3)
    if isinstance(codec, Number):
        bits, signed = 8 * codec.form.size, codec.form.format.islower()
        return st.integers(-(1 << bits - 1), (1 << bits - 1) - 1) if signed else st.integers(0, (1 << bits) - 1)
    if isinstance(codec, messages.Parameters | location.Position):
        return st.just(PARAMETERS if isinstance(codec, messages.Parameters) else PLACE)
    assert isinstance(codec, Stretch)
    return stretches(codec, wanted)


def stretches(codec: Stretch, wanted: bool) -> st.SearchStrategy[Any]:
    length = codec.length if codec.length is not None else 3
    if codec.show is bcd.time_text:
        found: st.SearchStrategy[Any] = INSTANTS.map(lambda ts: bcd.time_text(bcd.from_instant(ts)))
    elif codec.show is bcd.date_text:
        found = st.dates().map(lambda d: f"{d.year:04d}-{d.month:02d}-{d.day:02d}")
    elif codec.show is bcd.digits:
        found = st.integers(0, 10 ** (2 * length) - 1).map(lambda n: str(n).zfill(2 * length))
    elif codec.show is bytes:
        found = st.binary(min_size=codec.length or int(wanted), max_size=length)
    else:
        found = TEXT.map(lambda t: t if len(t.encode("gb18030")) <= length else "x").filter(lambda t: bool(t) or not wanted)
    return found


@given(
    ts=INSTANTS,
    lat=st.floats(-90, 90),
    lon=st.floats(-180, 180),
    speed=st.floats(0, 100),
    direction=st.floats(0, 359),
    altitude=st.floats(0, 9000),
    mileage=st.floats(0, 4e8),
    alarm=st.integers(0, 2**32 - 1),
    version=st.sampled_from(["2011", "2013", "2019"]),
)
def test_a_location_comes_back_in_si(ts: int, lat: float, lon: float, speed: float, mileage: float, **others: Any) -> None:
    version, alarm = others.pop("version"), others.pop("alarm")
    wire = encoder.location(
        "13912345678",
        7,
        version=version,
        ts=ts,
        lat=lat,
        lon=lon,
        speed=speed,
        alarm=alarm,
        items={1: encoder.mileage_item(mileage)},
        **others,
    )
    (packet,) = Framing(SETTINGS).feed(wire)
    reading, *_ = JT808.make_session(SETTINGS, Peer("t")).receive(packet, 5).readings
    assert isinstance(reading, BusPosition)
    assert (reading.source, reading.ts, reading.seen_at, reading.serial, reading.alarm) == ("13912345678", ts, 5, 7, alarm)
    if reading.lon is None or reading.lat is None:
        assert max(abs(lat), abs(lon)) <= 5.1e-7
    else:
        assert (reading.lat, reading.lon) == (pytest.approx(lat, abs=5.1e-7), pytest.approx(lon, abs=5.1e-7))
    assert reading.speed == pytest.approx(speed, abs=0.015)
    assert reading.mileage == pytest.approx(mileage, abs=50.1)
    assert reading.heading == pytest.approx(others["direction"] % 360, abs=0.51)
    assert reading.altitude == pytest.approx(others["altitude"], abs=0.51)


@given(ts=INSTANTS)
def test_times_come_back(ts: int) -> None:
    assert bcd.instant(bcd.from_instant(ts)) == ts
    assert bcd.time_bytes(bcd.time_text(bcd.from_instant(ts))) == bcd.from_instant(ts)


def test_a_long_batch_goes_out_in_sub_packages() -> None:
    bodies = [encoder.location_body(ts=10**15 + i * 10**6, lat=31, lon=121) for i in range(100)]
    wire = encoder.batch("13912345678", 0xFFFF, bodies, kind=1, version="2019")
    session = JT808.make_session(SETTINGS, Peer("t"))
    results = [session.receive(p, 1) for p in Framing(SETTINGS).feed(wire)]
    assert len(results) == 3
    assert [len(r.readings) for r in results] == [0, 0, 100]
    assert [len(r.replies) for r in results] == [1, 1, 1]
    assert results[2].lane == "late"
    assert [r.ts for r in results[2].readings] == [10**15 + i * 10**6 for i in range(100)]


@pytest.mark.parametrize(
    "call",
    [
        lambda: encoder.location("1" * 13, 1, version="2013", ts=0, lat=0, lon=0),
        lambda: encoder.location("1", 1, version="2013", ts=0, lat=0, lon=0, speed=1e6),
        lambda: encoder.register("1", 1, version="2011", model="nine char"),
        lambda: messages.encode(messages.standard(), 0x8001, "2013", {"ack_serial": 70000, "ack_message_id": 1, "result": 0}),
        lambda: messages.encode(messages.standard(), 0x8001, "2013", {"speed": 1}),
    ],
)
def test_what_does_not_fit_is_a_value_error(call: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        call()
