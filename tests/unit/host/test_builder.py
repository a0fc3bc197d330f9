"""Frames close at rows or age, are numbered without gaps, and every row ends in one, refused or not."""

from __future__ import annotations

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors._host.builder import FRAME_BYTES, Delivery, Frame, FrameBuilder
from schemas import frame, topics
from schemas.errors import Reject
from schemas.reading import Reading
from tests.unit.host.fakes import START, bus

PARTITIONS = 4


def builder(rows: int = 1000, flush_us: int = 200_000) -> FrameBuilder:
    return FrameBuilder("c1", "run1", partitions=PARTITIONS, frame_rows=rows, flush_us=flush_us)


def rows(frames: list[Frame]) -> list[dict[str, object]]:
    return [row for f in frames for row in frame.decode(f.value, f.header).to_pylist()]


def test_frame_closes_when_full_and_not_before() -> None:
    made = builder(rows=3)
    made.add([bus(), bus()], "live", START)
    assert made.due(START) == []
    made.add([bus()], "live", START)
    (full,) = made.due(START)
    assert (full.header.rows, full.header.seq, full.header.total) == (3, 1, 3)
    assert (full.topic, full.header.bucket) == ("raw-transport", topics.bucket("B1", PARTITIONS))


def test_frame_closes_after_the_flush_time_of_its_first_reading() -> None:
    made = builder()
    made.add([bus()], "live", START)
    made.add([bus()], "live", START + 150_000)
    assert made.next_due == START
    assert made.due(START + 199_999) == []
    assert [f.header.rows for f in made.due(START + 200_000)] == [2]
    assert made.next_due is None


def test_clock_set_back_closes_what_gathers() -> None:
    made = builder()
    made.add([bus()], "live", START)
    assert [f.header.rows for f in made.due(START - 3_600_000_000)] == [1]


def test_lanes_and_kinds_have_frames_of_their_own_in_one_numbering() -> None:
    made = builder()
    made.add([bus()], "live", START)
    made.add([bus()], "backfill", START)
    taxi = msgspec.convert({"source": "B1", "ts": START, "seen_at": START}, frame_kind("taxi_position"))
    made.add([taxi], "live", START)
    frames = made.flush()
    assert [f.header.seq for f in frames] == [1, 2, 3]
    assert [(f.header.kind, f.header.lane, f.header.total) for f in frames] == [
        ("bus_position", "live", 1),
        ("bus_position", "backfill", 2),
        ("taxi_position", "live", 1),
    ]


def frame_kind(name: str) -> type[Reading]:
    return type(bus()) if name == "bus_position" else __import__("schemas.kinds", fromlist=["kind"]).kind(name)


@given(st.lists(st.tuples(st.text(max_size=6), st.integers(0, 400_000)), max_size=60), st.integers(1, 7))
def test_numbers_have_no_gaps_and_no_row_is_lost(arrivals: list[tuple[str, int]], frame_rows: int) -> None:
    made = builder(rows=frame_rows)
    frames: list[Frame] = []
    now = START
    for source, later in arrivals:
        made.add([bus(source)], "live", now)
        now += later
        frames += made.due(now)
    frames += made.flush()
    by_stream: dict[tuple[str, int], list[Frame]] = {}
    for made_frame in frames:
        by_stream.setdefault((made_frame.topic, made_frame.header.bucket), []).append(made_frame)
    for stream in by_stream.values():
        assert [f.header.seq for f in stream] == list(range(1, len(stream) + 1))
        totals: dict[str, int] = {}
        for f in stream:
            totals[f.header.kind] = totals.get(f.header.kind, 0) + f.header.rows
            assert f.header.total == totals[f.header.kind]
    assert sorted(str(r["source"]) for r in rows(frames)) == sorted(s for s, _ in arrivals)
    assert sum(made.totals().values()) == len(arrivals)


def test_rejects_are_rows_with_capped_raw_bytes() -> None:
    made = builder()
    delivery = Delivery()
    made.refuse(
        [Reject("bad_checksum", "x" * 2000), Reject("bad_field", raw=b"part")], "10.0.0.1", b"y" * 9000, "live", START, delivery
    )
    (closed,) = made.flush()
    assert (closed.topic, closed.header.kind, closed.header.rows) == ("rejects", "reject", 2)
    first, second = rows([closed])
    assert (first["source"], first["stage"], first["reason"], first["connector"]) == ("10.0.0.1", "decode", "bad_checksum", "c1")
    assert len(first["raw"]) == 4096  # type: ignore[arg-type]
    assert len(str(first["detail"])) == 1024
    assert second["raw"] == b"part"


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (bus(plate="\ud800"), "bad_field"),
        (bus("\ud800"), "bad_encoding"),
        (bus(b"B\xff"), "bad_encoding"),
        (bus(plate=b"B\xff"), "bad_field"),
        (bus(alarm=1 << 70), "bad_field"),
        (bus(ts=None), "bad_field"),
        (bus(line="x" * (FRAME_BYTES + 1)), "too_large"),
    ],
)
def test_a_row_no_frame_can_hold_is_refused_and_its_neighbours_stay(bad: Reading, reason: str) -> None:
    made = builder()
    made.add([bus(line="a"), bad, bus(line="b")], "live", START)
    frames = made.flush()
    kept = [r["line"] for f in frames if f.header.kind == "bus_position" for r in rows([f])]
    refused = [r for f in frames if f.header.kind == "reject" for r in rows([f])]
    assert sorted(kept) == ["a", "b"]
    assert [(r["reason"], r["refused_kind"]) for r in refused] == [(reason, "bus_position")]


def test_a_frame_larger_than_a_record_is_split_under_numbers_of_its_own() -> None:
    made = builder()
    delivery = Delivery()
    made.add([bus(line="x" * 2000, trip=str(i)) for i in range(1000)], "live", START, delivery)
    delivery.seal()
    frames = made.due(START)
    assert [f.header.seq for f in frames] == list(range(1, len(frames) + 1))
    assert len(frames) > 1
    assert all(len(f.value) < 1_000_000 for f in frames)
    assert [r["trip"] for r in rows(frames)] == [str(i) for i in range(1000)]
    for part in frames[:-1]:
        part.safe()
    assert not delivery.safe
    frames[-1].safe()
    assert delivery.safe


def test_delivery_waits_for_every_frame_with_rows_of_its_packet() -> None:
    made = builder()
    told: list[str] = []
    delivery = Delivery()
    delivery.then(lambda: told.append("safe"))
    made.add([bus("A"), bus("B"), bus("C")], "live", START, delivery)
    delivery.seal()
    frames = made.flush()
    assert len({f.header.bucket for f in frames}) == len(frames) > 1
    for closed in frames[1:]:
        closed.safe()
        closed.safe()
    assert told == []
    frames[0].safe()
    assert told == ["safe"]


def test_delivery_of_a_packet_without_rows_is_safe_at_once() -> None:
    delivery = Delivery()
    assert not delivery.safe
    delivery.seal()
    told: list[int] = []
    delivery.then(lambda: told.append(1))
    assert delivery.safe
    assert told == [1]


def test_frames_have_the_schema_of_their_kind() -> None:
    made = builder()
    made.add([bus(speed=3.0)], "live", START)
    (closed,) = made.flush()
    with pa.ipc.open_stream(closed.value) as reader:
        assert reader.schema.names == ["source", "ts", "seen_at", "speed"], "columns that hold nothing are left out"
    assert frame.decode_header(closed.headers) == closed.header
