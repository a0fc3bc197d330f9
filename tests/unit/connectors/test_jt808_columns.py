"""Many JT/T 808 locations at once give what ``receive`` gives one by one: values, alarms, and who must be looked at singly."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors._api import Peer, load
from connectors.jt808.columns import receive_many
from connectors.jt808.decoder import Session
from connectors.jt808.header import build
from schemas.kinds.services import VehicleAlarmEpisode
from schemas.reading import Reading

JT808 = load("jt808")
SETTINGS = JT808.manifest.resolve({"default_kind": "coach_position"}, "test")
NOW = 1_730_209_143_000_000
"""Just the time of most locations: 2024-10-29 21:39:03 in Beijing."""
VALUES = ("lon", "lat", "speed", "heading", "altitude", "mileage", "fuel", "alarm", "status")

BITS = st.tuples(st.sampled_from([0, 0, 2, 3, 1 << 31]), st.sampled_from([0, 1, 3, 0b1111, 1 << 13, 0xFFFFFFFF])).map(
    lambda both: both[0].to_bytes(4) + both[1].to_bytes(4)
)
BCD_OR_NOT = st.lists(
    st.integers(0, 59).map(lambda v: v // 10 << 4 | v % 10)
    | st.integers(0, 31).map(lambda v: v // 10 << 4 | v % 10)
    | st.integers(0, 255),
    min_size=6,
    max_size=6,
).map(bytes)


@st.composite
def reports(draw: st.DrawFn) -> bytes:
    """A packet of 60 bytes: locations mostly, of both header forms, with items, some of them spoilt."""
    protocol = draw(st.sampled_from([None, None, None, 1]))
    start = 12 if protocol is None else 17
    time = draw(
        st.sampled_from(
            [
                bytes.fromhex(t)
                for t in ("241029213903", "240229235959", "241029213904", "241029214103", "230229000000", "241131000000")
            ]
        )
        | BCD_OR_NOT
    )
    base = draw(BITS) + draw(st.binary(min_size=14, max_size=14))
    items = b"".join(
        draw(
            st.lists(
                st.sampled_from(
                    [b"\1\4\0\0\1\2", b"\2\2\0\7", b"\1\4\0\0\0\0", b"\1\2\0\1", b"\x30\1\5", b"\x64\0", b"\xff\x20"]
                ),
                max_size=6,
            )
        )
    )
    body = (base + time + items).ljust(60 - start, b"\0")[: 60 - start]
    message_id = draw(st.sampled_from([0x0200] * 20 + [0x0002, 0x0900, 0x0704]))
    return build(
        message_id,
        draw(st.sampled_from([bytes(10), b"\1\x39" + bytes(8)]))[: start - 6 - (protocol or 0)],
        7,
        body,
        protocol_version=protocol,
    )


def packets() -> st.SearchStrategy[list[bytes]]:
    return st.lists(reports() | st.binary(max_size=61), max_size=16)


@settings(deadline=None, max_examples=300)
@given(st.lists(packets(), min_size=1, max_size=3))
def test_columns_equal_readings_one_by_one(batches: list[list[bytes]]) -> None:
    single, many = (Session(SETTINGS, Peer("test")) for _ in range(2))
    for batch in batches:
        received = [single.receive(packet, NOW).readings for packet in batch]
        columns = many.receive_many(batch, NOW)
        assert sorted([*columns.row.tolist(), *columns.others]) == list(range(len(batch)))
        for place, row in enumerate(columns.row.tolist()):
            check(columns, place, received[row])
        for row in columns.others:
            assert many.receive(batch[row], NOW).readings == received[row]


def check(columns: Any, place: int, readings: list[Reading]) -> None:
    """One location of the columns has the values and edges of the same packet's readings."""
    position, *episodes = readings
    found = (columns.source[place], columns.ts[place], columns.serial[place])
    assert found == (position.source, position.ts, position.serial)
    for name in VALUES:
        ours, theirs = getattr(columns, name)[place], getattr(position, name)
        assert np.isnan(ours) if theirs is None else ours == theirs, name
    edges = [(e.code, e.phase, e.started_at) for row, e in columns.edges if row == place]
    told = [(e.code, e.phase, e.started_at) for e in episodes if isinstance(e, VehicleAlarmEpisode)]
    assert edges == told


def location(phone: int, second: int, alarm: int, status: int = 0) -> bytes:
    body = alarm.to_bytes(4) + status.to_bytes(4) + bytes(14) + bytes.fromhex(f"24102921{second // 60:02d}{second % 60:02d}")
    return build(0x0200, bytes.fromhex(f"{phone:012d}"), 1, body)


@given(st.lists(st.builds(location, st.integers(0, 3), st.integers(0, 3599), st.integers(0, 3), st.integers(0, 3)), max_size=20))
def test_sound_locations_of_one_form_are_all_taken(many: list[bytes]) -> None:
    columns = receive_many(many)
    assert columns.others == []
    assert columns.row.tolist() == list(range(len(many)))


def test_a_source_with_another_packet_is_left_to_receive_whole() -> None:
    login = build(0x0100, bytes.fromhex("000000000001"), 2, bytes(49))
    columns = receive_many([location(1, 0, 0), location(2, 0, 2), login, location(1, 1, 2)])
    assert columns.others == [0, 2, 3]
    assert [(row, e.code) for row, e in columns.edges] == [(0, "overspeed")]


def test_a_thousand_steady_locations_bring_only_their_edges() -> None:
    session = Session(SETTINGS, Peer("test"))
    batch = [location(i % 10, i // 10, alarm=2 if 30 <= i // 10 < 60 else 0, status=1) for i in range(1000)]
    columns = session.receive_many(batch, NOW)
    assert columns.others == []
    assert [(columns.source[row], e.code, e.phase) for row, e in sorted(columns.edges, key=lambda found: found[0])] == [
        *((str(phone), "overspeed", "rise") for phone in range(10)),
        *((str(phone), "overspeed", "fall") for phone in range(10)),
    ]
    assert session.receive_many(batch, NOW).edges == []
