"""What comes out of Kafka reaches the live picture; what cannot be read is skipped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aiokafka import TopicPartition

from gateway.live.feed import Feed
from gateway.live.hub import Hub
from schemas import events, frame
from schemas.config import Kafka
from schemas.derive import fingerprint
from schemas.events import AlertEvent
from schemas.frame import Header
from tests.unit.gateway.city import NOW, Clock, alert, batch, bus


@dataclass
class Record:
    value: bytes
    headers: list[tuple[str, bytes]]
    offset: int = 0


def frame_record(kind: str, *rows: dict[str, Any], lane: Any = "live", offset: int = 0) -> Record:
    rows_ = batch(kind, *rows)
    header = Header(
        kind=kind,
        stage="clean",
        fingerprint=fingerprint(kind, "clean"),
        rows=rows_.num_rows,
        ts_min=NOW,
        ts_max=NOW,
        seen_at=NOW,
        connector="c1",
        run="r",
        bucket=0,
        seq=1,
        total=rows_.num_rows,
        lane=lane,
    )
    return Record(*frame.encode(rows_, header), offset)


def feed() -> tuple[Feed, Hub]:
    hub = Hub("e1")
    return Feed(Kafka(), hub, Clock()), hub


CLEAN = TopicPartition("clean-transport", 0)


def test_frames_reach_the_map_and_rebuilt_history_does_not() -> None:
    reader, hub = feed()
    live = frame_record("bus_position", bus("b1"))
    old = frame_record("bus_position", bus("b2"), lane="backfill")
    late = frame_record("bus_position", bus("b3"), lane="late")
    other = frame_record("trip_update", {"source": "t1"})
    reader.take({CLEAN: [live, old, late, other]})
    assert set(hub.state.layers[0].slot_of) == {"b1", "b3"}


def test_what_cannot_be_read_is_skipped_and_the_rest_goes_on() -> None:
    reader, hub = feed()
    good = frame_record("bus_position", bus("b1"))
    broken = [Record(b"\xff" * 40, good.headers), Record(good.value, []), Record(b"", [("cityops", b"{}")])]
    reader.take({CLEAN: [*broken, good]})
    assert set(hub.state.layers[0].slot_of) == {"b1"}
    alerts = [Record(b"not json", []), Record(b'{"id": 5}', []), Record(events.encode(alert()), [])]
    reader.take({TopicPartition("alerts", 0): alerts})
    hub.tick(NOW)
    assert set(hub.book.open) == {"a1"}


def test_changes_are_read_before_states_of_the_same_poll_and_told_to_the_commander() -> None:
    reader, hub = feed()
    answered: list[str | None] = []
    reader.on_change = lambda change: answered.append(change.cmd_id)
    change = AlertEvent(id="c1", cmd_id="c1", alert_id="a1", version=1, change="acknowledged", at=NOW, alert=alert())
    reader.take(
        {
            TopicPartition("alerts", 0): [Record(events.encode(alert()), [])],
            TopicPartition("alert-events", 0): [Record(events.encode(change), [])],
        }
    )
    hub.tick(NOW)
    assert answered == ["c1"]
    assert hub.seq == 1


def test_readiness_names_what_is_missing() -> None:
    reader, _ = feed()
    assert "no answer yet from Kafka" in str(reader.trouble())
