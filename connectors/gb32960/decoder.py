"""The platform's side of one GB/T 32960.3 connection: a vehicle's terminal, or an enterprise platform that speaks for many."""

from __future__ import annotations

from hmac import compare_digest
from typing import Any, Final, Literal

from connectors._api import Peer, Received, Reply, Settings
from connectors._api.episodes import Memory
from connectors.gb32960 import encoder, messages
from connectors.gb32960.messages import ACTIVATION, KEY_EXCHANGE, PLATFORM_LOGIN, PLATFORM_LOGOUT, REPLAY, TIME
from connectors.gb32960.packet import COMMAND, DONE, FAILED, FORM, PLAIN, UNKNOWN_VIN, Header, parse
from connectors.gb32960.readings import Readings
from connectors.gb32960.vehicles import Vehicles
from schemas.errors import Reject

RECORDS: Final = frozenset({messages.REALTIME, REPLAY})
PLATFORM: Final = frozenset({PLATFORM_LOGIN, PLATFORM_LOGOUT, messages.HEARTBEAT, messages.CLOCK})
"""Commands whose identification need not be a vehicle's."""
ANSWERED: Final = frozenset(range(messages.LOGIN, messages.CLOCK + 1))
"""Commands that are answered; reserved ones and those a platform sends are not."""
UNSUPPORTED: Final = frozenset({ACTIVATION, KEY_EXCHANGE})
VIN_MAX: Final = 17


class Session:
    """One connection: whether its platform has logged in.

    Each command of the tables is answered with its own header, the mark 01 and the time it carries: a record only once
    its readings are held durably, and with the mark 02 when it cannot be read, so that it is sent again.
    """

    def __init__(self, settings: Settings, peer: Peer) -> None:
        self._vehicles = Vehicles(settings)
        self._users = {str(user): str(password) for user, password in settings["users"].items()}
        self._readings = Readings(settings["crs"])
        self._logged_in = False

    def adopt(self, memory: Memory) -> None:
        """Compare records with what stands by this memory, which outlives the connection."""
        self._readings.episodes.adopt(memory)

    def start(self, now: int) -> Received:
        """Give nothing: the vehicle speaks first."""
        return Received()

    def tick(self, now: int) -> Received:
        """Give nothing: every packet stands alone."""
        return Received()

    def receive(self, packet: bytes, seen_at: int, origin: str = "") -> Received:
        """Decode one packet without its check byte, as ``Framing`` gives them."""
        try:
            header = parse(packet)
        except Reject as reject:
            return Received(rejects=(Reject(reject.reason, reject.detail, packet),))
        body = packet[FORM.size :]
        message = messages.head(header)
        try:
            self._admit(header, message["vin"])
            message.update(messages.decode(header, body))
            if header.ack != COMMAND:
                return Received(message=shown(message))
            return self._answer(header, message, body, seen_at)
        except Reject as reject:
            return self._refused(header, message, packet, reject, seen_at)

    def _refused(self, header: Header, message: dict[str, Any], packet: bytes, reject: Reject, seen_at: int) -> Received:
        """Answer a command that was refused; its data unit stays raw, unless it holds a password."""
        body, kept = packet[FORM.size :], FORM.size if header.command == PLATFORM_LOGIN else len(packet)
        replies = self._reply(header, MARKS.get(header.edition, {}).get(reject.reason, FAILED), body, seen_at)
        raw = Reject(reject.reason, reject.detail, packet[:kept])
        return Received(message=shown({**message, "content": packet[FORM.size : kept]}), replies=replies, rejects=(raw,))

    def _admit(self, header: Header, vin: str) -> None:
        """Raise ``Reject`` for what is not even looked at: ciphertext, strangers, platforms that have not logged in."""
        if header.encryption != PLAIN:
            raise Reject("encrypted", f"data unit is encrypted, mark {header.encryption:02X}; only 01 (none) is read")
        if self._users and not self._logged_in and header.command != PLATFORM_LOGIN:
            raise Reject("unauthenticated", f"{vin or 'a platform'} sent {header.command:02X} before a right platform login")
        if header.command in PLATFORM:
            return
        if not vin.isascii() or not vin.isprintable() or not 0 < len(vin) <= VIN_MAX:
            raise Reject("bad_field", f"VIN {header.vin_raw.hex().upper()} is no text")
        if not self._vehicles.admits(vin):
            raise Reject("unregistered", f"vehicle {vin} is not in the setting 'registered'")

    def _answer(self, header: Header, message: dict[str, Any], body: bytes, seen_at: int) -> Received:
        if header.command in RECORDS:
            return self._record(header, message, body, seen_at)
        if header.command in UNSUPPORTED and header.edition == "2025":
            raise Reject("unsupported", f"{message['name']} needs the keys of the vehicle's maker")
        if header.command == PLATFORM_LOGIN:
            self._logged_in = self._accepts(message)
            if not self._logged_in:
                raise Reject("unauthenticated", f"platform user {message['user']!r} sent a wrong name or password")
        elif header.command == PLATFORM_LOGOUT:
            self._logged_in = False
        return Received(message=shown(message), replies=self._reply(header, DONE, body, seen_at))

    def _record(self, header: Header, message: dict[str, Any], body: bytes, seen_at: int) -> Received:
        source, kind, plate = self._vehicles.of(message["vin"])
        ts = messages.instant(body)
        readings = self._readings.of(message, kind, source=source, ts=ts, seen_at=seen_at, plate=plate)
        replies = self._reply(header, DONE, body, seen_at, "durable" if readings else "now")
        lane: Literal["live", "late"] = "late" if header.command == REPLAY else "live"
        return Received(message=message, readings=readings, replies=replies, lane=lane)

    def _accepts(self, message: dict[str, Any]) -> bool:
        """Tell whether a platform login is right; without the setting ``users`` any is."""
        wanted = self._users.get(message["user"])
        return not self._users or (wanted is not None and compare_digest(wanted.encode(), message["password"].encode()))

    def _reply(self, header: Header, ack: int, body: bytes, now: int, when: Literal["now", "durable"] = "now") -> list[Reply]:
        """Answer a command with the time it carries; a clock request, and what carries none in clear, with ours."""
        if header.ack != COMMAND or header.command not in ANSWERED:
            return []
        if header.command == messages.HEARTBEAT:
            content = b""
        elif header.command == messages.CLOCK or header.encryption != PLAIN:
            content = messages.from_instant(now)
        else:
            content = body[:TIME] if len(body) >= TIME else b""
        return [Reply(encoder.reply(header, ack, content), when)]


MARKS: Final = {"2025": {"unregistered": UNKNOWN_VIN, "bad_length": 0x06, "encrypted": 0x07}}
"""Answer marks of the 2025 edition that say why: unknown VIN, wrong structure, cannot be decrypted; others are 02."""


def shown(message: dict[str, Any]) -> dict[str, Any]:
    """Give a message as others may see it: without the password of a platform login."""
    return {**message, "password": "***"} if "password" in message else message
