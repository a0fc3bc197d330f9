"""The simulated city's own layers: what vehicles drive on, where hazardous freight does not go, where devices stand."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from cityops.city import reference_layers
from cityops.simulator.tempo import Kind
from cityops.simulator.world import Size, World
from storage.layers import LAYERS, Feature
from streams.steps.reference import Fences, Network

START = 1_780_243_200_000_000


@pytest.fixture(scope="module")
def layers() -> dict[str, list[Feature]]:
    return reference_layers()


def test_every_layer_is_one_that_could_be_imported(layers: dict[str, list[Feature]]) -> None:
    assert set(layers) == set(LAYERS) - {"zones", "pipes"}
    for name, features in layers.items():
        assert len({f.id for f in features}) == len(features) > 0
        assert {f.geometry.geom_type for f in features if f.geometry} <= LAYERS[name].shapes
        assert all(f.geometry is not None and f.geometry.is_valid for f in features)
        assert all(isinstance(f.attributes, LAYERS[name].attributes) and f.attributes.zh and f.attributes.en for f in features)


def test_vehicles_drive_on_the_roads_buses_on_their_line_and_only_the_trespasser_enters_a_forbidden_area(
    layers: dict[str, list[Feature]],
) -> None:
    world = World(Size(), 1405, START, 1)
    roads, lines, fences = Network(layers["roads"]), Network(layers["bus_lines"]), Fences(layers["geofences"])
    everyone = np.ones(sum(world.size.vehicles), np.bool_)
    buses, _, _, hazmat = world.fleet.members
    inside: set[int] = set()
    for minute in range(1, 16):
        world.step(START + minute * 60_000_000)
        lon, lat = world.snapshot.lon, world.snapshot.lat
        shifted = np.asarray(world.fleet.shift.any(axis=1))
        assert (roads.near(lon, lat, everyone & ~shifted, 50).nearest[~shifted] >= 0).all()
        near = lines.near(lon, lat, everyone, 60)
        reach = [set(near.line[near.first[b] : near.first[b + 1]].tolist()) for b in buses]
        assert [b for b in buses if not shifted[b] and world.fleet.line[b] not in reach[b]] == []
        inside |= set(fences.inside(lon, lat, world.fleet.kind == Kind.HAZMAT)[0].tolist())
    (trespass,) = [f for f in world.faults if f.effect == "trespass"]
    assert inside == {world.vehicle(trespass)}
    assert world.vehicle(trespass) in hazmat


def test_every_fixed_source_that_speaks_is_registered_with_its_place(layers: dict[str, list[Feature]]) -> None:
    world = World(Size(), 1405, START, 1)
    registered = {f.id: f.geometry for f in layers["sources"]}
    for kind, sites in world.estate.sites.items():
        assert set(world.sources[kind]) <= set(registered), kind
        assert all(shapely.equals(registered[s.id], shapely.Point(s.lon, s.lat)) for s in sites)
