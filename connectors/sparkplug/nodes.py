"""What a host application knows of edge nodes: alive or not, the next sequence number, the metrics of their births."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from connectors.sparkplug.metrics import Definition

MOST_NODES: Final = 10_000
MOST_METRICS: Final = 1_000_000
"""Metrics of all nodes together; beyond these or those the node longest unheard is forgotten, and asked to be born again."""
NUMBERS: Final = 256
Key = tuple[str, str]
"""Group and edge node."""


class Node:
    """One edge node. Times are µs UTC."""

    def __init__(self) -> None:
        self.alive = False
        self.bd_seq: int | None = None
        self.asked_at: int | None = None
        """When it was last asked to be born again."""
        self.aliases: dict[int, Definition] = {}
        self.names: dict[tuple[str, str], Definition] = {}
        self.devices: set[str] = set()
        """Devices that are alive."""
        self.told: dict[str, set[tuple[str, str]]] = {}
        """Kinds and sources of readings that each device, and the node itself (no device), gave since it was born."""
        self.missing: set[int] = set()
        self.missing_since = 0
        self._seq = 0
        self._last = 0
        """Stands for the last packet."""

    def be_born(self, bd_seq: int | None, seq: int, packet: bytes, definitions: Iterable[Definition]) -> None:
        """Begin a session: all that was known of the one before is void."""
        self.die()
        self.alive, self.bd_seq = True, bd_seq
        self._seq, self._last = seq, hash(packet)
        self.define("", definitions)

    def die(self) -> None:
        """End the session; what was told by then is kept until the next birth."""
        self.alive = False
        self.aliases, self.names = {}, {}
        self.devices, self.missing = set(), set()

    def define(self, device: str, definitions: Iterable[Definition]) -> None:
        """Set the metrics of a device, or of the node itself."""
        self.forget(device)
        self.told.setdefault(device, set())
        if device:
            self.devices.add(device)
        for one in definitions:
            self.names[device, one.name] = one
            if one.alias is not None:
                self.aliases[one.alias] = one

    def forget(self, device: str) -> None:
        """Let go of a device's metrics."""
        self.devices.discard(device)
        self.names = {key: one for key, one in self.names.items() if key[0] != device}
        self.aliases = {alias: one for alias, one in self.aliases.items() if one.device != device}

    def follows(self, seq: int, packet: bytes, now: int) -> bool:
        """Take a sequence number, and note those that are missing before it; false for a packet that came twice."""
        last, self._last = self._last, hash(packet)
        expected = (self._seq + 1) % NUMBERS
        if last == self._last:
            return False
        if seq in self.missing and seq != expected:
            self.missing.discard(seq)
            return True
        self.missing.discard(seq)
        if seq != expected:
            if not self.missing:
                self.missing_since = now
            self.missing |= {(expected + n) % NUMBERS for n in range((seq - expected) % NUMBERS)}
        self._seq = seq
        return True


class Nodes:
    """The nodes of one session, bounded."""

    def __init__(self) -> None:
        self._nodes: OrderedDict[Key, Node] = OrderedDict()
        self._sizes: dict[Key, int] = {}
        self._size = 0

    def get(self, key: Key) -> Node:
        """Give the node, a new one that is not alive if it was never heard of."""
        node = self._nodes.get(key)
        if node is None:
            node = self._nodes[key] = Node()
            self._bound()
        self._nodes.move_to_end(key)
        return node

    def grew(self, key: Key) -> None:
        """Count the metrics of a node anew after a birth."""
        node = self._nodes[key]
        size = len(node.names) + len(node.aliases)
        self._size += size - self._sizes.get(key, 0)
        self._sizes[key] = size
        self._bound()

    def known(self) -> list[tuple[Key, Node]]:
        """Give all nodes."""
        return list(self._nodes.items())

    def _bound(self) -> None:
        while len(self._nodes) > MOST_NODES or (self._size > MOST_METRICS and len(self._nodes) > 1):
            key, _ = self._nodes.popitem(last=False)
            self._size -= self._sizes.pop(key, 0)
