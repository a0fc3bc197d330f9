"""A controlled station without sockets, for simulators and tests: answers, reports and keeps what is not acknowledged."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Final

from connectors.iec104 import apci, asdu, encoder
from connectors.iec104.link import Limits, Link

ACTIVATED, TERMINATED, REQUESTED, INTERROGATED, COUNTED = 7, 10, 5, 20, 37
UNKNOWN_TYPE, UNKNOWN_ADDRESS, UNKNOWN_OBJECT = 44, 46, 47
"""Causes of transmission (IEC 60870-5-101:2003 7.2.3)."""
TOTALS: Final = frozenset({15, 16, 37})
"""Types that a counter interrogation asks for, a general one not."""
COMMANDS: Final = frozenset({*range(45, 52), *range(58, 65)})
READ, TEST, TEST_CP56 = 102, 104, 107
BROADCAST: Final = 0xFFFF


class Station:
    """Speaks for one common address; ``objects`` is its process image, by type identification and address.

    Bytes to send come as the answer to every call. Reports wait, ``backlog`` at most and the oldest dropped,
    while data transfer is stopped or k of them are unacknowledged. Commands are confirmed and change nothing.
    """

    def __init__(self, ca: int, *, limits: Limits | None = None, backlog: int = 10_000) -> None:
        self.ca = ca
        self.objects: dict[int, dict[int, Mapping[str, Any]]] = {}
        self.closed = ""
        """Why the connection must be closed, else empty."""
        self.started = False
        self._limits = limits or Limits()
        self._link = Link(self._limits, 0, strict=True)
        self._waiting: deque[bytes] = deque(maxlen=backlog)

    def connect(self, now: int) -> None:
        """Begin a connection: numbers from 0, data transfer stopped."""
        self._link = Link(self._limits, now, strict=True)
        self.started, self.closed = False, ""

    def set(self, type_id: int, objects: Iterable[Mapping[str, Any]]) -> None:
        """Put objects in the process image, to be told when asked."""
        self.objects.setdefault(type_id, {}).update((int(one["ioa"]), one) for one in objects)

    def report(self, type_id: int, objects: Iterable[Mapping[str, Any]], now: int, cot: int = encoder.SPONTANEOUS) -> bytes:
        """Send objects of themselves, unasked."""
        self._waiting.extend(encoder.report(type_id, objects, ca=self.ca, cot=cot))
        return self._send(now)

    def receive(self, packet: bytes, now: int) -> bytes:
        """Take one APDU of the controlling station."""
        self._link.hear(now)
        form = apci.format_of(packet)
        if form == "U":
            return self._control(apci.FUNCTIONS.get(packet[2]), now)
        send_number, receive_number = apci.numbers(packet)
        self.closed = self._link.take(send_number if form == "I" else None, receive_number, now)
        if self.closed:
            return b""
        if form == "I":
            self._waiting.extendleft(reversed(self._answers(packet[apci.HEAD :])))
        sent = self._send(now)
        return sent + (self._link.acknowledge() if self._link.untold >= self._limits.w else b"")

    def tick(self, now: int) -> bytes:
        """Acknowledge and test when it is time; an overdue answer closes the connection."""
        frames, self.closed = self._link.due(now)
        return b"".join(frames)

    def _control(self, function: apci.Function | None, now: int) -> bytes:
        if function == "STARTDT act":
            self.started = True
            return apci.u_frame("STARTDT con") + self._send(now)
        if function == "STOPDT act":
            self.started = False
            pending = self._link.acknowledge() if self._link.untold else b""
            return pending + apci.u_frame("STOPDT con")
        if function == "TESTFR act":
            return apci.u_frame("TESTFR con")
        if function == "TESTFR con":
            self._link.answered("TESTFR act")
        return b""

    def _answers(self, unit: bytes) -> list[bytes]:
        """Give the ASDUs that answer a command; those that refuse or confirm it mirror it."""
        order, flaw = asdu.read(unit)
        if order["ca"] not in (self.ca, BROADCAST):
            return [_mirror(unit, UNKNOWN_ADDRESS, order["ca"], negative=True)]
        kind = order["type_id"]
        begin, end = _mirror(unit, ACTIVATED, self.ca), _mirror(unit, TERMINATED, self.ca)
        if kind == encoder.INTERROGATION:
            return [begin, *self._image(INTERROGATED, totals=False), end]
        if kind == encoder.COUNTERS:
            return [begin, *self._image(COUNTED, totals=True), end]
        if kind in (encoder.CLOCK, TEST, TEST_CP56):
            return [begin]
        if flaw or kind not in (READ, *COMMANDS):
            return [_mirror(unit, UNKNOWN_TYPE, self.ca, negative=True)]
        return self._of_object(order, unit, [begin, end])

    def _of_object(self, order: dict[str, Any], unit: bytes, done: list[bytes]) -> list[bytes]:
        """Answer what is asked of one object: its value, or that a command selects (S/E) or executes it."""
        ioa = order["ioa"][0] if order["ioa"] else None
        kind = next((kind for kind, image in self.objects.items() if ioa in image), None)
        if ioa is None or kind is None:
            return [_mirror(unit, UNKNOWN_OBJECT, self.ca, negative=True)]
        if order["type_id"] == READ:
            return list(encoder.report(kind, [self.objects[kind][ioa]], ca=self.ca, cot=REQUESTED, oa=order["oa"]))
        return done[:1] if order["objects"][0].get("se") else done

    def _image(self, cot: int, *, totals: bool) -> list[bytes]:
        kinds = [kind for kind in self.objects if (kind in TOTALS) is totals]
        return [unit for kind in kinds for unit in encoder.report(kind, self.objects[kind].values(), ca=self.ca, cot=cot)]

    def _send(self, now: int) -> bytes:
        frames = []
        while self.started and self._waiting and self._link.is_open:
            frames.append(self._link.number(self._waiting.popleft(), now))
        return b"".join(frames)


def _mirror(unit: bytes, cot: int, ca: int, *, negative: bool = False) -> bytes:
    """Give a command back with another cause, its test bit kept."""
    cause = unit[2] & 0x80 | (0x40 if negative else 0) | cot
    return unit[:2] + bytes([cause, unit[3]]) + ca.to_bytes(2, "little") + unit[6:]
