"""Changes of values to readings: which node is which field of which source, as data."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any
from zlib import crc32

import msgspec

from connectors._api import Mapping, Settings, points
from connectors._api.mapping import read as read_mapping
from connectors._api.points import Convert, Point
from connectors.opcua import status
from connectors.opcua.change import Change, Moment
from schemas.errors import Fatal, Reject
from schemas.reading import Reading

Found = dict[tuple[str, str, int, str | None], tuple[int, dict[str, Any]]]
"""Values by source, kind, time and flag, with the serial of the first."""


class Bound(msgspec.Struct, frozen=True):
    """A point, what turns a value into its field, and the serial its node gives to a reading."""

    point: Point
    convert: Convert
    serial: int


class Points:
    """The points of one instance, from the setting ``points`` and the file ``points_file``."""

    def __init__(self, settings: Settings, where: str) -> None:
        self._mapping: Mapping = read_mapping(Path(__file__).parent / "mapping.toml")
        self._bound = {node: self._bind(node, row, where) for node, row in table(settings, where).items()}

    def _bind(self, node: str, row: Any, where: str) -> Bound:
        where = f"{where}: point {node!r}"
        try:
            point = msgspec.convert(row, Point)
        except msgspec.ValidationError as error:
            msg = f"{where}: {error}; give source, kind and field"
            raise Fatal(msg) from error
        return Bound(point, points.converter(point, self._mapping, where), crc32(node.encode()))

    def readings(self, changes: Iterable[tuple[Change, Moment]], seen_at: int) -> tuple[list[Reading], list[Reject]]:
        """Give the readings of a packet's changes, and a reject for each value that cannot be read.

        Changes of one source, kind, time and quality are one reading; its serial stands for the first node, so that
        a value that comes again after a lost connection is known again. The value of a bad status is absent.
        """
        found: Found = {}
        rejects: list[Reject] = []
        for change, moment in changes:
            bound = self._bound.get(change.node)
            if bound is None:
                continue
            try:
                self._place(bound, change, moment, found)
            except Reject as reject:
                rejects.append(Reject(reject.reason, f"point {change.node}: {reject.detail}"))
        return [self._reading(key, serial, values, seen_at) for key, (serial, values) in found.items()], rejects

    def _place(self, bound: Bound, change: Change, moment: Moment, found: Found) -> None:
        point, quality = bound.point, status.severity(moment.status)
        value = None if quality == "bad" else _value(change.value, bound)
        if value is None and quality != "bad":
            return
        key = (point.source, point.kind, moment.ts, None if quality == "good" else quality)
        _, values = found.setdefault(key, (bound.serial, {}))
        values[point.field] = value

    def _reading(self, key: tuple[str, str, int, str | None], serial: int, values: dict[str, Any], seen_at: int) -> Reading:
        source, kind, ts, flag = key
        return self._mapping.reading(kind, values, source=source, ts=ts, seen_at=seen_at, serial=serial, flag=flag)


def table(settings: Settings, where: str) -> dict[str, Any]:
    """Give the table of points by node; where file and setting name one, the setting decides."""
    return {**points.from_file(settings["points_file"], f"{where}: setting 'points_file'"), **settings["points"]}


def _value(value: Any, bound: Bound) -> Any:
    if value is None:
        return None
    if isinstance(value, str) and bound.point.values:
        return bound.point.values.get(value)
    if not isinstance(value, int | float):
        raise Reject("bad_field", f"{str(value)[:40]!r} is no single number, and 'values' has no texts")
    try:
        return bound.convert(int(value) if isinstance(value, bool) else value)
    except OverflowError:
        raise Reject("bad_field", f"{str(value)[:40]} is beyond any number of {bound.point.field}") from None
