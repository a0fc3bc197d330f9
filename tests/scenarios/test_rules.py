"""Each rule: a case that must raise, one that must not, one that flaps, one late, one silent."""

from __future__ import annotations

from tests.scenarios.timeline import City, drive, local

MORNING = local("2026-11-23 08:00:00")
NIGHT = local("2026-11-23 02:30:00")


def every(seconds: float, until: float, since: float = 0.0) -> list[float]:
    count = int((until - since) / seconds)
    return [since + i * seconds for i in range(count + 1)]


def test_a_bus_at_80_kmh_raises_after_20_s_and_clears_30_s_after_it_slows() -> None:
    city = City("transport", MORNING)
    for row in drive("b1", every(10, 60), 80) + drive("b1", every(10, 120, 70), 50):
        city.push("bus_position", [row])
    assert city.said("bus-overspeed") == [("raise", 20.0), ("clear", 100.0)]
    alerts, events = city.alerts()
    assert [(a.status, a.value is not None, a.limit, a.unit) for a in alerts.values()] == [("resolved", True, 70.0, "km/h")]
    assert [e.change for e in events] == ["opened", "cleared"]


def test_a_bus_at_68_kmh_or_fast_for_10_s_only_raises_nothing() -> None:
    city = City("transport", MORNING)
    for row in drive("b1", every(10, 300), 68) + drive("b2", [400, 410, 420, 430], [80, 80, 60, 60]):
        city.push("bus_position", [row])
    assert city.said("bus-overspeed") == []


def test_a_bus_around_the_limit_flaps_within_hysteresis_and_stays_one_alert() -> None:
    city = City("transport", MORNING)
    speeds = [75, 75, 75, *([69, 72] * 20)]
    for row in drive("b1", every(10, 10 * (len(speeds) - 1)), speeds):
        city.push("bus_position", [row])
    assert [s for s, _ in city.said("bus-overspeed")] == ["raise"]
    assert len(city.alerts()[0]) == 1


def test_hazmat_and_coach_have_their_own_limits() -> None:
    city = City("transport", MORNING)
    for t in every(10, 60):
        city.push("hazmat_position", drive("h1", [t], 85))
        city.push("coach_position", drive("c1", [t], 85))
    assert [s for s, _ in city.said("hazmat-overspeed")] == ["raise"]
    assert city.said("coach-overspeed") == []


def test_a_coach_moving_at_half_past_two_raises_and_one_standing_does_not() -> None:
    city = City("transport", NIGHT)
    for t in every(20, 120):
        city.push("coach_position", drive("c1", [t], 60))
        city.push("coach_position", drive("c2", [t], 0))
    assert city.said("coach-night-driving", "c1") == [("raise", 60.0)]
    assert city.said("coach-night-driving", "c2") == []


def test_a_coach_moving_in_the_morning_breaks_no_night_ban() -> None:
    city = City("transport", MORNING)
    for t in every(20, 240):
        city.push("coach_position", drive("c1", [t], 60))
    assert city.said("coach-night-driving") == []


def test_the_emergency_button_raises_at_once_and_clears_when_it_is_reset() -> None:
    city = City("transport", MORNING)
    for t, alarm in [(0, 0), (10, 1), (20, 1), (30, 0), (70, 0)]:
        city.push("hazmat_position", drive("h1", [t], 40, alarm=alarm))
    assert city.said("hazmat-emergency") == [("raise", 10.0), ("clear", 70.0)]


def test_hourly_pm10_of_260_raises_and_minute_values_do_not() -> None:
    city = City("environment", MORNING)
    city.push("dust_station", [{"source": "d1", "t": 0, "seen": 3601, "period": 0, "pm10": 400.0}])
    assert city.said("dust-pm10-hourly") == []
    city.push("dust_station", [{"source": "d1", "t": 0.5, "seen": 3602, "period": 3600, "pm10": 260.0}])
    city.push("dust_station", [{"source": "d1", "t": 3600, "seen": 7201, "period": 3600, "pm10": 220.0}])
    assert city.said("dust-pm10-hourly") == [("raise", 0.5)]
    city.push("dust_station", [{"source": "d1", "t": 7200, "seen": 10801, "period": 3600, "pm10": 150.0}])
    assert city.said("dust-pm10-hourly") == [("raise", 0.5), ("clear", 7200.0)]


def test_an_empty_bike_station_raises_after_ten_minutes_and_one_that_rents_nothing_does_not() -> None:
    city = City("bikes", MORNING)
    for t in every(60, 720):
        station = {"t": t, "capacity": 20, "bikes": 1, "docks": 19}
        city.push(
            "bike_station", [{"source": "s1", "is_renting": True, **station}, {"source": "s2", "is_renting": False, **station}]
        )
    assert city.said("bike-station-empty", "s1") == [("raise", 600.0)]
    assert city.said("bike-station-empty", "s2") == []
    assert city.said("bike-station-full") == []


def test_a_full_bike_station_raises_after_ten_minutes() -> None:
    city = City("bikes", MORNING)
    for t in every(60, 660):
        city.push("bike_station", [{"source": "s1", "t": t, "capacity": 20, "bikes": 19, "docks": 1, "is_returning": True}])
    assert city.said("bike-station-full") == [("raise", 600.0)]


def test_a_source_that_stops_while_others_go_on_is_silent_after_three_intervals() -> None:
    city = City("transport", MORNING)
    for t in every(15, 300):
        rows = drive("b1", [t], 30) + (drive("b2", [t], 30) if t <= 120 or t >= 270 else [])
        city.push("bus_position", rows)
    assert city.said("source-silent", "b1") == []
    (raised, at), (cleared, _) = city.said("source-silent", "b2")
    assert (raised, cleared) == ("raise", "clear")
    assert 120 + 45 <= at <= 120 + 60
    assert {f.category for f in city.findings} == {"data"}
    assert {f.zone for f in city.findings} == {140502}, "a silent source is shown where it was last"


def test_an_outage_of_the_whole_feed_silences_nobody() -> None:
    city = City("transport", MORNING)
    for t in [*every(15, 120), *every(15, 1920, 1800)]:
        city.push("bus_position", drive("b1", [t], 30) + drive("b2", [t + 1], 30))
    assert city.said("source-silent") == []


def test_a_jump_of_30_km_is_a_finding_about_the_sensor_not_the_city() -> None:
    city = City("transport", MORNING)
    rows = drive("t1", every(10, 60), 30)
    rows[3]["lon"] += 0.33
    for row in rows:
        city.push("taxi_position", [row])
    assert [s for s, _ in city.said("position-jump")] == ["raise"]
    assert city.findings[0].category == "data"


def test_a_night_ban_broken_in_late_data_is_found_dated_and_marked() -> None:
    city = City("transport", NIGHT)
    city.push("coach_position", [{**row, "seen": 6 * 3600} for row in drive("c1", every(20, 200), 60)], lane="late")
    assert city.said("coach-night-driving") == [], "nothing is said that could page"
    (finding,) = [f for f in city.record.said_late if f.state == "raise" and f.rule == "coach-night-driving"]
    assert (finding.detected_late, finding.lane, finding.started) == (True, "late", NIGHT)


def test_repeated_and_refused_rows_change_nothing() -> None:
    city = City("transport", MORNING)
    for row in drive("b1", every(10, 60), 80):
        city.push("bus_position", [row, row])
        city.push("bus_position", [row, {**row, "t": row["t"] + 600, "seen": row["t"]}])
        city.push("bus_position", [{**row, "t": row["t"] + 5, "speed": -4.0}])
    assert city.said("bus-overspeed") == [("raise", 20.0)]
    assert sum(h.duplicates for h, _ in city.cleaned) == 7 + 7
    assert sorted({r["reason"] for r in city.rejects}) == ["future_time", "out_of_bounds"]
    assert len(city.rejects) == 14
    assert all(h.received == len(b) + h.duplicates + sum(h.rejected.values()) for h, b in city.cleaned)
