"""The platform's side of one JT/T 808 connection: packets to readings, replies and rejects."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from connectors._api import Peer, Received, Reply, Settings, bcd
from connectors._api.coordinates import to_wgs84
from connectors._api.episodes import Memory
from connectors._api.mapping import read as read_mapping
from connectors.jt808 import alarms, columns, crew, encoder, location, messages
from connectors.jt808.header import ENCRYPTION_MASK, PLATFORM_IDS, SUB_PACKAGE_BIT, Header, parse
from connectors.jt808.subpackages import RAW_KEPT, SubPackages
from connectors.jt808.terminals import Terminal, Terminals
from schemas.errors import Fatal, Reject
from schemas.reading import Reading

DONE, FAILED, WRONG, UNSUPPORTED = 0, 1, 2, 3
"""Result codes of the general reply, 0x8001."""
NO_TERMINAL = 4
"""Result code of the registration reply, 0x8100: no such terminal in the register."""
GENERAL_ACK, LOGOUT, TIME_QUERY, REGISTER, AUTHENTICATE = 0x0001, 0x0003, 0x0004, 0x0100, 0x0102
LOCATION, LOCATION_REPLY, CONTROL_REPLY, BATCH, MULTIMEDIA = 0x0200, 0x0201, 0x0500, 0x0704, 0x0801
WAYBILL, DRIVER_CARD = 0x0701, 0x0702
MEDIA_HEAD = 36
"""Bytes of a multimedia upload in front of the picture, sound or film, which nothing here keeps."""
HAZMAT = "hazmat_position"
BLIND_AREA = 1
"""Type of a batch whose locations were held back where there was no network."""


class Session:
    """One connection: its terminals, half-received sub-packages and serial numbers.

    Every terminal message but the terminal's own general reply is answered; one that carries locations only
    once they are held durably. Terminals repeat what is not answered: a repeated message is decoded and
    answered again, and its readings are told apart later by source, time and serial.
    """

    def __init__(self, settings: Settings, peer: Peer) -> None:
        self._mapping = read_mapping(Path(__file__).parent / "mapping.toml")
        self._terminals = Terminals(settings)
        self._bodies = messages.with_settings(settings["messages"])
        self._offset_us = round(settings["timezone_offset_h"] * 3_600_000_000)
        self._crs = settings["crs"]
        self._hash_key: str = settings["hash_key"]
        self._alarms = alarms.Alarms()
        self._sub_packages = SubPackages(
            round(settings["sub_package_timeout_s"] * 1e6), round(settings["sub_package_ask_s"] * 1e6)
        )
        self._serial = 0
        positions = [kind for kind in self._mapping.kinds if kind.endswith("_position")]
        unknown = {g.kind for g in self._terminals.groups} - {*positions, ""}
        if unknown:
            msg = f"jt808: setting 'groups': kind {min(unknown)!r}; there are {', '.join(positions)}"
            raise Fatal(msg)

    def adopt(self, memory: Memory) -> None:
        """Compare reports with what stands by this memory, which outlives the connection."""
        self._alarms.adopt(memory)

    def start(self, now: int) -> Received:
        """Give nothing: terminals speak first."""
        return Received()

    def receive(self, packet: bytes, seen_at: int, origin: str = "") -> Received:
        """Decode one unescaped packet without check byte, as ``Framing`` gives them."""
        try:
            header = parse(packet)
        except Reject as reject:
            return Received(rejects=(Reject(reject.reason, reject.detail, packet),))
        if header.message_id >= PLATFORM_IDS:
            return self._platform(header, packet)
        terminal = self._terminals.of(header.phone_bcd)
        body = packet[header.start :]
        try:
            self._admit(header, terminal)
            if header.properties & SUB_PACKAGE_BIT:
                return self._part(header, terminal, packet, seen_at)
            return self._whole(header, terminal, body, seen_at)
        except Reject as reject:
            return self._refused(header, body, Reject(reject.reason, reject.detail, _kept(header, packet, header.start)))

    def receive_many(self, packets: Sequence[bytes], seen_at: int) -> columns.Columns:
        """Decode many locations at once, as ``columns.receive_many`` says, with this session's standing alarms."""
        return columns.receive_many(packets, self._offset_us, self._alarms, seen_at)

    def tick(self, now: int) -> Received:
        """Ask for missing sub-packages, and give up messages whose wait is over."""
        missing, over = self._sub_packages.due(now)
        asks = [Reply(encoder.ask_again(m.header, self._next(), m.first_serial, m.parts), "now") for m in missing]
        return Received(replies=asks, rejects=over)

    def _admit(self, header: Header, terminal: Terminal) -> None:
        """Raise ``Reject`` for what is not even looked at: strangers, the unauthenticated, ciphertext."""
        if not terminal.registered:
            raise Reject("unregistered", f"terminal {terminal.source} is not in the setting 'registered'")
        if self._terminals.required and not terminal.authenticated and header.message_id not in (REGISTER, AUTHENTICATE):
            raise Reject("unauthenticated", f"terminal {terminal.source} sent 0x{header.message_id:04X} before a right 0x0102")
        if header.properties & ENCRYPTION_MASK:
            raise Reject("encrypted", f"body of 0x{header.message_id:04X} is encrypted, method {header.encryption} (1 is RSA)")

    def _refused(self, header: Header, body: bytes, reject: Reject) -> Received:
        """Answer a message that was refused; its body stays raw."""
        edition = messages.edition(header, body)
        message = messages.head(header, messages.name_of(self._bodies, header.message_id, edition), edition)
        if header.message_id == REGISTER and reject.reason == "unregistered":
            replies = [Reply(encoder.register_ack(header, self._next(), NO_TERMINAL), "now")]
        else:
            replies = self._ack(header, RESULTS.get(reject.reason, WRONG))
        return Received(message={**message, "body": body}, replies=replies, rejects=(reject,))

    def _platform(self, header: Header, packet: bytes) -> Received:
        """Explain a platform's message: nobody answers one, or two platforms would never stop."""
        try:
            return Received(message=messages.explain(packet, self._bodies))
        except Reject as reject:
            body = packet[header.start :]
            edition = messages.edition(header, body)
            message = messages.head(header, messages.name_of(self._bodies, header.message_id, edition), edition)
            return Received(message={**message, "body": body}, rejects=(Reject(reject.reason, reject.detail, packet),))

    def _part(self, header: Header, terminal: Terminal, packet: bytes, seen_at: int) -> Received:
        """Take a sub-package: each is answered; the one that completes the message brings its readings."""
        body = packet[header.start :]
        whole, over = self._sub_packages.add(header, _kept(header, body, 0), seen_at)
        if whole is None:
            edition = messages.edition(header, body)
            message = messages.head(header, messages.name_of(self._bodies, header.message_id, edition), edition)
            return Received(message={**message, "body": body}, replies=self._ack(header, DONE), rejects=over)
        try:
            return self._whole(header, terminal, whole, seen_at)
        except Reject as reject:
            raw = packet[: header.start] + whole[:RAW_KEPT]
            return self._refused(header, whole, Reject(reject.reason, reject.detail, raw))

    def _whole(self, header: Header, terminal: Terminal, body: bytes, seen_at: int) -> Received:
        message_id = header.message_id
        if message_id == LOCATION:
            return self._location(header, terminal, body, seen_at)
        if message_id == BATCH:
            return self._batch(header, terminal, body, seen_at)
        if message_id in (LOCATION_REPLY, CONTROL_REPLY):
            return self._location(header, terminal, body, seen_at, 2)
        return self._other(header, terminal, body, seen_at)

    def _other(self, header: Header, terminal: Terminal, body: bytes, seen_at: int) -> Received:
        """A message without locations: its fields, and the answer it is owed."""
        message_id = header.message_id
        edition = messages.edition(header, body)
        name = messages.name_of(self._bodies, message_id, edition)
        message = {**messages.head(header, name, edition), **messages.decode(self._bodies, message_id, edition, body)}
        if message_id == AUTHENTICATE:
            return self._authenticate(header, terminal, message)
        if message_id == REGISTER:
            terminal.take_plate(message["plate"], message["plate_colour"])
            code = self._terminals.code(terminal)
            return Received(message=message, replies=[Reply(encoder.register_ack(header, self._next(), DONE, code), "now")])
        if message_id == TIME_QUERY:
            return Received(message=message, replies=[Reply(encoder.time_ack(header, self._next(), seen_at), "now")])
        if message_id == LOGOUT:
            terminal.authenticated = False
        readings = self._crew(header, terminal, message, seen_at)
        replies = self._ack(header, UNSUPPORTED if name == messages.UNKNOWN else DONE, "durable" if readings else "now")
        if message_id == MULTIMEDIA:
            if header.total:
                message.pop("content", None)
            upload = Reply(encoder.media_ack(header, self._next(), message["media_id"]), "now")
            replies = [*replies, upload]
        return Received(message=message, readings=readings, replies=replies)

    def _crew(self, header: Header, terminal: Terminal, message: dict[str, Any], seen_at: int) -> list[Reading]:
        """Give who drives from a driver card, and what a hazmat vehicle carries from its waybill."""
        base = {"source": terminal.source, "seen_at": seen_at, "serial": header.serial, "plate": terminal.plate}
        if header.message_id == DRIVER_CARD:
            fields = crew.duty(message, self._hash_key, self._offset_us, seen_at)
            return [self._mapping.reading("driver_duty", fields, ts=fields["ts"], **base)]
        if header.message_id == WAYBILL and terminal.kind == HAZMAT:
            return [self._mapping.reading("hazmat_waybill", {"content": crew.waybill(message)}, ts=seen_at, **base)]
        return []

    def _authenticate(self, header: Header, terminal: Terminal, message: dict[str, Any]) -> Received:
        terminal.authenticated = self._terminals.accepts(terminal, message["code"])
        if terminal.authenticated:
            return Received(message=message, replies=self._ack(header, DONE))
        reject = Reject("unauthenticated", f"terminal {terminal.source} sent a wrong code")
        return Received(message=message, replies=self._ack(header, FAILED), rejects=(reject,))

    def _location(self, header: Header, terminal: Terminal, body: bytes, seen_at: int, at: int = 0) -> Received:
        """One location, behind ``at`` bytes that name the message it answers."""
        report = body[at:] if at else body
        fields = location.read(report)
        message = messages.head(header, LOCATION_NAMES[header.message_id], header.version)
        if at:
            message["ack_serial"] = int.from_bytes(body[:at])
        message.update(fields)
        try:
            readings = self._readings(terminal, fields, report, header.serial, seen_at)
        except Reject as reject:
            faults = (Reject(reject.reason, reject.detail, report),)
            return Received(message=message, replies=self._ack(header, RESULTS.get(reject.reason, WRONG)), rejects=faults)
        return Received(message=message, readings=readings, replies=self._ack(header, DONE, "durable"))

    def _batch(self, header: Header, terminal: Terminal, body: bytes, seen_at: int) -> Received:
        """A batch: a location that cannot be read is refused alone, and the batch is answered as done."""
        fields, bodies, fault = location.read_batch(body)
        readings: list[Reading] = []
        rejects = [] if fault is None else [Reject(fault.reason, fault.detail, body[:RAW_KEPT])]
        for index, (one, raw) in enumerate(zip(fields["locations"], bodies, strict=True)):
            try:
                readings += self._readings(terminal, one, raw, header.serial << 16 | index, seen_at)
            except Reject as reject:
                rejects.append(Reject(reject.reason, f"location {index + 1}: {reject.detail}", raw))
        message = {**messages.head(header, LOCATION_NAMES[BATCH], header.version), **fields}
        result = DONE if readings or not rejects else RESULTS.get(rejects[0].reason, WRONG)
        replies = self._ack(header, result, "durable" if readings else "now")
        lane: Literal["live", "late"] = "late" if fields["type"] == BLIND_AREA else "live"
        return Received(message=message, readings=readings, replies=replies, rejects=rejects, lane=lane)

    def _readings(self, terminal: Terminal, fields: dict[str, Any], report: bytes, serial: int, seen_at: int) -> list[Reading]:
        """Give the position a location tells, and the alarms and states that it changed."""
        if not terminal.kind:
            raise Reject("no_kind", f"terminal {terminal.source} is in no group and 'default_kind' is empty")
        items = fields["items"]
        ts = bcd.instant(report[location.TIME], self._offset_us)
        base = {"source": terminal.source, "ts": ts, "seen_at": seen_at, "serial": serial, "plate": terminal.plate}
        place = self._place(fields)
        readings = [self._mapping.reading(terminal.kind, {**fields, **items}, **base, **place)]
        edges = self._alarms.observe(terminal.source, ts, alarms.bits(fields["alarm"], fields["status"]), seen_at)
        if edges:
            here = {**base, "lon": place["lon"], "lat": place["lat"]}
            readings += [
                self._mapping.reading(EPISODE, fields, **here, code=e.code, phase=e.phase, started_at=e.started_at) for e in edges
            ]
        if not alarms.ACTIVE.isdisjoint(items):
            readings += [self._active(one, fields, readings[0], base) for one in alarms.active(items)]
        return readings

    def _place(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Give where a location is in WGS-84, with the raw pair where it was sent otherwise."""
        lon, lat = position(fields)
        if self._crs == "wgs84" or lon is None or lat is None:
            return {"lon": lon, "lat": lat}
        wgs_lon, wgs_lat = to_wgs84(lon, lat, self._crs)
        return {"lon": wgs_lon, "lat": wgs_lat, "raw_lon": lon, "raw_lat": lat, "raw_crs": self._crs}

    def _active(self, one: alarms.Active, fields: dict[str, Any], report: Any, base: dict[str, Any]) -> Reading:
        """Give an active-safety alarm where and when it says it happened; what it leaves out is the location's."""
        own = one.fields["place"]
        try:
            ts = bcd.instant(bcd.time_bytes(own["time"]), self._offset_us)
        except Reject:
            ts = base["ts"]
        place = self._place({**own, "status": fields["status"]})
        if place["lon"] is None:
            place = {"lon": report.lon, "lat": report.lat}
        return self._mapping.reading(
            EPISODE,
            {
                "alarm_id": one.fields["alarm_id"],
                "level": alarms.level(one.fields),
                "detail": one.detail,
                "speed": own["speed"] * 10,
            },
            **{**base, "ts": ts, "lon": place["lon"], "lat": place["lat"]},
            code=one.code,
            phase=one.phase,
            started_at=ts if one.phase == "rise" else None,
        )

    def _ack(self, header: Header, result: int, when: Literal["now", "durable"] = "now") -> list[Reply]:
        if header.message_id == GENERAL_ACK:
            return []
        return [Reply(encoder.general_ack(header, self._next(), result), when)]

    def _next(self) -> int:
        serial = self._serial
        self._serial = (serial + 1) & 0xFFFF
        return serial


EPISODE = "vehicle_alarm_episode"
RESULTS = {"encrypted": UNSUPPORTED, "unauthenticated": FAILED, "unregistered": FAILED, "no_kind": DONE}
"""What a refused message is answered; others are called wrong. A terminal without a kind did nothing wrong:
failing it would only make it repeat."""
LOCATION_NAMES = {
    message_id: messages.name_of(messages.standard(), message_id, "2013")
    for message_id in (LOCATION, LOCATION_REPLY, CONTROL_REPLY, BATCH)
}


def _kept(header: Header, content: bytes, start: int) -> bytes:
    """Give what is kept of a packet whose body begins at ``start``: of a multimedia upload only what stands in front."""
    if header.message_id != MULTIMEDIA:
        return content
    return content[: start + (MEDIA_HEAD if header.part <= 1 else 0)]


def position(fields: dict[str, Any]) -> tuple[float | None, float | None]:
    """Give longitude and latitude in degrees as the terminal means them; the point 0, 0 means it has none.

    A hemisphere bit makes its coordinate negative, and so does two's complement, which some terminals send.
    """
    lon, lat = fields["longitude"], fields["latitude"]
    if not lon and not lat:
        return None, None
    status = fields["status"]
    if status & location.SOUTH:
        lat = -abs(lat)
    if status & location.WEST:
        lon = -abs(lon)
    return lon / 1e6, lat / 1e6
