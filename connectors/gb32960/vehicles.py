"""Vehicles by VIN: their source, the kind of their positions, their plate, and who may report."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from connectors._api import Settings
from schemas.errors import Fatal

POSITIONS: Final = ("", "bus_position", "taxi_position")


class Vehicle(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An entry of the setting ``vehicles``; what is left out is the VIN, the default kind, no plate."""

    source: str = ""
    kind: str | None = None
    plate: str | None = None


class Vehicles:
    """What the settings say of vehicles."""

    def __init__(self, settings: Settings) -> None:
        self._known = {str(vin): _vehicle(str(vin), table) for vin, table in settings["vehicles"].items()}
        self._registered = tuple(map(str, settings["registered"]))
        self._default = Vehicle(kind=settings["default_kind"])

    def admits(self, vin: str) -> bool:
        """Tell whether the setting ``registered`` admits a vehicle."""
        return not self._registered or vin.startswith(self._registered)

    def of(self, vin: str) -> tuple[str, str, str | None]:
        """Give a vehicle's source, the kind of its positions (empty: none) and its plate."""
        vehicle = self._known.get(vin, self._default)
        kind = self._default.kind if vehicle.kind is None else vehicle.kind
        return vehicle.source or vin, kind or "", vehicle.plate


def _vehicle(vin: str, table: Any) -> Vehicle:
    where = f"gb32960: setting 'vehicles', VIN {vin}"
    try:
        vehicle = msgspec.convert(table, Vehicle)
    except msgspec.ValidationError as error:
        msg = f"{where}: {error}; an entry is {{source, kind, plate}}, each optional"
        raise Fatal(msg) from error
    if vehicle.kind not in (None, *POSITIONS):
        msg = f"{where}: kind must be one of {', '.join(filter(None, POSITIONS))} or empty, not {vehicle.kind!r}"
        raise Fatal(msg)
    return vehicle
