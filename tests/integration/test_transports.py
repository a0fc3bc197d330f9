"""Every transport against peers that are not ours: Mosquitto, aiomqtt, httpx over TLS, plain sockets."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import shutil
import signal
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiomqtt
import httpx
import msgspec
import pytest

from cityops.place import free_port
from connectors._api import registry
from connectors._api.session import Received, Reply
from connectors._host.mqtt import MqttSubscriber
from connectors._host.options import MqttOptions
from connectors._host.run import run
from connectors._template import encoder
from schemas.config import Secret
from schemas.errors import Reject
from tests.conftest import REAL_PARTS
from tests.contract.test_connectors import TEMPLATE, with_session
from tests.unit.host.fakes import START, Bench, MemoryKafka, bus, certificate, clock, config, states, until

USER, PASSWORD = "connect", "wěi-密码"
SETTINGS: dict[str, Any] = {"stations": [], "silence_s": 300.0}


class Vendor:
    """A connector of messages: the payload names a bus; ``bad`` is refused, ``ask`` is answered on a topic of its own."""

    def __init__(self, settings: Any, peer: Any) -> None:
        pass

    def start(self, now: int) -> Received:
        return Received()

    def tick(self, now: int) -> Received:
        return Received()

    def receive(self, payload: bytes, seen_at: int, origin: str = "") -> Received:
        if payload == b"bad":
            raise Reject("bad_field", "no bus")
        replies = [Reply(b"done", to=f"{origin}/cmd")] if payload == b"ask" else []
        return Received(message={"name": "bus"}, readings=[bus(payload.decode())], replies=replies)


VENDOR = dataclasses.replace(with_session(Vendor, None), type="vendor")


@pytest.fixture
def connectors(monkeypatch: pytest.MonkeyPatch) -> None:
    """The template and the vendor's connector, without settings, under their names."""
    plain = msgspec.structs.replace(TEMPLATE.manifest, transport="mqtt", settings={})
    known = {"line": dataclasses.replace(TEMPLATE, type="line"), "vendor": dataclasses.replace(VENDOR, manifest=plain)}
    monkeypatch.setattr(registry, "load", known.__getitem__)


class Mosquitto:
    """A broker on the loopback that keeps sessions on disk; with a password, and with TLS where it has a certificate."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.tls_port = free_port(), free_port()
        self.cert, key = certificate(folder)
        passwords = folder / "passwords"
        passwords.touch(mode=0o600)
        subprocess.run(["mosquitto_passwd", "-b", passwords, USER, PASSWORD], check=True, capture_output=True)
        lines = ["allow_anonymous false", f"password_file {passwords}", "persistence true", f"persistence_location {folder}/"]
        lines += ["autosave_interval 1", "autosave_on_changes true", "max_queued_messages 10000"]
        lines += [f"listener {self.port} 127.0.0.1", f"listener {self.tls_port} 127.0.0.1", f"certfile {self.cert}"]
        (folder / "mosquitto.conf").write_text("\n".join([*lines, f"keyfile {key}", *_same_user(), ""]))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(["mosquitto", "-c", self.folder / "mosquitto.conf"], stdout=log, stderr=log)
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.tls_port), 1):
                return
            if self._process.poll() is not None:
                break
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.05)
        pytest.fail((self.folder / "log").read_text())

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(20)
            self._process = None


def _same_user() -> list[str]:
    """Mosquitto gives up root's rights for those of a user that cannot read the test's folder; here it must not."""
    return ["user root"] if os.geteuid() == 0 else []


@pytest.fixture
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Mosquitto]:
    """A running Mosquitto."""
    if shutil.which("mosquitto") is None:
        if os.environ.get("REQUIRE_STACK") == "1":
            pytest.fail("REQUIRE_STACK=1, but there is no mosquitto; install the Debian package of that name")
        pytest.skip("no mosquitto; install the Debian package of that name")
    found = subprocess.run(["mosquitto", "-h"], capture_output=True, text=True, check=False).stdout.splitlines()
    request.config.stash[REAL_PARTS]["mqtt broker"] = found[0] if found else "mosquitto"
    made = Mosquitto(tmp_path)
    made.start()
    try:
        yield made
    finally:
        made.stop()


def subscribed(at: Mosquitto, bench: Bench, **options: Any) -> MqttSubscriber:
    given = {"broker": f"127.0.0.1:{at.port}", "topics": ["city/#"], "username": USER, "password": Secret(PASSWORD)}
    return MqttSubscriber(VENDOR, {}, MqttOptions(**(given | options)), bench.intake, bench.clock)


@contextlib.asynccontextmanager
async def publisher(broker: Mosquitto) -> AsyncIterator[aiomqtt.Client]:
    async with aiomqtt.Client("127.0.0.1", broker.port, username=USER, password=PASSWORD) as client:
        yield client


@pytest.mark.parametrize("version", ["3.1.1", "5"])
async def test_broker_sends_again_what_was_not_safe_and_nothing_else(broker: Mosquitto, version: str) -> None:
    async with publisher(broker) as city:
        bench = Bench()
        door = subscribed(broker, bench, version=version)
        async with bench.opened(door):
            await until(lambda: door.health == "live")
            for payload in ("B1", "bad", "B2"):
                await city.publish("city/1", payload, qos=1)
            await until(lambda: bench.intake.packets == 3)
        bench = Bench()
        async with bench.opened(subscribed(broker, bench, version=version)):
            await until(lambda: bench.intake.packets == 3)
            assert (bench.intake.readings, bench.intake.rejects) == (2, 1)
            bench.confirm()
            await city.publish("city/1", "B3", qos=1)
            await until(lambda: bench.intake.packets == 4)
        bench = Bench()
        async with bench.opened(subscribed(broker, bench, version=version)):
            await until(lambda: bench.intake.packets == 1)
            bench.confirm()
            await city.publish("city/1", "B4", qos=1)
            await until(lambda: bench.intake.packets == 2)


async def test_shared_subscription_parts_the_messages_and_a_leaver_loses_none(broker: Mosquitto) -> None:
    benches = [Bench(), Bench()]
    options = [{"topics": ["$share/connect/city/#"], "client_id": f"connect-{n}"} for n in range(2)]
    doors = [subscribed(broker, bench, **given) for bench, given in zip(benches, options, strict=True)]
    async with contextlib.AsyncExitStack() as open_doors:
        for bench, door in zip(benches, doors, strict=True):
            await open_doors.enter_async_context(bench.opened(door))
        await until(lambda: all(d.health == "live" for d in doors))
        async with publisher(broker) as city:
            for number in range(40):
                await city.publish("city/1", f"B{number}", qos=1)
                for bench in benches:
                    bench.confirm()
        await until(lambda: sum(b.intake.packets for b in benches) == 40)
        assert all(b.intake.packets for b in benches)


async def test_what_came_while_we_were_away_or_the_broker_was_arrives(broker: Mosquitto) -> None:
    bench = Bench()
    door = subscribed(broker, bench)
    async with bench.opened(door):
        await until(lambda: door.health == "live")
    async with publisher(broker) as city:
        for number in range(500):
            await city.publish("city/1", f"B{number}", qos=1)
    bench = Bench(max_unconfirmed=100)
    door = subscribed(broker, bench)
    seen: set[int] = set()

    def all_seen() -> bool:
        seen.add(bench.intake.unconfirmed)
        bench.confirm()
        return bench.intake.packets >= 500

    async with bench.opened(door):
        await until(all_seen)
        assert max(seen) <= 100
        broker.stop(signal.SIGKILL)
        await until(lambda: door.health == "down")
        assert f"127.0.0.1:{broker.port}" in door.detail
        broker.start()
        await until(lambda: door.health == "live")
        async with publisher(broker) as city:
            await city.publish("city/1", "B500", qos=1)
        await until(lambda: bench.intake.packets >= 501)


# paho leaves a socket whose TLS failed to the collector
@pytest.mark.filterwarnings("default:Exception ignored in.*ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning")
async def test_tls_login_and_replies_on_topics(broker: Mosquitto) -> None:
    bench = Bench()
    door = subscribed(broker, bench, broker=f"127.0.0.1:{broker.tls_port}", tls_ca=broker.cert)
    async with bench.opened(door), publisher(broker) as city:
        await until(lambda: door.health == "live")
        await city.subscribe("city/7/cmd", qos=1)
        await city.publish("city/7", "ask", qos=1)
        await until(lambda: bench.intake.packets)
        bench.confirm()
        answer = await asyncio.wait_for(anext(city.messages), 10)
        assert (str(answer.topic), answer.payload) == ("city/7/cmd", b"done")
    for wrong in ({"password": Secret("x")}, {"broker": f"127.0.0.1:{broker.tls_port}", "tls": True}):
        door = subscribed(broker, bench, **wrong)
        async with bench.opened(door):
            await until(lambda d=door: d.health == "down")  # type: ignore[misc]
            assert "authori" in door.detail.lower() or "certificate" in door.detail.lower()


@contextlib.asynccontextmanager
async def connecting(folder: Path, **tables: dict[str, Any]) -> AsyncIterator[MemoryKafka]:
    """Run connectors with these tables."""
    kafka, stop = MemoryKafka(), asyncio.Event()
    task = asyncio.create_task(run(config(folder, **tables), stop=stop, clock=clock, run_id="r1", transport=kafka))
    try:
        await until(
            lambda: task.done() or all(states(kafka, n) and states(kafka, n)[-1].health in ("idle", "live") for n in tables)
        )
        yield kafka
    finally:
        stop.set()
        await asyncio.wait_for(task, 30)


def stored(kafka: MemoryKafka, *, rejects: bool = False) -> int:
    """Readings, or rejects, that Kafka has."""
    return sum(h.rows for headers in kafka.log.values() for h in headers if (h.kind == "reject") is rejects)


@pytest.mark.usefixtures("connectors")
async def test_devices_publish_to_us_without_a_broker(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    port = free_port()
    table = {"listen": f"127.0.0.1:{port}", "tls_cert": cert, "tls_key": key, "username": USER, "password": PASSWORD}
    login: dict[str, Any] = {"username": USER, "tls_params": aiomqtt.TLSParameters(ca_certs=cert), "identifier": "lock-1"}
    async with connecting(tmp_path, vendor=table) as kafka:
        with pytest.raises(aiomqtt.MqttError, match="user name or password"):
            async with aiomqtt.Client("127.0.0.1", port, **login, password="x"):
                pytest.fail("let in with a wrong password")
        async with aiomqtt.Client("127.0.0.1", port, **login, password=PASSWORD, keepalive=5) as lock:
            await lock.subscribe("lock/1/cmd", qos=1)
            for quality in (0, 1, 2):
                await lock.publish("lock/1", f"B{quality}", qos=quality)
            await until(lambda: stored(kafka) == 3)
            kafka.gate.clear()
            sent = asyncio.create_task(lock.publish("lock/1", "ask", qos=1))
            refused = asyncio.create_task(lock.publish("lock/1", "bad", qos=1))
            await until(lambda: kafka.waiting)
            assert not sent.done()
            assert not refused.done()
            kafka.gate.set()
            await asyncio.gather(sent, refused)
            assert (stored(kafka), stored(kafka, rejects=True)) == (4, 2)
            answer = await asyncio.wait_for(anext(lock.messages), 10)
            assert (str(answer.topic), answer.payload) == ("lock/1/cmd", b"done")
            await lock.unsubscribe("lock/1/cmd")


@pytest.mark.usefixtures("connectors")
async def test_mosquitto_pub_is_served_too(tmp_path: Path) -> None:
    if shutil.which("mosquitto_pub") is None:
        pytest.skip("no mosquitto_pub; install the Debian package mosquitto-clients")
    port = free_port()
    async with connecting(tmp_path, vendor={"listen": f"127.0.0.1:{port}"}) as kafka:
        argv = ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(port), "-t", "lock/2", "-q", "1", "-l", "-i", "lock-2"]
        process = await asyncio.create_subprocess_exec(*argv, stdin=asyncio.subprocess.PIPE)
        await process.communicate("".join(f"B{n}\n" for n in range(200)).encode())
        assert process.returncode == 0
        assert stored(kafka) == 200


@pytest.mark.usefixtures("connectors")
async def test_push_over_https(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    port = free_port()
    table = {"type": "line", "transport": "http_push", "listen": f"127.0.0.1:{port}"}
    secured = {**table, "tls_cert": cert, "tls_key": key, "token": "t0"}
    line = encoder.report("S1", START, 7, {"PM10": 50.0})
    async with connecting(tmp_path, push=secured) as kafka:
        trusting = ssl.create_default_context(cafile=cert)
        async with httpx.AsyncClient(verify=trusting, base_url=f"https://127.0.0.1:{port}", timeout=10) as carrier:
            assert (await carrier.post("/push", content=line)).status_code == 401
            given = {"Authorization": "Bearer t0"}
            kafka.gate.clear()
            sent = asyncio.create_task(carrier.post("/push", content=line, headers=given))
            await until(lambda: kafka.waiting)
            assert not sent.done()
            kafka.gate.set()
            assert (await sent).content == encoder.acknowledgement(7)
            refused = await carrier.post("/push", content=b"#rubbish\n", headers=given)
            assert (refused.status_code, refused.json()["rejects"][0]["reason"]) == (400, "bad_frame")
            many = await asyncio.gather(*(carrier.post("/push", content=line * 5, headers=given) for _ in range(15)))
            assert {r.status_code for r in many} == {200}
        assert stored(kafka) == 1 + 75


@pytest.mark.usefixtures("connectors")
async def test_one_protocol_over_udp_and_to_a_station_that_we_call(tmp_path: Path) -> None:
    line = encoder.report("S1", START, 7, {"PM10": 50.0})
    answered: asyncio.Queue[bytes] = asyncio.Queue()

    async def station(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(line)
        answered.put_nowait(await reader.readline())
        answered.put_nowait(await reader.read())
        writer.close()

    server = await asyncio.start_server(station, "127.0.0.1", 0)
    port = free_port(socket.SOCK_DGRAM)
    tables = {
        "datagrams": {"type": "line", "transport": "udp", "listen": f"127.0.0.1:{port}"},
        "called": {"type": "line", "connect": [f"127.0.0.1:{server.sockets[0].getsockname()[1]}"]},
    }
    try:
        async with connecting(tmp_path, **tables) as kafka:
            assert await asyncio.wait_for(answered.get(), 10) == encoder.acknowledgement(7)
            await until(lambda: states(kafka, "called")[-1].connections == 1)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as device:
                device.settimeout(10)
                device.sendto(line, ("127.0.0.1", port))
                assert await asyncio.to_thread(device.recv, 100) == encoder.acknowledgement(7)
            assert stored(kafka) == 2
        assert await asyncio.wait_for(answered.get(), 10) == b""
    finally:
        server.close()
