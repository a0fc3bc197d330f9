"""A line of CJ/T 188 meters: polls them in turn, or listens; frames to messages and readings."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from connectors._api import Peer, Received, Reply, Settings
from connectors._api.mapping import read as read_mapping
from connectors._api.polling import Poller
from connectors.cj188 import encoder, fields, framing, messages
from schemas.errors import Fatal, Reject
from schemas.reading import Reading

AMOUNTS: Final = ("current", "settlement", "heat_power", "flow_rate", "accumulated_flow", "cold")
SI: Final = {unit["unit"]: (unit["quantity"], unit["factor"]) for unit in fields.UNITS.values()}
"""Quantity, and factor to its SI unit, by unit."""
PLAIN: Final = ("supply_temperature", "return_temperature", "working_hours", "valve", "battery_low")
HEAT_AND_COLD: Final = 0x22
"""A meter of both: its first amount is the cold it counted, not a settlement day's heat (CJ/T 188-2018)."""
VALUES: Final = ("901F", *messages.HISTORY)
"""Identifiers whose answers give readings."""


class Meter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the setting ``meters`` says of one address."""

    type: int = 0x10
    source: str = ""
    lon: float | None = None
    lat: float | None = None


UNKNOWN: Final = Meter()


class Session:
    """One line, or one meter behind a modem."""

    def __init__(self, settings: Settings, peer: Peer) -> None:
        self._mapping = read_mapping(Path(__file__).parent / "mapping.toml")
        self._meters = {address: _meter(address, entry) for address, entry in settings["meters"].items()}
        self._unit_first = tuple(str(prefix) for prefix in settings["unit_first"])
        self._order, self._preambles = settings["di_order"], settings["preambles"]
        self._by_meter = settings["clock"] == "meter"
        self._hex = settings["encoding"] == "hex"
        interval, timeout = (round(settings[name] * 1e6) for name in ("interval_s", "timeout_s"))
        registers = [_register(di) for di in settings["registers"]]
        jobs = [(address, di) for address in self._meters for di in registers]
        self._poller = Poller(jobs, interval, timeout, settings["retries"])
        self._ser = 0

    def start(self, now: int) -> Received:
        """Give the first request, if there are meters to poll."""
        return self._advance(now, Received())

    def tick(self, now: int) -> Received:
        """Give the request that is due: the next one, one to repeat, or the first of a new round."""
        lost = self._poller.expired(now)
        if lost is not None:
            self._poller.skip(lambda job: job[0] == lost[0])
        return self._advance(now, Received())

    def receive(self, packet: bytes, seen_at: int, origin: str = "") -> Received:
        """Decode one frame from 68H to 16H, with or without FEH before it."""
        frame = packet.lstrip(b"\xfe")
        fault = framing.fault(frame)
        if fault is not None:
            raise Reject(fault.reason, fault.detail, packet)
        try:
            message = messages.parse(frame, self._unit_first)
        except Reject as reject:
            raise Reject(reject.reason, reject.detail, packet) from None
        if frame[1] == HEAT_AND_COLD and "settlement" in message and "current" in message:
            message["cold"], message["cold_unit"] = message.pop("settlement"), message.pop("settlement_unit")
        received = self._read(message, frame[1], seen_at, packet)
        job = self._poller.outstanding
        answer = message["name"].startswith("read") and message["name"].endswith(("_reply", "_error"))
        if job is None or not answer or (message["address"], message.get("di", job[1])) != job:
            return received
        self._poller.done()
        return self._advance(seen_at, received)

    def _advance(self, now: int, received: Received) -> Received:
        """Send what is due; behind readings it waits until they are stored."""
        job = self._poller.due(now)
        if job is None:
            return received
        self._ser = (self._ser + 1) & 0xFF
        request = encoder.read(self._meters[job[0]].type, *job, self._ser, self._order, self._preambles)
        data = request.hex().upper().encode() if self._hex else request
        reply = Reply(data, "durable" if received.readings else "now")
        return msgspec.structs.replace(received, replies=[reply])

    def _read(self, message: dict[str, Any], code: int, seen_at: int, packet: bytes) -> Received:
        """Give a message with the readings it brings, and a reject for an amount whose unit no table has."""
        if message["name"] != "read_reply" or message.get("di") not in VALUES:
            return Received(message=message)
        values: dict[str, Any] = {name: message[name] for name in PLAIN if name in message}
        rejects = []
        for name in AMOUNTS:
            amount = message.get(name)
            if amount is None:
                continue
            unit = SI.get(message[f"{name}_unit"])
            if unit is not None:
                values[f"{name}.{unit[0]}"] = amount * unit[1]
            elif amount:
                detail = f"{name}: unit code {message[f'{name}_unit']} is in no table"
                rejects.append(Reject("bad_field", detail, packet))
        if "accumulated_flow.volume" in values:
            values["current.volume"] = values["accumulated_flow.volume"]  # a heat meter's volume
        return Received(message=message, readings=self._readings(message, code, values, seen_at), rejects=rejects)

    def _readings(self, message: dict[str, Any], code: int, values: dict[str, Any], seen_at: int) -> list[Reading]:
        if not any("." in name for name in values):
            return []
        meter = self._meters.get(message["address"], UNKNOWN)
        clock = instant(message["time"]) if message.get("time") else None
        state = message.get("status", "0000")
        base = {
            "source": meter.source or message["address"],
            "ts": clock if clock is not None and self._by_meter else seen_at,
            "sent_at": clock,
            "seen_at": seen_at,
            "medium": messages.medium(code) or "unknown",
            "register": message["di"],
            "state": state if state != "0000" else None,
            "flag": "no_clock" if "time" in message and clock is None else None,
            "lon": meter.lon,
            "lat": meter.lat,
        }
        found = [self._mapping.reading("meter_reading", values, **base)]
        if "cold.energy" in values:
            cold = {**base, "medium": "cooling", "register": f"{message['di']}-cold"}
            found.append(self._mapping.reading("meter_reading", {"current.energy": values["cold.energy"]}, **cold))
        return found


def instant(text: str) -> int:
    """Give the microseconds UTC of a meter's ``YYYY-MM-DD hh:mm:ss``, Beijing time without its offset."""
    return round(datetime.fromisoformat(text + "+08:00").timestamp()) * 1_000_000


def _register(di: Any) -> str:
    if not isinstance(di, str) or messages.identifier(di) is None:
        msg = f"cj188: setting 'registers': {di!r} is no data identifier of the standard, such as 901F"
        raise Fatal(msg)
    return di


def _meter(address: str, entry: Any) -> Meter:
    where = f"cj188: setting 'meters', address {address!r}"
    if len(address) != 14 or any(c not in "0123456789ABCDEF" for c in address):
        msg = f"{where}: give fourteen digits"
        raise Fatal(msg)
    try:
        return msgspec.convert(entry, Meter)
    except msgspec.ValidationError as error:
        msg = f"{where}: {error}"
        raise Fatal(msg) from error
