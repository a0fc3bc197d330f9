"""UDP: each datagram stands for itself, each peer address has a session; both bounded."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from functools import partial

import structlog

from connectors._api.manifest import Settings
from connectors._api.registry import Connector
from connectors._api.session import Received, Session
from connectors._host.cut import cut
from connectors._host.door import Door
from connectors._host.intake import Intake, guarded
from connectors._host.limits import Allowance, Gate, InOrder
from connectors._host.options import UdpOptions, address
from schemas.errors import Reject
from schemas.metrics import CONNECTOR_CONNECTIONS

log = structlog.get_logger()

QUEUE_BYTES = 4 << 20
"""So much may wait to be decoded; what comes then is dropped, and sent again by devices that want an answer."""
WAITING_LIMIT = 256
"""So many replies to one peer may wait for their readings; a datagram of a peer with more is dropped."""
Address = tuple[str, int]


class UdpPeer:
    """What belongs to one peer address."""

    def __init__(self, session: Session, allowance: Allowance, now: float) -> None:
        self.session = session
        self.allowance = allowance
        self.outbox = InOrder()
        self.heard = now


class UdpServer(Door):
    """Takes datagrams for one instance and keeps a session for each peer."""

    def __init__(
        self, connector: Connector, settings: Settings, options: UdpOptions, intake: Intake, clock: Callable[[], int]
    ) -> None:
        super().__init__(connector, settings, intake, clock)
        self._options = options
        self._gate = Gate(options.allow)
        self.peers: OrderedDict[Address, UdpPeer] = OrderedDict()
        """The peers, the one silent longest first."""
        self.dropped = 0
        self._waiting: deque[tuple[bytes, Address]] = deque()
        self._waiting_bytes = 0
        self._arrived = asyncio.Event()
        self._transport: asyncio.DatagramTransport | None = None
        self._loop = asyncio.get_running_loop()

    @property
    def count(self) -> int:
        """How many peers have a session."""
        return len(self.peers)

    @property
    def port(self) -> int:
        """The port it listens on, once it does."""
        assert self._transport is not None, "serve() comes first"
        return int(self._transport.get_extra_info("sockname")[1])

    async def serve(self, ready: Callable[[], None] = lambda: None) -> None:
        """Listen and serve until cancelled; ``ready`` is called when the port is open."""
        host, port = address(self._options.listen, self.connector.manifest.default_port)
        self._transport, _ = await self._loop.create_datagram_endpoint(lambda: _Receiver(self.receive), local_addr=(host, port))
        ready()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._decode())
            group.create_task(self._tick())

    def receive(self, datagram: bytes, sender: Address) -> None:
        """Put a datagram in line, or drop it."""
        if not datagram or not self._gate.allows(sender[0]):
            return
        if self._waiting_bytes + len(datagram) > QUEUE_BYTES:
            self._drop("more datagrams than can be decoded")
            return
        self._waiting.append((datagram, sender))
        self._waiting_bytes += len(datagram)
        self._arrived.set()

    def halt(self) -> None:
        """Take in nothing more; replies that wait for their readings still go out."""
        self._gate = Gate(["255.255.255.255/32"])
        self._waiting.clear()

    async def close(self) -> None:
        """Close the port."""
        if self._transport is not None:
            self._transport.abort()
            await asyncio.sleep(0)
        self.peers.clear()
        CONNECTOR_CONNECTIONS.labels(self.intake.name).set(0)

    async def _decode(self) -> None:
        while True:
            await self._arrived.wait()
            while self._waiting:
                await self.intake.room()
                datagram, sender = self._waiting.popleft()
                self._waiting_bytes -= len(datagram)
                self.take(datagram, sender)
            self._arrived.clear()

    def take(self, datagram: bytes, sender: Address) -> None:
        """Decode one datagram in its peer's session."""
        peer = self._peer(sender)
        if len(peer.outbox) >= WAITING_LIMIT or not peer.allowance.grant(len(datagram), self._loop.time()):
            self._drop("a peer sends more than its allowance")
            return
        for packet in cut(self.connector.make_framing, self.settings, datagram):
            if isinstance(packet, Reject):
                self._respond(sender, peer, Received(rejects=[packet]), packet.raw or datagram)
            else:
                self._act(sender, peer, partial(peer.session.receive, packet, self.clock()), packet)

    def _peer(self, sender: Address) -> UdpPeer:
        peer = self.peers.get(sender)
        now = self._loop.time()
        if peer is None:
            while self._options.max_peers and len(self.peers) >= self._options.max_peers:
                self.peers.popitem(last=False)
            session = self.make_session(f"{sender[0]}:{sender[1]}")
            peer = self.peers[sender] = UdpPeer(session, Allowance(self._options, now), now)
            CONNECTOR_CONNECTIONS.labels(self.intake.name).set(len(self.peers))
            self._act(sender, peer, lambda: session.start(self.clock()), b"")
        peer.heard = now
        self.peers.move_to_end(sender)
        return peer

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            self.tick()

    def tick(self) -> None:
        """Forget peers that have been silent too long, and let the other sessions act on the passing of time."""
        now, silent = self.clock(), self._loop.time() - self._options.idle_timeout_s
        for sender, peer in list(self.peers.items()):
            if peer.heard < silent:
                self._forget(sender)
            else:
                self._act(sender, peer, partial(peer.session.tick, now), b"")

    def _forget(self, sender: Address) -> None:
        self.peers.pop(sender, None)
        CONNECTOR_CONNECTIONS.labels(self.intake.name).set(len(self.peers))

    def _act(self, sender: Address, peer: UdpPeer, call: Callable[[], Received], packet: bytes) -> None:
        received = guarded(self.connector.type, call, packet)
        if packet or received.readings or received.replies or received.rejects or received.close:
            self._respond(sender, peer, received, packet)

    def _respond(self, sender: Address, peer: UdpPeer, received: Received, packet: bytes) -> None:
        """Store what a datagram brought, and send its replies when their turn and their time have come."""
        delivery = self.intake.take(received, packet, self.clock(), f"{sender[0]}:{sender[1]}")
        for reply in received.replies:
            peer.outbox.put(partial(self._send, reply.data, sender), None if reply.when == "now" else delivery)
        if received.close:
            peer.outbox.put(partial(self._forget, sender), delivery)

    def _send(self, content: bytes, sender: Address) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(content, sender)

    def _drop(self, why: str) -> None:
        self.dropped += 1
        if self.dropped & (self.dropped - 1) == 0:  # at 1, 2, 4, 8, ...: a flood must not flood the log
            log.warning("datagrams dropped", connector=self.intake.name, reason=why, dropped=self.dropped)


class _Receiver(asyncio.DatagramProtocol):
    def __init__(self, receive: Callable[[bytes, Address], None]) -> None:
        self._receive = receive

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self._receive(data, addr)
