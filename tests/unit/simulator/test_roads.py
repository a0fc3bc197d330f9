"""The road network: inside the city, the same for a seed, every place reachable."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import shapely

from cityops.simulator import roads
from cityops.simulator.places import TOWNS
from storage import zones


@pytest.fixture(scope="module")
def network() -> roads.Roads:
    return roads.build(1405)


def test_every_point_lies_inside_the_city(network: roads.Roads) -> None:
    city = shapely.union_all([z.geometry for z in zones.load()])
    assert shapely.contains_xy(city, network.points[:, 0], network.points[:, 1]).all()


def test_seats_lie_in_their_own_county(network: roads.Roads) -> None:
    by_code = {z.code: z for z in zones.load()}
    for seat in roads.seats():
        middle = network.nodes[network.seat_nodes(seat)].mean(axis=0)
        assert shapely.contains_xy(by_code[TOWNS[seat].code].geometry, *middle)


def test_the_seed_decides_the_network() -> None:
    first, again, other = (roads.build.__wrapped__(seed) for seed in (7, 7, 8))
    assert np.array_equal(first.points, again.points)
    assert np.array_equal(first.next_edge, again.next_edge)
    assert not np.array_equal(first.nodes, other.nodes)


def test_paths_join_any_two_nodes_at_the_stated_distance(network: roads.Roads) -> None:
    rng = np.random.default_rng(1)
    for a, b in rng.integers(len(network.nodes), size=(50, 2)):
        path = network.path(int(a), int(b))
        assert network.length[path].sum() == pytest.approx(network.distance[a, b])
        assert all(network.edge_to[p] == network.edge_from[q] for p, q in pairwise(path))


def test_locate_gives_ends_and_heading(network: roads.Roads) -> None:
    edges = np.arange(len(network.length), dtype=np.int32)
    lon, lat, heading = network.locate(edges, np.zeros(len(edges)))
    assert np.allclose(np.stack((lon, lat), 1), network.nodes[network.edge_from])
    lon, lat, _ = network.locate(edges, network.length)
    assert np.allclose(np.stack((lon, lat), 1), network.nodes[network.edge_to])
    east = np.flatnonzero((heading > 45) & (heading < 135))
    assert (network.points[network.first[east] + 1, 0] > network.points[network.first[east], 0]).all()


def test_geojson_shows_trunks_and_streets_in_both_languages() -> None:
    features = roads.roads_geojson(1405)["features"]
    assert {f["properties"]["class"] for f in features} == {"trunk", "street"}
    assert all(f["properties"]["zh"] and f["properties"]["en"] for f in features)
    drawn = sum(len(f["geometry"]["coordinates"]) for f in features)
    assert drawn == len(roads.build(1405).roads)
