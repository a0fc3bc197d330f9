"""One side's numbers, acknowledgements and time-outs (IEC 60870-5-104:2006 5.1-5.3 and table 6)."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from connectors.iec104 import apci
from connectors.iec104.apci import MODULUS, Function

SECOND: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Limits:
    """Parameters of a link: windows in APDUs, time-outs in microseconds."""

    k: int = 12
    w: int = 8
    t1: int = 15 * SECOND
    t2: int = 10 * SECOND
    t3: int = 20 * SECOND


class Link:
    """Counts what was sent and received on one connection.

    With ``strict`` a number out of sequence is a fault; without, ours follow the peer's, so that a recording that
    begins anywhere, or holds both directions, can be read.
    """

    def __init__(self, limits: Limits, now: int, *, strict: bool) -> None:
        self.limits = limits
        self.strict = strict
        self.sent = 0
        """V(S): the number of our next I format."""
        self.received = 0
        """V(R): the number the peer's next I format must have."""
        self._told = 0
        self._acknowledged = 0
        self._in_flight: deque[int] = deque()
        self._oldest_untold: int | None = None
        self._asked: dict[Function, int] = {}
        self._heard_at = now

    @property
    def is_open(self) -> bool:
        """Whether another I format may be sent."""
        return len(self._in_flight) < self.limits.k

    @property
    def untold(self) -> int:
        """How many I formats we received and have not acknowledged."""
        return (self.received - self._told) % MODULUS

    def hear(self, now: int) -> None:
        """Note that something came."""
        self._heard_at = now

    def ask(self, function: Function, now: int) -> bytes:
        """Give a U format that the peer must confirm within t1."""
        self._asked[function] = now
        return apci.u_frame(function)

    def answered(self, function: Function) -> bool:
        """Note a confirmation; tells whether we had asked for it."""
        return self._asked.pop(function, None) is not None

    def number(self, asdu: bytes, now: int) -> bytes:
        """Give an ASDU as our next I format, which acknowledges all that came."""
        frame = apci.i_frame(self.sent, self.received, asdu)
        self.sent = (self.sent + 1) % MODULUS
        self._in_flight.append(now)
        self._tell()
        return frame

    def acknowledge(self) -> bytes:
        """Give an S format for all that came."""
        self._tell()
        return apci.s_frame(self.received)

    def take(self, send_number: int | None, receive_number: int, now: int) -> str:
        """Note the numbers of an I or S format that came (``None``: S); gives what is wrong with them, else nothing."""
        fresh = (receive_number - self._acknowledged) % MODULUS
        if fresh <= len(self._in_flight):
            for _ in range(fresh):
                self._in_flight.popleft()
            self._acknowledged = receive_number
        elif self.strict:
            return f"N(R) = {receive_number} acknowledges what was never sent; V(S) = {self.sent}"
        if send_number is None:
            return ""
        if self.strict and send_number != self.received:
            return f"N(S) = {send_number} is out of sequence; V(R) = {self.received}"
        if not self.strict and send_number != self.received:
            self._told = send_number
        self.received = (send_number + 1) % MODULUS
        if self._oldest_untold is None:
            self._oldest_untold = now
        return ""

    def due(self, now: int) -> tuple[list[bytes], str]:
        """Give the frames whose time has come, and which answer is overdue, else nothing."""
        for function, since in self._asked.items():
            if now - since >= self.limits.t1:
                return [], f"no answer to {function} within t1"
        if self._in_flight and now - self._in_flight[0] >= self.limits.t1:
            return [], f"I format {self._acknowledged} was not acknowledged within t1"
        frames = []
        if self._oldest_untold is not None and now - self._oldest_untold >= self.limits.t2:
            frames.append(self.acknowledge())
        if now - self._heard_at >= self.limits.t3 and "TESTFR act" not in self._asked:
            frames.append(self.ask("TESTFR act", now))
        return frames, ""

    def _tell(self) -> None:
        self._told = self.received
        self._oldest_untold = None
