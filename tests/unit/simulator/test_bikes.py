"""Bike stations: stock within capacity, away from the limits of the rules unless a fault says so."""

from __future__ import annotations

import numpy as np

from cityops.simulator import bikes, roads
from cityops.simulator.world import Size, World

START = 1_780_243_200_000_000


def test_stock_moves_and_stays_away_from_empty_and_full() -> None:
    stations = bikes.stations(roads.build(1405), 120, 1405)
    assert len({s.id for s in stations}) == 120
    stock = bikes.Bikes(np.array([s.capacity for s in stations]), 1405, START)
    first = stock.available.copy()
    for minute in range(1, 24 * 60):
        stock.step(START + minute * 60_000_000)
        assert (stock.available / stock.capacity > 0.2).all()
        assert (stock.docks / stock.capacity > 0.2).all()
        assert (stock.available + stock.docks + stock.disabled == stock.capacity).all()
    assert (stock.available != first).mean() > 0.5


def test_faults_hold_stations_empty_and_full_from_the_start() -> None:
    world = World(Size(buses=2, taxis=2, coaches=2, hazmat=2), 1405, START, 1)
    forced = {f.effect: f.subject for f in world.faults if f.kind == "bike_station"}
    for second in (0, 300, 900):
        world.step(START + second * 1_000_000)
        assert world.bikes.available[forced["empty"]] == 0
        assert world.bikes.docks[forced["full"]] == 0
