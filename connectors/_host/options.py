"""What the host itself needs to know of an instance, by transport; all other keys are the connector's settings."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_network
from typing import Any, Literal

import msgspec

from connectors._api.manifest import Settings
from connectors._api.registry import Connector
from schemas.config import Secret
from schemas.errors import Fatal


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Keys of an instance's table that every transport takes."""

    max_unconfirmed: int = 20_000
    """Rows that may wait for Kafka or the spool before the instance stops reading."""


class Open(Options, frozen=True, kw_only=True):
    """Keys of an instance that others send to; 0 lifts a limit."""

    listen: str = ""
    """``host:port``; empty is the loopback and the connector's default port."""
    allow: list[str] = []
    """Networks that may send, such as ``10.0.0.0/8``; empty allows all."""
    packets_per_s: int = 1024
    bytes_per_s: int = 256 * 1024
    """Of one connection or peer; beyond these a stream is read more slowly, a datagram dropped, a request answered 429."""
    idle_timeout_s: float = 600.0
    """A connection or peer without a usable packet for this time is closed and forgotten."""


class Streams(Open, frozen=True, kw_only=True):
    """Keys of an instance with connections; 0 lifts a limit."""

    tls_cert: str = ""
    tls_key: str = ""
    """PEM files of our own certificate; on a listener both together turn TLS on."""
    tls_ca: str = ""
    """PEM file of authorities: a listener then demands a certificate of theirs, a dialled peer must show one."""
    max_connections: int = 10_000
    max_per_ip: int = 20
    """A connection beyond these is closed at once, and so is one that would take a file the process needs."""
    first_packet_s: float = 120.0
    """A connection without a usable packet is closed after this time; above the pause of devices that do not log in."""


class Dialling(Streams, frozen=True, kw_only=True):
    """Keys of an instance that may open connections itself."""

    tls: bool = False
    """Whether connections that we open speak TLS; without ``tls_ca`` the system's authorities are trusted."""


class TcpOptions(Dialling, frozen=True, kw_only=True):
    """Keys of an instance that listens on TCP, or dials out."""

    connect: list[str] = []
    """Addresses ``host:port`` to connect to instead of listening; each has a session and is dialled again when it ends."""


class UdpOptions(Open, frozen=True, kw_only=True):
    """Keys of an instance that takes datagrams; each peer address has a session."""

    max_peers: int = 10_000
    """With so many peers the one that has been silent longest is forgotten for a new one."""


class MqttOptions(Dialling, frozen=True, kw_only=True):
    """Keys of an instance that subscribes at an MQTT broker, or that devices publish to (MQTT 3.1.1) when there is none."""

    broker: str = ""
    """``host:port`` of the broker; empty: the instance listens, and needs no broker."""
    topics: list[str] = []
    """Filters to subscribe to, ``$share/<group>/<filter>`` too; when listening, others are refused and empty takes all."""
    qos: Literal[0, 1] = 1
    version: Literal["3.1.1", "5"] = "3.1.1"
    username: str = ""
    password: Secret = Secret()
    """What we show the broker, or what devices must show us; both empty: nothing."""
    client_id: str = ""
    """Names our session at the broker, which keeps what we missed; empty is ``cityops-<instance>``."""
    keepalive_s: int = 60
    session_expiry_s: int = 7 * 86_400
    """How long the broker keeps what we missed (MQTT 5; brokers of 3.1.1 have a setting of their own)."""
    max_inflight: int = 1000
    """Messages the broker may send ahead of our acknowledgements (MQTT 5)."""
    max_bytes: int = 1_000_000
    """A larger payload is refused."""
    will_topic: str = ""
    will: str = ""
    """What the broker publishes when we are gone without a word; an empty topic is none."""


class HttpPushOptions(Streams, frozen=True, kw_only=True):
    """Keys of an instance that documents are pushed to over HTTP."""

    token: Secret = Secret()
    """Must then come as ``Authorization: Bearer ...`` or as ``X-Token``."""
    username: str = ""
    password: Secret = Secret()
    """Must then come as basic login; where a token is set too, either will do."""
    max_bytes: int = 5_000_000
    """Of a body, counted after decompression; a larger one is answered 413."""
    max_concurrent: int = 200
    """Requests in work at once; one more is answered 503."""
    answer_timeout_s: float = 10.0
    """A body that does not come, or readings that are not safe, within this time are answered 408 or 503: send again."""


class HttpPollOptions(Options, frozen=True, kw_only=True):
    """Keys of an instance that polls documents over HTTP."""

    hosts: list[str] = []
    """Hosts that may be asked besides those of the URLs in the settings."""
    allow_private: bool = False
    """Whether a host name may resolve to a loopback, link-local or private address."""
    headers: dict[str, Secret] = {}
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
    settle_s: float = 30.0
    """A file of a drop folder is taken up when it has not changed for so long, or has a checksum file ``NAME.sha256``."""
    checksum: Literal["optional", "required"] = "optional"
    """Whether a file of a drop folder waits for its checksum file."""


class ClientOptions(Options, frozen=True, kw_only=True):
    """Keys of an instance whose connector brings a client of its own; what that needs is among its settings."""


BY_TRANSPORT: dict[str, type[Options]] = {
    "tcp": TcpOptions,
    "udp": UdpOptions,
    "mqtt": MqttOptions,
    "http_push": HttpPushOptions,
    "http_poll": HttpPollOptions,
    "file": FileOptions,
    "client": ClientOptions,
}
OWN_KEYS = ("type", "enabled", "transport")
"""Keys of an instance's table that belong to neither the host's options nor the connector."""
CARRIERS = ("tcp", "udp", "mqtt", "http_push", "file")
"""Transports that bring packets unasked: an instance may take one of these for another with ``transport = "..."``."""


def split(connector: Connector, table: Mapping[str, Any], where: str) -> tuple[Options, Settings]:
    """Part an instance's table into host options and the connector's complete settings; ``Fatal`` if it has flaws."""
    kind = BY_TRANSPORT[_transport(connector, table, where)]
    names = kind.__struct_fields__
    hidden = set(names) & set(connector.manifest.settings)
    if hidden:
        msg = f"{where}: {sorted(hidden)[0]!r} is a setting of {connector.type} and a key of this transport; choose another"
        raise Fatal(msg)
    try:
        options = msgspec.convert({k: v for k, v in table.items() if k in names}, kind, dec_hook=_secret)
    except msgspec.ValidationError as error:
        msg = f"{where}: {error}"
        raise Fatal(msg) from error
    _check(options, connector, where)
    given = {k: v for k, v in table.items() if k not in names and k not in OWN_KEYS}
    return options, connector.manifest.resolve(given, where)


def _transport(connector: Connector, table: Mapping[str, Any], where: str) -> str:
    declared = connector.manifest.transport
    wanted = table.get("transport", declared)
    if wanted != declared and (wanted not in CARRIERS or declared not in CARRIERS):
        msg = f"{where}: transport {wanted!r} cannot stand for {declared!r}; only {', '.join(CARRIERS)} stand for each other"
        raise Fatal(msg)
    if wanted == "tcp" and connector.make_framing is None:
        msg = f"{where}: connector {connector.type!r} uses TCP and has no framing.py"
        raise Fatal(msg)
    return str(wanted)


def _secret(kind: type, value: Any) -> Any:
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    msg = f"Expected `str`, got `{type(value).__name__}`"
    raise NotImplementedError(msg) if kind is not Secret else TypeError(msg)


def _check(options: Options, connector: Connector, where: str) -> None:
    """Find the flaws of addresses and networks before anything listens."""
    try:
        if isinstance(options, Open):
            for network in options.allow:
                _network(network)
        if isinstance(options, TcpOptions) and options.connect:
            for peer in options.connect:
                address(peer, None, "connect")
            _either(options, "connect")
        elif isinstance(options, MqttOptions) and options.broker:
            address(options.broker, None, "broker")
            _either(options, "broker")
            _some(options.topics)
        elif isinstance(options, Open):
            address(options.listen, connector.manifest.default_port)
    except Fatal as error:
        msg = f"{where}: {error}"
        raise Fatal(msg) from error


def _either(options: Open, outward: str) -> None:
    if options.listen:
        msg = f"listen and {outward} are both given: an instance listens or connects; make two instances of it"
        raise Fatal(msg)


def _some(topics: list[str]) -> None:
    if not topics:
        msg = 'topics is empty: give the filters to subscribe to, such as topics = ["city/#"]'
        raise Fatal(msg)


def _network(text: str) -> None:
    try:
        ip_network(text, strict=False)
    except ValueError as error:
        msg = f"allow: {text!r} is no network; give one such as 10.0.0.0/8"
        raise Fatal(msg) from error


def address(listen: str, default_port: int | None, key: str = "listen") -> tuple[str, int]:
    """Give host and port of ``host:port``, ``:port`` or an empty text; ``Fatal`` for anything else."""
    host, _, port = listen.rpartition(":") if listen else ("127.0.0.1", "", str(default_port or ""))
    if not port.isdecimal() or int(port) > 65535:
        msg = f"{key} = {listen!r}: give host:port, such as 0.0.0.0:{default_port or 9000}"
        raise Fatal(msg)
    return host.strip("[]") or "127.0.0.1", int(port)
