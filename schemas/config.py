"""All settings of all processes: one TOML file, one table per part; an unknown key stops the start."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import msgspec

from schemas.errors import Fatal


class Secret(str):
    """A string that prints as ``***``."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"

    def __str__(self) -> str:
        return "***"

    def reveal(self) -> str:
        """Give the secret itself, for the one call that needs it."""
        return str.__str__(self)


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One table of the settings file."""


class Kafka(Section, frozen=True, kw_only=True):
    """The ``[kafka]`` table."""

    bootstrap: str = "127.0.0.1:9092"
    partitions: int = 4


class Database(Section, frozen=True, kw_only=True):
    """The ``[database]`` table; ``url`` is a libpq connection string."""

    url: str = ""
    schema: str = "cityops"


class Gateway(Section, frozen=True, kw_only=True):
    """The ``[gateway]`` table; ``origins`` adds to the page's own origin."""

    host: str = "127.0.0.1"
    port: int = 8808
    origins: list[str] = []
    session_hours: float = 12.0


class Stream(Section, frozen=True, kw_only=True):
    """The ``[stream]`` table; ``lateness_s`` overrides kinds by name."""

    worker: int = 0
    flush_ms: int = 200
    batch_frames: int = 256
    rules: list[str] = []
    """Folders of further rule packs; files there override ours by rule id."""
    boundaries: str = ""
    """GeoJSON of zones; empty reads the counties of the installed boundary package."""
    lateness_s: dict[str, float] = {}


class Connect(Section, frozen=True, kw_only=True):
    """The ``[connect]`` table: what all connectors share."""

    frame_rows: int = 1000
    flush_ms: int = 200
    spool_dir: str = "spool"
    spool_max_mb: int = 1024
    spool_max_h: float = 72.0
    state_interval_s: float = 2.0


class Config(Section, frozen=True, kw_only=True):
    """The whole settings file.

    ``connectors`` maps an instance name to its table; ``type`` in that table names the connector's
    folder and defaults to the instance name, every other key is a setting of its ``connector.toml``.
    """

    data_dir: str = ".cityops"
    kafka: Kafka = Kafka()
    database: Database = Database()
    gateway: Gateway = Gateway()
    stream: Stream = Stream()
    connect: Connect = Connect()
    connectors: dict[str, dict[str, Any]] = {}
    metrics_ports: dict[str, int] = {}
    """Port of each process's own /metrics (connect, stream, store, gateway); absent means none."""
    metrics_host: str = "127.0.0.1"
    """Address those ports listen on; they have no log-in, so keep any other address inside a private network."""


def parse(text: str, where: str = "settings") -> Config:
    """Read settings; a wrong key or type raises ``Fatal`` naming it and where."""
    try:
        return msgspec.convert(tomllib.loads(text), Config)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        msg = f"{where}: {error}"
        raise Fatal(msg) from error


def load(path: Path) -> Config:
    """Read a settings file."""
    try:
        return parse(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        msg = f"{path}: {error.strerror}; give a readable settings file with --config"
        raise Fatal(msg) from error
