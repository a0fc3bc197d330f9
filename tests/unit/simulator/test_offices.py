"""Departments that came last: hydrants, the highway bureau, pump stations and the heating office, against their connectors."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

from cityops.simulator import counter, highway, pumps
from cityops.simulator.carriers import Folder
from cityops.simulator.counter import Counter
from cityops.simulator.highway import Highway
from cityops.simulator.pipes import HYDRANT_KIND, HYDRANT_PROFILE, Hydrants
from cityops.simulator.traffic import counted
from connectors.opcua import encoder as opcua
from connectors.sql_poll import encoder as sql_poll
from schemas.kinds.payments import BillPayment
from schemas.kinds.traffic import TrafficDetector
from schemas.kinds.utilities import WaterNode
from tests.unit.simulator.platform import KEY, NOON, SECOND, Platform, gathered, make_world


def test_hydrants_are_pushed_with_their_place_and_follow_demand() -> None:
    world, platform = make_world(), Platform("http_json", profile=HYDRANT_PROFILE, kind=HYDRANT_KIND)
    gathered(world, Hydrants(world), platform, 70, "POST ")
    readings = platform.of(WaterNode)
    sites = {site.id: site for site in world.estate.hydrants}
    assert platform.rejects == []
    assert {r.source for r in readings} == sites.keys()
    assert all((r.lon, r.lat) == (sites[r.source].lon, sites[r.source].lat) for r in readings)
    assert all(r.pressure is not None and 2e5 < r.pressure < 5e5 for r in readings)


def test_highway_files_say_what_vehicles_drive_by() -> None:
    world, platform = make_world(), Platform("traffic_csv")
    gathered(world, Highway(world), platform, 130)
    trunk = {highway.detector(link): n for n, link in enumerate(world.estate.links) if link.trunk}
    last = platform.of(TrafficDetector)[-len(trunk) :]
    assert platform.rejects == []
    assert len(platform.readings) == 3 * len(trunk) > 0
    assert {d.source for d in last} == trunk.keys()
    for detector in last:
        assert detector.period == 60
        assert detector.lon is not None
        kmh, flow, occupancy = counted(world, trunk[detector.source])
        assert detector.flow is not None
        assert detector.flow >= 0.0
        assert kmh > 0.0
        assert flow > 0.0
        assert occupancy <= 100.0


def test_pump_stations_are_read_in_our_units() -> None:
    world = make_world()
    stations = world.estate.pumps
    platform = Platform("opcua", points=pumps.points(stations))
    for n, site in enumerate(stations):
        measured = pumps.station(world, n, NOON)
        changes = [
            opcua.change(
                f"nsu={pumps.SPACE};s={site.id}.{field}", value if field == "pump_on" else value / pumps.SCALES[field], NOON
            )
            for field, value in measured.items()
        ]
        platform.read(opcua.packet(changes), NOON, "")
        (reading,) = [r for r in platform.of(WaterNode) if r.source == site.id]
        assert (reading.pressure, reading.flow) == pytest.approx((measured["pressure"], measured["flow"]))
        assert reading.pump_on is True
    assert platform.rejects == []


@pytest.mark.skipif(find_spec("asyncua") is None and os.environ.get("REQUIRE_STACK") != "1", reason="asyncua is not installed")
async def test_the_pump_server_opens_and_closes(unused_tcp_port: int) -> None:
    server = pumps.PumpServer(make_world(), ("127.0.0.1", unused_tcp_port), lambda: NOON)
    await server.listen()
    await server.close()


def test_payments_of_the_counter_are_read_exactly() -> None:
    world, platform = make_world(), Platform("sql_poll", **KEY)
    office = Counter(world, "")
    rows = [office.payment(NOON // SECOND + n) for n in range(20)]
    page = [{"id": n, **dict(zip(counter.COLUMNS, row, strict=True))} for n, row in enumerate(rows)]
    platform.read(sql_poll.page([{**r, "paid_at": r["paid_at"].isoformat(), "amount": str(r["amount"])} for r in page]), NOON, "")
    payments = platform.of(BillPayment)
    assert platform.rejects == []
    assert [p.amount for p in payments] == [int(row[4] * 100) for row in rows]
    assert {p.utility for p in payments} == {"heat"}


def test_a_folder_is_made_where_files_are_laid(tmp_path: Path) -> None:
    Folder(Highway(make_world()), tmp_path / "highway")
    assert (tmp_path / "highway").is_dir()
