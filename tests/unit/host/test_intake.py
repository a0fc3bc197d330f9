"""What a decoder raises ends nothing; too many unconfirmed rows stop reading; counts say what passed."""

from __future__ import annotations

import structlog

from connectors._api.session import Received
from connectors._host.builder import Frame, FrameBuilder
from connectors._host.intake import Intake, Minute, guarded
from schemas import frame
from schemas.errors import Reject
from tests.unit.host.fakes import START, bus


def intake(submitted: list[Frame], **options: object) -> Intake:
    builder = FrameBuilder("c1", "run1", partitions=4, frame_rows=1000, flush_us=200_000)
    return Intake("c1", builder, submitted.extend, lambda: START, **options)  # type: ignore[arg-type]


def test_reject_raised_by_a_decoder_keeps_its_packet() -> None:
    def call() -> Received:
        raise Reject("bad_field", "why")

    assert guarded("x", call, b"packet").rejects == [Reject("bad_field", "why", b"packet")]


def test_any_other_error_is_a_bad_frame_and_logged_once() -> None:
    def call() -> Received:
        raise ZeroDivisionError("oops")

    with structlog.testing.capture_logs() as logs:
        results = [guarded("test-once", call, b"packet") for _ in range(3)]
    assert [r.rejects[0].reason for r in results] == ["bad_frame"] * 3
    assert [entry["log_level"] for entry in logs] == ["error"]


async def test_reading_stops_at_the_limit_and_goes_on_when_frames_are_safe() -> None:
    submitted: list[Frame] = []
    taken = intake(submitted, max_unconfirmed=3)
    taken.take(Received(readings=[bus("A"), bus("B")]), b"p1", START)
    assert taken._room.is_set()
    taken.take(Received(readings=[bus("A")], rejects=[Reject("bad_field")]), b"p2", START)
    assert not taken._room.is_set()
    taken.flush()
    assert taken.unconfirmed == 4
    for closed in submitted:
        closed.safe()
    assert taken.unconfirmed == 0
    await taken.room()


async def test_reject_carries_the_device_or_the_peer_without_its_port() -> None:
    submitted: list[Frame] = []
    taken = intake(submitted)
    taken.take(Received(rejects=[Reject("bad_checksum")]), b"p", START, "10.1.2.3:50123")
    taken.take(Received(readings=[bus("BUS7")], rejects=[Reject("bad_field")]), b"p", START, "10.1.2.3:50124")
    taken.take(Received(rejects=[Reject("http_status")]), b"", START, "https://feed.example:8443/a/b")
    taken.take(Received(rejects=[Reject("incomplete")]), b"", START, "")
    taken.flush()
    sources = [r["source"] for f in submitted if f.header.kind == "reject" for r in frame.decode(f.value, f.header).to_pylist()]
    assert sorted(sources) == ["10.1.2.3", "BUS7", "c1", "feed.example:8443"]
    assert (taken.packets, taken.readings, taken.rejects) == (2, 1, 4)
    assert sum(taken.builder.totals().values()) == 5


async def test_lane_of_a_replay_overrides_the_one_decoded() -> None:
    submitted: list[Frame] = []
    taken = intake(submitted, lane="backfill")
    taken.take(Received(readings=[bus()], lane="live"), b"p", START)
    taken.flush()
    assert [f.header.lane for f in submitted] == ["backfill"]


def test_minute_forgets_what_is_older() -> None:
    minute = Minute()
    minute.add(START, 1, 10, 1)
    minute.add(START + 30_000_000, 2, 20, 0)
    assert minute.sums(START + 59_000_000) == (3, 30, 1)
    assert minute.sums(START + 60_000_000) == (2, 20, 0)
    assert minute.sums(START + 90_000_000) == (0, 0, 0)
