"""A record set aside is kept whole, its rows are counted as refused, and the numbering has no hole."""

from __future__ import annotations

from schemas import frame, topics
from tests.scenarios.timeline import City, drive, local


def test_clean_gives_an_empty_frame_that_counts_the_rows_and_the_raw_frame_as_a_reject() -> None:
    city = City("transport", local("2026-11-23 08:00:00"))
    raw = city.raw("bus_position", drive("b1", [0, 10, 20], 36))
    empty, kept = city.clean.set_aside(raw).outputs
    header = frame.decode_header(empty.headers)
    assert (header.seq, header.rows, header.rejected, header.received) == (1, 0, {"poison": 3}, 3)
    assert frame.decode(empty.value, header).num_rows == 0
    (row,) = frame.decode(kept.value, frame.decode_header(kept.headers)).to_pylist()
    assert kept.topic == topics.REJECTS
    assert (row["reason"], row["stage"], row["raw"], row["connector"]) == ("poison", "clean", raw.value, "test")
    after = city.clean.process([city.raw("bus_position", drive("b1", [30], 36))])
    assert [frame.decode_header(o.headers).seq for o in after.outputs] == [2]


def test_watch_goes_on_after_a_frame_it_set_aside() -> None:
    city = City("transport", local("2026-11-23 08:00:00"))
    city.push("bus_position", drive("b1", [0], 36))
    (kept,) = city.watch.set_aside(city.log[0]).outputs
    (row,) = frame.decode(kept.value, frame.decode_header(kept.headers)).to_pylist()
    assert (row["stage"], row["reason"], row["refused_kind"]) == ("watch", "poison", "bus_position")
