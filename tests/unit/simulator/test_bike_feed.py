"""The bike feed through the real GBFS session: every station arrives, with its stock."""

from __future__ import annotations

import json

import pytest

from cityops.simulator import bike_feed
from cityops.simulator.bike_trips import BikeTrips
from cityops.simulator.world import Size, World
from connectors._api import Peer
from connectors._api.registry import load
from connectors.gbfs.encoder import Version
from schemas.kinds.bikes import BikeStation, BikeVehicle

START = 1_780_243_200_000_000
BASE = "http://127.0.0.1:1/gbfs/"


@pytest.fixture(scope="module")
def world() -> World:
    return World(Size(buses=1, taxis=1, coaches=1, hazmat=1, dust=3), 1405, START, 1)


@pytest.mark.parametrize("version", ["2.3", "3.0"])
def test_every_station_arrives(world: World, version: Version) -> None:
    connector = load("gbfs")
    settings = connector.manifest.resolve({"url": f"{BASE}{version}/gbfs.json"}, "test")
    session = connector.make_session(settings, Peer("gbfs"))
    waiting = [r.url for r in session.start(START).requests]
    found: dict[str, BikeStation] = {}
    asked: set[str] = set()
    while waiting:
        url = waiting.pop(0)
        if url in asked:
            continue
        asked.add(url)
        feed = url.rpartition("/")[2].removesuffix(".json")
        body = json.dumps(bike_feed.document(world, feed, version, BASE + version, START)).encode()
        received = session.receive(body, START, url)
        assert not received.rejects
        found |= {r.source: r for r in received.readings if isinstance(r, BikeStation)}
        waiting += [r.url for r in received.requests]
    assert len(found) == 120
    stocks = {r.source.rpartition(":")[2]: r for r in found.values()}
    for place, site in enumerate(world.bike_stations):
        reading = stocks[site.id]
        assert reading.bikes == world.bikes.available[place]
        assert reading.docks == world.bikes.docks[place]
        assert reading.capacity == site.capacity


def test_bikes_outside_stations_are_a_feed_of_their_own(world: World) -> None:
    trips = BikeTrips(world)
    connector = load("gbfs")
    session = connector.make_session(connector.manifest.resolve({"url": f"{BASE}2.3/gbfs.json"}, "test"), Peer("gbfs"))
    session.start(START)
    told = []
    for feed in ("gbfs", "free_bike_status"):
        body = bike_feed.document(world, feed, "2.3", f"{BASE}2.3", START, trips.parked)
        told.append(session.receive(json.dumps(body).encode(), START, f"{BASE}2.3/{feed}.json"))
    assert [r.url for r in told[0].requests if "free_bike_status" in r.url]
    assert not told[1].rejects
    assert all(isinstance(r, BikeVehicle) and r.lon is not None for r in told[1].readings)
    assert len(told[1].readings) == world.size.bikes


def test_an_unknown_feed_is_none_of_ours(world: World) -> None:
    with pytest.raises(KeyError):
        bike_feed.document(world, "geofencing_zones", "2.3", BASE, START)
