"""Devices and device classes that gateways have announced: what type a function is of, and where a device stands."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final

import msgspec

MOST_DEVICES: Final = 200_000
MOST_BYTES: Final = 128_000_000
"""Of the documents of all devices; beyond these the one longest untouched is forgotten."""
MOST_CLASSES: Final = 10_000
LOCATIONS: Final = (
    ("LocationSensorFunction", "location"),
    ("LocationSensorFunction", "expectedLocation"),
    ("BasicFunction", "location"),
)
"""Where a device says where it stands, best first."""


class Known(msgspec.Struct, frozen=True):
    """What is kept of a device: its document, its class, the types of its functions, longitude and latitude in degrees."""

    document: bytes
    class_name: str
    types: dict[str, str]
    place: tuple[float, float] | None


class Register:
    """All devices and classes of one session, bounded."""

    def __init__(self) -> None:
        self._devices: OrderedDict[str, Known] = OrderedDict()
        self._classes: OrderedDict[str, tuple[bytes, dict[str, str]]] = OrderedDict()
        self._bytes = 0

    def device(self, address: str) -> Known | None:
        """Give what is known of a device."""
        return self._devices.get(address)

    def documents(self, classes: list[str] | None = None) -> list[bytes]:
        """Give the documents of all devices, or of those of some classes."""
        return [known.document for known in self._devices.values() if not classes or known.class_name in classes]

    def put_device(self, device: dict[str, Any]) -> Known:
        """Keep a device, in place of what was known of it."""
        functions = [f for f in device.get("functions") or [] if isinstance(f, dict)]
        types = {str(f.get("id")): str(f.get("type")) for f in functions}
        known = Known(msgspec.json.encode(device), str(device["class"]), types, _place(functions))
        self.drop_device(device["address"])
        self._devices[device["address"]] = known
        self._bytes += len(known.document)
        while len(self._devices) > MOST_DEVICES or (self._bytes > MOST_BYTES and len(self._devices) > 1):
            self.drop_device(next(iter(self._devices)))
        return known

    def drop_device(self, address: str) -> Known | None:
        """Forget a device; gives what was known of it."""
        known = self._devices.pop(address, None)
        if known is not None:
            self._bytes -= len(known.document)
        return known

    def class_document(self, name: str) -> bytes | None:
        """Give the document of a device class."""
        found = self._classes.get(name)
        return None if found is None else found[0]

    def put_class(self, described: dict[str, Any]) -> None:
        """Keep a device class, in place of what was known of it."""
        functions = [f for f in described.get("functions") or [] if isinstance(f, dict)]
        types = {str(f.get("functionId")): str(f.get("type")) for f in functions}
        self._classes.pop(described["name"], None)
        self._classes[described["name"]] = msgspec.json.encode(described), types
        if len(self._classes) > MOST_CLASSES:
            self._classes.popitem(last=False)

    def drop_class(self, name: str) -> bytes | None:
        """Forget a device class; gives its document."""
        found = self._classes.pop(name, None)
        return None if found is None else found[0]

    def type_of(self, address: str, function: str) -> str:
        """Give the type of a device's function, empty where neither device nor class was announced."""
        known = self._devices.get(address)
        if known is None:
            return ""
        own = self._classes.get(known.class_name)
        return known.types.get(function) or ("" if own is None else own[1].get(function, ""))


def merged(old: Any, changes: dict[str, Any]) -> dict[str, Any]:
    """Lay a partial update over a device: its functions are matched by id, all else is replaced."""
    made = {**old, **changes}
    if isinstance(changes.get("functions"), list):
        functions = {f.get("id"): f for f in old.get("functions") or [] if isinstance(f, dict)}
        for one in changes["functions"]:
            if isinstance(one, dict):
                functions[one.get("id")] = {**functions.get(one.get("id"), {}), **one}
        made["functions"] = list(functions.values())
    return made


def _place(functions: list[dict[str, Any]]) -> tuple[float, float] | None:
    for kind, attribute in LOCATIONS:
        for function in functions:
            found = function.get(attribute) if function.get("type") == kind else None
            point = found.get("value") if isinstance(found, dict) else None
            if isinstance(point, dict) and all(isinstance(point.get(k), int | float) for k in ("longitude", "latitude")):
                lon, lat = float(point["longitude"]), float(point["latitude"])
                if -180 <= lon <= 180 and -90 <= lat <= 90 and (lon, lat) != (0, 0):
                    return lon, lat
    return None
