"""The client's side of Modbus: polls registers, pairs responses with requests, and explains packets of either direction."""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from connectors._api import Peer, Received, Reply, Settings
from connectors.modbus import encoder, pdu
from connectors.modbus.crc import crc16
from connectors.modbus.registers import BITS, Ask, Registers, Values
from connectors.modbus.transactions import Key, Pending, Transactions
from schemas.errors import Reject

SECOND: Final = 1_000_000
NO_RESPONSE: Final = "no_response"
"""Reason of a reject for a request without response."""
UNMISTAKABLE: Final = (3, 4, 15, 16)
"""Function codes whose requests cannot be taken for late responses."""
REFUSED: Final = "device_error"
"""Reason of a reject for a request that was answered with an exception."""


class Poll:
    """What is still to be asked of one unit in this round, and what its answers said so far."""

    def __init__(self, asks: list[Ask]) -> None:
        self.asks = deque(asks)
        self.values: Values = {}


class Session:
    """One connection to a device or to a gateway with several units.

    Everything is asked every ``interval_s``, one request at a time of a unit (RTU: of the connection, which is a
    bus); the answers of a unit's round make one reading per source. Only a session whose peer has an address asks.
    A session that hears requests of others reads along: responses to them give readings one by one.
    """

    def __init__(self, settings: Settings, peer: Peer) -> None:
        self._registers = Registers(settings, peer.connector)
        limits = {name: max(int(settings[name]), 0) for name in ("gap", "max_registers", "max_bits")}
        self._plan = self._registers.plan(**limits)
        self._serial = settings["mode"] == "rtu"
        self._direction = settings["direction"]
        self._interval = max(round(float(settings["interval_s"]) * SECOND), 1)
        self._timeout = round(float(settings["timeout_s"]) * SECOND)
        self._asks = bool(peer.address and self._plan)
        self._begin(0)

    def _begin(self, now: int) -> None:
        self._transactions = Transactions()
        self._polls: dict[int, Poll] = {}
        self._waiting: dict[int, Key] = {}
        """The request each unit has yet to answer."""
        self._last = 0
        self._next_at = now

    def start(self, now: int) -> Received:
        """Begin anew with the first requests."""
        self._begin(now)
        return self.tick(now)

    def tick(self, now: int) -> Received:
        """Give up what is overdue, and begin the next round when it is time."""
        received = self._expire(now)
        if self._asks and now >= self._next_at:
            behind = (now - self._next_at) // self._interval
            self._next_at += (behind + 1) * self._interval
            for unit in sorted(self._plan.keys() - self._polls.keys()):
                self._polls[unit] = Poll(self._plan[unit])
        readings, rejects = received
        return Received(readings=readings, rejects=rejects, replies=self._ask(now, durable=bool(readings)))

    def receive(self, packet: bytes, seen_at: int, origin: str = "") -> Received:
        """Decode one ADU, of either direction."""
        key, body, message = self._open(packet)
        known = body[0] & pdu.ERROR or body[0] in pdu.FUNCTIONS
        direction = self._transactions.direction(key, body) if self._direction == "auto" else self._direction
        message = {"name": pdu.name_of(body[0]) if known else "unknown", "direction": direction, **message}
        try:
            fields = pdu.read(body, direction)
        except Reject as reject:
            return Received(message=message, rejects=[Reject(reject.reason, reject.detail, packet)])
        message |= fields
        if direction == "request":
            self._overhear(key, fields)
            return Received(message=message)
        return self._answer(message, key, fields, seen_at, packet)

    def _open(self, packet: bytes) -> tuple[Key, bytes, dict[str, Any]]:
        """Take the header or the check code off."""
        if self._serial:
            if len(packet) < 4 or crc16(packet[:-2]) != packet[-2:]:
                raise Reject("bad_checksum", "an RTU frame is a unit, a PDU and their CRC", packet)
            code = packet[1] & ~pdu.ERROR
            head = {"unit_id": packet[0], "func_code": code, "crc": int.from_bytes(packet[-2:], "little")}
            return Key(None, packet[0], code), packet[1:-2], head
        if len(packet) < 8 or any(packet[2:4]):
            raise Reject("bad_frame", "an ADU has a header of 7 octets with protocol identifier 0, and a function code", packet)
        transaction, size, unit, code = int.from_bytes(packet[:2]), int.from_bytes(packet[4:6]), packet[6], packet[7] & ~pdu.ERROR
        if size + 6 != len(packet):
            raise Reject("bad_length", f"the header declares {size} octets after it but there are {len(packet) - 6}", packet)
        head = {"trans_id": transaction, "prot_id": 0, "len": size, "unit_id": unit, "func_code": code}
        return Key(transaction, unit, code), packet[7:], head

    def _overhear(self, key: Key, fields: dict[str, Any]) -> None:
        """Note a request of somebody else; where others ask, we only listen."""
        count = fields.get("bit_cnt" if key.code in BITS else "word_cnt")
        reads = key.code in (1, 2, 3, 4) and count is not None
        ask = Ask(key.unit, key.code, fields["reference_num"], int(count or 0)) if reads else None
        if self._transactions.is_ours(key):
            return  # a gateway that echoes what we sent
        self._transactions.add(key, Pending(ask))
        self._asks = self._asks and key.code not in UNMISTAKABLE

    def _answer(self, message: dict[str, Any], key: Key, fields: dict[str, Any], seen_at: int, packet: bytes) -> Received:
        pending = self._transactions.take(key)
        if pending is None or pending.ask is None:
            return Received(message=message)
        numbers = fields.get("bits" if key.code in BITS else "regval_uint16", ())[: pending.ask.quantity]
        if not pending.overdue_at:
            values: Values = {}
            rejects = self._registers.take(pending.ask, numbers, values)
            return Received(message=message, readings=self._registers.readings(values, seen_at), rejects=rejects)
        poll = self._polls[key.unit]
        del self._waiting[key.unit]
        if "exception" in fields:
            rejects = [Reject(REFUSED, f"{_shown(pending.ask)}: {fields['exception']}", packet)]
        elif len(numbers) < pending.ask.quantity:
            rejects = [Reject("bad_length", f"{_shown(pending.ask)}: the response has only {len(numbers)} of them", packet)]
        else:
            rejects = self._registers.take(pending.ask, numbers, poll.values)
        readings = self._finish(key.unit, seen_at) if not poll.asks else []
        return Received(message=message, readings=readings, rejects=rejects, replies=self._ask(seen_at, durable=bool(readings)))

    def _finish(self, unit: int, seen_at: int) -> list[Any]:
        return self._registers.readings(self._polls.pop(unit).values, seen_at)

    def _expire(self, now: int) -> tuple[list[Any], list[Reject]]:
        """End the rounds of units that do not answer; what they said before still counts."""
        readings: list[Any] = []
        rejects = []
        for key, ask in self._transactions.overdue(now):
            del self._waiting[key.unit]
            rejects.append(Reject(NO_RESPONSE, f"{_shown(ask)}: no response within {self._timeout / SECOND:g} s"))
            readings += self._finish(key.unit, now)
        return readings, rejects

    def _ask(self, now: int, *, durable: bool) -> list[Reply]:
        """Give the requests that may go out now; behind readings they wait, so that no device is asked faster than is stored."""
        replies = []
        for unit, poll in self._polls.items():
            if unit in self._waiting or (self._serial and self._waiting) or not poll.asks or not self._asks:
                continue
            ask = poll.asks.popleft()
            self._last = self._last % 0xFFFF + 1
            key = Key(None if self._serial else self._last, ask.unit, ask.code)
            self._waiting[unit] = key
            self._transactions.add(key, Pending(ask, now + self._timeout))
            data = encoder.frame(key.transaction, ask.unit, encoder.read(ask.code, ask.address, ask.quantity))
            replies.append(Reply(data, "durable" if durable else "now"))
        return replies


def _shown(ask: Ask) -> str:
    return f"unit {ask.unit}: {pdu.name_of(ask.code)} {ask.address}-{ask.address + ask.quantity - 1}"
