"""Rules, as data, that fill a kind's fields from a JSON record - and, for simulators, a record from a kind's fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from functools import cache
from math import isfinite
from pathlib import Path as FilePath
from typing import Any, Final, get_args

import msgspec
import pyarrow as pa

from connectors._api import coordinates, times
from connectors._api.coordinates import Crs
from connectors._api.paths import Path, path
from schemas import derive
from schemas.errors import Fatal, Reject
from schemas.kinds import kind as kind_by_name
from schemas.reading import Reading

BASE: Final = ("source", "ts", "sent_at", "seen_at", "serial")
"""Fields that say whose and when; a record that has only these measured nothing."""
SYSTEMS: Final[tuple[str, ...]] = get_args(Crs)
PAIRS: Final = (("lon", "lat"), ("destination_lon", "destination_lat"))
PART: Final = "@"
"""Begins a reference to a part of the topic or envelope instead of a path in the record."""
TRUTHS: Final = {"true": True, "false": False, "1": True, "0": False}
Record = Any
"""A JSON record; what is no object has no fields."""
Parts = Mapping[str, Any]
"""What topic and envelope say beside the record: device, time and the like."""
Convert = Callable[[Any], Any]


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    """How one field is filled: ``from`` a path (of a list, the first that is there), ``join`` of several, or a fixed ``value``.

    A reference that begins with ``@`` is a part of the topic or envelope. Numbers are taken times ``scale`` plus
    ``offset``; ``bit`` takes one bit of an integer; ``values`` translates codes (others become absent); ``absent`` lists
    values that mean no data, as ``null`` and empty texts always do. ``format`` and ``zone`` are of fields that are times.
    """

    from_: str | list[str] = ""
    join: list[str] = []
    value: Any = None
    scale: float = 1.0
    offset: float = 0.0
    bit: int | None = None
    values: dict[str, Any] = {}
    absent: list[Any] = []
    format: str = "auto"
    zone: str = ""


class Fields:
    """The compiled rules of one kind; a field the kind does not have, or a rule that says nothing, raises ``Fatal``."""

    def __init__(self, kind: str, rules: Mapping[str, Rule], zone: str = "Asia/Shanghai") -> None:
        self.kind = kind
        self.rules = rules
        self.zone = zone
        self._make = kind_by_name(kind)
        self._columns = {f.name: f for f in derive.fields(kind)}
        if unknown := set(rules) - set(self._columns) or {f for f, r in rules.items() if not _says_something(r)}:
            msg = f"rules of {kind}: {sorted(unknown)[0]!r} is no field of it, or has none of 'from', 'join' and 'value'"
            raise Fatal(msg)
        self._picks = [(field, _pick(rule), self._convert(field, rule)) for field, rule in rules.items()]
        self._needed = [f.name for f in msgspec.structs.fields(self._make) if f.required and f.name != "seen_at"]
        self._measured = {f for f, rule in rules.items() if rule.value is None} - set(BASE)
        self._keeps_raw = "raw_lon" in self._columns

    def values(self, record: Record, parts: Parts = {}) -> dict[str, Any]:  # noqa: B006 - read only
        """Give the fields that the record has, in the kind's units; one that cannot be read is refused by its path."""
        found = {}
        for field, pick, convert in self._picks:
            value = pick(record, parts)
            if value is not None and value != "":
                value = convert(value)
                if value is not None:
                    found[field] = value
        return found

    def measures(self, values: Mapping[str, Any]) -> bool:
        """Tell whether there is more than whose and when it is."""
        return not self._measured.isdisjoint(values)

    def reading(self, values: dict[str, Any], seen_at: int, crs: str = "") -> Reading:
        """Give the reading; what the kind needs must be there. Without a rule for ``ts`` the time is that of arrival.

        Coordinates of the system ``crs`` become WGS-84 and stay as raw pair; without ``crs`` they are WGS-84 by standard.
        """
        if "ts" not in self.rules:
            values.setdefault("ts", seen_at)
        for name in self._needed:
            if name not in values:
                rule = self.rules.get(name)
                where = "no rule fills it" if rule is None else f"{_names(rule)} is absent, or a code without meaning"
                raise Reject("missing_field", f"{self.kind}.{name}: {where}")
        locate(values, crs or "wgs84", keeps_raw=self._keeps_raw and crs != "")
        return self._make(**values, seen_at=seen_at)

    def record(self, values: Mapping[str, Any], crs: str = "") -> tuple[Any, dict[str, Any]]:
        """Give a record, and the parts beside it, that are read as these values; what rules cannot say is left out."""
        given = unlocate(values, crs)
        record: Any = {}
        parts: dict[str, Any] = {}
        for field, rule in self.rules.items():
            if given.get(field) is None or rule.value is not None:
                continue
            references = rule.join or _alternatives(rule)[:1]
            texts = str(given[field]).split("-", len(references) - 1) if rule.join else [self._written(field, rule, given[field])]
            for reference, text in zip(references, texts, strict=False):
                if reference.startswith(PART):
                    parts[reference[1:]] = text
                elif rule.bit is not None:
                    record = path(reference).put(record, int(path(reference).one(record) or 0) | int(text))
                else:
                    record = path(reference).put(record, text)
        return record, parts

    def _written(self, field: str, rule: Rule, value: Any) -> Any:
        if rule.bit is not None:
            return int(value) << rule.bit
        if rule.values:
            code = next((code for code, meaning in rule.values.items() if meaning == value), None)
            return int(code) if code is not None and code.lstrip("-").isdecimal() else code
        if _is_time(field, self._columns[field].type):
            return times.write(value, rule.format, rule.zone or self.zone)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return value
        plain = round((value - rule.offset) / rule.scale, 9)
        return int(plain) if plain == int(plain) else plain

    def _convert(self, field: str, rule: Rule) -> Convert:
        where = f"{self.kind}.{field}: {_names(rule)}"
        inner = self._typed(field, rule, where)
        if not rule.absent:
            return inner
        absent = rule.absent
        return lambda value: None if value in absent else inner(value)

    def _typed(self, field: str, rule: Rule, where: str) -> Convert:
        column = self._columns[field].type
        if rule.bit is not None:
            bit = rule.bit
            return lambda value: bool(_whole(where, value) >> bit & 1)
        if _is_time(field, column):
            return _time(where, rule.format, rule.zone or self.zone)
        if not rule.values:
            return _plain(column, rule, where)
        try:
            meaning = _plain(column, Rule(), where)
            table = {code: meaning(value) for code, value in rule.values.items()}
        except Reject as error:
            msg = f"'values' of {error.detail}"
            raise Fatal(msg) from error
        return lambda value: table.get(str(value).lower() if isinstance(value, bool) else str(value))


def locate(values: MutableMapping[str, Any], crs: str, *, keeps_raw: bool) -> None:
    """Turn coordinates of a system into WGS-84 in place and keep the raw pair, if the kind does.

    The point 0, 0 means there is none; what lies on no globe is refused. Coordinates of any other system (``other``)
    stay as raw pair only.
    """
    for east, north in PAIRS:
        lon, lat = values.pop(east, None), values.pop(north, None)
        if lon is None or lat is None or (lon == 0 and lat == 0):
            continue
        if not (-180 <= lon <= 180 and -90 <= lat <= 90):
            raise Reject("out_of_bounds", f"{east} {lon:g} and {north} {lat:g} are no longitude and latitude")
        if keeps_raw and east == "lon":
            values["raw_lon"], values["raw_lat"], values["raw_crs"] = lon, lat, crs
        if crs in SYSTEMS:
            values[east], values[north] = coordinates.to_wgs84(lon, lat, crs)  # type: ignore[arg-type] # one of SYSTEMS


def unlocate(values: Mapping[str, Any], crs: str) -> dict[str, Any]:
    """Give the values with WGS-84 coordinates turned into the named system."""
    given = dict(values)
    for east, north in PAIRS:
        lon, lat = given.get(east), given.get(north)
        if lon is None or lat is None or crs not in ("gcj02", "bd09"):
            continue
        point = coordinates.wgs84_to_gcj02(lon, lat)
        given[east], given[north] = coordinates.gcj02_to_bd09(*point) if crs == "bd09" else point
    return given


@cache
def read(file: FilePath, zone: str = "Asia/Shanghai") -> dict[str, Fields]:
    """Read the rules of a ``mapping.toml``, a table per kind; errors raise ``Fatal``."""
    try:
        tables = msgspec.toml.decode(file.read_bytes(), type=dict[str, dict[str, Rule]])
        return {kind: Fields(kind, rules, zone) for kind, rules in tables.items()}
    except (msgspec.MsgspecError, OSError, KeyError) as error:
        msg = f"{file}: {error}"
        raise Fatal(msg) from error


def _says_something(rule: Rule) -> bool:
    return bool(rule.from_ or rule.join) != (rule.value is not None)


def _alternatives(rule: Rule) -> list[str]:
    return [rule.from_] if isinstance(rule.from_, str) else rule.from_


def _names(rule: Rule) -> str:
    return " - ".join(rule.join) if rule.join else " or ".join(_alternatives(rule))


def _reference(reference: str) -> Callable[[Record, Parts], Any]:
    if reference.startswith(PART):
        name = reference[1:]
        return lambda record, parts: parts.get(name)
    place: Path = path(reference)
    if len(place.steps) == 1 and isinstance(place.steps[0], str) and not place.is_many:
        key = place.steps[0]
        return lambda record, parts: record.get(key) if isinstance(record, dict) else None
    return lambda record, parts: place.one(record)


def _pick(rule: Rule) -> Callable[[Record, Parts], Any]:
    if rule.value is not None:
        return lambda record, parts: rule.value
    picks = [_reference(r) for r in rule.join or _alternatives(rule)]
    if len(picks) == 1:
        return picks[0]
    if not rule.join:
        return lambda record, parts: next((v for pick in picks if (v := pick(record, parts)) not in (None, "")), None)

    def joined(record: Record, parts: Parts) -> str | None:
        found = [pick(record, parts) for pick in picks]
        return None if None in found else "-".join(map(str, found))

    return joined


def _is_time(field: str, column: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(column)) or (field.endswith("_at") and column == pa.int64())


def _plain(column: pa.DataType, rule: Rule, where: str) -> Convert:
    """Give what turns a value into the column's type, scaled if it is a number."""
    if column == pa.bool_():
        return lambda value: _truth(where, value)
    if column == pa.string():
        return lambda value: _text(where, value)
    scale, offset = rule.scale, rule.offset
    if scale == 1.0 and offset == 0.0:
        return lambda value: _whole(where, value) if column == pa.int64() else _number(where, value)
    if column == pa.int64():
        return lambda value: _nearest(where, value, scale, offset)
    part = round(1 / scale) if scale else 0
    if part > 1 and scale == 1 / part:  # 215 / 10 is 21.5, while 215 * 0.1 is 21.500000000000004
        return lambda value: _number(where, value) / part + offset
    return lambda value: _number(where, value) * scale + offset


def _time(where: str, format: str, zone: str) -> Convert:
    read_time = times.reader(format, zone)

    def convert(value: Any) -> int:
        try:
            return read_time(value)
        except (ValueError, OverflowError, TypeError) as error:
            raise _unreadable(where, value, f"time ({format})") from error

    return convert


def _number(where: str, value: Any) -> float:
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else None
    except (ValueError, OverflowError):
        number = None
    if number is None or not isfinite(number):
        raise _unreadable(where, value, "number")
    return number


def _whole(where: str, value: Any) -> int:
    number = value if type(value) is int else _number(where, value)
    if number != int(number) or not -(1 << 63) <= number < 1 << 63:
        raise _unreadable(where, value, "whole number")
    return int(number)


def _nearest(where: str, value: Any, scale: float, offset: float) -> int:
    number = _number(where, value) * scale + offset
    if not isfinite(number):
        raise _unreadable(where, value, "whole number")
    return _whole(where, round(number))


def _truth(where: str, value: Any) -> bool:
    found = value if isinstance(value, bool) else TRUTHS.get(str(value).lower())
    if found is None:
        raise _unreadable(where, value, "yes or no (give 'values')")
    return found


def _text(where: str, value: Any) -> str | None:
    if isinstance(value, bool | dict | list):
        raise _unreadable(where, value, "text")
    return str(value).strip() or None


def _unreadable(where: str, value: Any, wanted: str) -> Reject:
    return Reject("bad_field", f"{where}: {str(value)[:40]!r} is no {wanted}")


def laid_over(table: Any, changes: Any) -> Any:
    """Give a profile with changes laid over it: a table in both is changed key by key, anything else replaced."""
    if not isinstance(table, dict) or not isinstance(changes, Mapping):
        return changes
    return {**table, **{key: laid_over(table.get(key), value) for key, value in changes.items()}}
