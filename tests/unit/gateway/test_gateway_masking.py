"""Masking: plates, places of vehicles, restricted fields."""

from __future__ import annotations

import pytest

from gateway.masking import mask_alert, mask_plate, mask_row, sensitive_fields
from schemas.derive import fields
from schemas.kinds import all_kinds
from tests.unit.gateway.city import alert


@pytest.mark.parametrize(
    ("plate", "masked"), [("晋E12345", "晋E·***45"), ("晋ED12345", "晋E·****45"), ("晋E12", "****"), ("晋E1", "***"), ("", "")]
)
def test_plates_show_the_region_and_two_digits(plate: str, masked: str) -> None:
    assert mask_plate(plate) == masked


def test_a_hazmat_reading_hides_cargo_plate_and_place() -> None:
    row = {
        "source": "h1",
        "lon": 112.85399,
        "lat": -35.50101,
        "plate": "晋E12345",
        "cargo": "UN1203",
        "speed": 3.0,
        "raw_lon": None,
    }
    assert mask_row("hazmat_position", row) == {
        "source": "h1",
        "lon": 112.853,
        "lat": -35.502,
        "plate": "晋E·***45",
        "cargo": None,
        "speed": 3.0,
        "raw_lon": None,
    }


@pytest.mark.parametrize("kind", ["bike_station", "bike_vehicle", "water_node", "streetlight", "traffic_link"])
def test_a_station_is_not_somebodys_track(kind: str) -> None:
    row = {"lon": 112.85399, "lat": 35.50101}
    assert mask_row(kind, row) == row


@pytest.mark.parametrize("kind", ["ride_hailing_position", "ev_battery", "taxi_trip", "ride_hailing_order", "bike_event"])
def test_whatever_tells_where_a_vehicle_was_is_coarse(kind: str) -> None:
    assert mask_row(kind, {"lon": 112.85399, "lat": 35.50101}) == {"lon": 112.853, "lat": 35.501}


@pytest.mark.parametrize("kind", sorted(all_kinds()))
def test_every_sensitive_or_restricted_field_is_masked(kind: str) -> None:
    graded = {f.name for f in fields(kind, "clean") if f.grade in ("sensitive", "restricted")}
    assert set(sensitive_fields(kind)) in (graded, graded - {"lon", "lat"})


def test_an_alert_of_a_vehicle_is_coarse_with_masked_evidence() -> None:
    masked = mask_alert(alert(evidence={"plate": "晋E12345", "speed": 30.0}))
    assert (masked.lon, masked.lat, masked.evidence) == (112.853, 35.501, {"plate": "晋E·***45", "speed": 30.0})
    still = alert(kind="dust_station", evidence={"pm10": 300.0})
    assert mask_alert(still) == still
