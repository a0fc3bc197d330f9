"""The centre's side of one JT/T 905 connection: packets to readings, replies and rejects."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from connectors._api import Peer, Received, Reply, Settings, bcd
from connectors._api.coordinates import Crs, to_wgs84
from connectors._api.episodes import Episodes, Memory
from connectors._api.mapping import read as read_mapping
from connectors.jt905 import encoder, messages, position, readings
from connectors.jt905.header import CENTRE_IDS, FORM, Header, parse
from connectors.jt905.readings import Source
from schemas.errors import Reject
from schemas.kinds.transport import TaxiPosition
from schemas.reading import Reading

DONE, FAILED, WRONG = 0, 1, 2
"""Result codes of the general reply, 0x8001."""
GENERAL_ACK = 0x0001
LOCATIONS = (0x0200, 0x0201, 0x0202, 0x0500)
SUPPLEMENT, SIGN_IN, SIGN_OUT, OPERATION = 0x0203, 0x0B03, 0x0B04, 0x0B05
TERMINALS_MAX = 4096
"""Terminals whose plate one connection remembers; beyond that the one first seen is forgotten."""
Reader = Callable[[dict[str, Any], bytes, Source], Received]


class Session:
    """One connection: the plates of its terminals, our serial number.

    Every terminal message but the terminal's own general reply is answered; one that brings readings only once they
    are held durably. Terminals repeat what is not answered: a repeated message is decoded and answered again.
    """

    def __init__(self, settings: Settings, peer: Peer) -> None:
        self._mapping = read_mapping(Path(__file__).parent / "mapping.toml")
        self._offset_us = round(settings["timezone_offset_h"] * 3_600_000_000)
        self._crs: Crs = settings["crs"]
        self._hash_key: str = settings["hash_key"]
        self._registered = tuple(map(str, settings["registered"]))
        self._plate_prefix: str = settings["plate_prefix"]
        self._given_plates = {str(isu): str(plate) for isu, plate in settings["plates"].items()}
        self._plates: dict[str, str] = {}
        self._episodes = Episodes(position.ALARMS)
        self._serial = 0
        self._readers: dict[int, Reader] = {
            **dict.fromkeys(LOCATIONS, self._location),
            SUPPLEMENT: self._supplement,
            SIGN_IN: self._duty,
            SIGN_OUT: self._duty,
            OPERATION: self._trip,
        }

    def adopt(self, memory: Memory) -> None:
        """Compare reports with what stands by this memory, which outlives the connection."""
        self._episodes.adopt(memory)

    def start(self, now: int) -> Received:
        """Give nothing: terminals speak first."""
        return Received()

    def receive(self, packet: bytes, seen_at: int, origin: str = "") -> Received:
        """Decode one unescaped packet without check byte, as ``Framing`` gives them."""
        try:
            header = parse(packet)
        except Reject as reject:
            return Received(rejects=(Reject(reject.reason, reject.detail, packet),))
        body = packet[FORM.size :]
        message = messages.head(header)
        try:
            source = self._source(header, seen_at)
            fields = messages.read(header.message_id, body)
        except Reject as reject:
            return self._refused(header, {**message, "body": body}, reject, packet)
        message |= fields
        reader = self._readers.get(header.message_id)
        if reader is None:
            return Received(message=message, replies=self._ack(header, DONE))
        try:
            return self._answered(header, reader(message, body, source))
        except Reject as reject:
            return self._refused(header, message, reject, packet)

    def tick(self, now: int) -> Received:
        """Give nothing: no message waits for another."""
        return Received()

    def _source(self, header: Header, seen_at: int) -> Source:
        isu = header.isu.lstrip("0") or "0"
        if self._registered and not isu.startswith(self._registered):
            raise Reject("unregistered", f"terminal {isu} is not in the setting 'registered'")
        plate = self._given_plates.get(isu) or self._plates.get(isu)
        return Source(isu, header.serial, seen_at, plate)

    def _refused(self, header: Header, message: dict[str, Any], reject: Reject, packet: bytes) -> Received:
        refused = Reject(reject.reason, reject.detail, packet)
        result = FAILED if reject.reason == "unregistered" else WRONG
        return Received(message=message, replies=self._ack(header, result), rejects=(refused,))

    def _answered(self, header: Header, received: Received) -> Received:
        """Owe the answer: done where anything could be read."""
        result = DONE if received.readings or not received.rejects else WRONG
        replies = self._ack(header, result, durable=bool(received.readings))
        return Received(received.message, received.readings, replies, received.rejects, lane=received.lane)

    def _location(self, message: dict[str, Any], body: bytes, source: Source) -> Received:
        reading = self._position(message, source, source.serial)
        edges = self._episodes.observe(source.isu, reading.ts, message["alarm"], source.seen_at)
        return Received(message=message, readings=(reading, *(readings.edge(edge, reading) for edge in edges)))

    def _supplement(self, message: dict[str, Any], body: bytes, source: Source) -> Received:
        """Positions a blind area held back: late, and no news of alarms; one that cannot be read is refused alone."""
        found: list[Reading] = []
        rejects: list[Reject] = []
        for index, one in enumerate(message["positions"]):
            try:
                found.append(self._position(one, source, source.serial << 8 | index))
            except Reject as reject:
                rejects.append(Reject(reject.reason, f"position {index + 1}: {reject.detail}", position.write(one)))
        return Received(message=message, readings=found, rejects=rejects, lane="late")

    def _duty(self, message: dict[str, Any], body: bytes, source: Source) -> Received:
        plate = self._plate(source, message["plate_no"])
        event = "on" if message["message_id"] == SIGN_IN else "off"
        ts = bcd.instant(body[position.TIME], self._offset_us)
        return Received(message=message, readings=(readings.duty(message, source, plate, event, ts, self._hash_key),))

    def _trip(self, message: dict[str, Any], body: bytes, source: Source) -> Received:
        meter = message.get("meter", {})
        plate = self._plate(source, meter.get("plate_no", ""))
        places = [self._place(message[name]) for name in ("up_position", "down_position")]
        return Received(
            message=message, readings=(readings.trip(message, source, plate, places, self._offset_us, self._hash_key),)
        )

    def _plate(self, source: Source, sent: str) -> str | None:
        """Give a taxi's plate: as set, else as its terminal sends it, which leaves the province's character out."""
        if sent and source.isu not in self._given_plates:
            if len(self._plates) >= TERMINALS_MAX and source.isu not in self._plates:
                del self._plates[next(iter(self._plates))]
            self._plates[source.isu] = self._plate_prefix + sent
        return self._given_plates.get(source.isu) or self._plates.get(source.isu)

    def _place(self, fields: dict[str, Any]) -> tuple[float | None, float | None]:
        lon, lat = position.point(fields)
        return (None, None) if lon is None or lat is None else to_wgs84(lon, lat, self._crs)

    def _position(self, fields: dict[str, Any], source: Source, serial: int) -> TaxiPosition:
        lon, lat = position.point(fields)
        values: dict[str, Any] = {
            "source": source.isu,
            "ts": readings.instant(fields, self._offset_us),
            "seen_at": source.seen_at,
            "serial": serial,
            "lon": lon,
            "lat": lat,
            "plate": source.plate,
        }
        if self._crs != "wgs84" and lon is not None and lat is not None:
            values["raw_lon"], values["raw_lat"], values["raw_crs"] = lon, lat, self._crs
            values["lon"], values["lat"] = to_wgs84(lon, lat, self._crs)
        reading = self._mapping.reading("taxi_position", {**fields, **fields.get("items", {})}, **values)
        return cast(TaxiPosition, reading)

    def _ack(self, to: Header, result: int, *, durable: bool = False) -> tuple[Reply, ...]:
        if to.message_id == GENERAL_ACK or to.message_id >= CENTRE_IDS:
            return ()
        serial = self._serial
        self._serial = (serial + 1) & 0xFFFF
        return (Reply(encoder.general_ack(to, serial, result), "durable" if durable else "now"),)
