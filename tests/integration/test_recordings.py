"""Real recordings, served to our connectors over real HTTP and TCP: all of it is stored, once, and the ledger says so."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from google.transit import gtfs_realtime_pb2 as proto

from cityops.replay import Job, run
from schemas.config import Config, Connect, Database, Kafka
from storage.migrate import migrate
from storage.tables import identity, quoted
from tests.conftest import REPO
from tests.integration.recordings import reframe
from tests.integration.stack import Stack
from tests.integration.workers import Workers, query, until, workers

pytestmark = pytest.mark.stack
LANE = "backfill"
"""Their event times are years old."""
STREAM = "clean,watch,alerts"
HOURS = None if os.environ.get("CITYOPS_TEST_WHOLE") == "1" else 2000
"""Hours of the dust series; ``CITYOPS_TEST_WHOLE=1`` replays all four years."""
GROUPS = '[{"kind": "hazmat_position", "prefix": "2023"}, {"kind": "taxi_position", "prefix": "1391"}]'
Book = dict[str, Any]


@dataclass(frozen=True)
class City:
    """A stream and a store worker on an empty broker and database, and the commands a user types."""

    config: Config
    crew: Workers

    def command(self, *arguments: str, meanwhile: Callable[[], None] = lambda: None) -> str:
        """Run ``cityops``, do something while it runs, and give what it prints."""
        argv = [sys.executable, "-m", "cityops", *arguments, "--data-dir", self.config.data_dir]
        with subprocess.Popen(argv, cwd=REPO, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            try:
                meanwhile()
                told, complaints = process.communicate(timeout=300)
            finally:
                process.kill()
        assert process.returncode == 0, (arguments, told, complaints)
        return told

    def replay(self, path: Path, connector: str, *given: str, meanwhile: Callable[[], None] = lambda: None) -> Book:
        """Replay a recording and give its own ledger."""
        options = [part for setting in given for part in ("--set", setting)]
        argv = ["replay", str(path), "--connector", connector, "--lane", LANE, "--json", *options]
        told = self.command(*argv, meanwhile=meanwhile)
        return checked(json.loads(told), connector)

    def again(self, path: Path, connector: str, first: Book, capture: pytest.CaptureFixture[str], *given: str) -> None:
        """Replay the same recording once more: no row is added, what was stored before is found twice."""
        tables = {row["kind"] for row in first["by"]} - {"reject"}
        before = {table: self.count(table) for table in tables}
        capture.readouterr()
        job = Job(path, connector, lane=LANE, given=given)
        assert run(job, as_json=True, config=None, data_dir=Path(self.config.data_dir)) == 0
        second = checked(json.loads(capture.readouterr().out.splitlines()[-1]), connector)
        assert {table: self.count(table) for table in tables} == before
        assert (second["received"], second["stored"], second["rejected"]) == (first["received"], 0, first["rejected"])
        assert second["duplicates"] == first["stored"] + first["duplicates"] > 0

    def count(self, table: str) -> int:
        """Count a table's rows; two rows of one reading fail."""
        sql = f"SELECT count(*), count(DISTINCT ({quoted(identity(table))})) FROM {table}"  # noqa: S608 - names of our kinds
        [(rows, different)] = query(self.config, sql)
        assert rows == different, f"{table} has a row twice"
        assert isinstance(rows, int)
        return rows


def checked(book: Book, connector: str) -> Book:
    """Give a ledger that balances as a whole and in every partition."""
    assert book["by"], "nothing was replayed"
    for part in [book, *book["by"]]:
        assert (part["lost"], part["in_flight"]) == (0, 0), part
        assert part["received"] == part["stored"] + part["duplicates"] + part["rejected"], part
    for name in ("received", "stored", "duplicates", "rejected"):
        assert book[name] == sum(part[name] for part in book["by"])
    assert {part["connector"] for part in book["by"]} == {f"replay-{connector}"}
    return book


def of(book: Book, kind: str) -> tuple[int, int, int]:
    """Give what became of one kind: stored, duplicates, rejected."""
    parts = [part for part in book["by"] if part["kind"] == kind]
    return tuple(sum(part[name] for part in parts) for name in ("stored", "duplicates", "rejected"))


def feed(path: Path) -> Any:
    """Read a feed with the standard's own message class."""
    found = proto.FeedMessage()
    found.ParseFromString(path.read_bytes())
    return found


@pytest.fixture(scope="module")
def city(stack: Stack, recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    assert recordings.is_dir()
    folder = tmp_path_factory.mktemp("recordings")
    with stack.fresh_database() as url, pytest.MonkeyPatch.context() as patch:
        config = Config(
            data_dir=str(folder),
            kafka=Kafka(bootstrap=stack.fresh_topics()),
            database=Database(url=url),
            connect=Connect(spool_dir=str(folder / "spool")),
        )
        patch.setenv("CITYOPS_KAFKA", config.kafka.bootstrap)
        patch.setenv("CITYOPS_DATABASE", config.database.url)
        migrate(config.database.url, config.database.schema)
        with workers(config) as crew:
            crew.start(STREAM)
            crew.start("store")
            yield City(config, crew)


def test_mbta_vehicle_positions(city: City, recordings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = recordings / "feeds/gtfs_realtime/mbta_vehiclepositions.pb"
    book = city.replay(path, "gtfs_realtime")
    entities = feed(path).entity
    assert of(book, "bus_position") == (len(entities), 0, 0)
    for told in (e.vehicle for e in entities):
        sql = "SELECT lon, lat, line, trip, extract(epoch FROM ts)::bigint FROM bus_position WHERE source = %s"
        place = (pytest.approx(told.position.longitude), pytest.approx(told.position.latitude))
        row = (*place, told.trip.route_id, told.trip.trip_id, told.timestamp)
        assert query(city.config, sql, told.vehicle.id) == [row]
    city.again(path, "gtfs_realtime", book, capsys)


def test_mbta_vehicle_positions_as_json(city: City, recordings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = recordings / "feeds/gtfs_realtime/mbta_VehiclePositions_enhanced.json"
    book = city.replay(path, "gtfs_realtime")
    vehicles = [entity["vehicle"] for entity in json.loads(path.read_bytes())["entity"]]
    assert book["received"] == len(vehicles) == 550
    sql = "SELECT source, lon, lat, heading, line FROM bus_position WHERE ts > '2018-05-01' AND ts < '2018-06-01'"
    stored = {row[0]: row[1:] for row in query(city.config, sql)}
    assert len(stored) == of(book, "bus_position")[0]
    for told in vehicles:
        place, row = told["position"], stored.get(told["vehicle"]["id"])
        bearing = place.get("bearing")
        assert row is not None or bearing == -1, "only a bearing outside the circle is a reason to refuse"
        if row is not None:
            assert row[:2] == (pytest.approx(place["longitude"]), pytest.approx(place["latitude"]))
            assert row[2:] == (None if bearing == -1 else bearing, told["trip"].get("route_id") or None)
    city.again(path, "gtfs_realtime", book, capsys)


def test_mbta_trip_updates(city: City, recordings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = recordings / "feeds/gtfs_realtime/mbta_tripupdates.pb"
    book = city.replay(path, "gtfs_realtime")
    trips = [e.trip_update for e in feed(path).entity]
    assert of(book, "trip_update") == (len({t.trip.trip_id for t in trips}), 0, 0)
    lines = dict(query(city.config, "SELECT source, line FROM trip_update WHERE ts < '2018-01-01'"))  # type: ignore[arg-type,var-annotated]
    assert lines == {t.trip.trip_id: t.trip.route_id for t in trips}
    city.again(path, "gtfs_realtime", book, capsys)


def test_mbta_alerts(city: City, recordings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = recordings / "feeds/gtfs_realtime/mbta_alerts.pb"
    book = city.replay(path, "gtfs_realtime")
    entities = feed(path).entity
    assert of(book, "service_alert") == (len(entities), 0, 0)
    headers = dict(query(city.config, "SELECT source, header FROM service_alert"))  # type: ignore[arg-type,var-annotated]
    assert headers == {e.id: e.alert.header_text.translation[0].text for e in entities}
    city.again(path, "gtfs_realtime", book, capsys)


def test_consecutive_minutes_of_nyct(city: City, recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = sorted((recordings / "feeds/gtfs_realtime").glob("nyct_ace_*.pb"))
    for file in files:
        (tmp_path / file.name).symlink_to(file)
    book = city.replay(tmp_path, "gtfs_realtime")
    assert book["packets"] == len(files) == 24
    feeds = [feed(file) for file in files]
    trips = {
        (e.trip_update.trip.trip_id, e.trip_update.timestamp or f.header.timestamp)
        for f in feeds
        for e in f.entity
        if e.HasField("trip_update")
    }
    seen = sum(e.HasField("trip_update") for f in feeds for e in f.entity)
    assert of(book, "trip_update") == (len(trips), seen - len(trips), 0)
    sql = "SELECT source, extract(epoch FROM ts)::bigint FROM trip_update WHERE ts > '2024-02-08' AND ts < '2024-02-09'"
    assert set(query(city.config, sql)) == trips
    assert of(book, "bus_position")[0] > 0
    city.again(tmp_path, "gtfs_realtime", book, capsys)


@pytest.mark.parametrize("version", ["v2.3", "v3.0"])
def test_entur_gbfs(version: str, city: City, recordings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = recordings / "feeds/gbfs/entur" / version
    bikes, vehicles, id_of = {
        "v2.3": ("num_bikes_available", "free_bike_status.json", "bike_id"),
        "v3.0": ("num_vehicles_available", "vehicle_status.json", "vehicle_id"),
    }[version]
    book = city.replay(folder, "gbfs")
    stations = json.loads((folder / "station_status.json").read_bytes())["data"]["stations"]
    names = {s["station_id"]: s for s in json.loads((folder / "station_information.json").read_bytes())["data"]["stations"]}
    assert of(book, "bike_station") == (len(stations), 0, 0)
    for told in stations:
        sql = "SELECT bikes, docks, bikes_disabled, lon, lat FROM bike_station WHERE source = %s AND ts = %s"
        [row] = query(city.config, sql, told["station_id"], moment(told["last_reported"]))
        place = names.get(told["station_id"], {})
        assert row[:2] == (told[bikes], told["num_docks_available"])
        assert row[3:] == (place.get("lon"), place.get("lat"))
    told = json.loads((folder / vehicles).read_bytes())["data"]
    different = {(v[id_of], v["last_reported"]) for v in next(iter(told.values()))}
    assert of(book, "bike_vehicle") == (len(different), 0, 0)
    city.again(folder, "gbfs", book, capsys)


def test_dongsi_dust_reframed_as_hj212(city: City, recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    series = recordings / reframe.FILE
    path = tmp_path / "dongsi.txt"
    count = reframe.write(series, path, HOURS)
    book = city.replay(path, "hj212")
    assert of(book, "dust_station") == (count, 0, 0)
    assert book["packets"] == count
    sql = "SELECT pm25, pm10, so2, no2, co, o3, temperature, pressure, wind_speed, period FROM dust_station WHERE source = %s ORDER BY ts"
    stored = query(city.config, sql, reframe.MN)
    columns = ["PM2.5", "PM10", "SO2", "NO2", "CO", "O3", "TEMP", "PRES", "WSPM"]
    gaps = 0
    for row, found in zip(reframe.hours(series, HOURS), stored, strict=True):
        told = [None if row[c] == "NA" else float(row[c]) * (100 if c == "PRES" else 1) for c in columns]
        gaps += told.count(None)
        assert found == (*(None if v is None else pytest.approx(v) for v in told), 3600), row
    assert gaps > 100, "the recording has gaps, and they stay gaps"
    hour = "SELECT pm25, pm10, co, pressure FROM dust_station WHERE source = %s AND ts = '2013-03-07 23:00+08'"
    assert query(city.config, hour, reframe.MN) == [(520.0, 585.0, 5400.0, 100_000.0)]
    city.again(path, "hj212", book, capsys)


def test_killing_stream_and_store_in_the_middle_of_a_replay(city: City, recordings: Path, tmp_path: Path) -> None:
    path = tmp_path / "dongsi.txt"
    count = reframe.write(recordings / reframe.FILE, path, 6000, "PRSA00000000000000KILLED")
    before = city.count("dust_station")

    def kill() -> None:
        for victim, rows in ((STREAM, 0), ("store", 1000), (STREAM, 2000), ("store", 3000)):
            until(f"more than {rows} rows", lambda n=rows: city.count("dust_station") - before > n, city.crew)  # type: ignore[misc]
            city.crew.kill(f"{victim}-0")
            city.crew.start(victim)

    book = city.replay(path, "hj212", meanwhile=kill)
    assert of(book, "dust_station") == (count, 0, 0)
    assert city.count("dust_station") == before + count


def test_public_jt808_frames(city: City, recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = sorted((recordings / "vectors").glob("jt808_*.jsonl"))
    for file in files:
        (tmp_path / file.name).symlink_to(file)
    frames = [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    book = city.replay(tmp_path, "jt808", f"groups={GROUPS}")
    assert book["packets"] == len(frames) == 319
    damaged = sum(not all(f["checks"].values()) for f in frames)
    assert of(book, "reject")[2] >= damaged > 0
    kinds = {part["kind"] for part in book["by"] if part["stored"]}
    assert kinds - {"driver_duty", "vehicle_alarm_episode"} == {"hazmat_position", "taxi_position"}, (
        "terminals of other numbers lie outside the globe in these frames"
    )
    for told in (f["expect"] for f in frames if f.get("expect", {}).get("time") and f["msg_id"] == "0x0200"):
        south = -1 if told["status"] & 4 else 1
        place = (pytest.approx(told["longitude"] / 1e6), pytest.approx(south * told["latitude"] / 1e6))
        row = (*place, told["altitude"], pytest.approx(told["speed"] / 36), told["direction"])
        sql = "SELECT lon, lat, altitude, speed, heading FROM taxi_position WHERE ts = %s"
        assert query(city.config, sql, told["time"] + "+08") == [row]
    city.again(tmp_path, "jt808", book, capsys, f"groups={GROUPS}")


def test_the_ledger_of_all_replays_balances_and_nobody_was_paged(city: City, recordings: Path) -> None:
    city.replay(recordings / "feeds/gtfs_realtime/mbta_vehiclepositions.pb", "gtfs_realtime")
    book = json.loads(city.command("ledger", "--json"))
    for part in [book, *book["by"]]:
        assert part["received"] == part["stored"] + part["duplicates"] + part["rejected"], part
        assert (part["lost"], part["in_flight"]) == (0, 0), part
    kinds = {part["kind"] for part in book["by"]} - {"reject"}
    assert book["stored"] == sum(city.count(kind) for kind in kinds)
    whole = city.command("ledger").splitlines()
    [total] = [line for line in whole if "合计" in line]
    numbers = [int(text.replace(",", "")) for text in total.replace("│", " ").split() if text.replace(",", "").isdigit()]
    names = ("received", "stored", "duplicates", "rejected", "in_flight", "lost")
    assert numbers == [book[name] for name in names]
    assert query(city.config, "SELECT rule FROM alerts WHERE NOT detected_late") == []


def moment(reported: float | str) -> str:
    """Give a GBFS time, POSIX seconds or RFC 3339, as text that SQL reads."""
    if isinstance(reported, str):
        return reported
    return datetime.fromtimestamp(reported, UTC).isoformat()
