"""The controlling station's side of one IEC 60870-5-104 connection: APDUs to readings, and what is owed to the station."""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from connectors._api import Peer, Received, Reply, Settings
from connectors.iec104 import asdu, encoder, times
from connectors.iec104.apci import FUNCTIONS, HEAD, START, format_of, numbers, u_frame
from connectors.iec104.link import SECOND, Limits, Link
from connectors.iec104.points import Points
from schemas.errors import Reject

BROADCAST: Final = 0xFFFF
"""Common address that all stations of a connection take as theirs."""
ORDERS: Final = 64
"""Most commands that wait for the station to acknowledge earlier ones."""


class Session:
    """One connection that we began: starts data transfer, interrogates, acknowledges, tests and closes by its clock.

    Numbers are checked from the station's confirmation of our STARTDT on, and only where the peer has an address:
    a recording, with both directions in it or frames missing, is decoded without regard to them.
    """

    def __init__(self, settings: Settings, peer: Peer) -> None:
        self._points = Points(settings, peer.connector)
        self._zone = times.zone(settings["time_zone"])
        self._limits = Limits(
            max(int(settings["k"]), 1),
            max(int(settings["w"]), 1),
            *(round(float(settings[name]) * SECOND) for name in ("t1_s", "t2_s", "t3_s")),
        )
        self._addresses = [int(ca) for ca in settings["common_addresses"]] or self._points.addresses or [BROADCAST]
        self._originator = int(settings["originator"]) & 0xFF
        self._intervals = {
            encoder.INTERROGATION: round(float(settings["interrogation_s"]) * SECOND),
            encoder.COUNTERS: round(float(settings["counter_interrogation_s"]) * SECOND),
        }
        self._sets_clock = bool(settings["clock_sync"])
        self._has_peer = bool(peer.address)
        self._begin(0)

    def _begin(self, now: int) -> None:
        self._link = Link(self._limits, now, strict=False)
        self._silent = True
        """Nothing but test frames came yet."""
        self._started = False
        self._orders: deque[bytes] = deque(maxlen=ORDERS)
        self._next: dict[int, int] = {}
        """When each kind of interrogation is due again."""

    def start(self, now: int) -> Received:
        """Begin anew: ask the station to start data transfer."""
        self._begin(now)
        return Received(replies=[Reply(self._link.ask("STARTDT act", now), "now")])

    def receive(self, packet: bytes, seen_at: int, origin: str = "") -> Received:
        """Decode one APDU, of either direction."""
        if len(packet) < HEAD or packet[0] != START:
            raise Reject("bad_frame", "an APDU begins with 68, its length and four octets of control", packet)
        self._link.hear(seen_at)
        form = format_of(packet)
        if form == "U":
            return self._control(packet, seen_at)
        send_number, receive_number = numbers(packet)
        if form == "S":
            message = {"name": "acknowledgement", "format": "S", "receive_number": receive_number}
            return self._supervise(message, None, receive_number, packet, seen_at)
        return self._transfer(packet, send_number, receive_number, seen_at)

    def tick(self, now: int) -> Received:
        """Acknowledge, test, interrogate when it is time; close when an answer is overdue."""
        frames, overdue = self._link.due(now)
        if overdue:
            self._begin(now)
            return Received(rejects=[Reject("no_response", f"{overdue}; the connection is closed")], close=self._has_peer)
        for order, interval in self._intervals.items():
            if self._started and interval and now >= self._next.get(order, now):
                self._interrogate(order, now)
        return Received(replies=[*(Reply(frame, "durable") for frame in frames), *self._send(now)])

    def _control(self, packet: bytes, now: int) -> Received:
        function = FUNCTIONS.get(packet[2])
        if function is None:
            raise Reject("bad_field", f"control octet {packet[2]:02X} is no function of a U format", packet)
        message = {"name": function.replace(" ", "_").lower(), "format": "U", "function": function}
        if function == "TESTFR act":
            return Received(message=message, replies=[Reply(u_frame("TESTFR con"), "now")])
        if function == "TESTFR con":
            self._link.answered("TESTFR act")
            return Received(message=message)
        if function == "STARTDT con" and self._link.answered("STARTDT act"):
            self._link.strict = self._has_peer and self._silent
            self._started = True
            self._command(now)
        else:
            self._overhear()
        self._silent = False
        return Received(message=message, replies=self._send(now))

    def _overhear(self) -> None:
        """Take a frame that no station sends to us here as a sign that we read a recording."""
        self._link.strict = False
        self._link.answered("STARTDT act")
        self._silent = False

    def _supervise(
        self, message: dict[str, Any], send_number: int | None, receive_number: int, packet: bytes, now: int
    ) -> Received:
        """Take the numbers of an I or S format; a wrong one ends the connection."""
        if self._silent:
            self._overhear()
        flaw = self._link.take(send_number, receive_number, now)
        if flaw:
            return Received(
                message=message, rejects=[Reject("bad_field", f"{flaw}; the connection is closed", packet)], close=True
            )
        return Received(message=message, replies=self._send(now))

    def _transfer(self, packet: bytes, send_number: int, receive_number: int, seen_at: int) -> Received:
        unit = packet[HEAD:]
        if len(unit) < asdu.HEAD:
            raise Reject("bad_length", f"an ASDU has at least {asdu.HEAD} octets, this one {len(unit)}", packet)
        fields, flaw = asdu.read(unit)
        message = {
            "name": fields["name"],
            "format": "I",
            "send_number": send_number,
            "receive_number": receive_number,
            **fields,
        }
        taken = self._supervise(message, send_number, receive_number, packet, seen_at)
        if taken.close:
            return taken
        if flaw:
            return self._answer(message, [], [Reject("bad_length", flaw, packet)])
        readings, rejects = self._points.readings(fields, seen_at)
        return self._answer(message, readings, rejects, taken.replies)

    def _answer(self, message: dict[str, Any], readings: list[Any], rejects: list[Reject], replies: Any = ()) -> Received:
        """Acknowledge readings as soon as they are durable, and other APDUs w at a time.

        Each APDU with readings has its own acknowledgement, because one for several would have to wait for all of
        their readings, and a reply waits only for those of its own packet.
        """
        owed = [*replies]
        if self._link.untold and (readings or self._link.untold >= self._limits.w):
            owed.append(Reply(self._link.acknowledge(), "durable"))
        return Received(message=message, readings=readings, replies=owed, rejects=rejects)

    def _command(self, now: int) -> None:
        """Queue what a connection begins with."""
        if self._sets_clock:
            for ca in self._addresses:
                self._orders.append(encoder.clock(ca, now, self._zone, oa=self._originator))
        self._interrogate(encoder.INTERROGATION, now)
        if self._intervals[encoder.COUNTERS]:
            self._interrogate(encoder.COUNTERS, now)

    def _interrogate(self, order: int, now: int) -> None:
        self._orders.extend(encoder.interrogation(ca, order, oa=self._originator) for ca in self._addresses)
        self._next[order] = now + self._intervals[order]

    def _send(self, now: int) -> list[Reply]:
        """Give the commands that may go out now; each acknowledges what came, so it waits for that to be durable."""
        replies = []
        while self._orders and self._link.is_open:
            replies.append(Reply(self._link.number(self._orders.popleft(), now), "durable"))
        return replies
