"""The live picture: newest wins, frames bring every client to the same picture, nothing goes backwards."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.live.state import SILENT_US, LiveState
from gateway.live.view import Cache, View
from schemas import messages
from schemas.messages import ALARM, BUSY, DELTA, LAYERS, NO_U16, NORMAL, REMOVE, SNAPSHOT, UNKNOWN, WARNING
from schemas.quality import JUMP, NO_FIX, OUTSIDE
from tests.unit.gateway.city import NOW, SECOND, Page, batch, bus

ALL = list(range(len(LAYERS)))
BUS, TAXI, BIKES = 0, 1, 4


def fresh(state: LiveState, now: int, box: Any = None, *, coarse: bool = False) -> dict[Any, Any]:
    """Give what a client that comes now sees."""
    view, page = View(coarse), Page()
    view.look(ALL, box)
    page.apply(view.update(state, now, Cache()))
    return page.shows()


def shown(state: LiveState, layer: int = BUS) -> dict[str, Any]:
    view = View(coarse=False)
    view.look([layer], None)
    (frame,) = [p for p in view.update(state, NOW, Cache()) if isinstance(p, bytes)]
    kind, _, _, columns = messages.unpack(frame)
    assert kind == SNAPSHOT
    found = state.layers[layer]
    return {found.sources[s]: {k: columns[k][i].item() for k in columns} for i, s in enumerate(columns["slot"].tolist())}


def test_the_newest_event_time_wins_within_a_batch_and_across_batches() -> None:
    state = LiveState()
    state.apply("bus_position", batch("bus_position", bus("b1", 112.2, ts=NOW + 5), bus("b1", 112.1, ts=NOW + 1)))
    assert shown(state)["b1"]["lon_e6"] == 112_200_000
    state.apply("bus_position", batch("bus_position", bus("b1", 112.9, ts=NOW + 4)))
    assert shown(state)["b1"]["lon_e6"] == 112_200_000
    state.apply("bus_position", batch("bus_position", bus("b1", 112.9, ts=NOW + 6)))
    assert shown(state)["b1"]["lon_e6"] == 112_900_000


def test_columns_carry_what_the_language_says() -> None:
    state = LiveState()
    row = bus("b1", ts=NOW - 65 * SECOND, speed=12.34, heading=359.99)
    state.apply("bus_position", batch("bus_position", row, bus("b2", speed=None, heading=None)))
    assert shown(state)["b1"] == {
        "slot": 0,
        "lon_e6": 112_850_000,
        "lat_e6": 35_500_000,
        "heading_cdeg": 35_999,
        "value": 123,
        "age_s": 65,
        "state": NORMAL,
    }
    assert shown(state)["b2"]["value"] == shown(state)["b2"]["heading_cdeg"] == NO_U16


@pytest.mark.parametrize(
    "bad",
    [
        {"lon": 0.0, "lat": 0.0},
        {"lon": 190.0},
        {"lat": -91.0},
        {"lon": float("nan")},
        {"lon": float("inf")},
        {"quality": NO_FIX},
        {"quality": JUMP},
    ],
)
def test_what_is_no_place_is_not_shown_and_counted(bad: dict[str, Any]) -> None:
    state = LiveState()
    state.apply("bus_position", batch("bus_position", bus("b1", 112.1), bus("b2", **bad)))
    assert set(shown(state)) == {"b1"}
    assert state.layers[BUS].skipped == 1
    state.apply("bus_position", batch("bus_position", bus("b1", **{"ts": NOW + SECOND, **bad})))
    assert shown(state)["b1"]["lon_e6"] == 112_100_000
    assert state.entities()["bus_position"] == 2, "a bus without a fix is still online"


def test_outside_the_city_is_a_place() -> None:
    state = LiveState()
    state.apply("coach_position", batch("coach_position", bus("c1", 116.4, 39.9, quality=OUTSIDE)))
    assert set(shown(state, 2)) == {"c1"}


def test_a_station_keeps_its_place_when_a_reading_brings_none() -> None:
    state = LiveState()
    state.apply("bike_station", batch("bike_station", {"source": "s1", "lon": 112.8, "lat": 35.5, "bikes": 4, "capacity": 20}))
    state.apply("bike_station", batch("bike_station", {"source": "s1", "ts": NOW + SECOND, "bikes": 7, "capacity": 20}))
    assert shown(state, BIKES)["s1"]["value"] == 7
    assert shown(state, BIKES)["s1"]["lon_e6"] == 112_800_000


def test_states_of_taxis_stations_and_alerts() -> None:
    state = LiveState()
    taxis = [bus("t1", occupied=True), bus("t2", occupied=False), bus("t3", occupied=None)]
    state.apply("taxi_position", batch("taxi_position", *taxis))
    state.apply("bike_station", batch("bike_station", {"source": "s1", "lon": 112.8, "lat": 35.5}))
    assert [shown(state, TAXI)[s]["state"] for s in ("t1", "t2", "t3")] == [BUSY, NORMAL, NORMAL]
    assert shown(state, BIKES)["s1"]["state"] == UNKNOWN
    state.impose("taxi_position", "t1", ALARM)
    state.impose("taxi_position", "t9", WARNING)
    state.apply("taxi_position", batch("taxi_position", bus("t1", ts=NOW + SECOND, occupied=True), bus("t9", occupied=True)))
    assert [shown(state, TAXI)[s]["state"] for s in ("t1", "t9")] == [ALARM, WARNING]
    state.impose("taxi_position", "t1", 0)
    assert shown(state, TAXI)["t1"]["state"] == BUSY


def test_a_ride_hailing_vehicle_that_carries_is_busy() -> None:
    state, layer = LiveState(), LAYERS.index("ride_hailing_position")
    said = {"r1": "carrying", "r2": "empty", "r3": None}
    rows = [{"source": s, "lon": 112.8, "lat": 35.5, "business": business} for s, business in said.items()]
    state.apply("ride_hailing_position", batch("ride_hailing_position", *rows))
    assert {s: found["state"] for s, found in shown(state, layer).items()} == {"r1": BUSY, "r2": NORMAL, "r3": NORMAL}


def test_a_node_that_tells_its_fields_one_by_one_keeps_the_value_shown() -> None:
    state, layer = LiveState(), LAYERS.index("water_node")
    place = {"source": "w1", "lon": 112.8, "lat": 35.5}
    state.apply("water_node", batch("water_node", place | {"flow": 0.1}))
    assert (shown(state, layer)["w1"]["value"], shown(state, layer)["w1"]["state"]) == (NO_U16, NORMAL)
    told = [place | {"ts": NOW + SECOND, "pressure": 350_000.0}, place | {"ts": NOW + 2 * SECOND, "flow": 0.2}]
    state.apply("water_node", batch("water_node", *told))
    assert shown(state, layer)["w1"]["value"] == 350
    state.apply("water_node", batch("water_node", place | {"ts": NOW + 3 * SECOND, "flow": 0.3}))
    state.apply("water_node", batch("water_node", place | {"ts": NOW + SECOND, "pressure": 100_000.0}))
    assert shown(state, layer)["w1"]["value"] == 350, "an older value replaces nothing"
    state.apply("water_node", batch("water_node", place | {"ts": NOW + 3 * SECOND, "pressure": 360_000.0}))
    assert shown(state, layer)["w1"]["value"] == 360, "one of the same moment does"


def test_a_silent_source_leaves_and_its_slot_is_given_out_again_under_a_new_name() -> None:
    state, cache, view, page = LiveState(), Cache(), View(coarse=False), Page()
    view.look([BUS], None)
    state.apply("bus_position", batch("bus_position", bus("b1", plate="晋E12345"), bus("b2", seen_at=NOW + SILENT_US)))
    page.apply(view.update(state, NOW, cache))
    state.expire(NOW + SILENT_US + 2 * SECOND)
    parts = view.update(state, NOW + 1000, cache)
    assert [messages.unpack(p)[0] for p in parts if isinstance(p, bytes)] == [REMOVE]
    page.apply(parts)
    assert {key[1] for key in page.shows()} == {"b2"}
    state.apply("bus_position", batch("bus_position", bus("b3", line="7路")))
    page.apply(view.update(state, NOW + 2000, cache))
    assert {key[1:] for key in page.shows()} == {("b2", "b2"), ("b3", "7路")}
    assert state.layers[BUS].size == 2
    state.apply("bus_position", batch("bus_position", bus("b1", ts=NOW + 9 * SECOND)))
    page.apply(view.update(state, NOW + 3000, cache))
    assert page.shows() == fresh(state, NOW)


def test_viewers_get_coarse_vehicles_and_masked_plates_but_exact_stations() -> None:
    state = LiveState()
    state.apply("bus_position", batch("bus_position", bus("b1", 112.853999, 35.501999, plate="晋E12345", line="7路")))
    state.apply("bike_station", batch("bike_station", {"source": "s1", "lon": 112.853999, "lat": 35.501999, "bikes": 1}))
    seen = fresh(state, NOW, coarse=True)
    assert seen[BUS, "b1", "7路 · 晋E·***45"][:2] == (112_853_000, 35_501_000)
    assert seen[BIKES, "s1", "s1"][:2] == (112_853_999, 35_501_999)
    assert (BUS, "b1", "7路 · 晋E12345") in fresh(state, NOW)


def test_clients_without_a_box_share_packed_bytes() -> None:
    state, cache = LiveState(), Cache()
    state.apply("bus_position", batch("bus_position", bus("b1")))
    one, other = View(coarse=False), View(coarse=False)
    for view in (one, other):
        view.look([BUS], None)
    first, second = one.update(state, NOW, cache), other.update(state, NOW, cache)
    assert all(a is b for a, b in zip(first, second, strict=True))


def test_an_unchanged_picture_sends_nothing() -> None:
    state, view = LiveState(), View(coarse=False)
    state.apply("bus_position", batch("bus_position", bus("b1")))
    view.look(ALL, None)
    assert len([p for p in view.update(state, NOW, Cache()) if isinstance(p, bytes)]) == len(ALL)
    state.expire(NOW)
    assert view.update(state, NOW, Cache()) == []


def test_many_sources_grow_the_arrays() -> None:
    state = LiveState()
    state.apply("bus_position", batch("bus_position", *(bus(f"b{i}", 112 + i / 1e4) for i in range(1000))))
    assert len(shown(state)) == 1000
    assert shown(state)["b999"]["lon_e6"] == 112_099_900


BOXES = [None, (112.0, 35.0, 112.4, 35.4), (112.2, 35.2, 112.9, 35.9), (100.0, 20.0, 100.1, 20.1)]


def step(state: LiveState, rng: random.Random, now: int) -> None:
    kind = rng.choice(["bus_position", "taxi_position", "bike_station"])
    choice = rng.random()
    if choice < 0.75:
        rows: list[dict[str, Any]] = []
        for _ in range(rng.randrange(1, 6)):
            place = rng.choice([(112 + rng.random(), 35 + rng.random()), (0.0, 0.0), (None, None)])
            ts = now - rng.randrange(0, 30) * SECOND
            row = {"source": f"x{rng.randrange(8)}", "lon": place[0], "lat": place[1], "ts": ts, "seen_at": now}
            if kind != "bike_station":
                row |= {"plate": rng.choice([None, "晋E12345", "晋E99999"]), "speed": float(rng.randrange(30))}
            else:
                row |= {"bikes": rng.randrange(9)}
            rows.append(row)
        state.apply(kind, batch(kind, *rows))
    elif choice < 0.85:
        state.impose(kind, f"x{rng.randrange(8)}", rng.choice([0, WARNING, ALARM]))
    else:
        state.expire(now + (SILENT_US if rng.random() < 0.3 else 0))


@settings(max_examples=25, deadline=None)
@given(st.randoms(use_true_random=False))
def test_a_snapshot_and_its_deltas_equal_a_snapshot(rng: random.Random) -> None:
    state, cache, now = LiveState(), Cache(), NOW
    clients = [(View(coarse), Page()) for coarse in (False, True, False)]
    boxes: list[Any] = [None, None, BOXES[1]]
    for (view, _), box in zip(clients, boxes, strict=True):
        view.look(ALL, box)
    for _ in range(25):
        now += rng.randrange(1, 400) * SECOND
        step(state, rng, now)
        for i, (view, page) in enumerate(clients):
            if i == 2 and rng.random() < 0.2:
                boxes[2] = rng.choice(BOXES)
                view.look(ALL, boxes[2])
            if rng.random() < 0.5:
                page.apply(view.update(state, now, cache))
                assert page.shows() == fresh(state, now, boxes[i], coarse=view.coarse)


def test_ages_are_never_negative_nor_too_long() -> None:
    state = LiveState()
    rows = [bus("b1", ts=NOW + 10 * SECOND), bus("b2", ts=NOW - 10**6 * SECOND)]
    state.apply("bus_position", batch("bus_position", *rows))
    assert [shown(state)[s]["age_s"] for s in ("b1", "b2")] == [0, NO_U16]
    assert state.age_s(NOW) == 0.0
    assert state.age_s(NOW + 15 * SECOND) == 5.0


def test_a_moved_box_sends_only_what_entered_and_left() -> None:
    state, view = LiveState(), View(coarse=False)
    state.apply("bus_position", batch("bus_position", bus("west", 112.0), bus("mid", 112.5), bus("east", 113.0)))
    view.look([BUS], (111.9, 35.0, 112.6, 36.0))
    view.update(state, NOW, Cache())
    view.look([BUS], (112.4, 35.0, 113.1, 36.0))
    frames = [messages.unpack(p) for p in view.update(state, NOW, Cache()) if isinstance(p, bytes)]
    slots = {kind: columns["slot"].tolist() for kind, _, _, columns in frames}
    of = state.layers[BUS].slot_of
    assert slots == {REMOVE: [of["west"]], DELTA: [of["east"]]}


def test_an_unshown_kind_changes_nothing() -> None:
    state = LiveState()
    state.apply("trip_update", batch("trip_update", {"source": "t"}))
    assert state.version == 0
    assert not np.any([layer.size for layer in state.layers])
