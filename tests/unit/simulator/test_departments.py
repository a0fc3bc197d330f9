"""Every department against its connector on a fake clock: all is understood, nothing refused, and the figures agree."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from cityops.simulator import departments, heating, identity, lamps, meters, operators, pipes, power, tempo
from cityops.simulator.bike_trips import BikeTrips
from cityops.simulator.bus_events import BusEvents
from cityops.simulator.carriers import Feed
from cityops.simulator.electric import EvBox
from cityops.simulator.estate import DLT645, DLT698, Counts
from cityops.simulator.hailing import Companies
from cityops.simulator.heating import Gateway
from cityops.simulator.lamps import Cabinets
from cityops.simulator.links import Device
from cityops.simulator.meters import Cj188Line, Dlt645Line, Dlt698Line
from cityops.simulator.operators import Operator
from cityops.simulator.payments import Payments
from cityops.simulator.pipes import Gas, Water
from cityops.simulator.power import Substation
from cityops.simulator.taxis import Taxi
from cityops.simulator.tempo import Kind
from cityops.simulator.timetable import Timetable
from cityops.simulator.traffic import Traffic
from cityops.simulator.world import Size, World
from schemas.kinds.bikes import BikeEvent
from schemas.kinds.lighting import Streetlight
from schemas.kinds.payments import BillPayment
from schemas.kinds.services import (
    BusEvent,
    DriverDuty,
    EvBattery,
    HazmatWaybill,
    RideHailingOrder,
    RideHailingPosition,
    TaxiTrip,
    VehicleAlarmEpisode,
)
from schemas.kinds.traffic import TrafficDetector, TrafficLink
from schemas.kinds.transport import CoachPosition, HazmatPosition, ServiceAlert, TaxiPosition, TripUpdate
from schemas.kinds.utilities import GasNode, HeatSubstation, MeterReading, PowerLoad, WaterNode
from tests.unit.simulator.platform import SECOND, Platform, dialled, exchange

NOON = (1_780_243_200 + 12 * 3600) * SECOND
COUNTS = Counts(links=20, water=8, gas=9, heat=4, feeders=6, cabinets=3, meters=30)
SIZE = Size(buses=12, taxis=30, coaches=9, hazmat=9, dust=2, bike_stations=12, bikes=40, hailing=20, evs=6, fixed=COUNTS)
KEY = {"hash_key": "k"}


def make_world(now: int = NOON) -> World:
    return World(SIZE, 1405, now, 1, platform=True)


def run(world: World, device: Device, platform: Platform, seconds: int) -> None:
    for second in range(1, seconds + 1):
        now = world.started_at + second * SECOND
        world.step(now)
        exchange(device, platform, device.tick(now), now)
        exchange(device, platform, device.received(platform.tick(now), now), now)


def gathered(world: World, feed: Feed, platform: Platform, seconds: int, origin: str = "") -> None:
    for second in range(1, seconds + 1):
        now = world.started_at + second * SECOND
        world.step(now)
        for message in feed.due(now):
            before = len(platform.readings)
            platform.read(message.body, now, origin + message.to)
            assert len(platform.readings) - before >= message.rows, message.to


def test_taxis_report_positions_shifts_and_trips_and_all_is_acknowledged() -> None:
    world = make_world()
    fleet = [
        (Taxi(world, n, 10 * SECOND, NOON + n * SECOND // 4), Platform("jt905", plate_prefix="晋", **KEY)) for n in range(1, 31)
    ]
    for taxi, platform in fleet:
        exchange(taxi, platform, taxi.opened(NOON), NOON)
    for second in range(1, 400):
        now = NOON + second * SECOND
        world.step(now)
        for taxi, platform in fleet:
            exchange(taxi, platform, taxi.tick(now), now)
    trips = [trip for _, platform in fleet for trip in platform.of(TaxiTrip)]
    assert len(trips) > 5
    for taxi, platform in fleet:
        assert platform.rejects == []
        assert taxi.outbox.sent == taxi.outbox.acked == len(platform.readings) - len(platform.of(VehicleAlarmEpisode))
        assert taxi.waiting == 0
        positions, (duty,) = platform.of(TaxiPosition), platform.of(DriverDuty)
        assert len(positions) in (39, 40)
        assert {p.source for p in positions} == {taxi.source} == {duty.source}
        assert duty.event == "on"
        assert duty.driver
        assert positions[-1].plate == identity.plate(Kind.TAXI, int(taxi.source[-6:])).replace("·", "")
    for trip in trips:
        assert trip.started_at is not None
        assert trip.started_at < trip.ts
        assert 0 <= trip.distance < 27.0 * (trip.ts - trip.started_at) / SECOND + 200.0
        assert trip.fare >= 800


def test_a_taxi_repeats_what_is_not_answered_and_sends_it_again_on_the_next_line() -> None:
    world, platform = make_world(), Platform("jt905", **KEY)
    taxi = Taxi(world, 1, 600 * SECOND, NOON + SECOND)
    taxi.opened(NOON)
    heard = b""
    for second in range(1, 50):
        world.step(NOON + second * SECOND)
        heard += taxi.tick(NOON + second * SECOND)
    assert taxi.waiting == 2
    assert not taxi.wants_link(NOON)
    taxi.closed(NOON)
    assert taxi.wants_link(NOON)
    exchange(taxi, platform, taxi.opened(NOON + 60 * SECOND), NOON + 60 * SECOND)
    assert taxi.waiting == 0
    assert taxi.outbox.acked == 2


def test_the_platform_of_a_company_reports_its_coaches_and_trucks() -> None:
    world = make_world()
    operator = Operator(world, "secret12", 10 * SECOND)
    users = {str(operators.USER): "secret12"}
    platform = Platform("jt809", vehicles=identity.jt809_vehicles(), default_kind="", users=users, verify_secret="v", **KEY)
    exchange(operator, platform, operator.opened(NOON), NOON)
    truck = next(source for source in operator.sources if "W" in source)
    run(world, operator, platform, 40)
    operator.mark("blind", truck, on=True)
    for second in range(41, 100):
        world.step(NOON + second * SECOND)
        exchange(operator, platform, operator.tick(NOON + second * SECOND), NOON + second * SECOND)
    operator.mark("blind", truck, on=False)
    for second in range(100, 120):
        world.step(NOON + second * SECOND)
        exchange(operator, platform, operator.tick(NOON + second * SECOND), NOON + second * SECOND)
    assert platform.rejects == []
    known = {*world.sources["coach_position"], *world.sources["hazmat_position"]}
    assert set(operator.sources) == {r.source for r in (*platform.of(CoachPosition), *platform.of(HazmatPosition))} < known
    assert len(platform.of(DriverDuty)) == len(operator.sources) == 6
    assert len(platform.of(HazmatWaybill)) == 3
    late = [r for r, lane in zip(platform.readings, platform.lanes, strict=True) if lane == "late"]
    assert {r.source for r in late} == {truck}
    assert len(late) == 6
    assert operator.sent == len(platform.readings) - len(platform.of(VehicleAlarmEpisode))


def test_a_company_with_a_wrong_password_gives_its_line_up() -> None:
    operator = Operator(make_world(), "wrong", 10 * SECOND)
    platform = Platform("jt809", users={str(operators.USER): "secret12"})
    exchange(operator, platform, operator.opened(NOON), NOON)
    assert operator.tick(NOON + 10 * SECOND) == b""
    assert not operator.wants_link(NOON + 30 * SECOND)


def test_electric_buses_report_batteries_under_the_name_of_their_terminal() -> None:
    world = make_world()
    box, platform = EvBox(world, 3, NOON + SECOND), Platform("gb32960", vehicles=identity.ev_vehicles(6), default_kind="")
    exchange(box, platform, box.opened(NOON), NOON)
    run(world, box, platform, 100)
    batteries = platform.of(EvBattery)
    assert platform.rejects == []
    assert {b.source for b in batteries} == {world.sources["bus_position"][2]}
    assert len(batteries) == box.outbox.acked == 4
    assert box.waiting == 0
    assert all(20 <= b.soc <= 95 and b.temperature_max < 60 and b.cell_voltage_min < b.cell_voltage_max for b in batteries)


def test_ride_hailing_companies_post_cars_orders_and_shifts() -> None:
    world, platform = make_world(), Platform("ridehailing", **KEY)
    gathered(world, Companies(world), platform, 400, "POST ")
    assert platform.rejects == []
    positions, orders = platform.of(RideHailingPosition), platform.of(RideHailingOrder)
    unlicensed = {p.source for p in positions} - set(world.sources["ride_hailing_position"])
    assert unlicensed == {"晋E·X0001"}, "the labelled car takes orders under a plate that no register has"
    assert {p.source for p in positions} - unlicensed == set(world.sources["ride_hailing_position"])
    assert len(platform.of(DriverDuty)) == SIZE.hailing
    events = [o.event for o in orders]
    assert {"login", "create", "match", "depart", "arrive", "pay"} == set(events)
    assert events.count("pay") == events.count("arrive") <= events.count("depart") == events.count("create")
    paid = [o for o in orders if o.event == "pay"]
    assert all(o.fare >= 900 and o.distance is not None and o.duration is not None for o in paid)
    lon, lat = np.array([[p.lon, p.lat] for p in positions]).mean(axis=0)
    assert (lon, lat) == pytest.approx((112.8, 35.6), abs=0.3)


def test_bikes_are_taken_and_given_back_in_turn() -> None:
    world, platform = make_world(), Platform("bike_events", operator="dx")
    gathered(world, BikeTrips(world), platform, 900, "POST ")
    events = platform.of(BikeEvent)
    assert platform.rejects == []
    assert len(events) > 30
    for bike in {e.source for e in events}:
        told = [e.event for e in events if e.source == bike]
        assert told == (["unlock", "lock"] * len(told))[: len(told)]


def test_buses_tell_their_stops_and_how_late_they_are() -> None:
    world, platform = make_world(), Platform("hfp", zone="Asia/Shanghai")
    gathered(world, BusEvents(world), platform, 200)
    events = platform.of(BusEvent)
    assert platform.rejects == []
    assert {e.event for e in events} == {"at_stop", "doors_open", "doors_closed", "departed"}
    assert all(e.line and e.stop and e.trip and abs(e.delay) < 600 for e in events)


def test_buses_are_later_in_the_rush_hour() -> None:
    def mean_delay(hour: float) -> float:
        world = World(SIZE, 1405, 1_780_243_200 * SECOND + int(hour * 3600) * SECOND, 1)
        events = BusEvents(world)
        return float(np.mean([events.delay(bus) for bus in range(SIZE.buses)]))

    assert mean_delay(7.7) > mean_delay(14.0) + 60.0


@pytest.mark.parametrize(("hour", "burns"), [(12, False), (1, True)])
def test_lamps_burn_at_night_and_the_faulty_ones_otherwise(hour: int, burns: bool) -> None:
    world, platform = make_world((1_780_243_200 + hour * 3600) * SECOND), Platform("mqtt_json", profile=lamps.PROFILE)
    gathered(world, Cabinets(world), platform, 40)
    assert platform.rejects == []
    rows = platform.of(Streetlight)
    assert {r.source for r in rows} == set(world.sources["streetlight"])
    odd = {world.sources["streetlight"][n] for f in world.faults for n in [f.subject] if f.effect in ("lit", "unlit")}
    for r in rows:
        assert r.commanded_on is burns
        if r.source not in odd:
            assert (r.on, r.power > 50.0) == (burns, burns)
    assert {r.source for r in rows if r.on != burns} <= odd


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


def test_traffic_is_read_with_its_table_and_links_are_slow_in_the_rush_hour() -> None:
    def states(hour: float) -> list[TrafficLink]:
        now = 1_780_243_200 * SECOND + int(hour * 3600) * SECOND
        world, platform = make_world(now), Platform("datex2", url="http://c/d", site_table_url="http://c/s")
        traffic = Traffic(world)
        platform.read(traffic.sites(now), now, "http://c/s")
        body = traffic.measured(now)
        assert body is not None
        platform.read(body, now, "http://c/d")
        assert platform.rejects == []
        detectors = platform.of(TrafficDetector)
        assert {d.source for d in detectors} == {link.site.id for link in world.estate.links}
        assert all(d.lane == 0 and d.period == 30 and d.lon is not None for d in detectors)
        return [reading for reading in platform.of(TrafficLink) if reading.travel_time]

    night, rush = states(3.0), states(7.7)
    assert len(night) == len(rush) == COUNTS.links
    assert all(link.state == "free" for link in night)
    assert sum(link.state != "free" for link in rush) > COUNTS.links / 2
    assert sum(a.travel_time for a in night if a.travel_time) < 0.8 * sum(b.travel_time for b in rush if b.travel_time)


def test_stops_and_notices_are_published_for_passengers() -> None:
    world, platform = make_world(), Platform("gtfs_realtime", url="http://c/f")
    for second in range(1, 60):
        world.step(NOON + second * SECOND)
    platform.read(Timetable(world).feed(NOON + 60 * SECOND), NOON + 60 * SECOND, "http://c/f")
    trips, notices = platform.of(TripUpdate), platform.of(ServiceAlert)
    assert platform.rejects == []
    assert {t.vehicle for t in trips} <= set(world.sources["bus_position"])
    assert len(trips) >= SIZE.buses / 2
    assert all(t.arrival_at > t.ts for t in trips)
    assert len(notices) >= 1


def test_payments_arrive_as_files_and_one_of_them_is_negative() -> None:
    world, platform = make_world(), Platform("table_file", **KEY)
    gathered(world, Payments(world), platform, 100)
    paid = platform.of(BillPayment)
    assert platform.rejects == []
    assert len({p.bill for p in paid}) == len(paid) > 20
    assert [p.amount for p in paid if p.amount < 0] == [-98765]
    assert all(not p.source.isdigit() for p in paid), "no account number is kept"


def test_departments_without_a_connector_are_left_out(tmp_path: object) -> None:
    made = departments.Departments(make_world(), {}, None, password="", report_s=10.0, clock=lambda: NOON)
    assert made.running == {}
    assert made.totals() == {}
    assert made.waiting() == 0
    assert tempo.hour_of_day(NOON) == 12.0
