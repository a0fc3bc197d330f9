"""MQTT at a broker: messages are acknowledged once their readings are safe, in the order they came."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import aiomqtt
import structlog
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from connectors._api.manifest import Settings
from connectors._api.registry import Connector
from connectors._api.session import Received, Reply
from connectors._host.door import Backoff, Door
from connectors._host.intake import Intake, guarded
from connectors._host.limits import InOrder, Tls
from connectors._host.mqtt_listener import too_large
from connectors._host.options import MqttOptions, address
from schemas.metrics import CONNECTOR_RETRIES

log = structlog.get_logger()

WAITING_LIMIT = 10_000
"""So many messages may wait to be decoded; of quality 0, which nobody sends again, no more are kept."""
TIMEOUT_S = 10.0


class Waiting(asyncio.Queue[aiomqtt.Message]):
    """Messages on their way to the decoder: one that its broker will not send again on this connection always has room."""

    def put_nowait(self, item: aiomqtt.Message) -> None:
        """Put a message in line; raises ``QueueFull`` for one of quality 0 when there are too many."""
        if item.qos == 0 and self.qsize() >= WAITING_LIMIT:
            raise asyncio.QueueFull
        super().put_nowait(item)


class Socket(ssl.SSLSocket):
    """A socket that is closed where its handshake fails; paho leaves that one to the garbage collector."""

    def do_handshake(self, block: bool = False) -> None:
        """Agree on keys with the broker."""
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise


class Client(aiomqtt.Client):
    """A client that leaves acknowledging to us, which aiomqtt does not offer by itself."""

    def __init__(self, host: str, port: int, **given: Any) -> None:
        context: ssl.SSLContext | None = given.get("tls_context")
        if context is not None:
            context.sslsocket_class = Socket
        super().__init__(host, port, queue_type=Waiting, timeout=TIMEOUT_S, **given)
        self._client.manual_ack_set(True)

    async def __aenter__(self) -> Client:
        """Connect; an attempt that fails leaves no socket behind."""
        try:
            return await super().__aenter__()
        except BaseException:
            self._client.disconnect()
            raise

    def acknowledge(self, message: aiomqtt.Message) -> None:
        """Send a message's PUBACK; on a connection that is gone nothing is sent, the broker then sends it again."""
        self._client.ack(message.mid, message.qos)


class MqttSubscriber(Door):
    """One instance's subscription at a broker; its session lives as long as the door, however often it connects."""

    def __init__(
        self,
        connector: Connector,
        settings: Settings,
        options: MqttOptions,
        intake: Intake,
        clock: Callable[[], int],
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__(connector, settings, intake, clock)
        self._options = options
        self._session = self.make_session(options.broker)
        self._sleep = sleep
        self._tls = Tls(options)
        self._client: Client | None = None
        self._will: Reply | None = None
        """What a session with a ``will(now)`` wants said when this connection ends, however it ends."""
        self._outbox = InOrder()
        self._open = contextlib.AsyncExitStack()
        self._publishing: set[asyncio.Task[None]] = set()
        self.health = "starting"

    @property
    def count(self) -> int:
        """One while it is connected."""
        return int(self._client is not None)

    async def serve(self, ready: Callable[[], None] = lambda: None) -> None:
        """Subscribe until cancelled, again with growing pauses where the broker is away."""
        _ = self._tls.dialling  # files that cannot be used stop the instance, not each attempt
        ready()
        backoff, loop = Backoff(), asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                await self._connected()
            except (aiomqtt.MqttError, OSError, ValueError) as error:
                self.health, self.detail = "down", f"{self._options.broker}: {error}"
            await self.close()
            CONNECTOR_RETRIES.labels(self.intake.name).inc()
            await self._sleep(backoff.pause(loop.time() - began))

    async def close(self) -> None:
        """Say the session's will, which a broker drops at a DISCONNECT, and go; what is not acknowledged it sends again."""
        client, self._client = self._client, None
        self._outbox.clear()
        if client is not None and self._will is not None:
            await self._send(client, self._will)
        with contextlib.suppress(aiomqtt.MqttError, OSError):
            await self._open.aclose()
        for task in list(self._publishing):
            task.cancel()
        await asyncio.gather(*self._publishing, return_exceptions=True)

    async def _connected(self) -> None:
        """Connect, subscribe, and take in messages until the connection ends."""
        now = self.clock()
        will: Callable[[int], Reply | None] | None = getattr(self._session, "will", None)
        self._will = will(now) if will is not None else None
        client = await self._open.enter_async_context(self._make_client())
        self._client = client
        granted = await client.subscribe([(topic, int(self._options.qos)) for topic in self._options.topics])
        refused = [t for t, code in zip(self._options.topics, granted, strict=False) if _value(code) >= 0x80]
        if refused:
            msg = f"the broker refuses the subscription to {', '.join(refused)}; check its access rules and topics"
            raise aiomqtt.MqttError(msg)
        self.health, self.detail = "live", ""
        self._act(partial(self._session.start, now))
        ticking = asyncio.create_task(self._tick())
        try:
            async for message in client.messages:
                await self.intake.room()
                self.take(message)
        finally:
            ticking.cancel()

    def _make_client(self) -> Client:
        options = self._options
        host, port = address(options.broker, None, "broker")
        newer: dict[str, Any] = {
            "protocol": aiomqtt.ProtocolVersion.V5,
            "clean_start": False,
            "properties": _properties(options),
        }
        older: dict[str, Any] = {"protocol": aiomqtt.ProtocolVersion.V311, "clean_session": False}
        return Client(
            host,
            port,
            username=options.username or None,
            password=options.password.reveal() or None,
            identifier=options.client_id or f"cityops-{self.intake.name}",
            keepalive=options.keepalive_s,
            tls_context=self._tls.dialling,
            will=self._last_word(),
            **(newer if options.version == "5" else older),
        )

    def _last_word(self) -> aiomqtt.Will | None:
        """Give what the broker is to publish when we are lost: what the session wants said, else what the options say."""
        if self._will is not None:
            return aiomqtt.Will(self._will.to, self._will.data, qos=self._quality(self._will), retain=self._will.retain)
        options = self._options
        return aiomqtt.Will(options.will_topic, options.will, qos=1, retain=True) if options.will_topic else None

    def _quality(self, reply: Reply) -> int:
        return self._options.qos if reply.qos is None else reply.qos

    def take(self, message: aiomqtt.Message) -> None:
        """Decode a message, acknowledge it once its readings are safe, publish the replies it asks for."""
        topic, payload, now = str(message.topic), bytes(message.payload or b""), self.clock()
        refusal = too_large(payload, topic, self._options.max_bytes)
        self._respond(refusal or self.decode(self._session, payload, now, topic), payload, topic, message)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            self._act(partial(self._session.tick, self.clock()))

    def _act(self, call: Callable[[], Received]) -> None:
        received = guarded(self.connector.type, call, b"")
        if received.readings or received.rejects or received.replies:
            self._respond(received, b"", "", None)

    def _respond(self, received: Received, payload: bytes, topic: str, message: aiomqtt.Message | None) -> None:
        delivery = self.intake.take(received, payload, self.clock(), topic)
        client = self._client
        if message is not None and message.qos and client is not None:
            self._outbox.put(partial(client.acknowledge, message), delivery)
        for reply in received.replies:
            if reply.to:
                self._outbox.put(partial(self._publish, reply), None if reply.when == "now" else delivery)

    def _publish(self, reply: Reply) -> None:
        if self._client is None:
            return
        task = asyncio.ensure_future(self._send(self._client, reply))
        self._publishing.add(task)
        task.add_done_callback(self._publishing.discard)

    async def _send(self, client: Client, reply: Reply) -> None:
        try:
            await client.publish(reply.to, reply.data, qos=self._quality(reply), retain=reply.retain)
        except (aiomqtt.MqttError, OSError, ValueError) as error:
            log.warning("a reply could not be published", connector=self.intake.name, topic=reply.to, error=str(error))


def _properties(options: MqttOptions) -> Any:
    """Give what MQTT 5 lets us ask of the broker: how long it keeps our session, and how much it sends ahead."""
    found: Any = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call] # paho has no annotations here
    found.SessionExpiryInterval = options.session_expiry_s
    found.ReceiveMaximum = options.max_inflight
    return found


def _value(code: Any) -> int:
    """Give a reason code as a number: MQTT 3.1.1 has plain ones."""
    return int(getattr(code, "value", code))
