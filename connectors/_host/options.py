"""What the host itself needs to know of an instance, by transport; all other keys are the connector's settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from connectors._api.manifest import Settings
from connectors._api.registry import Connector
from schemas.errors import Fatal


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Keys of an instance's table that every transport takes."""

    max_unconfirmed: int = 20_000
    """Rows that may wait for Kafka or the spool before the instance stops reading."""


class TcpOptions(Options, frozen=True, kw_only=True):
    """Keys of an instance that listens on TCP; 0 lifts a limit."""

    listen: str = ""
    """``host:port``; empty is the loopback and the connector's default port."""
    tls_cert: str = ""
    tls_key: str = ""
    """PEM files; both together turn TLS on."""
    max_connections: int = 10_000
    max_per_ip: int = 20
    packets_per_s: int = 1024
    bytes_per_s: int = 256 * 1024
    """Of one connection; beyond these it is read more slowly."""
    first_packet_s: float = 120.0
    """A connection without a usable packet is closed after this time; above the pause of devices that do not log in."""
    idle_timeout_s: float = 600.0


class HttpPollOptions(Options, frozen=True, kw_only=True):
    """Keys of an instance that polls documents over HTTP."""

    hosts: list[str] = []
    """Hosts that may be asked besides those of the URLs in the settings."""
    allow_private: bool = False
    """Whether a host name may resolve to a loopback, link-local or private address."""
    headers: dict[str, str] = {}
    """Sent with every request, for API keys."""
    timeout_s: float = 30.0
    max_bytes: int = 20_000_000
    breaker_failures: int = 5
    breaker_s: float = 60.0
    """After that many failures in a row nothing is asked for that long."""


class FileOptions(Options, frozen=True, kw_only=True):
    """Keys of an instance that reads files."""

    path: str
    """A file, or a folder whose files are read in order of name."""
    rescan_s: float = 10.0
    """How often the folder is searched for new files."""


BY_TRANSPORT: dict[str, type[Options]] = {"tcp": TcpOptions, "http_poll": HttpPollOptions, "file": FileOptions}
OWN_KEYS = ("type", "enabled")
"""Keys of an instance's table that belong to neither the host's options nor the connector."""


def split(connector: Connector, table: Mapping[str, Any], where: str) -> tuple[Options, Settings]:
    """Part an instance's table into host options and the connector's complete settings; ``Fatal`` if it has flaws."""
    transport = connector.manifest.transport
    if transport not in BY_TRANSPORT:
        msg = f"{where}: the host has no transport {transport!r}; it has {', '.join(BY_TRANSPORT)}"
        raise Fatal(msg)
    names = BY_TRANSPORT[transport].__struct_fields__
    try:
        options = msgspec.convert({k: v for k, v in table.items() if k in names}, BY_TRANSPORT[transport])
    except msgspec.ValidationError as error:
        msg = f"{where}: {error}"
        raise Fatal(msg) from error
    given = {k: v for k, v in table.items() if k not in names and k not in OWN_KEYS}
    return options, connector.manifest.resolve(given, where)
