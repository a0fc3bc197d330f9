"""The input: the same bytes in every run, decoded to exactly the rows it announces, with the faults it is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors._api import registry
from connectors._api.manifest import Settings
from connectors._api.session import Peer, Received
from schemas.kinds import kind as kind_by_name
from schemas.reading import kind_of
from tests.chaos.__main__ import HOUR, start_of
from tests.chaos.devices import LEAD
from tests.chaos.schedule import Fault, Schedule
from tests.chaos.script import AHEAD, GROUPS, Row, S, Script, Sender, Station, Terminal

START = 1_790_000_040 * S
FAULTS = tuple(
    Fault(at, "devices", name, 20) for at, name in ((5, "clock_ahead"), (10, "clock_back"), (15, "twice"), (20, "late"))
)
SENT = {*(kind for kind, _, _ in GROUPS), "dust_station", "env_factor"}
"""Kinds that devices send; others are derived from them."""


@pytest.fixture
def script() -> Script:
    return Script(Schedule(3, 60, FAULTS), START, terminals=120, remote=10)


def decode(senders: Sequence[Sender], name: str, options: dict[str, object]) -> Counter[Row]:
    """Give the rows that a connector makes of everything these devices send."""
    connector = registry.load(name)
    resolved: Settings = connector.manifest.resolve(options, name)
    assert connector.make_framing is not None
    found: Counter[Row] = Counter()
    for sender in senders:
        session, framing = connector.make_session(resolved, Peer(name)), connector.make_framing(resolved)
        for number in range(sender.count):
            message = sender.message(number)
            for packet in framing.feed(message.packet):
                assert isinstance(packet, bytes)
                received: Received = session.receive(packet, START)
                assert not received.rejects
                assert received.lane == ("late" if len(message.rows) == 10 else "live")
                fates = {row[:3]: row[3] for row in message.rows}
                for reading in received.readings:
                    key = (kind_of(reading), reading.source, reading.ts)
                    if key[0] in SENT:
                        found[(*key, fates[key])] += 1
    return found


def test_what_devices_send_decodes_to_the_rows_they_announce(script: Script) -> None:
    terminals = [s for s in script.senders if isinstance(s, Terminal)]
    stations = [s for s in script.senders if isinstance(s, Station)]
    groups = [{"kind": kind, "prefix": prefix} for kind, prefix, _ in GROUPS]
    found = decode(terminals, "jt808", {"groups": groups, "default_kind": ""}) + decode(stations, "hj212", {})
    for number in range(script.bikes.count):
        found.update(script.bikes.rows(number))
    assert found == script.wanted()


def test_two_scripts_of_one_schedule_send_the_same_bytes(script: Script) -> None:
    other = Script(script.schedule, START, terminals=120, remote=10)
    for one, same in zip(script.senders, other.senders, strict=True):
        assert [one.message(n) for n in range(one.count)] == [same.message(n) for n in range(same.count)]


def test_every_fault_of_the_devices_is_in_the_input(script: Script) -> None:
    fates = Counter(row[3] for row in script.wanted().elements())
    assert fates["future_time"] == fates["expired_time"] == 3 * 20
    messages = [m for s in script.senders for m in (s.message(n) for n in range(s.count))]
    assert sum(m.copies == 2 for m in messages) == 10 * 20
    assert sum(len(m.rows) == 10 for m in messages) == 10 * 4


def test_devices_of_every_kind_share_a_stretch_of_event_time_within_the_lateness(script: Script) -> None:
    kinds = Counter(s.kind for s in script.senders if isinstance(s, Terminal))
    assert set(kinds) == {kind for kind, _, _ in GROUPS}
    assert all(kind_by_name(name).lateness_s > LEAD + 10 for name in kinds)
    assert any(s.remote for s in script.senders)
    assert not all(s.remote for s in script.senders)


@settings(max_examples=200, deadline=None)
@given(steps=st.integers(1, 3_000), now=st.integers(1_700_000_000 * S, 1_900_000_000 * S))
def test_every_hour_of_the_input_is_over_and_not_long_ago(steps: int, now: int) -> None:
    start = start_of(steps, now)
    assert start % (600 * S) == 0
    assert (start + steps * S) // HOUR * HOUR + HOUR <= now
    assert start + AHEAD > now + 3600 * S
