"""OPC UA with a real server: asyncua's on the loopback, plain and secured, restarted, with queues, quality and logins."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from cityops.place import free_port
from connectors._api import load
from connectors._api.session import describe
from connectors._host.client import ClientDoor
from connectors._host.options import ClientOptions
from connectors.opcua.client import packets
from schemas.errors import Fatal
from tests.conftest import REAL_PARTS
from tests.unit.host.fakes import Bench, until

if find_spec("asyncua") is None and os.environ.get("REQUIRE_STACK") != "1":
    pytest.skip("no peer: the package asyncua is not installed; install cityops[opcua]", allow_module_level=True)

from asyncua import ua as untyped
from asyncua.crypto import cert_gen
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.server import Server
from asyncua.server.user_managers import UserManager
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

ua: Any = untyped
OPCUA = load("opcua")
SPACE = "urn:cityops:test"
PRESSURE, RUN, FAULT = (f"nsu={SPACE};s={name}" for name in ("Pump1.Pressure", "Pump1.Run", "Lamp7.Fault"))
POINTS = {
    PRESSURE: {"source": "pump-1", "kind": "water_node", "field": "pressure", "scale": 1e6},
    RUN: {"source": "pump-1", "kind": "water_node", "field": "pump_on"},
    FAULT: {"source": "lamp-7", "kind": "streetlight", "field": "fault", "values": {"1": "lamp"}},
}
FAST = {"publishing_ms": 50.0, "sampling_ms": 0.0, "timeout_s": 4.0}


def clock() -> int:
    return time.time_ns() // 1000


class Known(UserManager):
    """Knows one user."""

    def get_user(self, iserver: Any, username: Any = None, password: Any = None, certificate: Any = None) -> Any:
        return User(role=UserRole.User) if (username, password) == ("connect", "wěi-密码") else None


class Works:
    """A water works: a server with a pump and a lamp; with a certificate it speaks only Basic256Sha256, to those it knows."""

    def __init__(self, port: int, folder: Path | None = None) -> None:
        self.url = f"opc.tcp://127.0.0.1:{port}/works"
        self._folder = folder
        self.nodes: dict[str, Any] = {}

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Works]:
        server = Server(user_manager=Known() if self._folder else None)
        await server.init()
        server.set_endpoint(self.url)
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        if self._folder:
            certificate, key = credentials(self._folder, "urn:freeopcua:python:server", "server")
            await server.load_certificate(certificate)
            await server.load_private_key(key)
            server.set_security_policy([ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt])
        space = await server.register_namespace(SPACE)
        pump = await server.nodes.objects.add_object(space, "Pump1")
        for node, start in (("Pump1.Pressure", 0.4), ("Pump1.Run", False), ("Lamp7.Fault", 0)):
            self.nodes[node] = await pump.add_variable(ua.NodeId(node, space), node, start)
        async with server:
            yield self

    async def put(self, node: str, value: Any, at: datetime, status: int = 0) -> None:
        await self.nodes[node].write_value(ua.DataValue(ua.Variant(value), ua.StatusCode(status), SourceTimestamp=at))


def credentials(folder: Path, uri: str, name: str) -> tuple[Path, Path]:
    """Make a certificate that signs itself, as an application of OPC UA has one, and its key."""
    certificate, key = folder / f"{name}.der", folder / f"{name}.pem"
    private = cert_gen.generate_private_key()
    names = [x509.UniformResourceIdentifier(uri), x509.DNSName(socket.gethostname())]
    usage = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    made = cert_gen.generate_self_signed_app_certificate(private, name, {"organizationName": "test"}, names, usage)
    certificate.write_bytes(made.public_bytes(Encoding.DER))
    key.write_bytes(cert_gen.dump_private_key_as_pem(private))
    return certificate, key


class Host:
    """The real host with its client, everything confirmed as it comes, and what the session made of it."""

    def __init__(self, url: str, **settings: Any) -> None:
        given = OPCUA.manifest.resolve({"url": url, "points": POINTS, **FAST, **settings}, "peer")
        self.bench = Bench(clock=clock)
        self.door = ClientDoor(OPCUA, given, ClientOptions(), self.bench.intake, clock)
        self.readings: list[dict[str, Any]] = []
        self.rejects: list[Any] = []
        take = self.bench.intake.take

        def watched(received: Any, *rest: Any) -> Any:
            shown = describe(received)
            self.readings += shown["readings"]
            self.rejects += shown["rejects"]
            return take(received, *rest)

        self.bench.intake.take = watched  # type: ignore[method-assign,assignment] # a look at what passes

    async def until(self, met: Callable[[], object]) -> None:
        def confirmed() -> object:
            self.bench.confirm()
            return met()

        await until(confirmed)

    def values(self, field: str) -> list[Any]:
        return [r[field] for r in self.readings if field in r]


@pytest.fixture(autouse=True)
def _named(request: pytest.FixtureRequest) -> None:
    request.config.stash[REAL_PARTS]["OPC UA server"] = "asyncua, on the loopback"


async def test_every_change_arrives_with_its_time_and_quality() -> None:
    start = datetime.now(UTC).replace(microsecond=250_000)
    async with Works(free_port()).open() as works:
        host = Host(works.url, queue_size=64)
        async with host.bench.opened(host.door):
            await host.until(lambda: host.values("pressure") and host.values("pump_on"))
            for number in range(50):
                await works.put("Pump1.Pressure", number / 100, start + timedelta(seconds=number))
            await host.until(lambda: len(host.values("pressure")) >= 51)
            assert host.values("pressure")[1:] == pytest.approx([number * 1e4 for number in range(50)])
            times = [r["ts"] for r in host.readings if "pressure" in r][1:]
            assert times[0] == start.strftime("%Y-%m-%dT%H:%M:%S.25Z")
            assert len(set(times)) == 50
            later = start + timedelta(seconds=60)
            await works.put("Lamp7.Fault", 1, later)
            await works.put("Pump1.Run", True, later, ua.StatusCodes.UncertainLastUsableValue)
            await works.put("Pump1.Pressure", 0.0, later, ua.StatusCodes.BadSensorFailure)
            await host.until(lambda: any(r.get("flag") == "bad" for r in host.readings) and host.values("fault"))
            last = {r.get("flag"): r for r in host.readings[-3:] if r["source"] == "pump-1"}
            assert "pressure" not in last["bad"]
            assert last["uncertain"]["pump_on"] is True
            assert host.values("fault") == ["lamp"]
        assert not host.rejects


async def test_a_node_the_server_does_not_have_is_told_and_the_others_come() -> None:
    missing = {f"nsu={SPACE};s=Pump9.Pressure": {"source": "pump-9", "kind": "water_node", "field": "pressure"}}
    async with Works(free_port()).open() as works:
        host = Host(works.url, points={**POINTS, **missing})
        async with host.bench.opened(host.door):
            await host.until(lambda: host.values("pressure"))
            assert [r["flag"] for r in host.readings if r["source"] == "pump-9"] == ["bad"]
        with pytest.raises(ConnectionError, match="no namespace"):
            await anext(packets(_settings(works.url, points={"nsu=urn:other;s=a": POINTS[PRESSURE]}), clock))


async def test_a_server_that_goes_and_comes_back_is_subscribed_to_again() -> None:
    port = free_port()
    async with Works(port).open() as works:
        host = Host(works.url)
        opened = host.bench.opened(host.door)
        await opened.__aenter__()
        await host.until(lambda: host.values("pressure"))
    try:
        await host.until(lambda: [r for r in host.readings if r.get("flag") == "bad" and r["source"] == "lamp-7"])
        before = len(host.values("pressure"))
        async with Works(port).open() as works:
            await host.until(lambda: len(host.values("pressure")) > before)
            await works.put("Pump1.Pressure", 0.77, datetime.now(UTC))
            await host.until(lambda: host.values("pressure")[-1] == pytest.approx(7.7e5))
            await opened.__aexit__(None, None, None)
    finally:
        await host.door.close()
    assert not host.rejects


def _settings(url: str, **given: Any) -> Any:
    return OPCUA.manifest.resolve({"url": url, "points": POINTS, **FAST, **given}, "peer")


async def test_a_secured_server_takes_our_certificate_and_login_and_no_other(tmp_path: Path) -> None:
    certificate, key = credentials(tmp_path, "urn:cityops:opcua", "client")
    secured = {
        "security_policy": "Basic256Sha256",
        "certificate": str(certificate),
        "private_key": str(key),
        "username": "connect",
        "password": "wěi-密码",
    }
    async with Works(free_port(), tmp_path).open() as works:
        host = Host(works.url, **secured)
        async with host.bench.opened(host.door):
            await host.until(lambda: host.values("pressure"))
        for wrong in ({"password": "x"}, {"security_policy": "None"}, {"security_policy": "Aes256Sha256RsaPss"}):
            with pytest.raises(ConnectionError, match="refuses"):
                await anext(packets(_settings(works.url, **{**secured, **wrong}), clock))
        for wrong in ({"private_key": str(tmp_path / "absent.pem")}, {"certificate": ""}):
            with pytest.raises(Fatal, match="certificate"):
                await anext(packets(_settings(works.url, **{**secured, **wrong}), clock))


async def test_without_a_server_or_points_the_host_hears_why() -> None:
    with pytest.raises(OSError, match=r"[Cc]onnect"):
        await asyncio.wait_for(anext(packets(_settings(f"opc.tcp://127.0.0.1:{free_port()}"), clock)), 20)
    with pytest.raises(Fatal, match="no points"):
        await anext(packets(_settings("opc.tcp://127.0.0.1:1", points={}), clock))
