"""TCP: one framing and one session per connection, limits, time-outs, and replies in the order of packets."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import structlog

from connectors._api.manifest import Settings
from connectors._api.registry import Connector
from connectors._api.session import Framing, Peer, Received
from connectors._host.builder import Delivery
from connectors._host.files import flush
from connectors._host.intake import Intake, complain, guarded
from connectors._host.options import TcpOptions
from schemas.errors import Fatal, Reject
from schemas.metrics import CONNECTOR_CONNECTIONS

log = structlog.get_logger()

CHUNK = 64 * 1024
UNSENT_LIMIT = 1 << 20
"""A peer that does not read this many bytes of replies is cut off."""
WAITING_LIMIT = 4096
"""So many replies may wait for their readings before the connection is read on."""


@dataclass(slots=True, eq=False)
class Outgoing:
    """A reply in its place among a connection's replies."""

    content: bytes
    ready: bool
    close: bool = False


class Connection:
    """One device's connection."""

    def __init__(self, server: TcpServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: str) -> None:
        self._server = server
        self._reader = reader
        self._writer = writer
        self._address = address
        self._framing = server.make_framing()
        self._session = server.connector.make_session(server.settings, Peer(server.intake.name, address))
        self._outbox: deque[Outgoing] = deque()
        self._loop = asyncio.get_running_loop()
        self._deadline = self._loop.time() + server.options.first_packet_s
        self._allowance = Allowance(server.options, self._loop.time())
        self.reading: asyncio.Task[None] | None = None

    async def serve(self) -> None:
        """Read until the peer ends, falls silent or must be closed; replies still due go out after that."""
        self.reading = asyncio.current_task()
        self._server.handle(self, lambda: self._session.start(self._server.clock()), b"")
        try:
            while not self._closing:
                await self._server.intake.room()
                chunk = await self._read()
                if not chunk:
                    self._act(partial(flush, self._framing), b"")
                    break
                packets = self.take(chunk)
                pause = self._allowance.spend(len(chunk), packets, self._loop.time())
                if pause > 0:
                    await asyncio.sleep(pause)
        except TimeoutError:
            log.debug("connection was silent", connector=self._server.intake.name, peer=self._address)
        except (ConnectionError, ssl.SSLError):
            self._outbox.clear()
        self.finish()

    def take(self, chunk: bytes) -> int:
        """Cut bytes into packets, decode each, and put their replies in line; gives the number of packets."""
        return self._act(partial(self._framing.feed, chunk), chunk)

    def _act(self, cut: Callable[[], list[bytes | Reject]], chunk: bytes) -> int:
        try:
            packets = cut()
        except Exception as error:  # noqa: BLE001 - a framing that fails is replaced, the connection lives
            complain(self._server.connector.type, error, chunk)
            self._framing = self._server.make_framing()
            packets = [Reject("bad_frame", repr(error), chunk)]
        for packet in packets:
            if self._closing:
                break
            if isinstance(packet, Reject):
                self.respond(Received(rejects=[packet]), packet.raw or chunk)
                continue
            received = self._server.handle(self, partial(self._session.receive, packet, self._server.clock()), packet)
            if received.message is not None or received.readings or received.replies:
                self._deadline = self._loop.time() + self._server.options.idle_timeout_s
        return len(packets)

    def tick(self, now: int) -> None:
        """Let the session act on the passing of time."""
        self._server.handle(self, lambda: self._session.tick(now), b"")

    def respond(self, received: Received, packet: bytes) -> None:
        """Store what a packet brought, and send its replies when their turn and their time have come."""
        delivery = self._server.intake.take(received, packet, self._server.clock(), self._address)
        for reply in received.replies:
            self._enqueue(Outgoing(reply.data, reply.when == "now"), delivery)
        if received.close and not self._server.keep:
            self._enqueue(Outgoing(b"", ready=False, close=True), delivery)
        self._flush()

    def finish(self) -> None:
        """Close the connection as soon as the replies it is owed are out."""
        if not self._closing:
            self._outbox.append(Outgoing(b"", ready=True, close=True))
        self._flush()

    def abort(self) -> None:
        """Close the connection at once."""
        self._outbox.clear()
        self._writer.transport.abort()
        self._server.forget(self)

    @property
    def _closing(self) -> bool:
        return self._writer.is_closing() or bool(self._outbox and self._outbox[-1].close)

    async def _read(self) -> bytes:
        while len(self._outbox) >= WAITING_LIMIT:
            await asyncio.sleep(0.05)
        async with asyncio.timeout_at(self._deadline):
            return await self._reader.read(CHUNK)

    def _enqueue(self, outgoing: Outgoing, delivery: Delivery) -> None:
        self._outbox.append(outgoing)
        if not outgoing.ready:

            def ready() -> None:
                outgoing.ready = True
                self._flush()

            delivery.then(ready)

    def _flush(self) -> None:
        if self._writer.is_closing():
            self._outbox.clear()
            self._server.forget(self)
        while self._outbox and self._outbox[0].ready:
            outgoing = self._outbox.popleft()
            if outgoing.close:
                self._outbox.clear()
                self._writer.close()
                self._server.forget(self)
                return
            self._writer.write(outgoing.content)
        if self._writer.transport.get_write_buffer_size() > UNSENT_LIMIT:
            self.abort()


class Allowance:
    """How fast one peer may send: a second's worth at once, then at the configured rate."""

    def __init__(self, options: TcpOptions, now: float) -> None:
        self._rates = (options.bytes_per_s, options.packets_per_s)
        self._left = [float(r) for r in self._rates]
        self._at = now

    def spend(self, size: int, packets: int, now: float) -> float:
        """Account for what was read; gives the seconds to wait before reading on."""
        pause = 0.0
        for index, (rate, used) in enumerate(zip(self._rates, (size, packets), strict=True)):
            if rate:
                self._left[index] = min(self._left[index] + (now - self._at) * rate, rate) - used
                pause = max(pause, -self._left[index] / rate)
        self._at = now
        return pause


class TcpServer:
    """Listens for one instance and keeps its connections."""

    def __init__(
        self,
        connector: Connector,
        settings: Settings,
        options: TcpOptions,
        intake: Intake,
        clock: Callable[[], int],
        *,
        keep: bool = False,
    ) -> None:
        if connector.make_framing is None:
            msg = f"connector {connector.type!r} uses TCP and has no framing.py"
            raise Fatal(msg)
        self._make_framing = connector.make_framing
        self.connector = connector
        self.settings = settings
        self.options = options
        self.intake = intake
        self.clock = clock
        self.keep = keep
        """Whether a session's wish to disconnect is passed over: a recording has many devices in a row."""
        self.connections: set[Connection] = set()
        self._per_ip: Counter[str] = Counter()
        self._server: asyncio.Server | None = None
        self._ip: dict[Connection, str] = {}

    def make_framing(self) -> Framing:
        """Give a framing for a new connection."""
        return self._make_framing(self.settings)

    @property
    def port(self) -> int:
        """The port it listens on, once it does."""
        assert self._server is not None, "serve() comes first"
        return int(self._server.sockets[0].getsockname()[1])

    async def serve(self, ready: Callable[[], None] = lambda: None) -> None:
        """Listen and serve until cancelled; ``ready`` is called when the port is open."""
        host, port = address(self.options.listen, self.connector.manifest.default_port)
        tls = _tls(self.options)
        wait = {"ssl_handshake_timeout": 10.0} if tls else {}
        self._server = await asyncio.start_server(self._accept, host, port, ssl=tls, limit=CHUNK, backlog=1024, **wait)
        ready()
        while True:
            await asyncio.sleep(1.0)
            now = self.clock()
            for connection in list(self.connections):
                connection.tick(now)

    def halt(self) -> None:
        """Stop listening and reading; replies that wait for their readings still go out."""
        if self._server is not None:
            self._server.close()
        for connection in self.connections:
            if connection.reading is not None:
                connection.reading.cancel()

    def close(self) -> None:
        """Close all connections; a reply whose readings are not safe by now is not sent."""
        self.halt()
        for connection in list(self.connections):
            connection.finish()
            if connection in self.connections:
                connection.abort()

    def handle(self, connection: Connection, call: Callable[[], Received], packet: bytes) -> Received:
        """Run one step of a session and act on what follows from it."""
        received = guarded(self.connector.type, call, packet)
        if packet or received.readings or received.replies or received.rejects or received.close:
            connection.respond(received, packet)
        return received

    def forget(self, connection: Connection) -> None:
        """Count a connection as gone."""
        if connection in self.connections:
            self.connections.discard(connection)
            ip = self._ip.pop(connection)
            self._per_ip[ip] -= 1
            if not self._per_ip[ip]:
                del self._per_ip[ip]
            CONNECTOR_CONNECTIONS.labels(self.intake.name).set(len(self.connections))

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ip, port = (writer.get_extra_info("peername") or ("", 0))[:2]
        options = self.options
        over = options.max_connections and len(self.connections) >= options.max_connections
        if over or (options.max_per_ip and self._per_ip[ip] >= options.max_per_ip):
            writer.transport.abort()
            return
        connection = Connection(self, reader, writer, f"{ip}:{port}")
        self.connections.add(connection)
        self._ip[connection] = ip
        self._per_ip[ip] += 1
        CONNECTOR_CONNECTIONS.labels(self.intake.name).set(len(self.connections))
        try:
            await connection.serve()
        except asyncio.CancelledError:  # not raised again: asyncio's own callback of this task cannot bear it
            if self._server is not None and self._server.is_serving():
                connection.abort()
        except BaseException:
            connection.abort()
            raise


def address(listen: str, default_port: int | None) -> tuple[str, int]:
    """Give host and port of ``host:port``, ``:port`` or an empty text; ``Fatal`` for anything else."""
    host, _, port = listen.rpartition(":") if listen else ("127.0.0.1", "", str(default_port or ""))
    if not port.isdecimal() or int(port) > 65535:
        msg = f"listen = {listen!r}: give host:port, such as 0.0.0.0:{default_port or 9000}"
        raise Fatal(msg)
    return host.strip("[]") or "127.0.0.1", int(port)


def _tls(options: TcpOptions) -> ssl.SSLContext | None:
    if not options.tls_cert and not options.tls_key:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(options.tls_cert, options.tls_key)
    except (OSError, ssl.SSLError) as error:
        msg = f"tls_cert {options.tls_cert!r}, tls_key {options.tls_key!r}: {error}; give two readable PEM files"
        raise Fatal(msg) from error
    return context
