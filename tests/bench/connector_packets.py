"""What every connector typically receives: packets made by its encoder, or the steps of a golden case that give readings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from connectors._api import Peer, load
from connectors._api.golden import cases, packet
from connectors._api.registry import Connector
from connectors._api.session import Session
from schemas.errors import Reject

SEEN_AT: Final = 1_793_491_200_000_000
SECOND: Final = 1_000_000
ROWS: Final = 1000
"""Rows of a document."""


@dataclass(frozen=True)
class Feed:
    """Packets with their origins; those of ``first`` come before, once. ``rows`` says how many a packet counts for."""

    packets: list[tuple[bytes, str]]
    rows: int = 1
    unit: str = "packets"
    first: list[tuple[bytes, str]] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)


GOLDEN: Final = {
    "cj188": "water",
    "dlt645": "read_energy",
    "dlt698": "get_list",
    "hfp": "position",
    "hj212": "dust_realtime",
    "http_json": "gas_detector",
    "iec104": "floats_of_one_moment",
    "jt808": "location_2013",
    "jt809": "location_2019",
    "jt905": "location",
    "modbus": "types_and_orders",
    "mqtt_json": "gas_detector",
    "opcua": "batch_of_one_moment",
    "ridehailing": "position_vehicle",
    "talq": "light",
}
"""Connectors of single packets by the golden case that is typical."""


def feed(name: str) -> Feed:
    """Give what a connector receives; one that neither table knows raises ``KeyError``."""
    return MADE[name]() if name in MADE else _golden(name, GOLDEN[name])


def session(name: str, given: dict[str, Any]) -> Session:
    """Give a connector's session with those settings."""
    connector = load(name)
    return connector.make_session(connector.manifest.resolve(given, "bench"), Peer("bench"))


def _golden(name: str, case_name: str) -> Feed:
    connector = load(name)
    case = cases(connector.path)[case_name]
    packets = [p for step in case.steps for p in _cut(connector, case.settings, packet(step, connector.path), step.origin)]
    tried = session(name, case.settings)
    for one in packets:
        _read(tried, *one)
    telling = [one for one in packets if _read(tried, *one)]
    return Feed(telling or packets, first=packets, settings=case.settings)


def _cut(connector: Connector, settings: dict[str, Any], wire: bytes, origin: str) -> Iterator[tuple[bytes, str]]:
    if connector.make_framing is None:
        yield wire, origin
        return
    for found in connector.make_framing(connector.manifest.resolve(settings, "bench")).feed(wire):
        if isinstance(found, bytes):
            yield found, origin


def _read(tried: Session, body: bytes, origin: str) -> bool:
    try:
        return bool(tried.receive(body, SEEN_AT, origin).readings)
    except Reject:
        return False


def _bike_events() -> Feed:
    from connectors.bike_events import encoder

    rows = [
        encoder.row({"source": f"B{n}", "ts": SEEN_AT, "event": "lock", "lon": 121.4 + n / 1e5, "lat": 31.2}) for n in range(ROWS)
    ]
    return Feed([(encoder.json_body(rows), "POST /")], ROWS, "rows")


def _datex2() -> Feed:
    from connectors.datex2.encoder import Channel, Measured, Place, Value, measured, table

    channels = [Channel(index=1, type="trafficFlow"), Channel(index=2, type="trafficSpeed")]
    places = [Place(site=f"S{n}", lon=4.9 + n / 1e4, lat=52.3, channels=channels) for n in range(ROWS)]
    sites = [
        Measured(site=f"S{n}", at=SEEN_AT, values=[Value(index=1, flow=600 + n), Value(index=2, speed=80.0)]) for n in range(ROWS)
    ]
    first = [(table(places, "3", published=SEEN_AT), "table")]
    return Feed([(measured(sites, "3", published=SEEN_AT), "measured")], ROWS, "sites", first)


def _gb32960(cells: int = 96, probes: int = 32) -> Feed:
    from connectors.gb32960 import encoder

    blocks = load("gb32960")
    case = cases(blocks.path)["realtime"]
    (known,) = _cut(blocks, case.settings, packet(case.steps[0], blocks.path), "")
    message: Any = session("gb32960", case.settings).receive(known[0], SEEN_AT).message
    given = {name: message[name] for name in ("vehicle", "motors", "position", "extremes", "alarm") if name in message}
    voltages, temperatures = message["storage_voltages"][0], message["storage_temperatures"][0]
    packets: list[tuple[bytes, str]] = []
    for n in range(100):
        given["storage_voltages"] = [
            {**voltages, "cell_count": cells, "cell_voltages": [3.3 + (n + i) % 200 / 1000 for i in range(cells)]}
        ]
        given["storage_temperatures"] = [{**temperatures, "temperatures": [20 + (n + i) % 9 for i in range(probes)]}]
        wire = encoder.record(f"LTEST{n:012d}", SEEN_AT, given)
        packets += _cut(blocks, case.settings, wire, "")
    return Feed(packets, settings=case.settings)


def _gbfs() -> Feed:
    from connectors.gbfs.encoder import Vehicle, vehicle_status

    bikes = [Vehicle(vehicle_id=f"V{n}", reported=SEEN_AT, lon=121.4 + n / 1e5, lat=31.2) for n in range(ROWS)]
    document = vehicle_status(bikes, "3.0", updated=SEEN_AT)
    return Feed([(msgspec.json.encode(document), "https://feed.example/vehicle_status")], ROWS, "rows")


def _gtfs_realtime() -> Feed:
    from connectors.gtfs_realtime import encoder

    vehicles = [
        encoder.vehicle(f"V{n}", ts=SEEN_AT, place=(121.4 + n / 1e5, 31.2), route="42", trip=f"T{n}", speed=8.0, bearing=90.0)
        for n in range(ROWS)
    ]
    return Feed([(encoder.feed(SEEN_AT, vehicles), "positions")], ROWS, "vehicles")


def _jt809_encrypted() -> Feed:
    from connectors.jt809 import encoder
    from connectors.jt809.header import Cipher

    given = {"m1": 10_000_000, "ia1": 20_000_000, "ic1": 30_000_000}
    secrets = {name: str(value) for name, value in given.items()}
    wires = [
        encoder.real_location(
            f"沪A{n:05d}",
            2,
            encoder.location_fields(ts=SEEN_AT + n * SECOND, lat=31.2, lon=121.4, edition="2011", speed=10.0),
            edition="2011",
            sn=n,
            center=1,
            cipher=Cipher(**given),
            key=n + 1,
        )
        for n in range(2000)
    ]
    return Feed([p for wire in wires for p in _cut(load("jt809"), secrets, wire, "")], settings=secrets)


def _sparkplug() -> Feed:
    from connectors.sparkplug.encoder import EdgeNode

    node, at = EdgeNode("City", "C12"), SEEN_AT // 1000
    metrics = {"Lamp/On": ("Boolean", True), "Lamp/Power": ("Float", 80.0), "Lamp/Level": ("Int16", 70)}
    births = [node.birth(at), node.device_birth("L7", at, metrics)]
    told = [node.report(at + n, {"Lamp/Power": float(n), "Lamp/Level": n % 100}, "L7") for n in range(256)]
    return Feed([(body, topic) for topic, body in told], first=[(body, topic) for topic, body in births])


def _payments() -> list[dict[str, str]]:
    from connectors.table_file import encoder

    given = {"account": "A1", "paid_at": SEEN_AT, "utility": "water", "amount": 1234, "channel": "wechat", "district": "east"}
    return [encoder.payment({"bill": f"P{n}", **given}) for n in range(ROWS)]


def _sql_poll() -> Feed:
    from connectors.sql_poll import encoder

    page = encoder.page([{"id": n, **row} for n, row in enumerate(_payments())])
    return Feed([(page, "")], ROWS, "rows", settings={"hash_key": "k", "key": "id"})


def _table_file(body: Callable[[list[dict[str, str]]], bytes]) -> Feed:
    return Feed([(body(_payments()), "payments")], ROWS, "rows", settings={"hash_key": "k"})


def _csv() -> Feed:
    from connectors.table_file import encoder

    return _table_file(encoder.csv_body)


def _parquet() -> Feed:
    from connectors.table_file import encoder

    return _table_file(encoder.parquet_body)


def _xlsx() -> Feed:
    from connectors.table_file import encoder

    return _table_file(encoder.xlsx_body)


def _traffic_csv() -> Feed:
    from connectors.traffic_csv import encoder

    given = {"ts": SEEN_AT, "lane": 1, "period": 60, "speed": 10.0, "flow": 60.0, "occupancy": 5.0}
    rows = encoder.rows("traffic_detector", [{"source": f"D{n}", **given} for n in range(ROWS)])
    return Feed([(encoder.csv_body(rows), "")], ROWS, "rows")


MADE: Final[dict[str, Callable[[], Feed]]] = {
    "bike_events": _bike_events,
    "datex2": _datex2,
    "gb32960": _gb32960,
    "gbfs": _gbfs,
    "gtfs_realtime": _gtfs_realtime,
    "jt809 encrypted": _jt809_encrypted,
    "sparkplug": _sparkplug,
    "sql_poll": _sql_poll,
    "table_file": _csv,
    "table_file parquet": _parquet,
    "table_file xlsx": _xlsx,
    "traffic_csv": _traffic_csv,
}
"""Connectors of documents, and those whose packets must follow one another, by what makes a feed of them."""
