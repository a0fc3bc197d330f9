"""Whatever comes late, twice or out of order, the findings of record end up as if all had come in order."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.scenarios.record import Episode
from tests.scenarios.timeline import City, drive, local

START = local("2026-11-23 08:00:00")
Row = tuple[str, dict[str, Any]]


def speeds(number: int) -> list[float]:
    """Give 60 speeds around the limit: now and then above for longer than the hold, at other times for a moment."""
    rng = random.Random(number)  # noqa: S311 - a test's choice, no secret
    found: list[float] = []
    while len(found) < 60:
        found += [rng.choice((40.0, 60.0, 67.0, 75.0, 80.0))] * rng.randint(1, 9)
    return found[:60]


def day() -> list[Row]:
    """Ten minutes of three buses, one of which jumps, and an hour of two bike stations that are empty at times."""
    rows: list[Row] = []
    for n in range(3):
        for row in drive(f"b{n}", [10.0 * i + n for i in range(60)], speeds(n)):
            row["serial"] = int(row["t"])
            row["lon"] += 0.4 if n == 2 and row["t"] // 10 in (7, 30, 31) else 0.0
            rows.append(("bus_position", row))
    for n in range(2):
        rng = random.Random(100 + n)  # noqa: S311 - as above
        for t in range(n, 3600, 120):
            bikes = 0 if t // 900 % 2 == n else rng.choice((1, 3, 9))
            fields = {"source": f"s{n}", "t": float(t), "capacity": 20, "bikes": bikes, "docks": 20 - bikes, "is_renting": True}
            rows.append(("bike_station", fields))
    return sorted(rows, key=lambda r: r[1]["t"])


CLOSING = [("bus_position", {**r, "serial": 0}) for r in drive("closing", [4000.0, 4010.0], 0)]
CLOSING += [("bike_station", {"source": "closing", "t": t, "capacity": 20, "bikes": 9, "docks": 9}) for t in (4000.0, 8000.0)]


def final(arrived: list[tuple[float, Row]], rows_a_frame: int) -> dict[tuple[str, str, int], Episode]:
    """Give the findings of record after readings that arrived at those seconds; silence, which is about arrival, left out."""
    cities = {kind: City(domain, START) for kind, domain in (("bus_position", "transport"), ("bike_station", "bikes"))}
    found: dict[tuple[str, str, int], Episode] = {}
    for kind, city in cities.items():
        mine = [(at, row) for at, (of, row) in sorted(arrived, key=lambda item: item[0]) if of == kind]
        for i in range(0, len(mine), rows_a_frame):
            city.push(kind, [row | {"seen": at} for at, row in mine[i : i + rows_a_frame]])
        found |= {k: v for k, v in city.record.episodes.items() if k[0] != "source-silent"}
    return found


def in_order(rows_a_frame: int = 1) -> dict[tuple[str, str, int], Episode]:
    return final([(r[1]["t"] + 0.5, r) for r in day() + CLOSING], rows_a_frame)


WANTED = in_order()


def test_the_day_has_findings_of_every_sort() -> None:
    assert {rule for rule, _, _ in WANTED} >= {"bus-overspeed", "position-jump", "bike-station-empty"}
    assert len(WANTED) >= 10
    assert sum(cleared is not None for _, cleared, *_ in WANTED.values()) >= 5


@settings(max_examples=5, deadline=None)
@given(st.integers(1, 60))
def test_the_cutting_into_frames_changes_no_finding_and_a_replay_gives_the_same(rows_a_frame: int) -> None:
    assert in_order(rows_a_frame) == WANTED


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.floats(0, 0.5), st.integers(1, 40))
def test_late_and_doubled_readings_change_no_final_finding(seed: int, share: float, rows_a_frame: int) -> None:
    rng = random.Random(seed)  # noqa: S311 - a test's choice, no secret
    arrived = [(r[1]["t"] + (rng.uniform(0, 900) if rng.random() < share else rng.uniform(0, 30)), r) for r in day()]
    arrived += [(at + rng.uniform(0, 200), r) for at, r in arrived if rng.random() < 0.2]
    assert final([*arrived, *((9000.0 + n, r) for n, r in enumerate(CLOSING))], rows_a_frame) == WANTED
