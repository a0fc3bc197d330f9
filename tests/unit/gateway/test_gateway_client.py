"""One client's queues: window, pace, limits, and what happens to the slow."""

from __future__ import annotations

import json

import pytest

from gateway.live.client import EVENTS, MESSAGES_PER_S, Client
from gateway.live.state import LiveState
from gateway.live.view import Cache
from schemas import messages
from schemas.messages import DELTA, SNAPSHOT, Problem, Subscribe
from tests.unit.gateway.city import NOW, SECOND, batch, bus


def drain(client: Client) -> list[bytes | str]:
    found = []
    while (part := client.take()) is not None:
        found.append(part)
    return found


def moved(state: LiveState, step: int) -> None:
    state.apply("bus_position", batch("bus_position", bus("b1", 112 + step / 1000, ts=NOW + step * SECOND)))


def subscribed(state: LiveState, **wishes: int) -> Client:
    client = Client(coarse=False, now=NOW)
    client.subscribe(Subscribe(layers=[0], **wishes))
    moved(state, 1)
    return client


def frames(parts: list[bytes | str]) -> list[int]:
    return [messages.unpack(p)[0] for p in parts if isinstance(p, bytes)]


def test_nothing_is_packed_before_a_subscription() -> None:
    state, client = LiveState(), Client(coarse=False, now=NOW)
    moved(state, 1)
    client.pump(state, NOW, Cache())
    assert drain(client) == []


def test_with_two_sends_unacknowledged_nothing_more_is_packed_and_then_only_the_newest() -> None:
    state, cache = LiveState(), Cache()
    client = subscribed(state)
    seen = []
    for second in range(1, 7):
        moved(state, second + 1)
        client.pump(state, NOW + second * SECOND, cache)
        seen.append(frames(drain(client)))
    assert seen == [[SNAPSHOT], [DELTA], [], [], [], []]
    assert client.ack(1)
    client.pump(state, NOW + 8 * SECOND, cache)
    (frame,) = [p for p in drain(client) if isinstance(p, bytes)]
    assert messages.unpack(frame)[3]["lon_e6"].tolist() == [112_007_000]


def test_a_send_is_acknowledged_when_all_its_frames_are() -> None:
    state, cache = LiveState(), Cache()
    client = Client(coarse=False, now=NOW)
    client.subscribe(Subscribe(layers=[0, 1, 2]))
    for second in range(2):
        moved(state, second + 1)
        client.pump(state, NOW + second * SECOND, cache)
        assert frames(drain(client))
    for acked in range(3):
        moved(state, 10 + acked)
        client.pump(state, NOW + (10 + acked) * SECOND, cache)
        assert not frames(drain(client))
        assert client.ack(1)
    client.pump(state, NOW + 20 * SECOND, cache)
    assert frames(drain(client)) == [DELTA]


def test_acknowledging_what_was_not_sent_is_noticed() -> None:
    client = subscribed(LiveState())
    assert not client.ack(1)
    assert not client.ack(10**9)


def test_unsent_state_is_not_packed_twice() -> None:
    state, cache = LiveState(), Cache()
    client = subscribed(state)
    for second in range(1, 4):
        moved(state, second + 1)
        client.pump(state, NOW + second * SECOND, cache)
    assert frames(drain(client)) == [SNAPSHOT]


@pytest.mark.parametrize(("wished", "sends"), [(1000, 4), (2000, 2), (250, 16), (1, 16), (0, 0), (-5, 0)])
def test_pace_is_what_the_client_asked_within_limits(wished: int, sends: int) -> None:
    state, cache = LiveState(), Cache()
    client = subscribed(state, interval_ms=wished)
    count = 0
    for quarter in range(16):
        moved(state, quarter + 2)
        client.pump(state, NOW + quarter * SECOND // 4, cache)
        count += len(frames(drain(client)))
        client.ack(1)
    assert count == sends


def test_a_paused_client_is_brought_up_to_date_at_once_when_it_returns() -> None:
    state, cache = LiveState(), Cache()
    client = subscribed(state)
    client.pump(state, NOW, cache)
    client.ack(len(frames(drain(client))))
    client.subscribe(Subscribe(layers=[0], interval_ms=0))
    moved(state, 5)
    client.pump(state, NOW + SECOND, cache)
    assert drain(client) == []
    client.subscribe(Subscribe(layers=[0], interval_ms=1000))
    client.pump(state, NOW + SECOND + 1, cache)
    assert frames(drain(client)) == [DELTA]


def test_answers_come_before_events_before_the_tick_before_state() -> None:
    state = LiveState()
    client = subscribed(state)
    client.pump(state, NOW, Cache())
    client.tick("old tick")
    client.tick("tick")
    client.event("event")
    client.reply(Problem(code="c", detail="d"))
    sent = drain(client)
    assert json.loads(str(sent[0]))["op"] == "problem"
    assert sent[1:3] == ["event", "tick"]
    assert frames(sent[3:]) == [SNAPSHOT]


def test_too_many_waiting_events_are_dropped_with_one_resync_until_a_snapshot_is_asked() -> None:
    client = Client(coarse=False, now=NOW)
    for i in range(EVENTS):
        client.event(f"e{i}")
    assert len(drain(client)) == EVENTS
    for i in range(EVENTS + 5):
        client.event(f"e{i}")
    assert [json.loads(str(p)) for p in drain(client)] == [{"op": "resync", "reason": "overflow"}]
    client.event("lost")
    assert drain(client) == []
    client.renew(["alerts"])
    client.event("next")
    assert drain(client) == ["alerts", "next"]


def test_a_snapshot_replaces_the_events_that_wait() -> None:
    client = Client(coarse=False, now=NOW)
    client.event("old")
    client.renew(["alerts"])
    assert drain(client) == ["alerts"]


def test_messages_beyond_the_limit_are_noticed_and_the_allowance_comes_back() -> None:
    client = Client(coarse=False, now=NOW)
    assert all(client.admit(NOW) for _ in range(MESSAGES_PER_S))
    assert not client.admit(NOW)
    assert client.admit(NOW + SECOND)
    assert all(client.admit(NOW + 100 * SECOND) for _ in range(MESSAGES_PER_S))
    assert not client.admit(NOW + 100 * SECOND)
