"""A JT/T 808 terminal without its socket: registers, authenticates, reports, repeats, replays what it held back."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from connectors.jt808 import encoder, header
from connectors.jt808.framing import Framing
from connectors.jt808.header import Version

ANSWER_US = 10_000_000
"""First wait for an answer, and the last; between them JT/T 808 waits T(n+1) = T(n) * (n+1)."""
REPEATS = 3
"""How often a message is sent again before the terminal takes the line for dead."""
LOGIN_US = 20_000_000
"""How long registration and authentication may take."""
BATCH = 12
"""Positions per 0x0704: together below the 1,023 bytes of one packet."""
BATCHES_UNDER_WAY = 2
KEEP = 4000
"""Positions kept while there is no line; the oldest go first."""

GENERAL_ACK, REGISTER_ACK = 0x8001, 0x8100
LOCATION, BATCH_ID, AUTHENTICATE = 0x0200, 0x0704, 0x0102
FIRST_COMMAND, UNSUPPORTED = 0x8103, 3
"""Commands of the platform begin at this id; the terminal refuses them all, politely."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What a terminal says of itself when it registers."""

    phone: str
    version: Version
    plate: str
    plate_colour: int
    city: int
    """The last four digits of the county's GB/T 2260 code."""


@dataclass(slots=True)
class Report:
    """One position: its body as sent in 0x0200 and 0x0704, and whether it ever was on the wire."""

    ts: int
    body: bytes
    sent: bool = False


@dataclass(slots=True)
class Message:
    """A message under way: its frame, the positions in it, when it is due again."""

    frame: bytes
    reports: list[Report]
    due: int
    wait: int = ANSWER_US
    repeats: int = 0
    replay: bool = False


Sample = Callable[[], tuple[int, bytes]]
"""Gives the time (microseconds UTC, whole seconds) and location body of the vehicle's newest fix."""


@dataclass(slots=True)
class Counts:
    """A terminal's own count of its positions, to compare with what the platform stored."""

    collected: int = 0
    sent: int = 0
    acked: int = 0
    refused: int = 0
    dropped: int = 0


@dataclass(slots=True)
class Terminal:
    """One terminal, reporting every ``interval`` from ``next_report`` and alive every ``heartbeat`` (microseconds).

    ``silent`` takes its power, ``blind`` only its line; ``doubles`` makes it say all positions twice; ``stopping``
    ends new positions.
    """

    identity: Identity
    sample: Sample
    interval: int
    next_report: int
    heartbeat: int = 60_000_000
    silent: bool = False
    blind: bool = False
    doubles: bool = False
    stopping: bool = False
    counts: Counts = field(default_factory=Counts)
    _serial: int = 0
    _code: str | None = None
    _state: str = "closed"
    _login_by: int = 0
    _next_heartbeat: int = 0
    _last_ts: int = 0
    _report_now: bool = False
    _admitted: bool = False
    """The platform has let it in once: only then is it in service and collects, with or without a line."""
    _broken: bool = False
    _pending: dict[int, Message] = field(default_factory=dict)
    _backlog: deque[Report] = field(default_factory=deque)
    _framing: Framing = field(default_factory=lambda: Framing({}))

    @property
    def waiting(self) -> int:
        """Positions without an acknowledgement."""
        return len(self._backlog) + sum(len(m.reports) for m in self._pending.values())

    @property
    def online(self) -> bool:
        """Whether the platform has let the terminal in."""
        return self._state == "online"

    def wants_link(self, now: int) -> bool:
        """Tell whether the terminal has power and signal and does not give its line up."""
        return not (self.silent or self.blind or self._broken)

    def opened(self, now: int) -> bytes:
        """Authenticate with the code of an earlier registration, or register."""
        self._framing = Framing({})
        self._login_by = now + LOGIN_US
        return self._register() if self._code is None else self._authenticate()

    def closed(self, now: int) -> None:
        """Keep what was not acknowledged for the blind-area replay."""
        self._state = "closed"
        self._broken = False
        held = [r for m in self._pending.values() for r in m.reports]
        self._backlog = deque(sorted([*held, *self._backlog], key=lambda r: r.ts))
        self._pending.clear()

    def received(self, chunk: bytes, now: int) -> bytes:
        """Take the platform's replies."""
        return b"".join(self._reply(packet, now) for packet in self._framing.feed(chunk) if isinstance(packet, bytes))

    def _reply(self, packet: bytes, now: int) -> bytes:
        head = header.parse(packet)
        body = packet[head.start :]
        if head.message_id == REGISTER_ACK and self._state == "registering" and len(body) >= 3:
            if body[2] == 0:
                self._code = body[3:].decode(encoder.CODE_PAGE)
                return self._authenticate()
            self._broken = True
        elif head.message_id == GENERAL_ACK and len(body) >= 5:
            return self._acked(int.from_bytes(body[0:2]), int.from_bytes(body[2:4]), body[4], now)
        elif head.message_id >= FIRST_COMMAND:
            who = self.identity
            return encoder.terminal_ack(who.phone, self._number(), head.serial, head.message_id, UNSUPPORTED, version=who.version)
        return b""

    def _acked(self, serial: int, message_id: int, result: int, now: int) -> bytes:
        if message_id == AUTHENTICATE and self._state == "authenticating":
            if result != 0:
                self._code, self._broken = None, True
                return b""
            self._state, self._admitted = "online", True
            self._next_heartbeat = now + self.heartbeat
            self._report_now = self._last_ts > 0
            return self._replay(now)
        message = self._pending.pop(serial, None) if message_id in (LOCATION, BATCH_ID) else None
        if message is None:
            return b""
        if result in (0, 4):
            self.counts.acked += len(message.reports)
        else:
            self.counts.refused += len(message.reports)
        return self._replay(now)

    def tick(self, now: int) -> bytes:
        """Collect a due position, repeat what waits too long, keep the line alive."""
        if self.silent:
            return b""
        due = now >= self.next_report or self._report_now
        report = self._collect(now) if due and self._admitted and not self.stopping else None
        if self._state != "online":
            if report is not None:
                self._hold(report)
            if self._state != "closed" and now >= self._login_by:
                self._broken = True
            return b""
        out = self._repeat(now)
        if report is not None:
            out += self._send_report(report, now)
        if now >= self._next_heartbeat:
            self._next_heartbeat = now + self.heartbeat
            out += encoder.heartbeat(self.identity.phone, self._number(), version=self.identity.version)
        return out

    def _collect(self, now: int) -> Report | None:
        ts, body = self.sample()
        if ts <= self._last_ts:
            return None
        self._last_ts, self._report_now = ts, False
        if now >= self.next_report:
            self.next_report += self.interval * ((now - self.next_report) // self.interval + 1)
        self.counts.collected += 1
        return Report(ts, body)

    def _hold(self, report: Report) -> None:
        self._backlog.append(report)
        if len(self._backlog) > KEEP:
            self._backlog.popleft()
            self.counts.dropped += 1

    def _send_report(self, report: Report, now: int) -> bytes:
        serial = self._number()
        frame = encoder.message(LOCATION, self.identity.phone, serial, report.body, version=self.identity.version)
        return self._send(serial, frame, [report], now) * (2 if self.doubles else 1)

    def _replay(self, now: int) -> bytes:
        """Send held positions as blind-area batches, a few at a time."""
        out = b""
        under_way = sum(m.replay for m in self._pending.values())
        while self._backlog and under_way < BATCHES_UNDER_WAY:
            reports = [self._backlog.popleft() for _ in range(min(BATCH, len(self._backlog)))]
            serial, version = self._number(), self.identity.version
            frame = encoder.batch(self.identity.phone, serial, [r.body for r in reports], kind=1, version=version)
            out += self._send(serial, frame, reports, now, replay=True)
            under_way += 1
        return out

    def _send(self, serial: int, frame: bytes, reports: list[Report], now: int, *, replay: bool = False) -> bytes:
        self._pending[serial] = Message(frame, reports, now + ANSWER_US, replay=replay)
        for report in reports:
            self.counts.sent += not report.sent
            report.sent = True
        return frame

    def _repeat(self, now: int) -> bytes:
        out = b""
        for message in self._pending.values():
            if now < message.due:
                continue
            if message.repeats == REPEATS:
                self._broken = True
                return b""
            message.repeats += 1
            message.wait *= message.repeats + 1
            message.due = now + (message.wait if message.repeats < REPEATS else ANSWER_US)
            out += message.frame
        return out

    def _register(self) -> bytes:
        self._state = "registering"
        who = self.identity
        return encoder.register(
            who.phone,
            self._number(),
            version=who.version,
            province=14,
            city=who.city,
            maker="CTOPS",
            model="SIM-1",
            terminal_id=who.phone[-7:],
            plate_colour=who.plate_colour,
            plate=who.plate,
        )

    def _authenticate(self) -> bytes:
        self._state = "authenticating"
        who = self.identity
        imei = f"86{who.phone:0>13}"
        return encoder.authenticate(who.phone, self._number(), self._code or "", version=who.version, imei=imei, software="1.0")

    def _number(self) -> int:
        serial = self._serial
        self._serial = (serial + 1) & 0xFFFF
        return serial
