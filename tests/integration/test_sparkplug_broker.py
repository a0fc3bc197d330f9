"""Sparkplug B through a real Mosquitto: births, data, a node that dies without a word, rebirth requests, STATE."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiomqtt

from connectors._api import load
from connectors._api.session import describe
from connectors._host.mqtt import MqttSubscriber
from connectors._host.options import MqttOptions
from connectors.sparkplug.encoder import EdgeNode
from connectors.sparkplug.payload import parse
from schemas.config import Secret
from tests.integration.test_transports import PASSWORD, USER, Mosquitto, broker
from tests.unit.host.fakes import Bench, until

__all__ = ["broker"]  # the fixture: a running Mosquitto, or a loud skip

SPARKPLUG = load("sparkplug")
STATE = "spBv1.0/STATE/cityops"
LAMP = {"Lamp/On": ("Boolean", True), "Lamp/Power": ("Float", 80.0)}


def clock() -> int:
    return time.time_ns() // 1000


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Host:
    """The real host subscribed at the broker, everything confirmed as it comes, and what the session made of it."""

    def __init__(self, at: Mosquitto, **settings: Any) -> None:
        given = SPARKPLUG.manifest.resolve({"host_id": "cityops", **settings}, "broker")
        options = MqttOptions(
            broker=f"127.0.0.1:{at.port}",
            topics=["spBv1.0/City/#", STATE],
            username=USER,
            password=Secret(PASSWORD),
        )
        self.bench = Bench(clock=clock)
        self.door = MqttSubscriber(SPARKPLUG, given, options, self.bench.intake, clock)
        self.readings: list[dict[str, Any]] = []
        self.rejects: list[dict[str, Any]] = []
        take = self.bench.intake.take

        def watched(received: Any, *rest: Any) -> Any:
            shown = describe(received)
            self.readings += shown["readings"]
            self.rejects += shown["rejects"]
            return take(received, *rest)

        self.bench.intake.take = watched  # type: ignore[method-assign,assignment] # a look at what passes

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[Host]:
        async with self.bench.opened(self.door):
            await self.until(lambda: self.door.health == "live")
            yield self

    async def confirming(self, wanted: Awaitable[Any]) -> Any:
        """Wait for something that needs readings to be safe."""
        task = asyncio.ensure_future(wanted)
        await self.until(task.done)
        return task.result()

    async def until(self, met: Callable[[], object]) -> None:
        def confirmed() -> object:
            self.bench.confirm()
            return met()

        await until(confirmed)


class Cabinet:
    """An edge node's connection: its will is the NDEATH, it hears its commands and the STATE of its host."""

    def __init__(self, at: Mosquitto, node: EdgeNode, name: str = "C12") -> None:
        topic, payload = node.death()
        will = aiomqtt.Will(topic, payload, qos=1)
        self.name, self._port = name, at.port
        self.client = aiomqtt.Client("127.0.0.1", at.port, username=USER, password=PASSWORD, will=will, identifier=name)

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[Cabinet]:
        with contextlib.suppress(aiomqtt.MqttError):  # where the broker let go of us first
            async with self.client:
                await self.client.subscribe([(f"spBv1.0/City/NCMD/{self.name}", 1), (STATE, 1)])
                yield self

    async def say(self, message: tuple[str, bytes]) -> None:
        await self.client.publish(message[0], message[1], qos=0)

    async def hear(self, start: str) -> Any:
        async with asyncio.timeout(15):
            async for message in self.client.messages:
                if str(message.topic).startswith(start):
                    return message
        return None

    async def state(self, *, retained: bool = False) -> Any:
        message = await self.hear(STATE)
        assert bool(message.retain) == retained
        return json.loads(bytes(message.payload))

    async def lose_power(self) -> None:
        """Be gone without a word: the broker lets another connection of this name in, and publishes the will of this one."""
        async with aiomqtt.Client("127.0.0.1", self._port, username=USER, password=PASSWORD, identifier=self.name):
            pass


async def test_births_data_and_a_death_by_will(broker: Mosquitto) -> None:
    node = EdgeNode("City", "C12")
    async with Host(broker).open() as host, Cabinet(broker, node).open() as cabinet:
        await cabinet.hear(STATE)
        at = now_ms()
        await cabinet.say(node.birth(at))
        await cabinet.say(node.device_birth("L7", at, LAMP))
        for number in range(300):
            await cabinet.say(node.report(at + number, {"Lamp/Power": float(number)}, "L7"))
        await host.until(lambda: len(host.readings) >= 301)
        assert [r["power"] for r in host.readings] == [80.0, *map(float, range(300))]
        assert {r["source"] for r in host.readings} == {"City/C12/L7"}
        await cabinet.lose_power()
        await host.until(lambda: host.readings[-1].get("flag") == "stale")
        assert host.readings[-1]["source"] == "City/C12/L7"
        assert not host.rejects


async def test_a_lost_message_brings_a_rebirth_request_and_all_is_well_after_it(broker: Mosquitto) -> None:
    node = EdgeNode("City", "C12")
    async with Host(broker).open() as host, Cabinet(broker, node).open() as cabinet:
        at = now_ms()
        await cabinet.say(node.birth(at))
        await cabinet.say(node.device_birth("L7", at, LAMP))
        node.report(at, {"Lamp/Power": 1.0}, "L7")
        await cabinet.say(node.report(at + 1, {"Lamp/Power": 2.0}, "L7"))
        command = await host.confirming(cabinet.hear("spBv1.0/City/NCMD/C12"))
        (metric,) = parse(bytes(command.payload)).metrics
        assert (metric.name, metric.boolean_value) == ("Node Control/Rebirth", True)
        assert [r["reason"] for r in host.rejects] == ["incomplete"]
        await cabinet.say(node.birth(at + 2))
        await cabinet.say(node.device_birth("L7", at + 2, {**LAMP, "Lamp/Power": ("Float", 3.0)}))
        await cabinet.say(node.report(at + 3, {"Lamp/Power": 4.0}, "L7"))
        await host.until(lambda: host.readings and host.readings[-1]["power"] == 4.0)
        assert len(host.rejects) == 1


async def test_a_node_hears_that_its_host_is_online_and_when_it_is_gone(broker: Mosquitto) -> None:
    node = EdgeNode("City", "C12")
    async with Cabinet(broker, node).open() as cabinet:
        began = now_ms()
        async with Host(broker).open() as host:
            first = await cabinet.state()
            assert first["online"] is True
            assert began <= first["timestamp"] <= now_ms()
            await cabinet.client.publish(STATE, b'{"online":false,"timestamp":0}', qos=1)
            assert [(await cabinet.state())["online"], await cabinet.state()] == [False, first]
            async with Cabinet(broker, EdgeNode("City", "C13"), "C13").open() as late:
                assert await late.state(retained=True) == first, "a node that comes later hears it at once"
        assert await cabinet.state() == {"online": False, "timestamp": first["timestamp"]}, "said before we disconnect"
        assert not host.rejects


async def test_a_host_that_is_lost_leaves_its_will(broker: Mosquitto) -> None:
    async with Cabinet(broker, EdgeNode("City", "C12")).open() as cabinet, Host(broker).open() as host:
        first = await cabinet.state()
        async with aiomqtt.Client("127.0.0.1", broker.port, username=USER, password=PASSWORD, identifier="cityops-c1"):
            assert await cabinet.state() == {"online": False, "timestamp": first["timestamp"]}
            async with Cabinet(broker, EdgeNode("City", "C13"), "C13").open() as late:
                assert await late.state(retained=True) == {"online": False, "timestamp": first["timestamp"]}
        await host.until(lambda: host.door.health == "live")
        again = await cabinet.state()
        assert again["online"] is True
        assert again["timestamp"] > first["timestamp"]


async def test_data_of_an_unknown_node_ask_it_to_be_born(broker: Mosquitto) -> None:
    node = EdgeNode("City", "C12")
    async with Cabinet(broker, node).open() as cabinet:
        node.birth(now_ms())
        node.device_birth("L7", now_ms(), LAMP)
        async with Host(broker).open() as host:
            await cabinet.say(node.report(now_ms(), {"Lamp/Power": 2.0}, "L7"))
            assert await host.confirming(cabinet.hear("spBv1.0/City/NCMD/C12"))
            await host.until(lambda: host.rejects)
            assert [r["reason"] for r in host.rejects] == ["unregistered"]


async def test_after_the_broker_was_away_all_is_stale_until_born_again(broker: Mosquitto) -> None:
    node = EdgeNode("City", "C12")
    async with Host(broker, rebirth_interval_s=0.1).open() as host:
        async with Cabinet(broker, node).open() as cabinet:
            await cabinet.say(node.birth(now_ms()))
            await cabinet.say(node.device_birth("L7", now_ms(), LAMP))
            await host.until(lambda: host.readings)
            broker.stop()
        await host.until(lambda: host.door.health == "down")
        broker.start()
        await host.until(lambda: host.door.health == "live" and host.readings[-1].get("flag") == "stale")
        before = len(host.readings)
        node.connect()
        async with Cabinet(broker, node).open() as cabinet:
            await cabinet.say(node.birth(now_ms()))
            await cabinet.say(node.device_birth("L7", now_ms(), LAMP))
            await host.until(lambda: len(host.readings) > before)
            assert host.readings[-1]["power"] == 80.0
