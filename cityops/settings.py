"""The one place where settings come together: file, environment, running demo, defaults."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from cityops.place import Place, write_private
from schemas.config import Config, load
from schemas.errors import Fatal

KAFKA, DATABASE, DATA = "CITYOPS_KAFKA", "CITYOPS_DATABASE", "CITYOPS_DATA"
"""The environment: broker as host:port, database as connection string, data folder."""


def settle(config: Path | None, data_dir: Path | None, env: Mapping[str, str] = os.environ) -> Config:
    """Give the settings of a command.

    The settings file comes first, then those of a system that runs on the data folder, then defaults; the
    environment's broker, database and data folder replace what these say.
    """
    folder = data_dir or (Path(env[DATA]) if env.get(DATA) else None)
    found = read(config) if config is not None else running(folder or Path(Config().data_dir)) or Config()
    if folder is not None:
        found = msgspec.structs.replace(found, data_dir=str(folder))
    return adopt(found, env)


def adopt(config: Config, env: Mapping[str, str]) -> Config:
    """Give the settings with the broker and database that the environment names."""
    if env.get(KAFKA):
        config = msgspec.structs.replace(config, kafka=msgspec.structs.replace(config.kafka, bootstrap=env[KAFKA]))
    if env.get(DATABASE):
        config = msgspec.structs.replace(config, database=msgspec.structs.replace(config.database, url=env[DATABASE]))
    return config


def running(data_dir: Path) -> Config | None:
    """Give the settings of the system that runs on a data folder now, or nothing."""
    if not (data_dir / "lock").exists():
        return None
    place = Place(data_dir)
    return read(place.runtime_file) if place.in_use() and place.runtime_file.exists() else None


def read(path: Path) -> Config:
    """Read a settings file: TOML, or JSON as ``publish`` writes it."""
    if path.suffix != ".json":
        return load(path)
    try:
        return msgspec.json.decode(path.read_bytes(), type=Config)
    except (OSError, msgspec.MsgspecError) as error:
        msg = f"{path}: {error}"
        raise Fatal(msg) from error


def publish(config: Config, place: Place) -> Path:
    """Write the running system's settings for its processes and for other commands; only this user can read them."""
    write_private(place.runtime_file, msgspec.json.encode(config).decode())
    return place.runtime_file


def database_url(config: Config) -> str:
    """Give the connection string; none set raises ``Fatal``."""
    if not config.database.url:
        msg = f"no database: start `cityops demo` on this data folder, set {DATABASE}, or give [database] url in --config"
        raise Fatal(msg)
    return config.database.url


def demo(place: Place, *, bootstrap: str, database: str, port: int | None) -> Config:
    """Give the demo's settings: every connector the simulated city speaks to, on free loopback ports."""
    from cityops import city

    return msgspec.convert(
        {
            "data_dir": str(place.root),
            "kafka": {"bootstrap": bootstrap},
            "database": {"url": database},
            "gateway": {"port": place.port("gateway", port)},
            "connect": {"spool_dir": str(place.root / "spool")},
            "connectors": city.connectors(place, database),
            "metrics_ports": {name: place.port(f"metrics-{name}") for name in ("connect", "stream", "store")},
        },
        Config,
    )
