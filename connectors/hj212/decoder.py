"""HJ 212 packets to readings of dust stations and environmental factors, and the answers owed to the device."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from hmac import compare_digest
from typing import Any, Final

import msgspec

from connectors._api.manifest import Settings
from connectors._api.session import Peer, Received, Reply
from connectors.hj212 import encoder, factors, segment, shapes
from connectors.hj212.checksum import VARIANTS, variant_of
from schemas.errors import Fatal, Reject

PERIODS: Final[Mapping[str, int]] = {"2011": 0, "2061": 3600, "2031": 86_400}
"""Seconds a data command averages over; that of 2051 is the device's own."""
DATA: Final = frozenset({*PERIODS, "2051"})
"""Commands that carry factor values."""
UPLOADS: Final = DATA | {"2021", "2041", "2081", "3015", "3019", "3020"}
"""Commands a device sends of itself, to be answered with 9014 when it asks (HJ 212-2017 table 9)."""
DEVICES: Final = 256
"""Most devices one connection is remembered for."""
FRAME_ENDS: Final = 10
"""Bytes of ``##``, length and check code around the segment."""


class Device(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the setting ``devices`` says of one MN."""

    units: dict[str, str] = {}
    crc: str = "auto"
    lon: float | None = None
    lat: float | None = None


class Session:
    """One connection: one station, or a gateway that speaks for several."""

    def __init__(self, settings: Settings, peer: Peer) -> None:
        self._crc = str(settings["crc"])
        self._units = factors.check_units(settings["units"], f"{peer.connector}: setting 'units'")
        self._devices = {str(mn): _device(mn, table, peer.connector) for mn, table in settings["devices"].items()}
        self._registered = frozenset(map(str, settings["registered"]))
        self._passwords: Mapping[str, Any] = settings["passwords"]
        self._minutes = int(settings["minute_interval"])
        self._told: dict[str, int] = {}
        self._heads: dict[tuple[str, str], _Known] = {}

    def start(self, now: int) -> Received:
        """Give nothing: the device speaks first."""
        return Received()

    def tick(self, now: int) -> Received:
        """Give nothing: every packet stands alone."""
        return Received()

    def receive(self, packet: bytes, seen_at: int, origin: str = "") -> Received:
        """Decode one frame, from ``##`` to its check code; a line end behind it is passed over."""
        try:
            frame = packet.strip(b"\r\n")
            crc = self._checked(frame)
            return self._usual(frame, crc, seen_at) or self._any(frame, crc, seen_at)
        except Reject as error:
            raise Reject(error.reason, error.detail, error.raw or packet) from None

    def _checked(self, frame: bytes) -> str:
        if len(frame) < FRAME_ENDS or not frame.startswith(b"##"):
            raise Reject("bad_frame", "packet is no frame that begins with ##")
        crc = variant_of(frame[6:-4], frame[-4:], self._crc)
        if crc is None:
            raise Reject("bad_checksum", f"check code {frame[-4:].decode('ascii', 'replace')} fits no variant of crc={self._crc}")
        return crc

    def _usual(self, frame: bytes, crc: str, seen_at: int) -> Received | None:
        """Decode a frame of plain names, numbers and flags N as ``_any`` does, but faster; ``None`` for any other frame."""
        found = shapes.cut(frame)
        if found is None:
            return None
        qn, rest, joints, words = found
        sent_at = segment.time_of(qn)
        known = self._heads.get((rest, crc)) or self._know(rest, crc)
        plan = shapes.plan(known.system, known.units, joints, tuple(words[::2])) if known else None
        if known is None or plan is None or sent_at is None:
            return None
        base = {**known.base, "sent_at": sent_at, "seen_at": seen_at}
        rows = plan.readings(words, base, known.place, segment.serial_at(sent_at // 1000, known.first))
        if rows is None:
            return None
        replies = [Reply(encoder.frame(f"QN={qn};{known.answer}", crc))] if known.answer else []
        return Received(message=_Told(frame, crc), readings=rows, replies=replies)

    def _know(self, rest: str, crc: str) -> _Known | None:
        """Remember what the header behind QN says; ``None`` if it is not that of a device's values, or is refused."""
        try:
            message = segment.parse(f"{rest}{segment.OPEN}{segment.CLOSE}")
            sender = _Head(message)
            self._admit(sender, crc)
        except Reject:
            return None
        if sender.cn not in DATA or "qn" in map(str.lower, message):
            return None
        if len(self._heads) >= DEVICES:
            self._heads.clear()
        device = self._devices.get(sender.mn, Device())
        known = self._heads[rest, crc] = _Known(
            system=sender.st,
            units=tuple({**self._units, **device.units}.items()),
            base={"source": sender.mn, "period": self._period(sender)},
            place=_place(device),
            first=segment.serial_of("", sender.cn, sender.part),
            answer=encoder.answer(mn=sender.mn, pw=sender.pw, flag=sender.flag & 0xFC) if sender.flag & 1 else "",
        )
        return known

    def _any(self, frame: bytes, crc: str, seen_at: int) -> Received:
        message = _read(frame, crc)
        sender = _Head(message)
        self._admit(sender, crc)
        return self._answer(message, sender, crc, seen_at)

    def _admit(self, sender: _Head, crc: str) -> None:
        """Refuse a device that is not registered, has another password or another check code than configured."""
        if self._registered and sender.mn not in self._registered:
            raise Reject("unregistered", f"device {sender.mn} is not in setting 'registered'")
        if self._passwords:
            wanted = str(self._passwords.get(sender.mn, ""))
            if not wanted or not compare_digest(wanted.encode(), sender.pw.encode()):
                raise Reject("unauthenticated", f"device {sender.mn} sent a PW other than the one configured")
        device = self._devices.get(sender.mn)
        if device is not None and device.crc not in ("auto", crc):
            raise Reject("bad_checksum", f"device {sender.mn} is configured with crc={device.crc} but sent {crc}")

    def _answer(self, message: dict[str, Any], sender: _Head, crc: str, seen_at: int) -> Received:
        items: list[segment.Item] = message["CP"]
        self._learn(sender.mn, items)
        if sender.cn not in UPLOADS or not items:
            return Received(message=message)
        readings, rejects = self._decode(sender, items, seen_at) if sender.cn in DATA else ([], [])
        replies = []
        if sender.flag & 1:
            data = encoder.reply(qn=sender.qn, mn=sender.mn, pw=sender.pw, flag=sender.flag & 0xFC, crc=crc)
            replies.append(Reply(data, "durable" if readings else "now"))
        return Received(message=message, readings=readings, replies=replies, rejects=rejects)

    def _decode(self, sender: _Head, items: list[segment.Item], seen_at: int) -> tuple[list[Any], list[Reject]]:
        found, unread = factors.sent(items)
        if not found:
            return [], unread
        stamp = next((value for item in items for key, value in item.items() if key.lower() == "datatime"), None)
        if stamp is None:
            raise Reject("missing_field", f"CN={sender.cn} of device {sender.mn} has values but no DataTime")
        ts = segment.time_of(stamp)
        if ts is None:
            raise Reject("bad_field", f"DataTime {stamp[:40]!r} is no time of the form yyyyMMddHHmmss")
        device = self._devices.get(sender.mn, Device())
        base = {
            "source": sender.mn,
            "ts": ts,
            "sent_at": segment.time_of(sender.qn),
            "seen_at": seen_at,
            "period": self._period(sender),
        }
        rows, implausible = factors.readings(found, sender.st, {**self._units, **device.units}, base, _place(device))
        first = segment.serial_of(sender.qn, sender.cn, sender.part)
        return [msgspec.structs.replace(row, serial=first + n) for n, row in enumerate(rows)], [*unread, *implausible]

    def _period(self, sender: _Head) -> int:
        """Give the seconds the device's values average over."""
        return PERIODS.get(sender.cn, self._told.get(sender.mn, self._minutes) * 60)

    def _learn(self, mn: str, items: list[segment.Item]) -> None:
        """Remember the averaging period a device tells (CN=1063)."""
        for item in items:
            minutes = _int(item["MinInterval"]) if "MinInterval" in item else 0
            if 1 <= minutes <= 60 and (mn in self._told or len(self._told) < DEVICES):
                self._told[mn] = minutes
                self._heads.clear()


class _Head:
    """The header fields of a message, whatever the case of their names."""

    def __init__(self, message: Mapping[str, Any]) -> None:
        fields = {key.lower(): value for key, value in message.items() if isinstance(value, str)}
        self.qn, self.st, self.cn = fields.get("qn", ""), fields.get("st", ""), fields.get("cn", "")
        self.pw, self.mn, self.part = fields.get("pw", ""), fields.get("mn", ""), fields.get("pno", "")
        self.flag = max(_int(fields.get("flag", "")), 0)
        for name in ("cn", "mn"):
            if not fields.get(name):
                raise Reject("missing_field", f"header has no {name.upper()}")
        if len(self.mn) > 64:
            raise Reject("bad_field", f"MN of {len(self.mn)} characters; the standard has 24")


class _Known(msgspec.Struct, frozen=True):
    """What follows from a header without its QN, under one session's settings."""

    system: str
    units: tuple[tuple[str, str], ...]
    base: dict[str, Any]
    place: dict[str, float]
    first: int
    """What QN adds to for the number of the first reading."""
    answer: str
    """What stands behind QN in the reply; empty where none is owed."""


class _Told(Mapping[str, Any]):
    """The message of a frame that was decoded already, read when it is asked for: the host only wants the readings."""

    def __init__(self, frame: bytes, crc: str) -> None:
        self._frame, self._crc = frame, crc

    @cached_property
    def _fields(self) -> dict[str, Any]:
        return _read(self._frame, self._crc)

    def __getitem__(self, key: str) -> Any:
        return self._fields[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __bool__(self) -> bool:
        """Tell that it holds a name, as every message does."""
        return True

    def __repr__(self) -> str:
        return repr(self._fields)


def _read(frame: bytes, crc: str) -> dict[str, Any]:
    """Give the message of a frame whose check code is right."""
    body, code = frame[6:-4], frame[-4:]
    text = segment.text_of(body)
    count = _int(frame[2:6].decode("ascii", "replace"))
    if count not in (len(body), len(text)):
        raise Reject("bad_length", f"declares {count} characters but has {len(text)}")
    message = segment.parse(text)
    name = segment.NAMES.get(_Head(message).cn, "other")
    return {"name": name, **message, "len": count, "crc": code.decode(), "crc_variant": crc}


def _place(device: Device) -> dict[str, float]:
    return {} if device.lon is None or device.lat is None else {"lon": device.lon, "lat": device.lat}


def _int(text: str) -> int:
    """Give a small decimal integer, -1 for anything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 4 else -1


def _device(mn: str, table: Any, connector: str) -> Device:
    where = f"{connector}: setting 'devices', MN {mn}"
    try:
        device = msgspec.convert(table, Device)
    except msgspec.ValidationError as error:
        msg = f"{where}: {error}"
        raise Fatal(msg) from error
    if device.crc not in ("auto", *VARIANTS):
        msg = f"{where}: crc must be auto or one of {', '.join(VARIANTS)}, not {device.crc!r}"
        raise Fatal(msg)
    return msgspec.structs.replace(device, units=factors.check_units(device.units, where))
