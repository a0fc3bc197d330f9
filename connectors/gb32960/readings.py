"""Readings of one record: the battery, the position, and the alarms that changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from connectors._api import Reading
from connectors._api.coordinates import Crs, to_wgs84
from connectors._api.episodes import Episodes
from connectors._api.mapping import read as read_mapping

FOLDER: Final = Path(__file__).parent
CODES: Final = msgspec.toml.decode((FOLDER / "alarms.toml").read_bytes(), type=dict[int, str], strict=False)
"""Alarm codes by bit."""
EDITION_BITS: Final = {"2016": (1 << 19) - 1, "2025": (1 << 28) - 1}
"""Alarm bits that an edition's table has; others are reserved."""
INVALID, SOUTH, WEST = 1, 2, 4
"""Bits of the position's status."""
COORDINATES: Final[Mapping[int, Crs]] = {1: "wgs84", 2: "gcj02"}
"""Coordinate systems a position of the 2025 edition names."""
LEVEL_MAX: Final = 10
"""Highest level the kind holds."""
BATTERY: Final = "ev_battery"
EPISODE: Final = "vehicle_alarm_episode"

Values = Mapping[str, Any]


class Readings:
    """Makes readings of records, and compares which alarms stand."""

    def __init__(self, crs: Crs) -> None:
        self._mapping = read_mapping(FOLDER / "mapping.toml")
        self.episodes = Episodes(CODES)
        self._crs = crs

    def of(self, message: Values, kind: str, **base: Any) -> list[Reading]:
        """Give the readings of a decoded record; ``base`` fills source, ts and seen_at, ``plate`` what has one."""
        plate = base.pop("plate", None)
        vehicle, alarm = message.get("vehicle", {}), message.get("alarm", {})
        fields = {**vehicle, **extremes(message), **alarm}
        place = self.place(message.get("position", {}))
        here = {name: place[name] for name in ("lon", "lat") if name in place}
        found: list[Reading] = []
        if vehicle or alarm or not fields.keys().isdisjoint(EXTREMES):
            found.append(self._mapping.reading(BATTERY, fields, **base, **here))
        if kind and place:
            found.append(self._mapping.reading(kind, vehicle, **base, **place, plate=plate))
        if "flags" in alarm:
            flags = alarm["flags"] & EDITION_BITS[message["edition"]]
            found += [
                self._mapping.reading(
                    EPISODE,
                    vehicle,
                    **base,
                    **here,
                    plate=plate,
                    code=edge.code,
                    phase=edge.phase,
                    started_at=edge.started_at,
                    level=level(alarm, edge.code) if edge.phase == "rise" else None,
                )
                for edge in self.episodes.observe(base["source"], base["ts"], flags, base["seen_at"])
            ]
        return found

    def place(self, position: Values) -> dict[str, Any]:
        """Give where the vehicle is in WGS-84, with the raw pair where it was sent otherwise; nothing without a fix."""
        lon, lat = position.get("longitude"), position.get("latitude")
        if lon is None or lat is None or position["status"] & INVALID or (not lon and not lat):
            return {}
        lon = -lon if position["status"] & WEST else lon
        lat = -lat if position["status"] & SOUTH else lat
        crs = COORDINATES.get(position.get("coordinate_system", 0), self._crs)
        if crs == "wgs84":
            return {"lon": lon, "lat": lat}
        wgs_lon, wgs_lat = to_wgs84(lon, lat, crs)
        return {"lon": wgs_lon, "lat": wgs_lat, "raw_lon": lon, "raw_lat": lat, "raw_crs": crs}


EXTREMES: Final = ("max_cell_voltage", "min_cell_voltage", "max_temperature", "min_temperature")


def extremes(message: Values) -> dict[str, Any]:
    """Give the extremes a vehicle sends, or those of its cells and probes where it sends only these."""
    sent = message.get("extremes", {})
    found = {name: sent[name] for name in EXTREMES if name in sent}
    if len(found) == len(EXTREMES):
        return found
    cells = _all(message.get("storage_voltages", ()), "cell_voltages")
    probes = _all(message.get("storage_temperatures", ()), "temperatures")
    for name, pick, values in zip(EXTREMES, (max, min, max, min), (cells, cells, probes, probes), strict=True):
        if values:
            found.setdefault(name, pick(values))
    return found


def level(alarm: Values, code: str) -> int | None:
    """Give the level of an alarm: its own where the record lists levels (2025), else the highest; none when it is 0."""
    own: dict[int, int] = {pair >> 8: pair & 0xFF for pair in alarm.get("levels", ())}
    bit = next(bit for bit, name in CODES.items() if name == code)
    highest: int = alarm.get("max_level", 0)
    found = own.get(bit or 0, highest)
    return found if 0 < found <= LEVEL_MAX else None


def _all(groups: Iterable[Values], name: str) -> list[float]:
    return [value for group in groups for value in group.get(name, ()) if value is not None]
