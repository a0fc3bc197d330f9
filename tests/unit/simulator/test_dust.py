"""Dust stations: below the limits by themselves, above them by fault, hours closed on time."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from cityops.simulator import dust, roads
from storage import zones

START = 1_780_243_200_000_000
"""A full hour."""


def test_sites_stand_in_the_county_they_name() -> None:
    sites = dust.sites(roads.build(1405), 40, 1405)
    by_code = {z.code: z.geometry for z in zones.load()}
    assert len(sites) == 40
    assert all(shapely.contains_xy(by_code[s.county], s.lon, s.lat) for s in sites)


def test_air_stays_below_the_limits_all_day() -> None:
    air = dust.Dust(40, 1405, START)
    for minute in range(0, 24 * 60, 5):
        air.step(START + minute * 60_000_000)
        assert (air.pm10() > 0).all()
        assert (air.pm10() < 150).all()
        assert air.hour()[1][0].max() < 150


def test_the_hour_before_the_start_is_there_and_holds_the_fault() -> None:
    air = dust.Dust(5, 1405, START + 600_000_000)
    air.raise_pm10[2] = 250.0
    begin, means = air.hour()
    assert begin == START - dust.HOUR
    assert means[0, 2] >= 250.0
    assert means[0, [0, 1, 3, 4]].max() < 150.0


def test_a_full_hour_is_closed_with_the_mean_of_its_steps() -> None:
    air = dust.Dust(3, 1405, START)
    seen = []
    for second in range(10, 3600, 10):
        air.step(START + second * 1_000_000)
        seen.append(air.pm10())
    air.step(START + dust.HOUR + 1_000_000)
    begin, means = air.hour()
    assert begin == START
    assert means[0] == pytest.approx(np.mean(seen, axis=0))


def test_factors_are_numbers_a_station_can_send() -> None:
    air = dust.Dust(4, 1405, START)
    for hour in range(24):
        air.step(START + hour * dust.HOUR)
        values = air.factors(1)
        assert values["a34004"] < values["a34002"] < values["a34001"]
        assert 0 <= values["a01008"] <= 360
        assert 30 < values["LA"] < 90
        assert values["a01007"] > 0
        assert 80 < values["a01006"] < 105
