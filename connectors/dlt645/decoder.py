"""A line of DL/T 645 meters: polls them in turn, or listens; frames to messages and readings."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec

from connectors._api import Peer, Received, Reply, Settings
from connectors._api.mapping import read as read_mapping
from connectors._api.polling import Poller
from connectors.dlt645 import encoder, framing, items, messages
from schemas.errors import Fatal, Reject
from schemas.reading import Reading

VALUE_REPLIES: Final = ("read_reply", "read_next_reply", "read_1997_reply", "read_next_1997_reply")
ERROR_REPLIES: Final = ("read_error", "read_next_error", "read_1997_error")
MAPPING: Final = Path(__file__).parent / "mapping.toml"
METER_FIELDS: Final = frozenset(r["from"] for r in msgspec.toml.decode(MAPPING.read_bytes())["meter_reading"].values())
"""Identifiers that fill a field of meter_reading."""
SAME: Final = {di: entry["same"] for di, entry in items.TABLE["edition_1997"].items() if "same" in entry}
"""Identifier of 2007 by the one of 1997 that stands for the same."""
COMBINED, FORWARD, REVERSE = "00000000", "00010000", "00020000"
"""Combined active energy; it stands in for the forward one where a meter gives no other."""
TARIFF_GROUPS: Final = {"0000": "energy", "0001": "energy", "0002": "reverse_energy"}
"""Energies whose tariffs become readings of their own, by the field they fill."""
THREE_PHASE: Final = {"02010200", "02010300", "02020200", "02020300", "02040000", "02060000"}
"""Values only the kind power_load has fields for."""
PARTS, PART_MAX = 64, 16_384
"""Most answers held that come in several frames, and most bytes of one."""


class Meter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the setting ``meters`` says of one address."""

    source: str = ""
    lon: float | None = None
    lat: float | None = None


UNKNOWN: Final = Meter()


class Session:
    """One line. Of a polled meter a round's values make one reading; what comes unasked makes one per frame."""

    def __init__(self, settings: Settings, peer: Peer) -> None:
        self._mapping = read_mapping(MAPPING)
        self._meters = _meters(settings["meters"])
        registers = [_register(di) for di in settings["registers"]]
        seconds = (settings["interval_s"], settings["timeout_s"])
        interval, timeout = (round(s * 1e6) for s in seconds)
        jobs = [(address, di) for address in self._meters for di in registers]
        self._poller = Poller(jobs, interval, timeout, settings["retries"])
        self._preambles = settings["preambles"]
        self._parts: dict[tuple[str, str], bytes] = {}
        self._round: dict[str, float] = {}
        """Values of the meter whose turn it is."""
        self._turn = ""
        self._answered_at = 0

    def start(self, now: int) -> Received:
        """Give the first request, if there are meters to poll."""
        return self._advance(now, None, [])

    def tick(self, now: int) -> Received:
        """Give the request that is due: the next one, one to repeat, or the first of a new round."""
        lost = self._poller.expired(now)
        if lost is not None and not self._round:
            self._poller.skip(lambda job: job[0] == lost[0])
        return self._advance(now, None, [])

    def receive(self, packet: bytes, seen_at: int, origin: str = "") -> Received:
        """Decode one frame from 68H to 16H, with or without FEH before it."""
        frame = packet.lstrip(b"\xfe")
        fault = framing.fault(frame)
        if fault is not None:
            raise Reject(fault.reason, fault.detail, packet)
        try:
            message = messages.parse(frame)
            shown, rejects = self._decode(message, packet) if message["name"] in VALUE_REPLIES else ([], [])
        except Reject as reject:
            raise Reject(reject.reason, reject.detail, packet) from None
        values = _flat(shown)
        if not self._answers(message):
            return Received(message=message, readings=self._readings(message, values, seen_at), rejects=rejects)
        self._round |= values
        self._answered_at = seen_at
        if message.get("follows"):
            self._poller.extend(seen_at)
            request = encoder.read_next(message["address"], message["di"], message.get("seq", 0) + 1, self._preambles)
            return Received(message=message, replies=[Reply(request, "now")], rejects=rejects)
        self._poller.done()
        return self._advance(seen_at, message, rejects)

    def _answers(self, message: dict[str, Any]) -> bool:
        """Tell whether a message is the answer, or the refusal, of the outstanding request."""
        job = self._poller.outstanding
        if job is None or message["address"] != job[0]:
            return False
        return message.get("di") == job[1] if message["name"] in VALUE_REPLIES else message["name"] in ERROR_REPLIES

    def _advance(self, now: int, message: dict[str, Any] | None, rejects: list[Reject]) -> Received:
        """Send what is due; a meter whose turn is over gives its reading, and the line waits until it is stored."""
        job = self._poller.due(now)
        readings: list[Reading] = []
        if self._turn and self._poller_moved(job):
            readings = self._readings({"address": self._turn}, self._round, self._answered_at)
            self._turn, self._round = "", {}
        if job is None:
            return Received(message=message, readings=readings, rejects=rejects)
        self._turn = job[0]
        self._parts.pop(job, None)
        request = encoder.read(*job, self._preambles)
        return Received(message, readings, [Reply(request, "durable" if readings else "now")], rejects)

    def _poller_moved(self, job: tuple[str, str] | None) -> bool:
        waiting = job or self._poller.outstanding
        return waiting is None or waiting[0] != self._turn

    def _decode(self, message: dict[str, Any], packet: bytes) -> tuple[list[dict[str, Any]], list[Reject]]:
        """Put the values of an answer into its message, joined with the frames before it; give them as items."""
        key = (message["address"], message["di"])
        later = "seq" in message
        joined = (self._parts.pop(key, b"") if later else b"") + message["data"]
        whole = not message["follows"] and (not later or len(joined) > len(message["data"]))
        if message["follows"] and len(joined) <= PART_MAX:
            while len(self._parts) >= PARTS:
                del self._parts[next(iter(self._parts))]
            self._parts[key] = joined
        try:
            shown = items.decode(message["di"], joined, whole=whole)
        except Reject as reject:
            return [], [Reject(reject.reason, reject.detail, packet)]
        message.update(shown[0] if len(shown) == 1 and shown[0]["di"] == message["di"] else {"items": shown})
        return shown, []

    def _readings(self, message: dict[str, Any], values: dict[str, float], seen_at: int) -> list[Reading]:
        """Give a meter's readings: its own fields as one, each tariff as one, three phases as a load."""
        if not values:
            return []
        meter = self._meters.get(message["address"], UNKNOWN)
        base: dict[str, Any] = {"source": meter.source or message["address"], "ts": seen_at, "seen_at": seen_at}
        base |= {"lon": meter.lon, "lat": meter.lat}
        found: list[Reading] = []
        known = dict(values)
        if known.get(COMBINED, -1) >= 0:
            known.setdefault(FORWARD, known[COMBINED])
        if not METER_FIELDS.isdisjoint(known):
            found.append(self._mapping.reading("meter_reading", known, medium="electricity", register=message.get("di"), **base))
        for di, value in values.items():
            if di[:4] in TARIFF_GROUPS and di[4:6] != "00" and di[6:] == "00" and value >= 0:
                energy = {FORWARD if TARIFF_GROUPS[di[:4]] == "energy" else REVERSE: value}
                found.append(self._mapping.reading("meter_reading", energy, medium="electricity", register=di, **base))
        if not THREE_PHASE.isdisjoint(known):
            found.append(self._mapping.reading("power_load", known, **base))
        return found


def _flat(shown: list[dict[str, Any]]) -> dict[str, float]:
    """Give the numbers among items by their identifier of 2007."""
    return {SAME.get(i["di"], i["di"]): i["value"] for i in shown if isinstance(i.get("value"), int | float)}


def _register(di: Any) -> str:
    if not isinstance(di, str) or len(di) not in (4, 8) or any(c not in "0123456789ABCDEF" for c in di):
        msg = f"dlt645: setting 'registers': {di!r} is no data identifier of eight hex digits, such as 00010000"
        raise Fatal(msg)
    return di


def _meters(table: dict[str, Any]) -> dict[str, Meter]:
    found = {}
    for address, entry in table.items():
        if len(address) != 12 or not address.isdigit():
            msg = f"dlt645: setting 'meters': {address!r} is no address of twelve digits"
            raise Fatal(msg)
        try:
            found[address] = msgspec.convert(entry, Meter)
        except msgspec.ValidationError as error:
            msg = f"dlt645: setting 'meters', address {address}: {error}"
            raise Fatal(msg) from error
    return found
