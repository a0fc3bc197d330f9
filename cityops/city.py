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

DEVICES_PER_IP = 20_000
"""All simulated devices come from one address."""


def connectors(place: Place) -> dict[str, dict[str, Any]]:
    """Give the ``[connectors]`` tables of the demo; ports and the terminals' secret stay the same at every start."""
    from cityops.simulator.bike_feed import gbfs_path
    from cityops.simulator.run import SimulatorSettings, hj212_devices, jt808_groups

    jt808, hj212, gbfs = (place.port(name) for name in ("jt808", "hj212", "gbfs"))
    city = SimulatorSettings(jt808=("127.0.0.1", jt808), hj212=("127.0.0.1", hj212), gbfs_port=gbfs, data_dir=place.root)
    return {
        "jt808": {
            "listen": f"127.0.0.1:{jt808}",
            "max_per_ip": DEVICES_PER_IP,
            "authentication": "required",
            "secret": place.secret("jt808"),
            "groups": jt808_groups(),
            "default_kind": "",
        },
        "hj212": {"listen": f"127.0.0.1:{hj212}", "max_per_ip": DEVICES_PER_IP, "devices": hj212_devices(city)},
        "gbfs": {"url": f"http://127.0.0.1:{gbfs}{gbfs_path()}", "allow_private": True},
    }


def simulator(config: Config, **changed: Any) -> SimulatorSettings:
    """Give the simulator's settings from the connectors it speaks to; one of them absent raises ``Fatal``."""
    from cityops.simulator.run import SimulatorSettings

    return SimulatorSettings(
        jt808=_listens(config, "jt808"),
        hj212=_listens(config, "hj212"),
        gbfs_port=_url_port(config),
        data_dir=Path(config.data_dir),
        **changed,
    )


def _listens(config: Config, name: str) -> tuple[str, int]:
    host, _, port = str(config.connectors.get(name, {}).get("listen", "")).rpartition(":")
    if not port.isdecimal():
        msg = f'the simulator speaks to [connectors.{name}]: give it listen = "host:port", or start `cityops demo`'
        raise Fatal(msg)
    return host or "127.0.0.1", int(port)


def _url_port(config: Config) -> int:
    port = urlsplit(str(config.connectors.get("gbfs", {}).get("url", ""))).port
    if port is None:
        raise Fatal('the simulator serves the feed of [connectors.gbfs]: give it url = "http://host:port/..."')
    return port
