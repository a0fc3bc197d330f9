"""Transport and traffic against their connectors on a fake clock: all is understood, nothing refused, the figures agree."""

from __future__ import annotations

import numpy as np
import pytest

from cityops.simulator import departments, identity, operators, tempo
from cityops.simulator.bike_trips import BikeTrips
from cityops.simulator.bus_events import BusEvents
from cityops.simulator.electric import EvBox
from cityops.simulator.hailing import Companies
from cityops.simulator.operators import Operator
from cityops.simulator.taxis import Taxi
from cityops.simulator.tempo import Kind
from cityops.simulator.timetable import Timetable
from cityops.simulator.traffic import Traffic
from cityops.simulator.world import World
from schemas.kinds.bikes import BikeEvent
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
from tests.unit.simulator.platform import COUNTS, KEY, NOON, SECOND, SIZE, Platform, exchange, gathered, make_world, run


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


def test_departments_without_a_connector_are_left_out(tmp_path: object) -> None:
    made = departments.Departments(make_world(), {}, {}, database="", password="", report_s=10.0, clock=lambda: NOON)
    assert made.running == {}
    assert made.totals() == {}
    assert made.waiting() == 0
    assert tempo.hour_of_day(NOON) == 12.0
