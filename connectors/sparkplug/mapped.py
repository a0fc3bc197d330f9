"""Metrics to readings: by points that name single metrics, the others by the profile's rules."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final
from zlib import crc32

import msgspec

from connectors._api import Mapping, Settings, points, rules
from connectors._api.mapping import read as read_mapping
from connectors._api.points import Convert, Point
from connectors._api.rules import Fields
from connectors.sparkplug.metrics import Metric
from connectors.sparkplug.topics import Topic
from schemas.errors import Fatal, Reject
from schemas.kinds import kind as kind_by_name
from schemas.reading import Reading

HERE: Final = Path(__file__).resolve().parent
Found = dict[tuple[str, str, int, str], tuple[int, dict[str, Any]]]
"""Values by source, kind, time and quality, with the serial of the first metric."""
Rest = dict[tuple[int, str], dict[str, Any]]
"""Values of metrics that no point names, by time and quality."""


class Bound(msgspec.Struct, frozen=True):
    """A point, and what turns a value into its field."""

    point: Point
    convert: Convert


class Mapped:
    """The points and the profile of one instance."""

    def __init__(self, settings: Settings, kinds: Iterable[str], where: str) -> None:
        self._mapping: Mapping = read_mapping(HERE / "mapping.toml")
        self._points: dict[str, dict[str, Bound]] = {}
        filed = points.from_file(settings["points_file"], f"{where}: setting 'points_file'")
        for name, row in {**filed, **settings["points"]}.items():
            self._bind(name, row, f"{where}: point {name!r}")
        self._fields = [(fields, _names(fields)) for fields in _profile(str(settings["profile"]), set(kinds), where)]

    def _bind(self, name: str, row: Any, where: str) -> None:
        place, colon, metric = name.partition(":")
        try:
            point = msgspec.convert(row, Point)
        except msgspec.ValidationError as error:
            msg = f"{where}: {error}; give source, kind and field"
            raise Fatal(msg) from error
        if not colon or place.count("/") not in (1, 2):
            msg = f'{where}: write "group/node:metric" or "group/node/device:metric"'
            raise Fatal(msg)
        self._points.setdefault(place, {})[metric] = Bound(point, points.converter(point, self._mapping, where))

    def readings(self, topic: Topic, metrics: list[Metric], seen_at: int) -> tuple[list[Reading], list[Reject]]:
        """Give the readings of a message's metrics, and a reject for each that cannot be read.

        Metrics of one source, kind, time and quality are one reading; its serial stands for the first of them, so that
        a good and a bad metric of one time are told apart. A bad value is absent, a null one is left out.
        """
        own = self._points.get(topic.source)
        found: Found = {}
        rest: Rest = {}
        rejects: list[Reject] = []
        for metric in metrics:
            value = None if metric.quality == "bad" else metric.value
            if value is None and not metric.quality:
                continue
            bound = own.get(metric.name) if own else None
            if bound is None:
                rest.setdefault((metric.ts, metric.quality), {})[metric.name] = value
                continue
            try:
                self._place(bound, metric, value, found)
            except Reject as reject:
                rejects.append(Reject(reject.reason, f"point {topic.source}:{metric.name}: {reject.detail}"))
        made = [self._reading(key, serial, values, seen_at) for key, (serial, values) in found.items()]
        return made + self._by_profile(topic, rest, seen_at, rejects), rejects

    def _place(self, bound: Bound, metric: Metric, value: Any, found: Found) -> None:
        point = bound.point
        converted = _converted(value, bound)
        key = (point.source, point.kind, metric.ts, metric.quality)
        _, values = found.setdefault(key, (crc32(metric.name.encode()), {}))
        values[point.field] = converted

    def _reading(self, key: tuple[str, str, int, str], serial: int, values: dict[str, Any], seen_at: int) -> Reading:
        source, kind, ts, quality = key
        return self._mapping.reading(kind, values, source=source, ts=ts, seen_at=seen_at, serial=serial, flag=quality or None)

    def _by_profile(self, topic: Topic, rest: Rest, seen_at: int, rejects: list[Reject]) -> list[Reading]:
        made = []
        parts = {"group": topic.group, "node": topic.node, "device": topic.device, "source": topic.source}
        for (ts, quality), record in rest.items():
            for fields, names in self._fields:
                first = next((name for name in record if name in names), None)
                if first is None:
                    continue
                try:
                    values = fields.values(record, parts)
                    values.setdefault("source", topic.source)
                    values.setdefault("ts", ts)
                    values.setdefault("serial", crc32(first.encode()))
                    if quality:
                        values["flag"] = quality
                    made.append(fields.reading(values, seen_at))
                except Reject as reject:
                    rejects.append(Reject(reject.reason, f"{topic.source}: {reject.detail}"))
        return made


def stale(told: Iterable[tuple[str, str]], ts: int, seen_at: int) -> list[Reading]:
    """Give a reading without values, flagged ``stale``, for each kind and source."""
    fields: dict[str, Any] = {"ts": ts, "seen_at": seen_at, "flag": "stale"}
    return [kind_by_name(kind)(source=source, **fields) for kind, source in sorted(told)]


def _converted(value: Any, bound: Bound) -> Any:
    if value is None:
        return None
    if isinstance(value, str) and bound.point.values:
        return bound.point.values.get(value)
    if not isinstance(value, int | float):
        raise Reject("bad_field", f"{str(value)[:40]!r} is no single number, and 'values' has no texts")
    return bound.convert(int(value) if isinstance(value, bool) else value)


def _names(fields: Fields) -> frozenset[str]:
    """Give the metrics that a kind's rules read."""
    found: set[str] = set()
    for rule in fields.rules.values():
        found.update(rule.join, [rule.from_] if isinstance(rule.from_, str) else rule.from_)
    return frozenset(name for name in found if name and not name.startswith(rules.PART))


def _profile(name: str, kinds: set[str], where: str) -> list[Fields]:
    """Give the rules of a built-in profile or ``.toml`` file; ``Fatal`` says what is wrong with it."""
    if not name:
        return []
    built_in = {file.stem: file for file in sorted((HERE / "profiles").glob("*.toml"))}
    if name not in built_in and not name.endswith(".toml"):
        msg = f"{where}: no profile {name!r}; built in: {', '.join(built_in)}; or give the path of a .toml file"
        raise Fatal(msg)
    found = rules.read(built_in.get(name, Path(name)), "UTC")
    if foreign := sorted(set(found) - kinds):
        msg = f"{where}: profile {name}: kind {foreign[0]!r} is none that this connector declares: {', '.join(sorted(kinds))}"
        raise Fatal(msg)
    return list(found.values())
