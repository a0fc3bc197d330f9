"""An instance's table is parted, checked before anything opens, and every flaw is named with its place."""

from __future__ import annotations

import dataclasses
from typing import Any

import msgspec
import pytest

from connectors._api.registry import Connector
from connectors._host.doors import KINDS
from connectors._host.options import BY_TRANSPORT, HttpPushOptions, MqttOptions, TcpOptions, address, split
from schemas.config import Secret
from schemas.errors import Fatal
from tests.contract.test_connectors import TEMPLATE


def speaking(transport: str, *, framing: bool = True) -> Connector:
    manifest = msgspec.structs.replace(TEMPLATE.manifest, transport=transport)
    return dataclasses.replace(TEMPLATE, manifest=manifest, make_framing=TEMPLATE.make_framing if framing else None)


def test_every_transport_of_a_manifest_has_options_and_a_door() -> None:
    assert set(BY_TRANSPORT) == {"tcp", "udp", "mqtt", "http_poll", "http_push", "file", "client"}
    assert set(KINDS) == set(BY_TRANSPORT.values())


def test_table_is_parted_into_options_and_settings() -> None:
    options, settings = split(TEMPLATE, {"type": "x", "listen": ":9", "stations": ["S1"]}, "here")
    assert isinstance(options, TcpOptions)
    assert (options.listen, settings["stations"], settings["silence_s"]) == (":9", ["S1"], 300.0)


def test_secrets_are_kept_from_sight() -> None:
    options, _ = split(speaking("http_push"), {"token": "hidden", "listen": ":1"}, "here")
    assert isinstance(options, HttpPushOptions)
    assert "hidden" not in repr(options)
    assert isinstance(options.token, Secret)
    assert options.token.reveal() == "hidden"


def test_connector_without_need_of_its_own_transport_takes_another() -> None:
    options, _ = split(TEMPLATE, {"transport": "mqtt", "broker": "b:1883", "topics": ["a/#"]}, "here")
    assert isinstance(options, MqttOptions)
    for transport, wanted in (("http_poll", "tcp"), ("tcp", "http_poll"), ("tcp", "carrier pigeon"), ("client", "mqtt")):
        with pytest.raises(Fatal, match="cannot stand for"):
            split(speaking(transport), {"transport": wanted, "path": "x"}, "here")
    with pytest.raises(Fatal, match=r"no framing\.py"):
        split(speaking("udp", framing=False), {"transport": "tcp"}, "here")


@pytest.mark.parametrize(
    ("transport", "table", "message"),
    [
        ("tcp", {"lisen": ":1"}, "unknown setting 'lisen'"),
        ("tcp", {"listen": "nowhere"}, "listen = 'nowhere'.*host:port"),
        ("tcp", {"allow": ["10.0.0.0/99"]}, "'10.0.0.0/99' is no network"),
        ("tcp", {"connect": ["plc"]}, "connect = 'plc'.*host:port"),
        ("tcp", {"connect": ["plc:2404"], "listen": ":1"}, "listen and connect"),
        ("udp", {"tls_cert": "x"}, "unknown setting 'tls_cert'"),
        ("mqtt", {"broker": "b:1883"}, "topics is empty"),
        ("mqtt", {"broker": "b:1883", "topics": ["a"], "listen": ":1"}, "listen and broker"),
        ("mqtt", {"broker": "b", "topics": ["a"]}, "broker = 'b'"),
        ("mqtt", {"broker": "b:1", "topics": ["a"], "qos": 2}, "qos"),
        ("http_push", {"token": 5}, "token"),
        ("http_push", {"listen": ""}, ""),
        ("client", {"listen": ":1"}, "unknown setting 'listen'"),
    ],
)
def test_flaws_are_named_with_their_place(transport: str, table: dict[str, Any], message: str) -> None:
    if not message:
        split(speaking(transport), table, "connectors.x")
        return
    with pytest.raises(Fatal, match=f"connectors.x: .*{message}"):
        split(speaking(transport), table, "connectors.x")


def test_setting_that_hides_a_key_of_the_transport_is_named() -> None:
    manifest = msgspec.structs.replace(
        TEMPLATE.manifest, settings={"topics": msgspec.structs.replace(TEMPLATE.manifest.settings["stations"])}
    )
    with pytest.raises(Fatal, match="'topics' is a setting of"):
        split(dataclasses.replace(TEMPLATE, manifest=manifest), {"transport": "mqtt"}, "here")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", ("127.0.0.1", 7000)), (":81", ("127.0.0.1", 81)), ("0.0.0.0:82", ("0.0.0.0", 82)), ("[::1]:83", ("::1", 83))],
)
def test_address(text: str, expected: tuple[str, int]) -> None:
    assert address(text, 7000) == expected


@pytest.mark.parametrize("text", ["localhost", "a:b", "a:70000", "a:"])
def test_address_that_is_none_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(Fatal, match="host:port"):
        address(text, 7000)
