"""HFP messages: where a bus is (VP), and what it did at stops, doors and signals (all other events)."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec

from connectors._api import rules, times
from connectors._api.manifest import Settings
from connectors._api.paths import document
from connectors._api.session import Peer, Received
from schemas.errors import Reject

HERE: Final = Path(__file__).resolve().parent
TOPIC: Final = re.compile(r"/hfp/v2/(journey|deadrun|signoff)/([^/]*)/([^/]+)/([^/]*)/(\d+)/(\d+)(?:/(.*))?", re.DOTALL)
"""Journey type, temporal type, event, mode, owner and number of the vehicle, then the journey's own levels."""
LEVELS: Final = ("route_id", "direction_id", "headsign", "start_time", "next_stop", "geohash_level")
RECORDING: Final = re.compile(rb"(?:\d{4}-\d\d-\d\dT\S+ )?(/hfp/v2/.*?) (\{.*)", re.DOTALL)
"""A line of a recording: time of receipt, topic, payload."""
START: Final = re.compile(r"(\d{1,2}):(\d\d)(?::\d\d)?")
POSITION: Final = "vp"


class Session:
    """Decodes messages one by one; the topic tells the vehicle, also on deadruns."""

    def __init__(self, settings: Settings, peer: Peer) -> None:
        self._zone = times.zone_of(str(settings["zone"]))
        self._fields = rules.read(HERE / "mapping.toml", "UTC")
        self._read_time = times.reader("auto", "UTC")

    def start(self, now: int) -> Received:
        """Give nothing: the host subscribes."""
        return Received()

    def tick(self, now: int) -> Received:
        """Give nothing: no message waits for another."""
        return Received()

    def receive(self, packet: bytes, seen_at: int, origin: str = "") -> Received:
        """Decode a payload that came by the topic ``origin``; without one ``{"topic", "payload"}`` or a line of a recording."""
        topic, body = unpacked(packet, origin)
        event, payload = _event(body, topic)
        told = levels(topic)
        message = {"name": event, **told, **{k: v for k, v in payload.items() if k != "name"}}
        word = words().get(event)
        if word is None and event != POSITION:
            return Received(message={**message, "event": event, "name": "unknown"})
        start_at, trip = self._trip(payload)
        if start_at is not None:
            message["start_at"] = start_at
        stop = told.get("next_stop")
        parts = {"vehicle": _vehicle(payload, told), "event": word, "trip": trip, "next_stop": None if stop == "EOL" else stop}
        fields = self._fields["bus_position" if word is None else "bus_event"]
        return Received(message=message, readings=(fields.reading(fields.values(payload, parts), seen_at),))

    def _trip(self, payload: dict[str, Any]) -> tuple[str | None, str | None]:
        """Give when the trip starts, and its id: route, direction, operating day, and start on that day's own clock.

        An operating day ends in the small hours: a start of 25:10, or of 01:10 told in the night after, is the next morning.
        """
        route, way, day, start = (payload.get(key) for key in ("route", "dir", "oday", "start"))
        found = START.fullmatch(start) if isinstance(start, str) else None
        if found is None or not isinstance(day, str) or not isinstance(route, str) or not isinstance(way, str | int):
            return None, None
        hours, minutes = int(found[1]), int(found[2])
        try:
            midnight = datetime.combine(date.fromisoformat(day), time.min, self._zone)
            since = self._read_time(payload.get("tst") or payload.get("tsi")) - int(midnight.timestamp()) * 1_000_000
            if hours < 24 and abs(since - _clock(hours + 24, minutes)) < abs(since - _clock(hours, minutes)):
                hours += 24
            starts = midnight + timedelta(hours=hours, minutes=minutes)
        except (ValueError, OverflowError):
            return None, None
        return starts.isoformat(), f"{route}/{way}/{day}/{hours:02d}:{minutes:02d}"


def unpacked(packet: bytes, origin: str) -> tuple[str, Any]:
    """Give topic and payload of a packet; one that came by a topic brings no other, else a bus could speak as another."""
    if TOPIC.fullmatch(origin):
        return origin, document(packet)
    line = RECORDING.match(packet) if packet[:1] in b"/0123456789" else None
    if line:
        return line[1].decode("utf-8", "replace"), document(line[2])
    body = document(packet)
    if isinstance(body, dict) and isinstance(body.get("topic"), str) and isinstance(body.get("payload"), dict):
        return body["topic"], body["payload"]
    return origin, body


def levels(topic: str) -> dict[str, Any]:
    """Give the named levels of a topic; nothing where it is none of HFP."""
    found = TOPIC.fullmatch(topic)
    if found is None:
        return {}
    journey, temporal, event, mode, operator, number, rest = found.groups()
    named = {
        "journey_type": journey,
        "temporal_type": temporal,
        "event_type": event,
        "transport_mode": mode,
        "operator_id": operator,
        "vehicle_number": number,
    }
    split = (rest or "").split("/")
    if len(split) >= len(LEVELS):
        named |= {name: level for name, level in zip(LEVELS, split, strict=False) if level}
        geohash = "/".join(split[len(LEVELS) : len(LEVELS) + 4])
        return named | ({"geohash": geohash} if geohash.strip("/") else {})
    return named


@cache
def words() -> dict[str, str]:
    """Give the word of bus_event by event type."""
    return msgspec.toml.decode((HERE / "events.toml").read_bytes(), type=dict[str, str])


def _event(body: Any, topic: str) -> tuple[str, dict[str, Any]]:
    """Give event type and fields: a payload has one key, the event; one that is flat is of the topic's event."""
    if isinstance(body, dict) and len(body) == 1:
        event, payload = next(iter(body.items()))
        if isinstance(payload, dict):
            return event.lower(), payload
    found = TOPIC.fullmatch(topic)
    if isinstance(body, dict) and found is not None:
        return found[3], body
    raise Reject("bad_frame", 'payload is no object of one event, such as {"VP": {...}}')


def _vehicle(payload: dict[str, Any], told: dict[str, Any]) -> str | None:
    """Name the vehicle by its owner and number, as the topic does; without a topic by those of the payload."""
    if told:
        return f"{told['operator_id']}/{told['vehicle_number']}"
    operator, number = payload.get("oper"), payload.get("veh")
    if not isinstance(number, int) or isinstance(number, bool):
        return None
    return f"{operator:04d}/{number:05d}" if isinstance(operator, int) else f"{number:05d}"


def _clock(hours: int, minutes: int) -> int:
    return (hours * 3600 + minutes * 60) * 1_000_000
