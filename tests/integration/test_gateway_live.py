"""The whole gateway on a real broker and database: what Kafka says reaches the websocket, what people say reaches Kafka."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from gateway.live import socket
from gateway.live.client import MESSAGES_PER_S
from gateway.run import run
from gateway.sessions import COOKIE
from schemas import events, frame, topics
from schemas.config import Config
from schemas.derive import fingerprint
from schemas.errors import Fatal
from schemas.events import Alert, AlertCommand, AlertEvent
from schemas.frame import Header
from schemas.messages import ALARM, DELTA, SNAPSHOT
from storage import accounts
from storage.accounts import Actor, Role
from storage.alerts_store import save_alerts
from storage.connect import Pool, create_pool
from storage.migrate import migrate
from streams.steps.lifecycle import apply_command
from tests.integration.people import PASSWORD
from tests.integration.stack import Stack
from tests.unit.gateway.city import Page, alert, batch, bus

ROW = dict[str, Any]


def now() -> int:
    return time.time_ns() // 1000


@dataclass
class Talk:
    """One page's websocket: what it heard, with frames applied and acknowledged."""

    wire: ClientConnection
    page: Page = field(default_factory=Page)
    said: list[ROW] = field(default_factory=list)
    frames: list[bytes] = field(default_factory=list)
    acks: bool = True

    async def say(self, **message: Any) -> None:
        await self.wire.send(json.dumps(message))

    async def hear(self) -> None:
        part = await asyncio.wait_for(self.wire.recv(), 20)
        if isinstance(part, bytes):
            self.frames.append(part)
            self.page.apply([part])
            if self.acks:
                await self.say(op="ack", frames=1)
        else:
            message = json.loads(part)
            self.said.append(message)
            if message["op"] == "names":
                self.page.apply([part])

    async def until(self, what: Any) -> Any:
        """Hear until ``what()`` gives something, within a minute."""
        async with asyncio.timeout(60):
            while not (found := what()):
                await self.hear()
        return found

    async def message(self, op: str, **fields: Any) -> ROW:
        found = await self.until(
            lambda: next((m for m in self.said if m["op"] == op and all(m.get(k) == v for k, v in fields.items())), None)
        )
        self.said.remove(found)
        return dict(found)


@dataclass
class Gateway:
    """A running gateway, a database and a producer to feed it."""

    config: Config
    pool: Pool
    producer: Any
    sent: int = 0
    clients: list[httpx.AsyncClient] = field(default_factory=list)

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.config.gateway.port}"

    async def log_in(self, name: str, role: Role) -> httpx.AsyncClient:
        await accounts.create_user(self.pool, Actor("setup", "local", now()), name, PASSWORD, role)
        client = httpx.AsyncClient(base_url=f"http://{self.place}", timeout=20)
        self.clients.append(client)
        answer = await client.post("/api/login", json={"user": name, "password": PASSWORD})
        assert answer.status_code == 200, answer.text
        return client

    @asynccontextmanager
    async def open(self, client: httpx.AsyncClient | None, **headers: str) -> AsyncIterator[ClientConnection]:
        cookie = {} if client is None else {"cookie": f"{COOKIE}={client.cookies[COOKIE]}"}
        async with connect(f"ws://{self.place}/ws", additional_headers={**cookie, **headers}, proxy=None) as wire:
            yield wire

    @asynccontextmanager
    async def talk(self, client: httpx.AsyncClient, resume: ROW | None = None) -> AsyncIterator[tuple[Talk, ROW]]:
        async with self.open(client) as wire:
            talk = Talk(wire)
            await talk.say(op="hello", proto=1, lang="zh-CN", **({"resume": resume} if resume else {}))
            yield talk, await talk.message("welcome")

    async def readings(self, kind: str, *rows: ROW) -> None:
        made = batch(kind, *({"ts": now(), "seen_at": now(), **row} for row in rows))
        self.sent += 1
        header = Header(
            kind=kind,
            stage="clean",
            fingerprint=fingerprint(kind, "clean"),
            rows=made.num_rows,
            ts_min=now(),
            ts_max=now(),
            seen_at=now(),
            connector="c1",
            run="r",
            bucket=0,
            seq=self.sent,
            total=made.num_rows,
        )
        value, headers = frame.encode(made, header)
        await self.producer.send_and_wait(topics.frame_topic(kind, "clean"), value, headers=headers, partition=0)

    async def tell(self, topic: str, event: events.Event, key: str) -> None:
        await self.producer.send_and_wait(topic, events.encode(event), key=key.encode())

    async def alert(self, told: Alert) -> None:
        async with self.pool.acquire() as connection, connection.transaction():
            await save_alerts(connection, [told], [])
        change = AlertEvent(
            id=f"{told.id}/{told.version}", alert_id=told.id, version=told.version, change="opened", at=now(), alert=told
        )
        await self.tell(topics.ALERT_EVENTS, change, told.id)
        await self.tell(topics.ALERTS, told, told.id)


@asynccontextmanager
async def running(config: Config) -> AsyncIterator[asyncio.Task[None]]:
    """Run a gateway until the end of the block; it is ready when the block begins."""
    stop, ready = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(run(config, stop=stop, clock=now, build="b1", on_ready=ready.set))
    waiting = asyncio.create_task(ready.wait())
    try:
        await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED, timeout=60)
        if task.done():
            task.result()
        assert ready.is_set(), "the gateway did not get ready within a minute"
        yield task
    finally:
        stop.set()
        waiting.cancel()
        await asyncio.wait([task], timeout=30)
        if task.done() and not task.cancelled():
            task.result()


async def answering(config: Config, pool: Pool, producer: Any) -> None:
    """Do what the alert agent does with commands."""
    consumer = AIOKafkaConsumer(topics.ALERT_COMMANDS, bootstrap_servers=config.kafka.bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    known = {"a1": ALERT}
    try:
        async for record in consumer:
            command = json.loads(record.value)
            asked = AlertCommand(**command)
            assert record.partition == topics.bucket(asked.source, config.kafka.partitions)
            assert record.key == asked.alert_id.encode()
            changed, event = apply_command(known.get(asked.alert_id), asked)
            if changed is not None:
                known[changed.id] = changed
            async with pool.acquire() as connection, connection.transaction():
                await save_alerts(connection, [changed] if changed else [], [event])
            await producer.send_and_wait(topics.ALERT_EVENTS, events.encode(event), key=record.key)
    finally:
        await consumer.stop()


ALERT = alert(opened_at=now(), started=now(), last=now(), severity="critical")


@pytest.fixture
async def gateway(config: Config) -> AsyncIterator[Gateway]:
    await asyncio.to_thread(migrate, config.database.url, config.database.schema)
    pool = await create_pool(config.database.url, config.database.schema, size=3)
    producer = AIOKafkaProducer(bootstrap_servers=config.kafka.bootstrap, acks="all")
    await producer.start()
    found = Gateway(config, pool, producer)
    yield found
    for client in found.clients:
        await client.aclose()
    await producer.stop()
    await pool.close()


@asynccontextmanager
async def agent(gateway: Gateway) -> AsyncIterator[None]:
    """Answer commands until the end of the block."""
    task = asyncio.create_task(answering(gateway.config, gateway.pool, gateway.producer))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_from_kafka_to_the_page(gateway: Gateway) -> None:
    await gateway.readings("bus_position", bus("b1", 112.1, plate="晋E12345"), bus("b2", 112.2))
    async with gateway.pool.acquire() as connection, connection.transaction():
        await save_alerts(connection, [alert(id="old", source="b2", version=3)], [])
    async with running(gateway.config):
        duty, viewer = await gateway.log_in("li", "duty"), await gateway.log_in("guest", "viewer")
        assert (await duty.get("/readyz")).json() == {"ready": True, "reasons": []}
        async with gateway.talk(duty) as (talk, welcome), gateway.talk(viewer) as (guest, _):
            assert (welcome["user"], welcome["role"], welcome["build"], welcome["resumed"]) == ("li", "duty", "b1", False)
            assert [a["id"] for a in (await talk.message("alerts"))["alerts"]] == ["old"]
            await talk.say(op="subscribe", layers=[0, 1], intervalMs=250)
            await guest.say(op="subscribe", layers=[0], intervalMs=250)
            await talk.until(lambda: len(talk.page.shows()) == 2)
            assert {f[1] for f in talk.frames} == {SNAPSHOT}
            await guest.until(lambda: len(guest.page.shows()) == 2)
            assert guest.page.shows()[0, "b1", "晋E·***45"][0] == 112_100_000
            await gateway.readings("bus_position", bus("b1", 112.3456789, plate="晋E12345"))
            await talk.until(lambda: talk.page.shows()[0, "b1", "晋E12345"][0] == 112_345_679)
            await guest.until(lambda: guest.page.shows()[0, "b1", "晋E·***45"][0] == 112_345_000)
            assert talk.frames[-1][1] == DELTA
            await gateway.alert(ALERT)
            opened = await talk.message("event")
            assert (opened["change"]["change"], opened["change"]["alert"]["id"], opened["seq"]) == ("opened", "a1", 1)
            await talk.until(lambda: talk.page.shows()[0, "b1", "晋E12345"][-1] == ALARM)
            assert 0 <= (await talk.message("tick"))["dataAgeS"] < 60
            assert 'cityops_gateway_entities{kind="bus_position"} 2.0' in (await duty.get("/metrics")).text


async def test_from_the_page_to_kafka_and_back(gateway: Gateway) -> None:
    async with agent(gateway), running(gateway.config):
        await gateway.alert(ALERT)
        duty, viewer = await gateway.log_in("li", "duty"), await gateway.log_in("guest", "viewer")
        async with gateway.talk(duty) as (talk, welcome), gateway.talk(viewer) as (guest, _):
            command = {"cmdId": "c1", "alertId": "a1", "action": "acknowledge", "expectedVersion": 1}
            await guest.say(op="command", **command)
            assert "duty" in (await guest.message("result", outcome="refused"))["detail"]
            await talk.say(op="command", **command)
            done = await talk.message("result")
            assert (done["outcome"], done["alert"]["acked_by"]) == ("ok", "li")
            told = await guest.until(lambda: next((m for m in guest.said if m.get("change", {}).get("cmd_id") == "c1"), None))
            assert told["change"]["change"] == "acknowledged"
            body = {"cmd_id": "c1", "action": "acknowledge", "expected_version": 1}
            assert (await duty.post("/api/alerts/a1/commands", json=body)).json()["alert"] == done["alert"]
            late = await duty.post("/api/alerts/a1/commands", json={**body, "cmd_id": "c2"})
            assert (late.status_code, late.json()["alert"]["version"]) == (409, 2)
            await talk.say(op="snapshot")
            await talk.until(lambda: [m for m in talk.said if m["op"] == "alerts" and m["seq"] == told["seq"]])
        await gateway.alert(alert(id="a3", opened_at=now()))
        resume = {"epoch": welcome["epoch"], "events": told["seq"]}
        async with gateway.talk(duty, resume) as (again, welcomed):
            assert welcomed["resumed"]
            missed = await again.message("event")
            assert (missed["seq"], missed["change"]["alert"]["id"]) == (told["seq"] + 1, "a3")
        async with gateway.talk(duty, {"epoch": "another", "events": 2}) as (again, welcomed):
            assert not welcomed["resumed"]
            assert {a["id"] for a in (await again.message("alerts"))["alerts"]} == {"a1", "a3"}
        audit = await accounts.audit_rows(gateway.pool, None, 100)
        assert [r["result"] for r in audit if r["action"] == "alert.acknowledge"] == ["conflict", "ok"]


async def closed(wire: ClientConnection) -> int | None:
    """Hear until the server closes; give its code."""
    async with asyncio.timeout(20):
        with suppress(ConnectionClosed):
            while True:
                await wire.recv()
    return wire.close_code


async def test_the_websocket_door(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "HELLO_S", 0.5)
    async with running(gateway.config):
        duty = await gateway.log_in("li", "duty")
        for origin in ("http://evil.example", "null"):
            with pytest.raises(InvalidStatus) as refused:
                async with gateway.open(duty, origin=origin):
                    pass
            assert refused.value.response.status_code == 403
        async with gateway.open(None) as wire:
            assert await closed(wire) == 4401
        async with gateway.open(duty, origin=f"http://{gateway.place}") as wire:
            assert await closed(wire) == 4408, "nothing was said"
        for first, code in (
            ('{"op":"hello","proto":2}', 4406),
            ('{"op":"snapshot"}', 4408),
            ("not json", 4408),
            ("x" * 70_000, 1009),
        ):
            async with gateway.open(duty) as wire:
                await wire.send(first)
                assert await closed(wire) == code, first[:20]
        async with gateway.talk(duty) as (talk, _):
            await talk.wire.send("not json")
            await talk.wire.send(b"\xff\x00")
            await talk.say(op="subscribe", layers=[99])
            await talk.say(op="subscribe", layers=[0], bbox=[5, 5, 1, 1])
            await talk.say(op="nothing")
            codes = [(await talk.message("problem"))["code"] for _ in range(5)]
            assert codes == ["bad_message", "bad_message", "bad_layer", "bad_bbox", "bad_message"]
            for _ in range(MESSAGES_PER_S + 5):
                await talk.say(op="snapshot")
            assert await closed(talk.wire) == 4429


async def test_limits_and_changes_of_role_reach_open_websockets(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "RECHECK_S", 1.0)
    async with running(gateway.config):
        duty = await gateway.log_in("li", "duty")
        root = await gateway.log_in("root", "admin")
        wires = [await connect(f"ws://{gateway.place}/ws", additional_headers=cookie(duty), proxy=None) for _ in range(10)]
        for wire in wires:
            await wire.send('{"op":"hello","proto":1}')
            await wire.recv()
        async with gateway.open(duty) as wire:
            assert await closed(wire) == 4429, "the eleventh of one user"
        assert (await root.patch("/api/users/li", json={"role": "viewer"})).status_code == 204
        assert {await closed(wire) for wire in wires} == {4409}
        async with gateway.talk(duty) as (talk, welcome):
            assert welcome["role"] == "viewer"
            await duty.post("/api/logout")
            assert await closed(talk.wire) == 4401


def cookie(client: httpx.AsyncClient) -> dict[str, str]:
    return {"cookie": f"{COOKIE}={client.cookies[COOKIE]}"}


async def test_a_client_that_acknowledges_nothing_gets_two_sends_and_then_the_newest(gateway: Gateway) -> None:
    async with running(gateway.config):
        duty = await gateway.log_in("li", "duty")
        async with gateway.talk(duty) as (talk, _):
            talk.acks = False
            await talk.say(op="subscribe", layers=[0], intervalMs=250)
            for step in range(6):
                await gateway.readings("bus_position", bus("b1", 112 + step / 100))
                talk.said.clear()
                await talk.message("tick")
            assert len(talk.frames) == 2
            talk.acks = True
            await talk.say(op="ack", frames=2)
            await talk.until(lambda: len(talk.frames) == 3)
            assert talk.page.shows()[0, "b1", "b1"][0] == 112_050_000


async def test_the_broker_goes_away_and_comes_back(gateway: Gateway, stack: Stack) -> None:
    if stack.embedded is None or stack.embedded.kafka is None:
        pytest.skip("the broker is adopted; it is not ours to stop")
    kafka = stack.embedded.kafka
    async with running(gateway.config):
        duty = await gateway.log_in("li", "duty")
        async with gateway.talk(duty) as (talk, _):
            await talk.say(op="subscribe", layers=[0], intervalMs=250)
            await gateway.readings("bus_position", bus("b1", 112.1))
            await talk.until(lambda: len(talk.page.shows()) == 1)
            await gateway.alert(ALERT)
            await talk.message("event")
            await asyncio.to_thread(kafka.stop)
            body = {"cmd_id": "c1", "action": "note", "expected_version": 1, "note": "x"}
            refused = await duty.post("/api/alerts/a1/commands", json=body)
            assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
            assert (await duty.get("/healthz")).status_code == 200
            kafka.start()  # in the main thread: it dies with the thread that started it
            await asyncio.to_thread(kafka.wait_ready)
            await gateway.readings("bus_position", bus("b2", 112.2))
            await talk.until(lambda: len(talk.page.shows()) == 2)
            async with asyncio.timeout(30):
                while (await duty.get("/readyz")).status_code != 200:
                    await asyncio.sleep(0.2)


async def test_a_port_in_use_is_said(gateway: Gateway) -> None:
    async with await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", gateway.config.gateway.port):
        with pytest.raises(Fatal, match="cannot serve at"):
            await run(gateway.config, stop=asyncio.Event(), clock=now, build="b1")
