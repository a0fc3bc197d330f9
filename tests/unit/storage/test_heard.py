"""What is gathered for the register of sources, and how much of it a death may cost: nothing."""

from __future__ import annotations

import itertools
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import frame
from storage.sources import MOST_ROWS, ROWS_EACH, Heard
from streams.agents.store import StoreTask
from streams.task import Record
from tests.unit.storage.rows import NOON, clean, header

TOPIC = "clean-transport"
Rows = dict[tuple[str, str], tuple[Any, ...]]

REPORTS = st.lists(
    st.fixed_dictionaries(
        {
            "source": st.sampled_from(["a", "b", "c"]),
            "ts": st.integers(NOON, NOON + 20),
            "lon": st.none() | st.floats(100, 120),
            "zone": st.none() | st.integers(1, 9),
        }
    ),
    min_size=1,
    max_size=6,
)


class Register:
    """A connection that does what the statement of the register does."""

    def __init__(self) -> None:
        self.rows: Rows = {}

    async def execute(self, _: str, kind: str, *columns: list[Any]) -> None:
        """Upsert rows, given by columns."""
        for source, ts, seen_at, *place in zip(*columns, strict=True):
            ts_then, _seen, *place_then = self.rows.get((kind, source), (-1, -1, None, None, None))
            if ts > ts_then:
                kept = [new if new is not None else old for new, old in zip(place, place_then, strict=True)]
                self.rows[(kind, source)] = (ts, seen_at, *kept)


def write(heard: Heard, register: Register) -> None:
    """Write what was heard; nothing of it waits, so no loop is needed."""
    saving = heard.save(register)  # type: ignore[arg-type]  # it needs nothing else of a connection
    try:
        saving.send(None)
    except StopIteration:
        heard.saved()


def one_by_one(reports: list[list[dict[str, Any]]]) -> Rows:
    """Give the newest time of each source, as plain Python finds it."""
    flat = [row for rows in reports for row in rows]
    return {("bus_position", s): (max(r["ts"] for r in flat if r["source"] == s),) for s in {r["source"] for r in flat}}


@settings(deadline=None)
@given(st.lists(REPORTS, min_size=1, max_size=6), st.sets(st.integers(0, 5)))
def test_the_newest_is_the_same_however_often_it_is_written(reports: list[list[dict[str, Any]]], writes: set[int]) -> None:
    heard, register = Heard(), Register()
    for number, rows in enumerate(reports):
        heard.begin(number, len(rows))
        heard.note("bus_position", clean("bus_position", rows))
        heard.note("bus_position", clean("bus_position", rows))
        if number in writes:
            write(heard, register)
    write(heard, register)
    assert {key: row[:1] for key, row in register.rows.items()} == one_by_one(reports)


def test_an_absent_place_is_the_last_one_told() -> None:
    heard, register = Heard(), Register()
    told = [{"source": "a", "ts": NOON, "lon": 112.0, "lat": 35.0, "zone": 3}, {"source": "a", "ts": NOON + 5, "zone": 4}]
    for rows in ([told[0]], [told[1], {"source": "b", "ts": NOON + 1}]):
        heard.note("bus_position", clean("bus_position", rows))
    write(heard, register)
    assert register.rows["bus_position", "a"] == (NOON + 5, NOON + 5, 112.0, 35.0, 4)
    assert register.rows["bus_position", "b"] == (NOON + 1, NOON + 1, None, None, None)


def test_kinds_without_a_place_are_registered_too() -> None:
    heard, register = Heard(), Register()
    heard.note("env_factor", clean("env_factor", [{"source": "station", "ts": NOON}]).select(["source", "ts", "seen_at"]))
    write(heard, register)
    assert register.rows == {("env_factor", "station"): (NOON, NOON, None, None, None)}


def test_the_register_is_written_at_first_then_after_many_rows_a_source_and_at_last_in_any_case() -> None:
    heard = Heard()
    assert heard.begin(0, 3)
    heard.note("bus_position", clean("bus_position", [{"source": s, "ts": NOON} for s in "abc"]))
    heard.saved()
    assert not heard.begin(1, 3 * ROWS_EACH - 1)
    assert heard.since == 1
    assert heard.begin(2, 1)
    heard.saved()
    assert not heard.begin(3, 0)
    heard.note("bus_position", clean("bus_position", [{"source": str(n), "ts": NOON} for n in range(MOST_ROWS // ROWS_EACH + 1)]))
    assert not heard.begin(4, MOST_ROWS - 1)
    assert heard.begin(5, 1)


def frames(number: int) -> list[Record]:
    """Give frames of two buses, a reading of each in every one."""
    found = []
    for n in range(number):
        batch = clean("bus_position", [{"source": s, "ts": NOON + n, "lon": 112.0 + n, "lat": 35.0} for s in "ab"])
        value, headers = frame.encode(batch, header(batch, seq=n + 1))
        found.append(Record(TOPIC, 0, n, value, headers))
    return found


@settings(deadline=None)
@given(st.lists(st.integers(1, 11), max_size=6), st.sets(st.integers(0, 6)), st.sets(st.integers(0, 6)))
def test_what_a_death_forgets_is_read_again(cuts: list[int], deaths: set[int], ticks: set[int]) -> None:
    log, register, task = frames(12), Register(), StoreTask(TOPIC, 0)
    replay_from = 0
    edges = sorted({0, len(log), *cuts})
    for number, (start, end) in enumerate(itertools.pairwise(edges)):
        outcome = task.process(log[start:end])
        registering = outcome.replay_from is None
        for record in log[start:end]:  # as the transaction does
            task._heard.note("bus_position", frame.decode(record.value, frame.decode_header(record.headers)))
        if registering:
            write(task._heard, register)
        replay_from = end if outcome.replay_from is None else outcome.replay_from
        if number in deaths:
            task = StoreTask(TOPIC, 0)
            task.remember(log[replay_from:end])
        if number in ticks and task.tick(0) is not None:
            write(task._heard, register)
            replay_from = end
    task = StoreTask(TOPIC, 0)
    task.remember(log[replay_from:])
    write(task._heard, register)
    assert {source: row[0] for (_, source), row in register.rows.items()} == {"a": NOON + 11, "b": NOON + 11}
