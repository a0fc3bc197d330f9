"""Log entries to readings: attributes by the mapping, events as standing faults, state changes as light."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final
from zlib import crc32

import msgspec

from connectors._api import rules, times
from connectors._api.rules import Fields
from connectors.talq.register import Known, Register
from schemas.errors import Reject
from schemas.kinds.lighting import Streetlight
from schemas.reading import Reading

HERE: Final = Path(__file__).resolve().parent
FAULTS: Final[list[str]] = msgspec.toml.decode((HERE / "faults.toml").read_bytes())["faults"]
GRAVITY: Final = {fault: number for number, fault in enumerate(FAULTS)}
KILO: Final = frozenset({"totalPower"})
"""Attributes in kilowatts of which the lamp's own counterpart is in watts."""
MOST_SOURCES: Final = 200_000
MOST_ENTRIES: Final = 100_000


class Seen(msgspec.Struct, frozen=True):
    """What one entry says: an attribute's value (of a function type), or a fault that begins, ends, or only happened."""

    device: str
    function: str
    ts: int
    type: str
    name: str
    value: Any


class Logs:
    """Turns entries of log reports into streetlight readings; remembers which faults stand."""

    def __init__(self, register: Register, *, by_function: bool) -> None:
        self._register = register
        self._by_function = by_function
        self._fields: Fields = rules.read(HERE / "mapping.toml", "UTC")["streetlight"]
        self._owners = _owners(self._fields)
        self._time = times.reader("iso", "UTC")
        self._standing: OrderedDict[str, dict[str, tuple[int, bool]]] = OrderedDict()

    def readings(self, entries: Iterable[Any], seen_at: int) -> tuple[list[Reading], list[Reject]]:
        """Give the readings of a report's entries: those of one function and one time are one, in order of coming."""
        groups: dict[tuple[str, str, int], list[Seen]] = {}
        rejects: list[Reject] = []
        for number, entry in enumerate(entries):
            try:
                for seen in self._entry(entry, seen_at):
                    groups.setdefault((seen.device, seen.function, seen.ts), []).append(seen)
            except Reject as reject:
                rejects.append(Reject(reject.reason, f"entry {number}: {reject.detail}", msgspec.json.encode(entry)))
        return self._grouped(groups.values(), seen_at, rejects), rejects

    def _grouped(self, groups: Iterable[list[Seen]], seen_at: int, rejects: list[Reject]) -> list[Reading]:
        found: list[Reading] = []
        for group in groups:
            try:
                reading = self._reading(group, seen_at)
            except Reject as reject:
                rejects.append(reject)
            else:
                found += [reading] if reading is not None else []
        return found

    def of_device(self, device: dict[str, Any], known: Known, seen_at: int) -> tuple[list[Reading], list[Reject]]:
        """Give where an announced device stands, and the measurements with a time that its document brings."""
        address = device["address"]
        groups: dict[tuple[str, str, int], list[Seen]] = {}
        rejects: list[Reject] = []
        for function in device.get("functions") or []:
            for name, attribute in function.items() if isinstance(function, dict) else ():
                if not isinstance(attribute, dict) or "timestamp" not in attribute:
                    continue
                try:
                    ts = self._at(attribute["timestamp"])
                except Reject as reject:
                    rejects.append(Reject(reject.reason, f"device {address}: {name}: {reject.detail}"))
                    continue
                key = address, str(function.get("id")), ts
                groups.setdefault(key, []).append(Seen(*key, str(function.get("type")), name, attribute.get("value")))
        here = []
        if known.place is not None:
            lon, lat = known.place
            here = [Streetlight(source=address, ts=seen_at, seen_at=seen_at, lon=lon, lat=lat, fault=self._fault(address))]
        return here + self._grouped(groups.values(), seen_at, rejects), rejects

    def _entry(self, entry: Any, seen_at: int) -> Iterator[Seen]:
        data = entry.get("data") if isinstance(entry, dict) else None
        if not isinstance(data, dict) or not isinstance(data.get("srcAddress"), str) or not data["srcAddress"]:
            raise Reject("missing_field", "data.srcAddress is absent")
        device, _, function = data["srcAddress"].partition("/")
        ts = self._at(data["timestamp"]) if data.get("timestamp") else seen_at
        match data.get("type"):
            case "AttributeLogData":
                yield self._attribute(data, device, function, ts)
            case "EventLogData":
                yield self._event(data, device, function, ts)
            case "StateChangeEventLogData":
                for name, key in (("actualLightState", "state"), ("targetLightCommand", "command")):
                    if data.get(key) is not None:
                        yield Seen(device, function, ts, "LampActuatorFunction", name, data[key])
            case other:
                raise Reject("bad_field", f"data.type {str(other)[:40]!r} is no log data of TALQ")

    def _attribute(self, data: dict[str, Any], device: str, function: str, ts: int) -> Seen:
        name, attribute = data.get("attributeName"), data.get("attributeValue")
        if not isinstance(name, str) or not isinstance(attribute, dict):
            raise Reject("missing_field", "data.attributeName or data.attributeValue is absent")
        if attribute.get("timestamp"):
            ts = self._at(attribute["timestamp"])
        kind = self._register.type_of(device, function) or self._owners.get(name, "")
        return Seen(device, function, ts, kind, name, attribute.get("value"))

    def _event(self, data: dict[str, Any], device: str, function: str, ts: int) -> Seen:
        name, flag = data.get("eventType"), data.get("startEndFlag")
        if not isinstance(name, str):
            raise Reject("missing_field", "data.eventType is absent")
        if isinstance(flag, str) and flag.lower() in ("true", "false"):
            flag = flag.lower() == "true"
        if flag is not None and not isinstance(flag, bool):
            raise Reject("bad_field", f"data.startEndFlag {str(flag)[:40]!r} is neither true nor false")
        return Seen(device, function, ts, "", name, "once" if flag is None else flag)

    def _at(self, text: Any) -> int:
        try:
            return self._time(text)
        except (ValueError, OverflowError):
            raise Reject("bad_field", f"{str(text)[:40]!r} is no time as RFC 3339 has it") from None

    def _reading(self, group: list[Seen], seen_at: int) -> Reading | None:
        first = group[0]
        source = f"{first.device}/{first.function}" if self._by_function and first.function else first.device
        record: dict[str, dict[str, Any]] = {}
        changed, once = False, None
        for seen in group:
            if seen.name not in GRAVITY:
                record.setdefault(seen.type, {})[seen.name] = _plain(seen)
            elif seen.value == "once":
                once = seen.name
            elif isinstance(seen.value, bool):
                self._stand(source, seen)
                changed = True
        values = self._fields.values(record)
        if not (values or changed or once):
            return None
        values |= {"source": source, "ts": first.ts, "serial": crc32(f"{first.function}/{first.name}".encode())}
        fault = self._fault(source) or once
        if fault:
            values["fault"] = fault
        known = self._register.device(first.device)
        if known is not None and known.place is not None and "lon" not in values:
            values["lon"], values["lat"] = known.place
        return self._fields.reading(values, seen_at)

    def _stand(self, source: str, seen: Seen) -> None:
        """Note that a fault begins or ends, unless a later change of it is known."""
        faults = self._standing.setdefault(source, {})
        self._standing.move_to_end(source)
        if seen.ts >= faults.get(seen.name, (0, False))[0]:
            faults[seen.name] = seen.ts, seen.value
        if len(self._standing) > MOST_SOURCES:
            self._standing.popitem(last=False)

    def _fault(self, source: str) -> str | None:
        """Name the gravest fault that stands."""
        standing = [fault for fault, (_, stands) in self._standing.get(source, {}).items() if stands]
        return min(standing, key=GRAVITY.__getitem__, default=None)


def _plain(seen: Seen) -> Any:
    """Give an attribute's value as the mapping reads it: states and commands as level and on, kilowatts also as watts."""
    value = seen.value
    if isinstance(value, dict) and isinstance(value.get("state"), dict):
        value = value["state"]
    if isinstance(value, dict) and isinstance(value.get("value"), int | float | bool):
        level = value["value"]
        return {"on": level} if isinstance(level, bool) else {"level": level, "on": level > 0}
    if seen.name in KILO and isinstance(value, int | float):
        return {"watts": value * 1000}
    return value


def _owners(fields: Fields) -> dict[str, str]:
    """Give the function type that an attribute is taken to be of where no device was announced."""
    found: dict[str, str] = {}
    for rule in fields.rules.values():
        for reference in [rule.from_] if isinstance(rule.from_, str) else rule.from_:
            kind, name, *_ = reference.split(".")
            found.setdefault(name, kind)
    return found
