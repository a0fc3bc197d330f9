"""Which door each transport has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from connectors._api.manifest import Settings
from connectors._api.registry import Connector
from connectors._host.client import ClientDoor
from connectors._host.door import Door
from connectors._host.drop_folder import DropFolder, pages_of
from connectors._host.files import FileReader
from connectors._host.http_push import HttpListener
from connectors._host.intake import Intake
from connectors._host.mqtt import MqttSubscriber
from connectors._host.mqtt_listener import MqttListener
from connectors._host.options import (
    ClientOptions,
    FileOptions,
    HttpPollOptions,
    HttpPushOptions,
    MqttOptions,
    Options,
    TcpOptions,
    UdpOptions,
)
from connectors._host.poll import Poller
from connectors._host.tcp import TcpDialler, TcpServer
from connectors._host.udp import UdpServer
from schemas.errors import Fatal

KINDS: dict[type[Options], Callable[..., Door]] = {
    TcpOptions: TcpServer,
    UdpOptions: UdpServer,
    MqttOptions: MqttListener,
    HttpPushOptions: HttpListener,
    HttpPollOptions: Poller,
    FileOptions: FileReader,
    ClientOptions: ClientDoor,
}


def make_door(connector: Connector, settings: Settings, options: Options, intake: Intake, clock: Callable[[], int]) -> Door:
    """Give the door that an instance's options ask for; it opens nothing yet."""
    kind: Callable[..., Door] | None = KINDS.get(type(options))
    if isinstance(options, TcpOptions) and options.connect:
        kind = TcpDialler
    if isinstance(options, MqttOptions) and options.broker:
        kind = MqttSubscriber
    if isinstance(options, FileOptions) and Path(options.path).is_dir() and pages_of(connector) is not None:
        kind = DropFolder
    if kind is None:
        msg = f"no door for {type(options).__name__}"
        raise Fatal(msg)
    return kind(connector, settings, options, intake, clock)
