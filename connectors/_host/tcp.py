"""TCP: connections that devices open to us, and connections that we open to devices; both are served alike."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial

import structlog

from connectors._api.manifest import Settings
from connectors._api.registry import Connector
from connectors._api.session import Framing
from connectors._host.connection import CHUNK, Connection
from connectors._host.descriptors import affordable, room
from connectors._host.door import Backoff, Door, stop_listening
from connectors._host.intake import Intake
from connectors._host.limits import Gate, Tls
from connectors._host.options import Dialling, TcpOptions, address
from schemas.errors import Fatal
from schemas.events import Health
from schemas.metrics import CONNECTOR_CONNECTIONS, CONNECTOR_RETRIES

log = structlog.get_logger()

HANDSHAKE_S = 10.0
CONNECT_S = 10.0
BACKLOG = 4096
"""Connections the kernel keeps for us (fewer where net.core.somaxconn is): devices come back all at once."""
TICKED_TOGETHER = 500
"""Sessions that act on the passing of time without a packet being read in between."""
COMPLAIN_S = 60.0
LINGER_S = 1.0
"""How long bytes already written may take to leave a connection that is being closed."""


class Streams(Door):
    """The connections of one instance."""

    def __init__(
        self,
        connector: Connector,
        settings: Settings,
        options: Dialling,
        intake: Intake,
        clock: Callable[[], int],
        *,
        keep: bool = False,
    ) -> None:
        super().__init__(connector, settings, intake, clock)
        self.options = options
        self.keep = keep
        """Whether a session's wish to disconnect is passed over: a recording has many devices in a row."""
        self.connections: set[Connection] = set()
        self._tls = Tls(options)
        self._halted = False
        self._serving: set[asyncio.Task[None]] = set()
        self.make_framing()

    @property
    def count(self) -> int:
        """How many connections are open."""
        return len(self.connections)

    def make_framing(self) -> Framing:
        """Give a framing for a new connection."""
        if self.connector.make_framing is None:
            msg = f"connector {self.connector.type!r} uses TCP and has no framing.py"
            raise Fatal(msg)
        return self.connector.make_framing(self.settings)

    async def tick(self) -> None:
        """Let all sessions act on the passing of time, every second, many of them by turns, until cancelled."""
        while True:
            there = list(self.connections)
            turns = range(0, max(1, len(there)), TICKED_TOGETHER)
            for begin in turns:
                await asyncio.sleep(1.0 / len(turns))
                now = self.clock()
                for connection in there[begin : begin + TICKED_TOGETHER]:
                    connection.tick(now)

    def attend(self, connection: Connection, then: Callable[[], None] = lambda: None) -> asyncio.Task[None]:
        """Serve a connection to its end, in a task that ``close`` waits for; ``then`` is called after that."""
        self.connections.add(connection)
        CONNECTOR_CONNECTIONS.labels(self.intake.name).set(len(self.connections))

        def ended(_: asyncio.Task[None]) -> None:
            self.connections.discard(connection)
            CONNECTOR_CONNECTIONS.labels(self.intake.name).set(len(self.connections))
            then()

        task = self.spawn(connection.serve())
        task.add_done_callback(ended)
        return task

    def spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Run work that ``close`` waits for."""
        task = asyncio.create_task(work)
        self._serving.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._serving.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("connection ended by an error of ours", connector=self.intake.name, exc_info=task.exception())

    def halt(self) -> None:
        """Stop reading; replies that wait for their readings still go out."""
        self._halted = True
        for connection in self.connections:
            connection.halt()

    async def close(self) -> None:
        """Close all connections and wait until their sockets are closed."""
        self.halt()
        for connection in list(self.connections):
            connection.finish()
            if not connection.idle:
                connection.abort()
        if self._serving:
            await asyncio.wait(self._serving, timeout=LINGER_S)
        for task in list(self._serving):
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        await asyncio.sleep(0)


class TcpServer(Streams):
    """Listens for one instance and keeps its connections."""

    _server: asyncio.Server | None = None
    _gate: Gate
    _complained_at = -COMPLAIN_S

    @property
    def port(self) -> int:
        """The port it listens on, once it does."""
        assert self._server is not None, "serve() comes first"
        return int(self._server.sockets[0].getsockname()[1])

    async def serve(self, ready: Callable[[], None] = lambda: None) -> None:
        """Listen and serve until cancelled; ``ready`` is called when the port is open."""
        options = self.options
        host, port = address(options.listen, self.connector.manifest.default_port)
        self._gate = Gate(options.allow, options.max_connections, options.max_per_ip)
        tls = self._tls.listening
        self._server = await asyncio.start_server(
            self._accept, host, port, ssl=tls, limit=CHUNK, backlog=BACKLOG, ssl_handshake_timeout=HANDSHAKE_S if tls else None
        )
        ready()
        await self.tick()

    def halt(self) -> None:
        """Stop listening and reading; replies that wait for their readings still go out."""
        if self._server is not None and not self._halted:
            self.spawn(stop_listening(self._server))
        super().halt()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ip, port = (writer.get_extra_info("peername") or ("", 0))[:2]
        if self._halted or not self._has_room(writer) or not self._gate.enter(ip):
            writer.transport.abort()
            return
        self.attend(Connection(self, reader, writer, f"{ip}:{port}"), partial(self._gate.leave, ip))

    def _has_room(self, writer: asyncio.StreamWriter) -> bool:
        """Whether a connection may stay; says at most once a minute why none may."""
        full = self._gate.full
        if not full and affordable(writer.transport):
            return True
        now = asyncio.get_running_loop().time()
        if now - self._complained_at >= COMPLAIN_S:
            self._complained_at = now
            why = "max_connections is reached" if full else f"{room()} files are open: raise the hard limit (nofile)"
            log.warning("connections are refused", connector=self.intake.name, open=len(self.connections), reason=why)
        return False


class TcpDialler(Streams):
    """Opens a connection to each address of the options, and opens it again when it ends."""

    options: TcpOptions

    def __init__(
        self,
        connector: Connector,
        settings: Settings,
        options: TcpOptions,
        intake: Intake,
        clock: Callable[[], int],
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__(connector, settings, options, intake, clock)
        self._sleep = sleep
        self._absent = dict.fromkeys(options.connect, "")
        """Addresses without a connection, and why."""
        self._judge()

    async def serve(self, ready: Callable[[], None] = lambda: None) -> None:
        """Keep the connections until cancelled."""
        _ = self._tls.dialling  # files that cannot be used stop the instance, not each attempt
        ready()
        async with asyncio.TaskGroup() as group:
            for peer in self._absent.copy():
                group.create_task(self._keep(peer))
            group.create_task(self.tick())

    async def _keep(self, peer: str) -> None:
        backoff, loop = Backoff(), asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                await self._once(peer)
                self._absent[peer] = "the connection ended"
            except (OSError, TimeoutError) as error:
                self._absent[peer] = str(error) or type(error).__name__
            self._judge()
            CONNECTOR_RETRIES.labels(self.intake.name).inc()
            await self._sleep(backoff.pause(loop.time() - began))

    async def _once(self, peer: str) -> None:
        """Connect and serve until the connection ends."""
        host, port = address(peer, None, "connect")
        tls = self._tls.dialling
        async with asyncio.timeout(CONNECT_S):
            reader, writer = await asyncio.open_connection(host, port, ssl=tls, limit=CHUNK)
        self._absent.pop(peer, None)
        self._judge()
        await asyncio.wait((self.attend(Connection(self, reader, writer, peer)),))

    def _judge(self) -> None:
        known = {peer: why for peer, why in self._absent.items() if why}
        health: Health = "degraded"
        if not self._absent:
            health = "live"
        elif len(self._absent) == len(self.options.connect):
            health = "down" if known else "starting"
        self.health, self.detail = health, "; ".join(f"{peer}: {why}" for peer, why in known.items())
