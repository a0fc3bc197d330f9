"""What refused bytes give today, whichever stage refused them and in whichever form they were kept."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from cityops.reject_replay import Judge, Judged, parcels
from connectors._api import registry
from connectors._api.version import version_of
from connectors._host.builder import RAW_LIMIT, Delivery, FrameBuilder
from connectors._host.cut import cut
from connectors.hj212 import encoder as hj212
from connectors.jt808 import encoder as jt808
from connectors.jt808.framing import Framing
from schemas import frame
from schemas.config import Config
from schemas.errors import Fatal, Reject
from schemas.kinds.derived import RejectRow
from schemas.kinds.transport import BusPosition
from schemas.reading import as_row
from storage.rejects_store import Refused, Wanted, arrival

NOW = 1_793_491_200_000_000
HOUR = 3600 * 1_000_000
CONFIG = Config(connectors={"buses": {"type": "jt808", "listen": "127.0.0.1:1", "authentication": "required", "secret": "s"}})


def refused(raw: bytes, *, reason: str = "unauthenticated", detail: str | None = None, **rest: Any) -> Refused:
    given = {"connector": "buses", "stage": "decode", "source": "13912345678", "state": "open", **rest}
    return Refused(id="1-2", seen_at=NOW, ts=NOW, reason=reason, first_reason=reason, first_detail=detail, raw=raw, **given)


def judge(one: Refused, *given: str, config: Config = CONFIG, lane: Any = None, now: int = NOW) -> Judged:
    return Judge(config, given, lane, now).judge(one)


def position(ts: int = NOW, **fields: Any) -> bytes:
    return jt808.location("13912345678", 5, version="2013", ts=ts, lat=35.5, lon=112.8, **fields)


def inner(wire: bytes) -> bytes:
    (packet,) = cut(Framing, {}, wire)
    assert isinstance(packet, bytes)
    return packet


def test_a_packet_is_refused_until_the_settings_are_mended_and_keeps_its_arrival() -> None:
    one = refused(inner(position()))
    still = judge(one)
    assert still.refusal is not None and still.refusal.reason == "unauthenticated"
    mended = judge(one, "authentication=none")
    assert mended.refusal is None
    (reading,) = mended.received.readings
    assert (reading.source, reading.seen_at) == ("13912345678", NOW)


def test_a_stretch_that_the_framing_refused_never_gets_past_it_to_a_session() -> None:
    wire = position()
    damaged = wire[1:-2] + bytes((wire[-2] ^ 1,))
    (fault,) = cut(Framing, {}, b"\x7e" + damaged + b"\x7e")
    assert isinstance(fault, Reject) and fault.reason == "bad_checksum"
    for raw in (damaged, inner(wire)):
        found = judge(refused(raw, reason="bad_checksum", detail=fault.detail), "authentication=none")
        assert found.refusal is not None and not found.received.readings
    whole = judge(refused(wire[1:-1], reason="bad_checksum", detail="an older framing's mistake"), "authentication=none")
    assert whole.refusal is None and len(whole.received.readings) == 1


def test_a_stretch_of_text_is_cut_again_with_the_mended_setting() -> None:
    wire = hj212.realtime("MN1", ts=NOW, values={"a34002": 85.0}, crc="modbus")
    one = refused(wire, reason="bad_checksum", connector="dust", connector_type="hj212")
    assert judge(one, "crc=annex_a").refusal is not None
    assert len(judge(one, "crc=auto").received.readings) == 1


def test_a_row_that_clean_refused_is_checked_by_the_rules_of_its_lane() -> None:
    old = BusPosition(source="a", ts=NOW - 40 * 24 * HOUR, seen_at=NOW, lon=112.8, lat=35.5)
    raw = msgspec.json.encode(frame.from_readings([old], "bus_position").to_pylist()[0])
    one = refused(raw, reason="expired_time", stage="clean", refused_kind="bus_position")
    (reading,) = judge(one, lane="backfill").received.readings
    assert reading == old
    assert judge(one).refusal is None, "without a lane its age decides, as in every replay: it is late"
    then = judge(one, now=old.ts).refusal
    assert then == Reject("expired_time", "bus_position: 40 days before arrival"), "live rows are held to their retention"
    ahead = msgspec.structs.replace(old, ts=NOW + 2 * HOUR)
    raw = msgspec.json.encode(frame.from_readings([ahead], "bus_position").to_pylist()[0])
    found = judge(refused(raw, stage="clean", refused_kind="bus_position"), lane="late")
    assert found.refusal is not None and found.refusal.reason == "future_time"


def test_a_frame_that_was_set_aside_gives_its_rows() -> None:
    rows = [BusPosition(source=str(n), ts=NOW + n, seen_at=NOW, lon=112.8, lat=35.5) for n in range(3)]
    batch = frame.from_readings(rows, "bus_position")
    header = frame.make_header(
        batch, "bus_position", seen_at=NOW, connector="buses", run="r", bucket=0, seq=1, total=3, lane="live"
    )
    value, _ = frame.encode(batch, header)
    found = judge(refused(value, reason="poison", stage="store", refused_kind="bus_position"))
    assert [as_row(r) for r in found.received.readings] == [as_row(r) for r in rows]


@pytest.mark.parametrize(
    "one",
    [
        refused(b""),
        refused(b"x" * RAW_LIMIT),
        refused(b"{'source': 1}", refused_kind="bus_position"),
        refused(b"\x00", stage="clean"),
        refused(b"\xff\xff\xff\xff\x00", stage="clean", refused_kind="bus_position"),
        refused(b"{}", stage="clean", refused_kind="bus_position"),
    ],
)
def test_what_was_not_kept_whole_stays_refused(one: Refused) -> None:
    found = judge(one)
    assert found.refusal is not None and not found.received.readings


def test_settings_of_an_instance_that_is_gone_are_those_of_its_kind_or_the_defaults() -> None:
    one = refused(inner(position()), connector="old-buses", connector_type="jt808")
    assert judge(one).refusal == Reject("unauthenticated", judge(refused(inner(position()))).refusal.detail, inner(position()))  # type: ignore[union-attr]
    assert judge(one, config=Config()).refusal is None
    assert judge(refused(inner(position()), connector="replay-jt808"), config=Config()).refusal is None
    with pytest.raises(Fatal, match="no connector 'telepathy'"):
        judge(refused(b"\x00", connector="telepathy"))


def test_one_packet_with_several_rejects_is_sent_once() -> None:
    good = judge(refused(inner(position())), "authentication=none")
    twice = parcels([good, good], Judge(CONFIG, (), None, NOW).connector_of)
    assert {name: len(sent) for name, sent in twice.items()} == {"jt808": 1}


def test_a_reject_carries_type_and_version_of_its_connector() -> None:
    builder = FrameBuilder("buses", "r", partitions=1, frame_rows=10, flush_us=0)
    version = version_of(registry.load("jt808").path)
    builder.made_by = ("jt808", version)
    builder.refuse([Reject("bad_field", "x", b"\x01")], "a", b"\x01", "live", NOW, Delivery())
    (made,) = builder.flush()
    (row,) = frame.decode(made.value, made.header).to_pylist()
    assert (row["connector_type"], row["connector_version"]) == ("jt808", version)
    release, plus, digest = version.partition("+")
    assert release and plus and len(digest) == 8
    assert version != version_of(registry.load("hj212").path)
    assert RejectRow.__struct_fields__[-2:] == ("connector_type", "connector_version")


def test_an_id_begins_with_its_arrival() -> None:
    assert arrival(f"{NOW:x}-0badcafe") == NOW
    assert arrival("nonsense") is None
    assert Wanted().everything and not Wanted(reason="bad_field").everything
