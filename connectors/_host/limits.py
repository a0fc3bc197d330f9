"""What guards every open door: networks, numbers of connections, rates, TLS, and replies in their order."""

from __future__ import annotations

import ssl
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv6Address, ip_address, ip_network
from pathlib import Path

from connectors._host.builder import Delivery
from connectors._host.options import Dialling, Open, Streams
from schemas.errors import Fatal


class Gate:
    """Lets in connections of allowed networks, so many at once in all and of one address."""

    def __init__(self, allow: list[str], max_connections: int = 0, max_per_ip: int = 0) -> None:
        self._networks = [ip_network(n, strict=False) for n in allow]
        self._max, self._max_per_ip = max_connections, max_per_ip
        self._inside: Counter[str] = Counter()
        self.count = 0

    @property
    def full(self) -> bool:
        """Whether there are as many connections as there may be."""
        return 0 < self._max <= self.count

    def allows(self, ip: str) -> bool:
        """Whether an address lies in one of the networks, an IPv4 address written as IPv6 too."""
        if not self._networks:
            return True
        try:
            found = ip_address(ip.partition("%")[0])
        except ValueError:
            return False
        plain = found.ipv4_mapped if isinstance(found, IPv6Address) and found.ipv4_mapped else found
        return any(plain in n for n in self._networks)

    def enter(self, ip: str) -> bool:
        """Count a connection, unless it must be closed."""
        if self.full or (self._max_per_ip and self._inside[ip] >= self._max_per_ip) or not self.allows(ip):
            return False
        self._inside[ip] += 1
        self.count += 1
        return True

    def leave(self, ip: str) -> None:
        """Count a connection that was let in as gone."""
        self.count -= 1
        self._inside[ip] -= 1
        if not self._inside[ip]:
            del self._inside[ip]


class Allowance:
    """How fast one peer may send: a second's worth at once, then at the configured rate."""

    __slots__ = ("_at", "_left", "_rates")

    def __init__(self, options: Open, now: float) -> None:
        self._rates = (options.bytes_per_s, options.packets_per_s)
        self._left = [float(r) for r in self._rates]
        self._at = now

    def spend(self, size: int, packets: int, now: float) -> float:
        """Account for what was read; gives the seconds to wait before reading on."""
        self._refill(now)
        pause = 0.0
        for index, (rate, used) in enumerate(zip(self._rates, (size, packets), strict=True)):
            if rate:
                self._left[index] -= used
                pause = max(pause, -self._left[index] / rate)
        return pause

    def grant(self, size: int, now: float) -> bool:
        """Account for one packet, unless it comes too fast: whoever cannot be slowed down is refused."""
        self._refill(now)
        if any(rate and left < least for rate, left, least in zip(self._rates, self._left, (0, 1), strict=True)):
            return False
        self.spend(size, 1, now)
        return True

    def _refill(self, now: float) -> None:
        passed, self._at = now - self._at, now
        self._left = [min(left + passed * rate, rate) for rate, left in zip(self._rates, self._left, strict=True)]


@dataclass(slots=True, eq=False)
class _Step:
    act: Callable[[], None]
    ready: bool


class InOrder:
    """Does what it is asked in the order it was asked, each when the readings it waits for are safe."""

    __slots__ = ("_steps",)

    def __init__(self) -> None:
        self._steps: deque[_Step] = deque()

    def __len__(self) -> int:
        return len(self._steps)

    def put(self, act: Callable[[], None], after: Delivery | None = None) -> None:
        """Do this after all before it, and after ``after``; at once where nothing is to be waited for."""
        step = _Step(act, after is None)
        self._steps.append(step)
        if after is not None:

            def ready() -> None:
                step.ready = True
                self.run()

            after.then(ready)
        self.run()

    def run(self) -> None:
        """Do what can be done now."""
        while self._steps and self._steps[0].ready:
            self._steps.popleft().act()

    def clear(self) -> None:
        """Forget what is left."""
        self._steps.clear()


class Tls:
    """The TLS of an instance's connections; a file that cannot be used raises ``Fatal`` naming it."""

    def __init__(self, options: Streams) -> None:
        self._options = options

    @cached_property
    def listening(self) -> ssl.SSLContext | None:
        """For connections that others open; None where they are plain."""
        options = self._options
        if not (options.tls_cert or options.tls_key or options.tls_ca):
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._certificate(context)
        if options.tls_ca:
            context.verify_mode = ssl.CERT_REQUIRED
            self._authorities(context)
        return context

    @cached_property
    def dialling(self) -> ssl.SSLContext | None:
        """For connections that we open; None where they are plain."""
        options = self._options
        if not (isinstance(options, Dialling) and (options.tls or options.tls_ca)):
            return None
        context = ssl.create_default_context() if not options.tls_ca else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if options.tls_ca:
            self._authorities(context)
        if options.tls_cert or options.tls_key:
            self._certificate(context)
        return context

    def _certificate(self, context: ssl.SSLContext) -> None:
        cert, key = self._options.tls_cert, self._options.tls_key
        try:
            context.load_cert_chain(cert, key)
        except (OSError, ssl.SSLError) as error:
            msg = f"tls_cert {cert!r}, tls_key {key!r}: {error}; give two readable PEM files"
            raise Fatal(msg) from error

    def _authorities(self, context: ssl.SSLContext) -> None:
        path = Path(self._options.tls_ca)
        try:
            context.load_verify_locations(cafile=str(path))
        except (OSError, ssl.SSLError) as error:
            msg = f"tls_ca {str(path)!r}: {error}; give a readable PEM file"
            raise Fatal(msg) from error
