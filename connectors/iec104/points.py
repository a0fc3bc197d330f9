"""Information objects to readings: which object is which field of which source, as data."""

from __future__ import annotations

from collections.abc import Mapping as Table
from pathlib import Path
from typing import Any, Final

import msgspec

from connectors._api import Mapping, Settings, points
from connectors._api.mapping import read as read_mapping
from connectors._api.points import Convert, Point
from connectors.iec104 import times
from schemas.errors import Fatal, Reject
from schemas.reading import Reading

MONITORED: Final = range(1, 41)
"""Types of process information in monitor direction."""
DOUBLE: Final = frozenset({3, 4, 17, 31, 38})
"""Types whose value is a double-point state: 1 is off, 2 is on, 0 and 3 are neither."""
FLAGS: Final = {
    "iv": "invalid",
    "nt": "not_topical",
    "sb": "substituted",
    "bl": "blocked",
    "ov": "overflow",
    "ei": "elapsed_time_invalid",
}
"""Quality bits as a reading's flag names them, gravest first."""
FLAG_LENGTH: Final = 32
"""Room for names in a reading's flag; the gravest are kept."""

Found = dict[tuple[str, str, int, str | None], tuple[int, dict[str, Any]]]
"""Values by source, kind, time and flag, with the address of the first."""


class Bound(msgspec.Struct, frozen=True):
    """A point, the bit of the object it is (else its whole value), and what turns that into the field."""

    point: Point
    bit: int | None
    convert: Convert


class Points:
    """The points of one instance, from the setting ``points`` and the file ``points_file``."""

    def __init__(self, settings: Settings, where: str) -> None:
        self._mapping: Mapping = read_mapping(Path(__file__).parent / "mapping.toml")
        self._zone = times.zone(settings["time_zone"])
        self._points: dict[tuple[int, int], list[Bound]] = {}
        filed = points.from_file(settings["points_file"], f"{where}: setting 'points_file'")
        for address, row in {**filed, **settings["points"]}.items():
            self._bind(address, row, f"{where}: point {address!r}")

    @property
    def addresses(self) -> list[int]:
        """The common addresses that have points."""
        return sorted({ca for ca, _ in self._points})

    def _bind(self, address: str, row: Any, where: str) -> None:
        try:
            ca, ioa, *bit = (int(part) for part in address.split(":"))
            point = msgspec.convert(row, Point)
        except (msgspec.ValidationError, ValueError) as error:
            msg = f'{where}: {error}; give "ca:ioa" or "ca:ioa:bit" with source, kind and field'
            raise Fatal(msg) from error
        bound = Bound(point, bit[0] if bit else None, points.converter(point, self._mapping, where))
        self._points.setdefault((ca, ioa), []).append(bound)

    def readings(self, fields: dict[str, Any], seen_at: int) -> tuple[list[Reading], list[Reject]]:
        """Give the readings of an ASDU, and a reject for each point that cannot be read.

        Points of one source, kind, time and quality are one reading; its serial is the address of the first,
        so that an event sent again after a lost connection is known again. Test messages give nothing.
        """
        if not self._points or fields["type_id"] not in MONITORED or fields["test"] or fields["negative"]:
            return [], []
        ca = fields["ca"]
        double = fields["type_id"] in DOUBLE
        found: Found = {}
        rejects: list[Reject] = []
        for one in fields.get("objects", ()):
            for bound in self._points.get((ca, one["ioa"]), ()):
                try:
                    self._place(bound, one, seen_at, ca << 24 | one["ioa"], found, double=double)
                except Reject as reject:
                    rejects.append(Reject(reject.reason, f"point {ca}:{one['ioa']}: {reject.detail}"))
        return [self._reading(key, serial, values, seen_at) for key, (serial, values) in found.items()], rejects

    def _place(self, bound: Bound, one: Table[str, Any], seen_at: int, serial: int, found: Found, *, double: bool) -> None:
        ts, flags = self._time(one, seen_at)
        value = _value(one["value"], bound, double=double)
        names = [FLAGS[bit] for bit in one.get("quality", ())] + flags
        if value is None:
            names.append("indeterminate")
        point = bound.point
        _, values = found.setdefault((point.source, point.kind, ts, _flag(names)), (serial, {}))
        values[point.field] = value

    def _time(self, one: Table[str, Any], seen_at: int) -> tuple[int, list[str]]:
        """Give when an object was measured: its own time, or its arrival where it has none or an invalid one."""
        clock = one.get("time")
        if clock is None:
            return seen_at, []
        if "iv" in one["time_quality"]:
            return seen_at, ["time_invalid"]
        if len(clock) < 10:
            return times.within_hour(clock, seen_at), []
        return times.instant(clock, self._zone, summer="su" in one["time_quality"]), []

    def _reading(self, key: tuple[str, str, int, str | None], serial: int, values: dict[str, Any], seen_at: int) -> Reading:
        source, kind, ts, flag = key
        return self._mapping.reading(kind, values, source=source, ts=ts, seen_at=seen_at, serial=serial, flag=flag)


def _value(value: Any, bound: Bound, *, double: bool) -> Any:
    if bound.bit is not None and isinstance(value, int):
        value = value >> bound.bit & 1
    elif double and not bound.point.values:
        if value not in (1, 2):
            return None
        value -= 1
    return bound.convert(value)


def _flag(names: list[str]) -> str | None:
    """Give the flag of a value: nothing where it is good."""
    text = ""
    for name in names:
        longer = f"{text},{name}" if text else name
        if len(longer) > FLAG_LENGTH:
            break
        text = longer
    return text or None
