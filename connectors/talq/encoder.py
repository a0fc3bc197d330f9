"""A gateway's requests built from fields, for the simulator and tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import msgspec

from connectors._api.session import iso


def level(value: int) -> dict[str, Any]:
    """Give a level state, %."""
    return {"name": "LevelState", "value": value}


def attribute(kind: str, value: Any, ts: int | None = None) -> dict[str, Any]:
    """Give an attribute of that type, such as ``AttributeFloat``; ``ts`` is when it was measured, µs UTC."""
    return {"type": kind, "value": value, **({} if ts is None else {"timestamp": iso(ts)})}


def measured(source: str, name: str, value: Mapping[str, Any], ts: int) -> dict[str, Any]:
    """Give the log entry of an attribute; ``source`` is a device's address, or with ``/`` a function of it."""
    return _entry("AttributeLogData", source, ts, {"attributeName": name, "attributeValue": dict(value)})


def event(source: str, name: str, ts: int, *, begins: bool | None = None) -> dict[str, Any]:
    """Give the log entry of an event that begins or ends, or only happened."""
    return _entry("EventLogData", source, ts, {"eventType": name} | ({} if begins is None else {"startEndFlag": begins}))


def state_change(source: str, command: int, ts: int, state: int | None = None) -> dict[str, Any]:
    """Give the log entry of a change of light: the level commanded, and the level that is, %."""
    parts: dict[str, Any] = {"eventType": "lightStateChange", "command": {"state": level(command), "reason": "override"}}
    return _entry("StateChangeEventLogData", source, ts, parts | ({} if state is None else {"state": level(state)}))


def _entry(kind: str, source: str, ts: int, parts: Mapping[str, Any]) -> dict[str, Any]:
    return {"cmsRefId": "", "data": {"type": kind, "srcAddress": source, "timestamp": iso(ts), **parts}}


def device(address: str, name: str, functions: Sequence[Mapping[str, Any]], class_name: str = "Lamp") -> dict[str, Any]:
    """Give a device."""
    return {"address": address, "name": name, "class": class_name, "functions": list(functions)}


def placed(lon: float, lat: float) -> dict[str, Any]:
    """Give the location sensor of a device that stands there, WGS-84 degrees."""
    where = attribute("AttributeLocation", {"latitude": lat, "longitude": lon})
    return {"id": "LocationSensor", "type": "LocationSensorFunction", "location": where}


class Gateway:
    """Gives request line and body of each request, each with a request id of its own."""

    def __init__(self, address: UUID, logger: str) -> None:
        self._address = address
        self._logger = logger
        self._count = 0

    def request(self, line: str, body: Any = None) -> tuple[str, bytes]:
        """Give any request, such as ``PUT /devices``."""
        method, _, path = line.partition(" ")
        self._count += 1
        query = {"clientAddress": str(self._address)}
        if method != "GET":
            query["talqRequestId"] = str(UUID(int=self._address.int ^ self._count))
        return f"{method} {path}?{urlencode(query)}", b"" if body is None else msgspec.json.encode(body)

    def log_report(self, entries: Sequence[Mapping[str, Any]]) -> tuple[str, bytes]:
        """Give a log report."""
        return self.request("POST /log-reports", {"address": self._logger, "entries": list(entries)})

    def announce(self, devices: Sequence[Mapping[str, Any]]) -> tuple[str, bytes]:
        """Give the announcement of new devices."""
        return self.request("POST /devices", list(devices))


def packet(line: str, body: bytes) -> bytes:
    """Give request line and body as one JSON document, as ``cityops decode talq --text`` takes it."""
    return msgspec.json.encode({"request": line, "body": msgspec.Raw(body or b"null")})
