"""The upper platform's side of one JT/T 809 link: packets to readings, replies and rejects."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from connectors._api import Peer, Received, Reply, Settings
from connectors._api.coordinates import Crs, to_wgs84
from connectors._api.episodes import Episodes, Memory
from connectors._api.mapping import read as read_mapping
from connectors._api.position808 import ALARMS
from connectors.jt809 import encoder, location, messages, readings
from connectors.jt809.header import Cipher, Edition, Header, parse
from connectors.jt809.readings import Source
from connectors.jt809.vehicles import OK, OTHER, Users, Vehicles
from schemas.errors import Fatal, Reject
from schemas.kinds.transport import VehiclePosition
from schemas.reading import Reading

S = 1_000_000
RAW_KEPT = 4096
"""Bytes of a refused packet that are kept: a photograph need not be."""
LINK_TEST_S = 60
"""Pause between link tests (4.3)."""
CONNECT, CONNECTED, DISCONNECT, LINK_TEST = 0x1001, 0x1002, 0x1003, 0x1005
SUB_CONNECT, SUB_CONNECTED, SUB_LINK_TEST = 0x9001, 0x9002, 0x9005
ANSWERS = {DISCONNECT: 0x1004, LINK_TEST: 0x1006}
"""Messages answered by one without body."""
REAL_LOCATION, HISTORY_LOCATION, WARNING = 0x1202, 0x1203, 0x1402
DRIVER_ASKED, DRIVER, WAYBILL_ASKED, WAYBILL = 0x120A, 0x120C, 0x120B, 0x120D
LOCATION_ENCRYPTED = 1
"""ENCRYPT of a location: shifted by the map plug-in, that is GCJ-02."""


class Session:
    """One link: who logged in on it, its vehicles, its serial numbers."""

    def __init__(self, settings: Settings, peer: Peer) -> None:
        self._mapping = read_mapping(Path(__file__).parent / "mapping.toml")
        self._address = peer.address
        self._vehicles = Vehicles(settings)
        self._users = Users(settings)
        self._cipher = _cipher(settings)
        self._edition: Edition | None = None if settings["edition"] == "auto" else settings["edition"]
        self._offset_us = round(settings["timezone_offset_h"] * 3600 * S)
        self._crs: Crs = settings["crs"]
        self._hash_key: str = settings["hash_key"]
        self._silence_us = round(settings["silence_s"] * S)
        self._sub_link: int | None = settings["user_id"] if settings["sub_link"] else None
        self._center: int = settings["gnss_center_id"]
        self._episodes = Episodes(ALARMS)
        self._admitted = self._sub_link is not None or not self._users.required
        self._sn = 0
        self._heard = self._asked = 0
        self._readers: dict[int, Callable[[Header, dict[str, Any], Source], Received]] = {
            REAL_LOCATION: self._location,
            HISTORY_LOCATION: self._history,
            WARNING: self._warning,
            DRIVER_ASKED: self._driver,
            DRIVER: self._driver,
            WAYBILL_ASKED: self._waybill,
            WAYBILL: self._waybill,
        }
        unknown = {g.kind for g in self._vehicles.groups} - {*self._mapping.kinds, ""}
        if unknown:
            msg = f"jt809: setting 'vehicles': kind {min(unknown)!r}; there are {', '.join(self._mapping.kinds)}"
            raise Fatal(msg)

    def adopt(self, memory: Memory) -> None:
        """Compare reports with what stands by this memory, which outlives the link."""
        self._episodes.adopt(memory)

    def start(self, now: int) -> Received:
        """Give the connect request of a sub link; on a main link the lower platform speaks first."""
        self._heard = self._asked = now
        if self._sub_link is None:
            return Received()
        return Received(replies=self._ask(SUB_CONNECT, now, verify_code=self._users.verify_code(self._sub_link)))

    def receive(self, packet: bytes, seen_at: int, origin: str = "") -> Received:
        """Decode one unescaped packet without CRC, as ``Framing`` gives them."""
        try:
            header = parse(packet, self._edition)
        except Reject as reject:
            return Received(rejects=(Reject(reject.reason, reject.detail, packet[:RAW_KEPT]),))
        self._heard = max(self._heard, seen_at)
        message, body = messages.head(header), packet[header.start :]
        try:
            body = self._decrypted(header, body)
            self._admit(header)
            fields = messages.read(header.msg_id, header.edition, body)
        except Reject as reject:
            return self._refused(header, {**message, "body": body}, reject, packet, seen_at)
        message |= fields
        try:
            return self._act(header, message, seen_at)
        except Reject as reject:
            return self._refused(header, message, reject, packet, seen_at)

    def _refused(self, header: Header, message: dict[str, Any], reject: Reject, packet: bytes, now: int) -> Received:
        """Keep what was refused; only a login is owed an answer even then."""
        refused = Reject(reject.reason, reject.detail, packet[:RAW_KEPT])
        replies = self._answer(header, CONNECTED, now, result=OTHER, verify_code=0) if header.msg_id == CONNECT else ()
        return Received(message=message, replies=replies, rejects=(refused,))

    def tick(self, now: int) -> Received:
        """Test the sub link every minute; give up a link that was silent too long."""
        if self._heard and now - self._heard > self._silence_us:
            return Received(close=True)
        if self._sub_link is None or now - self._asked < LINK_TEST_S * S:
            return Received()
        self._asked = now
        return Received(replies=self._ask(SUB_LINK_TEST, now))

    def _decrypted(self, header: Header, body: bytes) -> bytes:
        if not header.encrypt_flag or not body:
            return body
        if self._cipher is None:
            raise Reject("encrypted", f"body of 0x{header.msg_id:04X} is encrypted; give the settings m1, ia1, ic1")
        return self._cipher.apply(body, header.encrypt_key)

    def _admit(self, header: Header) -> None:
        if not self._admitted and header.msg_id not in (CONNECT, LINK_TEST, DISCONNECT):
            raise Reject("unauthenticated", f"0x{header.msg_id:04X} before a right login (0x1001)")

    def _act(self, header: Header, message: dict[str, Any], seen_at: int) -> Received:
        """Give what follows from a message: its answer, or its readings."""
        if header.msg_id == CONNECT:
            return self._connect(header, message, seen_at)
        if header.msg_id == SUB_CONNECTED:
            return Received(message=message, close=self._sub_link is not None and message["result"] != OK)
        if header.msg_id in ANSWERS:
            if header.msg_id == DISCONNECT:
                self._admitted = not self._users.required
            return Received(message=message, replies=self._answer(header, ANSWERS[header.msg_id], seen_at))
        read = self._readers.get(message.get("data_type", 0))
        if read is None:
            return Received(message=message)
        if "vehicle_no" not in message:
            raise Reject("bad_field", f"0x{message['data_type']:04X} without a vehicle")
        vehicle = self._vehicles.of(message["vehicle_no"], message["vehicle_color"])
        return read(header, message, Source(vehicle, header, seen_at))

    def _connect(self, header: Header, message: dict[str, Any], seen_at: int) -> Received:
        result = self._users.verdict(message, header.msg_gnsscenterid, self._address)
        self._admitted = not result
        code = 0 if result else self._users.verify_code(message["user_id"])
        replies = self._answer(header, CONNECTED, seen_at, result=result, verify_code=code)
        if not result:
            return Received(message=message, replies=replies)
        fault = Reject("unauthenticated", f"login of user {message['user_id']} refused with result {result}")
        return Received(message=message, replies=replies, rejects=(fault,))

    def _location(self, header: Header, message: dict[str, Any], source: Source) -> Received:
        reading, bits = self._position(message, source, header.msg_sn)
        edges = [
            readings.edge(edge, reading) for edge in self._episodes.observe(reading.source, reading.ts, bits, source.seen_at)
        ]
        return Received(message=message, readings=(reading, *edges))

    def _history(self, header: Header, message: dict[str, Any], source: Source) -> Received:
        """Locations sent after the fact: late, and no news of alarms; one that cannot be read is refused alone."""
        found: list[Reading] = []
        rejects: list[Reject] = []
        for index, one in enumerate(message["gnss_data"]):
            try:
                found.append(self._position(one, source, header.msg_sn << 8 | index)[0])
            except Reject as reject:
                rejects.append(Reject(reject.reason, f"location {index + 1}: {reject.detail}", location.write(one)))
        return Received(message=message, readings=found, rejects=rejects, lane="late")

    def _position(self, fields: dict[str, Any], source: Source, serial: int) -> tuple[VehiclePosition, int]:
        """Give the reading of one location, and its alarm bits."""
        vehicle = source.vehicle
        if not vehicle.kind:
            raise Reject("no_kind", f"vehicle {vehicle.source} is in no group and 'default_kind' is empty")
        motion = location.motion(fields)
        lon, lat = location.point(fields, motion["status"])
        values: dict[str, Any] = {
            "source": vehicle.source,
            "ts": location.instant(fields, self._offset_us),
            "seen_at": source.seen_at,
            "serial": serial,
            "lon": lon,
            "lat": lat,
            "plate": vehicle.plate,
        }
        crs: Crs = "gcj02" if fields["encrypt"] == LOCATION_ENCRYPTED else self._crs
        if crs != "wgs84" and lon is not None and lat is not None:
            values["raw_lon"], values["raw_lat"], values["raw_crs"] = lon, lat, crs
            values["lon"], values["lat"] = to_wgs84(lon, lat, crs)
        reading = self._mapping.reading(vehicle.kind, motion, **values)
        return cast(VehiclePosition, reading), motion["alarm"]

    def _warning(self, header: Header, message: dict[str, Any], source: Source) -> Received:
        return Received(message=message, readings=(readings.warning(message, source),))

    def _driver(self, header: Header, message: dict[str, Any], source: Source) -> Received:
        return Received(message=message, readings=(readings.driver(message, source, self._hash_key),))

    def _waybill(self, header: Header, message: dict[str, Any], source: Source) -> Received:
        """A waybill; an answer without one brings no reading."""
        found = (readings.waybill(message, source),) if message["ewaybill_info"] else ()
        return Received(message=message, readings=found)

    def _answer(self, to: Header, msg_id: int, now: int, **fields: Any) -> tuple[Reply, ...]:
        return (Reply(encoder.reply(to, self._next(), msg_id, max(now, 0) // S, **fields), "now"),)

    def _ask(self, msg_id: int, now: int, **fields: Any) -> tuple[Reply, ...]:
        wire = encoder.ask(msg_id, self._next(), self._center, self._edition or "2019", max(now, 0) // S, **fields)
        return (Reply(wire, "now"),)

    def _next(self) -> int:
        sn = self._sn
        self._sn = (sn + 1) & 0xFFFFFFFF
        return sn


def _cipher(settings: Settings) -> Cipher | None:
    given = [settings[name] for name in ("m1", "ia1", "ic1")]
    if not all(given):
        return None
    try:
        return Cipher(*map(int, given))
    except ValueError as error:
        msg = "jt809: settings 'm1', 'ia1' and 'ic1' must be whole numbers"
        raise Fatal(msg) from error
