"""Published conversions come out as published; the inverse of GCJ-02 is exact."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors._api import coordinates
from connectors._api.coordinates import Point

FILE = Path(__file__).resolve().parents[4] / "shared" / "data" / "vectors" / "coords_transbigdata.jsonl"


def converted(point: Point, source: str, target: str) -> Point:
    if target == "wgs84":
        return coordinates.to_wgs84(*point, "bd09" if source == "bd09" else "gcj02")
    return coordinates.gcj02_to_bd09(*(coordinates.wgs84_to_gcj02(*point) if source == "wgs84" else point))


def test_published_conversions() -> None:
    if not FILE.exists():
        pytest.skip(f"{FILE} is absent")
    rows = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]
    known = [r for r in rows if r["proto"] == "coord-transform" and r["from"] != "bd09mc"]  # a projection no protocol sends
    for row in known:
        lon, lat = row["in_lonlat"]
        assert converted((lon, lat), row["from"], row["to"]) == pytest.approx(row["expect"]["lonlat"], abs=row["tol_deg"])
    assert len(known) == 7


@given(st.floats(73.5, 135.0), st.floats(18.0, 53.5))
def test_gcj02_and_back_is_the_same_point(lon: float, lat: float) -> None:
    assert coordinates.to_wgs84(*coordinates.wgs84_to_gcj02(lon, lat), "gcj02") == pytest.approx((lon, lat), abs=1e-8)
