"""How the simulated city and our connectors find each other: the demo's connector tables and the simulator's settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cityops.place import Place
from schemas.config import Config
from schemas.errors import Fatal

if TYPE_CHECKING:
    from cityops.simulator.run import SimulatorSettings
    from storage.layers import Feature

DEVICES_PER_IP = 20_000
"""All simulated devices come from one address."""
HOST = "127.0.0.1"


def connectors(place: Place, database: str) -> dict[str, dict[str, Any]]:
    """Give the ``[connectors]`` tables of the demo; ports and secrets stay the same at every start."""
    from cityops.simulator.bike_feed import gbfs_path
    from cityops.simulator.run import SimulatorSettings, hj212_devices, jt808_groups

    jt808, hj212, gbfs = (place.port(name) for name in ("jt808", "hj212", "gbfs"))
    city = SimulatorSettings(jt808=(HOST, jt808), hj212=(HOST, hj212), gbfs_port=gbfs, data_dir=place.root)
    return {
        "jt808": {
            "listen": f"{HOST}:{jt808}",
            "max_per_ip": DEVICES_PER_IP,
            "authentication": "required",
            "secret": place.secret("jt808"),
            "hash_key": place.secret("drivers"),
            "groups": jt808_groups(),
            "default_kind": "",
        },
        "hj212": {"listen": f"{HOST}:{hj212}", "max_per_ip": DEVICES_PER_IP, "devices": hj212_devices(city)},
        "gbfs": {"url": f"http://{HOST}:{gbfs}{gbfs_path()}", "allow_private": True},
        **_transport(place, city),
        **_utilities(place, city),
        **_feeds(place),
        **_highway(place),
        **_waterworks(place, city),
        "sql_poll": _heating_office(place, database),
    }


def _transport(place: Place, city: SimulatorSettings) -> dict[str, dict[str, Any]]:
    """Vehicles beside JT/T 808: taxis, electric buses, the transport company's platform."""
    from cityops.simulator import identity, operators

    key = {"hash_key": place.secret("drivers")}
    platform = {
        "vehicles": identity.jt809_vehicles(),
        "default_kind": "",
        "users": {str(operators.USER): place.secret("jt809")[:8]},
        "verify_secret": place.secret("jt809"),
        **key,
    }
    return {
        "jt905": {"listen": _loopback(place, "jt905"), "max_per_ip": DEVICES_PER_IP, "plate_prefix": "晋", **key},
        "jt809": {"listen": _loopback(place, "jt809"), **platform},
        "gb32960": {
            "listen": _loopback(place, "gb32960"),
            "max_per_ip": DEVICES_PER_IP,
            "vehicles": identity.ev_vehicles(city.size.evs),
            "default_kind": "",
        },
        "ridehailing": {"listen": _loopback(place, "ridehailing"), **key},
        "bike_events": {"listen": _loopback(place, "bike_events"), "operator": "dx"},
        "hfp": {"listen": _loopback(place, "hfp"), "zone": "Asia/Shanghai"},
    }


def _utilities(place: Place, city: SimulatorSettings) -> dict[str, dict[str, Any]]:
    """Networks and meters: the platform dials their stations, battery devices publish."""
    from cityops.simulator import heating, lamps, meters, pipes, power
    from cityops.simulator.estate import estate

    fixed = estate(city.size.fixed, city.seed)

    def dialled(name: str, **settings: Any) -> dict[str, Any]:
        return {"connect": [_loopback(place, name)], **settings}

    def published(name: str, profile: str) -> dict[str, Any]:
        return {"type": "mqtt_json", "listen": _loopback(place, name), "profile": profile}

    polled = {"interval_s": 60.0, "timeout_s": 3.0}
    lines = {name: meters.settings(of_line) for name, of_line in meters.lines(fixed).items()}
    return {
        "iec104": dialled("iec104", points=power.points(fixed.feeders), common_addresses=[power.CA]),
        "modbus": dialled("modbus", registers=heating.registers(fixed.heat), interval_s=10.0),
        "dlt645": dialled("dlt645", meters=lines["dlt645"], **polled),
        "dlt698": dialled("dlt698", meters=lines["dlt698"], registers=list(meters.OBJECTS), **polled),
        "cj188": dialled("cj188", meters=lines["cj188"], clock="arrival", **polled),
        "streetlights": published("streetlights", lamps.PROFILE),
        "sparkplug": {"listen": _loopback(place, "sparkplug")},
        "talq": {"listen": _loopback(place, "talq")},
        "gas": published("gas", pipes.GAS_PROFILE),
        "water": published("water", pipes.WATER_PROFILE),
    }


def _feeds(place: Place) -> dict[str, dict[str, Any]]:
    """Documents and files: traffic data is polled, payments are picked up."""
    from cityops.simulator.timetable import PATH as TIMETABLE_PATH
    from cityops.simulator.timetable import PERIOD_S as TIMETABLE_S
    from cityops.simulator.traffic import DATA_PATH, PERIOD_S, SITES_PATH

    base = f"http://{_loopback(place, 'datex2')}"
    bus_feed = f"http://{_loopback(place, 'gtfs_realtime')}{TIMETABLE_PATH}"
    folder = place.root / "simulator" / "payments"
    folder.mkdir(parents=True, exist_ok=True)
    key = place.secret("accounts")
    return {
        "datex2": {"url": base + DATA_PATH, "site_table_url": base + SITES_PATH, "interval_s": PERIOD_S, "allow_private": True},
        "gtfs_realtime": {"url": bus_feed, "interval_s": TIMETABLE_S, "allow_private": True},
        "payments": {"type": "table_file", "path": str(folder), "rescan_s": 2.0, "checksum": "required", "hash_key": key},
    }


def _highway(place: Place) -> dict[str, dict[str, Any]]:
    """Detectors of the highway bureau, as files."""
    folder = place.root / "simulator" / "highway"
    folder.mkdir(parents=True, exist_ok=True)
    return {"traffic_csv": {"path": str(folder), "rescan_s": 2.0, "checksum": "required"}}


def _waterworks(place: Place, city: SimulatorSettings) -> dict[str, dict[str, Any]]:
    """Hydrants, pushed by a carrier's platform; pump stations behind OPC UA, where its package is installed."""
    from cityops.simulator import pipes, pumps
    from cityops.simulator.estate import estate

    pushed = {"listen": _loopback(place, "http_json"), "profile": pipes.HYDRANT_PROFILE, "kind": pipes.HYDRANT_KIND}
    if not pumps.installed():
        return {"http_json": pushed}
    points = pumps.points(estate(city.size.fixed, city.seed).pumps)
    return {"http_json": pushed, "opcua": {"url": f"opc.tcp://{_loopback(place, 'opcua')}{pumps.PATH}", "points": points}}


def _heating_office(place: Place, database: str) -> dict[str, Any]:
    """Payments in a table of an old billing system, in a schema of its own."""
    from cityops.simulator import counter

    return {
        "database": database,
        "table": f"{counter.SCHEMA}.{counter.TABLE}",
        "watermark": counter.KEY,
        "key": counter.KEY,
        "interval_s": 5.0,
        "state_file": str(place.run / "sql_poll.mark"),
        "hash_key": place.secret("accounts"),
    }


def _loopback(place: Place, name: str) -> str:
    return f"{HOST}:{place.port(name)}"


def reference_layers() -> dict[str, list[Feature]]:
    """Give the layers of the demo's city by name: roads, bus lines and stops, geofences, register of sources."""
    from cityops.simulator.layers import layers
    from cityops.simulator.run import SimulatorSettings

    city = SimulatorSettings(jt808=(HOST, 0), hj212=(HOST, 0), gbfs_port=0, data_dir=Path())
    return layers(city.size, city.seed)


def simulator(config: Config, **changed: Any) -> SimulatorSettings:
    """Give the simulator's settings from the connectors it speaks to; one it cannot do without absent raises ``Fatal``."""
    from cityops.simulator import departments, operators
    from cityops.simulator.run import SimulatorSettings

    spoken = {
        *departments.LINES,
        *departments.POSTED,
        *departments.PUBLISHED,
        *departments.LAMPS,
        *departments.DIALLED,
        *departments.SERVED,
        departments.PUMPS,
    }
    drops = {name: config.connectors.get(name, {}).get("path") for name in departments.DROPPED}
    users = config.connectors.get("jt809", {}).get("users", {})
    return SimulatorSettings(
        jt808=_listens(config, "jt808"),
        hj212=_listens(config, "hj212"),
        gbfs_port=_url_port(config, "gbfs"),
        data_dir=Path(config.data_dir),
        peers={name: _peer(config, name) for name in spoken if name in config.connectors},
        drops={name: Path(path) for name, path in drops.items() if path},
        database=_office(config),
        password=str(users.get(str(operators.USER), "")),
        **changed,
    )


def _office(config: Config) -> str:
    """Give the database of the heating office, empty where the instance reads another table: that is not ours to write."""
    from cityops.simulator import counter, departments

    table = config.connectors.get(departments.COUNTER, {})
    return str(table["database"]) if table.get("table") == f"{counter.SCHEMA}.{counter.TABLE}" else ""


def _peer(config: Config, name: str) -> tuple[str, int]:
    """Give the address a connector listens on, dials to, or polls."""
    table = config.connectors[name]
    if "url" in table:
        return HOST, _url_port(config, name)
    return _address(table.get("listen") or next(iter(table.get("connect", [])), ""), name)


def _listens(config: Config, name: str) -> tuple[str, int]:
    return _address(config.connectors.get(name, {}).get("listen", ""), name)


def _address(text: str, name: str) -> tuple[str, int]:
    host, _, port = str(text).rpartition(":")
    if not port.isdecimal():
        msg = f'the simulator speaks to [connectors.{name}]: give it listen = "host:port", or start `cityops demo`'
        raise Fatal(msg)
    return host or HOST, int(port)


def _url_port(config: Config, name: str) -> int:
    port = urlsplit(str(config.connectors.get(name, {}).get("url", ""))).port
    if port is None:
        msg = f'the simulator serves the feed of [connectors.{name}]: give it url = "http://host:port/..."'
        raise Fatal(msg)
    return port
