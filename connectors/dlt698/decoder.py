"""The platform's side of one DL/T 698.45 connection: logins answered, reports confirmed, attributes polled."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from connectors._api import Peer, Received, Reply, Settings
from connectors._api.mapping import read as read_mapping
from connectors._api.polling import Poller
from connectors.dlt698 import apdu, encoder, framing, values
from connectors.dlt698.fragments import Fragment, Fragments, parse, word
from connectors.dlt698.framing import ADDRESS_TYPES, DIR, FRAGMENT, FUNCTION, PRM, SCRAMBLED, Head
from schemas.errors import Fatal, Reject
from schemas.reading import Reading

MAPPING: Final = Path(__file__).parent / "mapping.toml"
METER_FIELDS: Final = frozenset(r["from"] for r in msgspec.toml.decode(MAPPING.read_bytes())["meter_reading"].values())
"""Elements that fill a field of meter_reading."""
THREE_PHASE: Final = {"20000202", "20000203", "20010202", "20010203", "20050201", "200A0201"}
"""Elements only the kind power_load has fields for."""
COMBINED, FORWARD, REVERSE = "00000201", "00100201", "00200201"
"""Combined active energy stands in for the forward one where a meter gives no other; so does attribute 4."""
STAND_INS: Final = {"00100401": FORWARD, COMBINED: FORWARD, "00200401": REVERSE}
TARIFFS: Final = {"001002": FORWARD, "002002": REVERSE, "000002": FORWARD}
LOGIN: Final = 0
"""Type of a LINK-Request that logs in."""
LOGINS: Final = 64
"""Most servers whose client address is remembered."""
REPORTS: Final = {"report_notification_list": 1, "report_notification_record_list": 2, "report_notification_trans_data": 3}


class Meter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the setting ``meters`` says of one address."""

    source: str = ""
    lon: float | None = None
    lat: float | None = None


UNKNOWN: Final = Meter()


class Session:
    """One connection: a meter, or a concentrator that speaks for many."""

    def __init__(self, settings: Settings, peer: Peer) -> None:
        self._mapping = read_mapping(MAPPING)
        self._meters = {address: _meter(address, entry) for address, entry in settings["meters"].items()}
        self._registers = [_register(oad) for oad in settings["registers"]]
        self._client, self._associate = int(settings["client_address"]), bool(settings["associate"])
        self._timing = (round(settings["interval_s"] * 1e6), round(settings["timeout_s"] * 1e6), settings["retries"])
        self._poller = Poller(list(self._meters) if self._registers else [], *self._timing)
        self._clients: dict[str, int] = {}
        """Client address a server used in its login: some answer to no other."""
        self._associated: set[str] = set()
        self._fragments = Fragments()
        self._piid = 0
        self._round: dict[str, float] = {}

    def start(self, now: int) -> Received:
        """Give the first request, if there are servers to poll."""
        return self._advance(now, Received())

    def tick(self, now: int) -> Received:
        """Give the request that is due, and give up fragments and answers that did not come."""
        if self._poller.expired(now) is not None:
            self._round = {}
        return self._advance(now, Received(rejects=self._fragments.expire(now)))

    def receive(self, packet: bytes, seen_at: int, origin: str = "") -> Received:
        """Decode one frame as ``Framing`` gives it, its checks proved; an APDU alone is only explained."""
        frame = packet.lstrip(b"\xfe")
        if frame[:1] and frame[0] != framing.START:
            return Received(message=apdu.parse(frame))
        try:
            head = framing.parse_head(frame)
            return self._take(frame, head, framing.content(frame, head), seen_at)
        except Reject as reject:
            raise Reject(reject.reason, reject.detail, reject.raw or packet) from None

    def _take(self, frame: bytes, head: Head, user: bytes, seen_at: int) -> Received:
        link = _link(frame, head)
        if head.control & FRAGMENT:
            fragment = parse(user)
            shown = {"name": "fragment", **link, "fragment": fragment.kind, "number": fragment.number, "apdu": fragment.content}
            if fragment.kind == "ack":
                return Received(message={**shown, "name": "fragment_ack"})
            key = (head.address, head.control & (DIR | PRM))
            whole = self._fragments.add(key, fragment, seen_at)
            if whole is None and not self._fragments.holds(key):
                return Received(message={**shown, "awaited": False})
            if whole is None:
                return Received(message=shown, replies=_acknowledge(head, fragment))
            user = whole
        explained = apdu.parse(user)
        message = {"name": explained["name"], **link, **explained}
        return self._serve(message, head, user, seen_at) if head.control & DIR else Received(message=message)

    def _serve(self, message: dict[str, Any], head: Head, user: bytes, seen_at: int) -> Received:
        """Act on what a server sent: its login, its report, or its answer to our request."""
        name, address = message["name"], message["server_addr"]
        if name == "link_request":
            replies = [_reply(head, encoder.link_response(user, seen_at), "now")]
            if len(self._clients) < LOGINS:
                self._clients[address] = head.client
            if message["type"] == LOGIN and not self._meters and self._registers and not self._poller.jobs:
                self._poller = Poller([address], *self._timing)
            return Received(message=message, replies=replies)
        if name in REPORTS:
            readings = self._all_readings(message, address, seen_at)
            when: Literal["now", "durable"] = "durable" if readings else "now"
            response = encoder.report_response(message["piid_acd"] & 0x3F, REPORTS[name], _reported(message))
            return Received(message=message, readings=readings, replies=[_reply(head, response, when)])
        if address == self._poller.outstanding and message.get("piid_acd", -1) & 0x3F == self._piid:
            return self._answered(message, address, seen_at)
        return Received(message=message, readings=self._all_readings(message, address, seen_at))

    def _answered(self, message: dict[str, Any], address: str, seen_at: int) -> Received:
        """Take an answer to our request: go on with the next block or step, or end this server's turn."""
        if message["name"] == "connect_response" and message["result"]["code"] == 0:
            self._associated.add(address)
            return Received(message=message, replies=[self._request(address, seen_at)])
        own = [found for found in values.of(message) if not found.address and found.ts is None]
        for found in own:
            self._round |= found.values
        readings = self._all_readings(message, address, seen_at, polled=True)
        if message["name"] == "get_response_next" and not message["last"]:
            self._poller.extend(seen_at)
            request = self._frame(address, encoder.get_request_next(self._piid, message["block"]))
            return Received(message=message, readings=readings, replies=[Reply(request, "durable" if readings else "now")])
        if message["name"] == "error_response":
            self._associated.discard(address)
        clock = next((found.clock for found in own if found.clock is not None), None)
        readings += self._readings(values.Found(address, self._round, None, clock, None), address, seen_at)
        self._round = {}
        self._poller.done()
        return self._advance(seen_at, Received(message=message, readings=readings))

    def _advance(self, now: int, received: Received) -> Received:
        """Send what is due; behind readings it waits until they are stored."""
        address = self._poller.due(now)
        if address is None:
            return received
        self._round = {}
        request = self._request(address, None)
        when: Literal["now", "durable"] = "durable" if received.readings else "now"
        return msgspec.structs.replace(received, replies=[*received.replies, msgspec.structs.replace(request, when=when)])

    def _request(self, address: str, extended_at: int | None) -> Reply:
        """Give the next request of a server's turn: the association where one is wanted, then its registers."""
        if extended_at is not None:
            self._poller.extend(extended_at)
        self._piid = (self._piid + 1) & 0x3F
        if self._associate and address not in self._associated:
            return Reply(self._frame(address, encoder.connect_request(self._piid)), "now")
        return Reply(self._frame(address, encoder.get_request(self._piid, self._registers)), "now")

    def _frame(self, address: str, content: bytes) -> bytes:
        return encoder.frame(address, content, client=self._clients.get(address, self._client))

    def _all_readings(self, message: dict[str, Any], address: str, seen_at: int, *, polled: bool = False) -> list[Reading]:
        """Give the readings of a message; of a polled one those that belong to a round are left out."""
        inner = message.get("inner") or message
        found = [f for f in values.of(inner) if not polled or f.address or f.ts is not None]
        return [reading for one in found for reading in self._readings(one, address, seen_at)]

    def _readings(self, found: values.Found, address: str, seen_at: int) -> list[Reading]:
        """Give a meter's readings: its own fields as one, each tariff as one, three phases as a load."""
        source = found.address or address
        meter = self._meters.get(source, UNKNOWN)
        base: dict[str, Any] = {"source": meter.source or source, "seen_at": seen_at, "sent_at": found.clock}
        base |= {"ts": seen_at if found.ts is None else found.ts, "lon": meter.lon, "lat": meter.lat}
        known = dict(found.values)
        for oad, total in STAND_INS.items():
            if oad in known and known[oad] >= 0:
                known.setdefault(total, known[oad])
        readings: list[Reading] = []
        if not METER_FIELDS.isdisjoint(known):
            own = self._mapping.reading("meter_reading", known, medium="electricity", register=found.register, **base)
            readings.append(own)
        for oad, value in found.values.items():
            field = TARIFFS.get(oad[:6])
            if field and oad[6:] not in ("00", "01") and value >= 0:
                tariff = self._mapping.reading("meter_reading", {field: value}, medium="electricity", register=oad, **base)
                readings.append(tariff)
        if not THREE_PHASE.isdisjoint(known):
            readings.append(self._mapping.reading("power_load", known, **base))
        return readings


def _link(frame: bytes, head: Head) -> dict[str, Any]:
    """Give the link header as a message shows it."""
    return {
        "length": head.length,
        "control": f"{head.control:02X}",
        "dir": "server" if head.control & DIR else "client",
        "prm": "client" if head.control & PRM else "server",
        "function": head.control & FUNCTION,
        "server_addr": head.address[::-1].hex().upper(),
        "addr_type": ADDRESS_TYPES[head.address_type],
        "logical_addr": head.logical,
        "client_addr": head.client,
        "hcs": f"0x{int.from_bytes(frame[head.size - 2 : head.size], 'little'):04x}",
        "fcs": f"0x{int.from_bytes(frame[-3:-1], 'little'):04x}",
    }


def _reply(head: Head, content: bytes, when: Literal["now", "durable"]) -> Reply:
    """Answer a server in the exchange it began: its own addresses, the direction turned."""
    control = head.control & ~(DIR | FRAGMENT | SCRAMBLED)
    return Reply(framing.build(control, head.address, head.client, content, head.address_type, head.logical), when)


def _acknowledge(head: Head, fragment: Fragment) -> list[Reply]:
    """Ask for the next fragment of an APDU a server sends."""
    if not head.control & DIR:
        return []
    control = (head.control | FRAGMENT) & ~(DIR | SCRAMBLED)
    user = word("ack", fragment.number)
    return [Reply(framing.build(control, head.address, head.client, user, head.address_type, head.logical), "now")]


def _reported(message: dict[str, Any]) -> list[str]:
    return [one["oad"] for one in [*message.get("results", []), *message.get("records", [])]]


def _register(oad: Any) -> str:
    if not isinstance(oad, str) or len(oad) != 8 or any(c not in "0123456789ABCDEF" for c in oad):
        msg = f"dlt698: setting 'registers': {oad!r} is no OAD of eight hex digits, such as 00100200"
        raise Fatal(msg)
    return oad


def _meter(address: str, entry: Any) -> Meter:
    where = f"dlt698: setting 'meters', address {address!r}"
    if not address or len(address) % 2 or len(address) > 32 or any(c not in "0123456789ABCDEF" for c in address):
        msg = f"{where}: give an even number of digits, such as 000000000001"
        raise Fatal(msg)
    try:
        return msgspec.convert(entry, Meter)
    except msgspec.ValidationError as error:
        msg = f"{where}: {error}"
        raise Fatal(msg) from error
