"""Networks, lamps, meters and payments against their connectors on a fake clock: all is understood, the figures agree."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cityops.simulator import heating, lamps, meters, pipes, power
from cityops.simulator.estate import DLT645, DLT698
from cityops.simulator.heating import Gateway
from cityops.simulator.lamp_makers import EdgeNodes, TalqGateway
from cityops.simulator.lamps import Cabinets
from cityops.simulator.meters import Cj188Line, Dlt645Line, Dlt698Line
from cityops.simulator.payments import Payments
from cityops.simulator.pipes import Gas, Water
from cityops.simulator.power import Substation
from cityops.simulator.world import Size, World
from schemas.kinds.lighting import Streetlight
from schemas.kinds.payments import BillPayment
from schemas.kinds.utilities import GasNode, HeatSubstation, MeterReading, PowerLoad, WaterNode
from tests.unit.simulator.platform import KEY, NOON, SECOND, Platform, dialled, gathered, make_world, run


@pytest.mark.parametrize(("hour", "burns"), [(12, False), (1, True)])
def test_lamps_burn_at_night_and_the_faulty_ones_otherwise(hour: int, burns: bool) -> None:
    world, platform = make_world((1_780_243_200 + hour * 3600) * SECOND), Platform("mqtt_json", profile=lamps.PROFILE)
    gathered(world, Cabinets(world, [0, 1, 2]), platform, 40)
    assert platform.rejects == []
    rows = platform.of(Streetlight)
    assert {r.source for r in rows} == set(world.sources["streetlight"])
    odd = {world.sources["streetlight"][n] for f in world.faults for n in [f.subject] if f.effect in ("lit", "unlit")}
    for r in rows:
        assert r.commanded_on is burns
        if r.source not in odd:
            assert (r.on, r.power > 50.0) == (burns, burns)
    assert {r.source for r in rows if r.on != burns} <= odd


def test_lamps_of_other_makers_are_read_as_their_standards_say() -> None:
    world, sparkplug, talq = make_world(), Platform("sparkplug"), Platform("talq")
    nodes, gateway = EdgeNodes(world, [1]), TalqGateway(world, [2])
    for message in nodes.births():
        sparkplug.read(message.body, NOON, message.to)
    gathered(world, nodes, sparkplug, 40)
    world = make_world()
    gathered(world, gateway, talq, 40, "POST ")
    assert sparkplug.rejects == talq.rejects == []
    edge, cms = sparkplug.of(Streetlight), talq.of(Streetlight)
    cabinet = world.estate.cabinets[1].id
    assert {r.source for r in edge} == {f"Jincheng/{cabinet}/{n:03d}" for n in range(1, 21)}
    assert {r.source for r in cms} == {lamp.id for lamp in world.estate.lamps[40:60]}
    assert {r.voltage is not None and 210.0 < r.voltage < 235.0 for r in edge} == {True}
    assert any(r.power is not None and r.lon is not None for r in cms)
    assert [r.source for r in edge if r.on] == [f"Jincheng/{cabinet}/006"] * 2, "the day burner"


def test_cabinets_are_shared_out_among_the_makers_that_are_heard() -> None:
    world = World(Size(), 1405, NOON, 1)
    assert lamps.shares(world, ["sparkplug"]) == {"streetlights": [0, 1, 2, 4, 5, 6, 7, 9], "sparkplug": [3, 8]}
    assert sorted(n for share in lamps.shares(world, ["talq", "sparkplug"]).values() for n in share) == list(range(10))


def test_water_and_gas_follow_demand_and_show_burst_and_leak() -> None:
    world, water = make_world(), Platform("mqtt_json", profile=pipes.WATER_PROFILE)
    gas = Platform("mqtt_json", profile=pipes.GAS_PROFILE)
    feeds = (Water(world), water), (Gas(world), gas)
    for second in range(1, 160):
        world.step(NOON + second * SECOND)
        for feed, platform in feeds:
            for message in feed.due(NOON + second * SECOND):
                platform.read(message.body, NOON + second * SECOND, message.to)
    assert water.rejects == gas.rejects == []
    nodes, pits = water.of(WaterNode), gas.of(GasNode)
    assert {n.source for n in nodes} == set(world.sources["water_node"])
    assert {n.source for n in pits} == set(world.sources["gas_node"])
    burst, leak = world.sources["water_node"][4], world.sources["gas_node"][7]
    first, *_, last = [n for n in nodes if n.source == burst]
    assert last.pressure < first.pressure - 100_000.0
    assert last.flow > 1.5 * first.flow
    assert max(n.lel for n in pits if n.source == leak) > 40.0
    assert max(n.lel for n in pits if n.source != leak) < 2.0
    for source in world.sources["water_node"]:
        volumes = [n.volume for n in nodes if n.source == source]
        assert volumes == sorted(volumes)


def test_the_burst_slows_the_street_beside_it() -> None:
    world = make_world()
    jam = next(f for f in world.faults if f.id == "burst-street")
    free = world.link_speed(jam.subject)[0]
    for second in range(1, 80):
        world.step(NOON + second * SECOND)
    assert world.link_speed(jam.subject)[0] < 0.3 * free
    edge = world.estate.links[jam.subject].edge
    assert world.fleet.jam[edge] == world.hailing.jam[edge] < 0.3


def test_the_substation_is_interrogated_and_reports_its_feeders() -> None:
    world = make_world()
    station = Substation(world)
    platform = Platform("iec104", points=power.points(world.estate.feeders), common_addresses=[power.CA])
    dialled(station, platform, NOON)
    run(world, station, platform, 60)
    loads = platform.of(PowerLoad)
    assert platform.rejects == []
    assert {r.source for r in loads} == set(world.sources["power_load"])
    whole = [r for r in loads if r.load is not None]
    assert len(whole) > 50
    assert all(r.flag is None and 49.8 < r.frequency < 50.2 and 8_000 < r.voltage_a < 11_000 for r in whole)
    assert {r.source for r in whole if r.load > 80.0} == {world.sources["power_load"][3]}
    assert any(r.closed for r in loads)


def test_the_heating_gateway_answers_for_every_station() -> None:
    world = make_world()
    gateway = Gateway(world)
    platform = Platform("modbus", registers=heating.registers(world.estate.heat), interval_s=10.0)
    dialled(gateway, platform, NOON)
    run(world, gateway, platform, 30)
    stations = platform.of(HeatSubstation)
    assert platform.rejects == []
    assert {r.source for r in stations} == set(world.sources["heat_substation"])
    for r in stations:
        assert r.supply_temperature > r.return_temperature > 30.0
        assert r.outdoor_temperature == pytest.approx(world.conditions.outdoor, abs=0.3)
        assert r.supply_pressure == pytest.approx(620_000, abs=10_000)
        assert r.pump_on


METER_LINES = [(DLT645, Dlt645Line, {}), (DLT698, Dlt698Line, {"registers": list(meters.OBJECTS)}), ("cj188", Cj188Line, {})]


@pytest.mark.parametrize(("name", "make", "more"), METER_LINES)
def test_every_meter_of_a_line_is_read(name: str, make: Callable[[World], meters.MeterLine], more: dict[str, object]) -> None:
    world = make_world()
    line = make(world)
    platform = Platform(name, meters=meters.settings(list(line.meters.values())), interval_s=30.0, **more)
    dialled(line, platform, NOON)
    run(world, line, platform, 65)
    found = platform.of(MeterReading)
    assert platform.rejects == []
    assert {r.source for r in found} == {meter.site.id for meter in line.meters.values()}
    for source in {r.source for r in found}:
        counters = [r.energy if r.medium in ("electricity", "heat") else r.volume for r in found if r.source == source]
        assert len(counters) >= 2
        assert counters == sorted(counters)
        assert counters[0] > 0


def test_power_and_energy_of_a_meter_belong_together() -> None:
    homes = meters.Households(make_world())
    address = "140500000001"
    one, two = (homes.electricity(address, NOON + hour * 3600 * SECOND) for hour in (0, 1))
    assert two["energy"] - one["energy"] == pytest.approx((one["power"] + two["power"]) / 2000.0, rel=0.05)


def test_payments_arrive_as_files_and_one_of_them_is_negative() -> None:
    world, platform = make_world(), Platform("table_file", **KEY)
    gathered(world, Payments(world), platform, 100)
    paid = platform.of(BillPayment)
    assert platform.rejects == []
    assert len({p.bill for p in paid}) == len(paid) > 20
    assert [p.amount for p in paid if p.amount < 0] == [-98765]
    assert all(not p.source.isdigit() for p in paid), "no account number is kept"
