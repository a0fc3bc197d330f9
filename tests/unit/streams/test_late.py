"""Whatever comes late, twice or out of order, the windows end up as if all had come in order."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import quality
from storage.windows import merged
from streams.steps.dimensions import corrections
from tests.scenarios.timeline import City, drive, local

START = local("2026-11-23 08:00:00")
FIGURES = ("count", "total", "mean", "low", "high", "last", "last_at")
Key = tuple[str, str, int, str, int]


def fixes() -> list[dict[str, Any]]:
    """Six minutes of four buses of two lines, a fix each ten seconds."""
    rows = [
        row | {"line": f"{n % 2}路", "occupancy": float(n), "serial": t}
        for t in range(0, 360, 10)
        for n in range(4)
        for row in drive(f"b{n}", [t], 10 + 7 * n + t % 50)
    ]
    return sorted(rows, key=lambda r: r["t"])


def final(frames: list[list[dict[str, Any]]], last_t: float) -> dict[Key, tuple[Any, ...]]:
    """Give every window's figures after these frames and one that closes all, corrections added."""
    city = City("transport", START)
    for rows in [*frames, drive("closing", [last_t + 4000], 0), drive("closing", [last_t + 4010], 0)]:
        city.push("bus_position", [r | {"seen": last_t + 5000} for r in rows])
    found = [*city.windows]
    for header, batch in city.cleaned:
        late = batch.filter(pa.array((batch.column("quality").to_numpy() & quality.LATE) != 0))
        if late.num_rows:
            found += corrections("bus_position", late, np.full(late.num_rows, header.watermark), 0).to_pylist()
    whole = merged([r for r in found if r["source"] != "closing"], ("dimension", "source", "size", "metric", "ts"))
    return {(r["dimension"], r["source"], r["size"], r["metric"], r["ts"]): tuple(r[n] for n in FIGURES) for r in whole}


IN_ORDER = [fixes()[start : start + 8] for start in range(0, len(fixes()), 8)]
WANTED = final(IN_ORDER, 360)


def test_the_day_has_windows_of_sources_zones_and_lines() -> None:
    assert {(k[0], k[2]) for k in WANTED} == {("source", 60), ("zone", 10), ("line", 10)}
    assert sum(v[0] for k, v in WANTED.items() if k[0] == "source" and k[3] == "speed") == len(fixes())


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.floats(0, 0.5), st.integers(1, 40))
def test_late_and_doubled_readings_change_no_final_window(seed: int, share: float, rows_a_frame: int) -> None:
    rng = random.Random(seed)  # noqa: S311 - a test's choice, no secret
    rows = [(r["t"] + (rng.uniform(0, 400) if rng.random() < share else rng.uniform(0, 30)), r) for r in fixes()]
    rows += [(at + rng.uniform(0, 200), r) for at, r in rows if rng.random() < 0.2]
    arrived = [r for _, r in sorted(rows, key=lambda item: item[0])]
    frames = [arrived[i : i + rows_a_frame] for i in range(0, len(arrived), rows_a_frame)]
    assert final(frames, 360) == WANTED
