"""Profiles of tables: what the columns of a city's CSV, Excel or database table mean, as data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from connectors._api import manifest, sheets, times
from connectors._api.manifest import Settings
from connectors._api.paths import path
from connectors._api.pseudonym import pseudonym
from connectors._api.rules import SYSTEMS, Fields, Rule, laid_over
from connectors._api.session import Received
from connectors._api.sheets import Form, Page
from schemas import derive
from schemas.errors import Fatal, Reject
from schemas.kinds import kind as kind_by_name
from schemas.reading import Reading

SHARED: Final = Path(__file__).resolve().parent / "table_profiles"
ANY_KIND: Final = "any"
"""In place of a kind: the one that the setting ``kind`` names."""
MOST: Final = 1_000_000
"""Rows of a table that comes as one packet."""
HOUR_S: Final = 3600.0
MONEY: Final = str.maketrans("", "", "¥￥元, \u00a0")
DEAREST: Final = 10**15
"""Fen that an amount may have."""
Record = dict[str, Any]


class Column(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a column holds, where a rule cannot say it: applied before the rules.

    ``hashed`` keeps the keyed hash of a person's identity instead of it; ``money`` is read exactly and becomes fen;
    a count over ``seconds`` (a number, or the column that has it) becomes a number per hour.
    """

    hashed: bool = False
    money: Literal["", "yuan", "fen"] = ""
    seconds: str | float = ""


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the columns ``when`` have all these values, the columns ``drop`` have no data: a fault sent as zeros."""

    when: dict[str, Any]
    drop: list[str]


class Wide(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table with a column per sensor: each cell makes a record of ``time`` (microseconds), ``sensor`` and ``value``.

    ``time`` names the column with the time; a table without one begins at ``begin`` with a row every ``interval_s``.
    Columns of ``keep`` are no sensors and go into each record.
    """

    time: str = ""
    format: str = "auto"
    begin: str = ""
    interval_s: float = 0.0
    keep: list[str] = []


class Places(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a record finds its place: its ``column`` is looked up in the column ``key`` of the file of places."""

    column: str
    key: str


class Declared(Form, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A profile as written; ``kinds`` has the rules of each kind, ``same_names`` adds every field of the kind that is a
    column of the same name. ``rename`` gives columns the names that all else here uses; ``sheet`` names a sheet of a
    workbook (empty: the first). ``needs`` names, by kind, fields of which a reading must have one."""

    zh: str = ""
    en: str = ""
    sheet: str = ""
    crs: str = ""
    zone: str = "Asia/Shanghai"
    same_names: bool = False
    rename: dict[str, str] = msgspec.field(default_factory=dict)
    wide: Wide | None = None
    prepare: dict[str, Column] = msgspec.field(default_factory=dict)
    nothing: list[Nothing] = msgspec.field(default_factory=list)
    places: Places | None = None
    needs: dict[str, list[str]] = msgspec.field(default_factory=dict)
    kinds: dict[str, dict[str, Rule]]


class Table:
    """A compiled profile; what is wrong in it raises ``Fatal``."""

    def __init__(
        self, declared: Declared, *, kind: str = "", hash_key: str = "", places: Mapping[str, Record] | None = None
    ) -> None:
        if declared.crs and declared.crs not in SYSTEMS:
            msg = f"profile: crs {declared.crs!r} is none of {', '.join(SYSTEMS)}"
            raise Fatal(msg)
        if declared.delimiter != "auto" and len(declared.delimiter) != 1:
            msg = f"profile: delimiter {declared.delimiter!r} is no single character"
            raise Fatal(msg)
        self.declared = declared
        self._key = hash_key
        self._places = places or {}
        hashed = {column for column, how in declared.prepare.items() if how.hashed}
        self._people = hashed | {column for column, name in declared.rename.items() if name in hashed}
        self.fields: dict[str, Fields] = {}
        for name, rules in declared.kinds.items():
            chosen = kind if name == ANY_KIND else name
            if not chosen:
                msg = "this profile is of any kind: name one in the setting 'kind', such as bill_payment"
                raise Fatal(msg)
            same = (
                {f.name: Rule(from_=f.name) for f in derive.fields(chosen) if f.name != "seen_at"} if declared.same_names else {}
            )
            self.fields[chosen] = Fields(chosen, {**same, **rules}, declared.zone)
        self._wide = None if declared.wide is None else _Unfold(declared.wide, declared.zone)
        self._needed = {name: _columns_needed(fields) for name, fields in self.fields.items()}

    def decode(self, page: Page, seen_at: int, base: Callable[[Record], Record] | None = None) -> Received:
        """Give the readings of a page; rows that cannot be read are refused one by one, naming their line.

        ``base`` gives fields of a record's readings that no rule fills. A table without the columns that its kinds need
        is refused whole.
        """
        self._check(page.columns)
        readings: list[Reading] = []
        rejects = [Reject(bad.reason, f"line {bad.line}: {bad.detail}", bad.text.encode("utf-8", "replace")) for bad in page.bad]
        shown: list[Record] = []
        for number, row in enumerate(page.rows):
            try:
                record = _named(page.columns, row)
                shown.append(self._hidden(record))
                for one in self._records(record, page.first + number):
                    readings += self._readings(one, seen_at, base)
            except Reject as error:
                cells = row if not isinstance(row, list) else dict(zip(page.columns, row, strict=False))
                raw = msgspec.json.encode(self._hidden(cells))
                rejects.append(Reject(error.reason, f"line {page.line(number)}: {error.detail}", raw))
        message = {"name": "table", "format": page.format, "columns": page.columns, "rows": shown}
        return Received(message=message, readings=readings, rejects=rejects)

    def records(self, kind: str, rows: Sequence[Mapping[str, Any]]) -> list[Record]:
        """Give records that are read as these rows of a kind's fields, as far as rules can say it."""
        return [self.fields[kind].record(row, self.declared.crs)[0] for row in rows]

    def _check(self, columns: list[str]) -> None:
        if not columns or self._wide is not None:
            return
        there = {self.declared.rename.get(column, column) for column in columns}
        absent = {
            kind: [f"{kind}.{field} ({' or '.join(names)})" for field, names in needs if there.isdisjoint(names)]
            for kind, needs in self._needed.items()
        }
        if all(absent.values()):
            wanted = "; ".join(text for texts in absent.values() for text in texts)
            raise Reject("missing_field", f"the table has no column for {wanted}; it has {', '.join(columns)}"[:1000])

    def _records(self, record: Record, ordinal: int) -> Iterator[Record]:
        renamed = {self.declared.rename.get(column, column): value for column, value in record.items()}
        for one in [renamed] if self._wide is None else self._wide.records(renamed, ordinal):
            yield self._prepared(one)

    def _prepared(self, record: Record) -> Record:
        for column, how in self.declared.prepare.items():
            if column in record:
                record[column] = self._value(column, how, record)
        for rule in self.declared.nothing:
            if all(_equal(record.get(column), value) for column, value in rule.when.items()):
                for column in rule.drop:
                    record.pop(column, None)
        if self.declared.places is not None:
            record = {**self._places.get(str(record.get(self.declared.places.column)), {}), **record}
        return record

    def _readings(self, record: Record, seen_at: int, base: Callable[[Record], Record] | None) -> Iterator[Reading]:
        for fields in self.fields.values():
            values = fields.values(record)
            needs = self.declared.needs.get(fields.kind)
            if fields.measures(values) if needs is None else not values.keys().isdisjoint(needs):
                yield fields.reading({**base(record), **values} if base else values, seen_at, self.declared.crs)

    def _value(self, column: str, how: Column, record: Record) -> Any:
        value = record[column]
        if how.hashed:
            if not self._key:
                raise Reject("missing_field", f"{column} is kept as a keyed hash only: set hash_key")
            return pseudonym(str(value), self._key)
        if how.money:
            return _fen(column, value, how.money)
        return _per_hour(column, value, record.get(how.seconds) if isinstance(how.seconds, str) else how.seconds)

    def _hidden(self, record: Any) -> Any:
        """Give a row without the identities that are kept as hashes only: refused rows are stored too."""
        if not self._people or not isinstance(record, dict):
            return record
        return {column: "***" if column in self._people else value for column, value in record.items()}


class _Unfold:
    """Makes records of the cells of a wide table."""

    def __init__(self, wide: Wide, zone: str) -> None:
        self._wide = wide
        self._time = times.reader(wide.format, zone)
        self._aside = {wide.time, *wide.keep}
        if bool(wide.time) == bool(wide.begin) or (wide.begin and wide.interval_s <= 0):
            msg = "profile: a wide table needs either 'time', its column, or 'begin' and 'interval_s'"
            raise Fatal(msg)
        try:
            self._begin = self._time(wide.begin) if wide.begin else 0
        except ValueError as error:
            msg = f"profile: 'begin' {wide.begin!r} is no time"
            raise Fatal(msg) from error

    def records(self, row: Record, ordinal: int) -> Iterator[Record]:
        """Give a record for each cell that is not empty."""
        ts = self._ts(row, ordinal)
        kept = {column: row[column] for column in self._wide.keep if column in row}
        for sensor, value in row.items():
            if sensor not in self._aside:
                yield {**kept, "time": ts, "sensor": sensor, "value": value}

    def _ts(self, row: Record, ordinal: int) -> int:
        if self._wide.begin:
            return self._begin + round(ordinal * self._wide.interval_s * 1_000_000)
        text = row.get(self._wide.time)
        try:
            return self._time(text)
        except (ValueError, OverflowError, TypeError) as error:
            raise Reject("bad_field", f"{self._wide.time}: {str(text)[:40]!r} is no time") from error


def compiled(folder: Path, settings: Settings) -> Table:
    """Give the table that a connector's settings describe: ``profile``, ``changes``, and ``kind``, ``hash_key``, ``places``
    where it has them; what is wrong raises ``Fatal``."""
    declared = chosen(folder, settings)
    file = str(settings.get("places", ""))
    places = places_of(file, declared.places.key) if file and declared.places is not None else None
    return Table(declared, kind=str(settings.get("kind", "")), hash_key=str(settings.get("hash_key", "")), places=places)


def chosen(folder: Path, settings: Settings) -> Declared:
    """Give the profile that a connector's settings name, as written; what is wrong raises ``Fatal``."""
    kinds = manifest.read(folder / "connector.toml").kinds
    return load(folder, str(settings["profile"]), settings["changes"], kinds, str(settings.get("kind", "")))


def built_in(folder: Path) -> dict[str, Path]:
    """Give the file of every profile of a connector, its own and those all tables share, by name."""
    return {file.stem: file for place in (SHARED, folder / "profiles") for file in sorted(place.glob("*.toml"))}


def load(folder: Path, name: str, changes: Mapping[str, Any], allowed: Iterable[str], kind: str = "") -> Declared:
    """Give the profile of that name or ``.toml`` file, with ``changes`` laid over it (over nothing where ``name`` is empty).

    A kind outside ``allowed`` and every flaw of a profile raises ``Fatal``.
    """
    known = built_in(folder)
    if name and not (name in known or name.endswith(".toml")):
        msg = f"no profile {name!r}; built in: {', '.join(known)}; or give the path of a .toml file"
        raise Fatal(msg)
    try:
        table = msgspec.toml.decode(known.get(name, Path(name)).read_bytes()) if name else {}
        declared = msgspec.convert(laid_over(table, changes), Declared)
    except (msgspec.MsgspecError, OSError) as error:
        msg = f"profile {name or 'inline'}: {error}"
        raise Fatal(msg) from error
    kinds = {kind if one == ANY_KIND and kind else one for one in declared.kinds} - {ANY_KIND}
    if foreign := sorted(kinds - set(allowed)):
        msg = f"profile {name or 'inline'}: kind {foreign[0]!r} is none that this connector declares: {', '.join(allowed)}"
        raise Fatal(msg)
    return declared


@cache
def places_of(file: str, key: str) -> dict[str, Record]:
    """Read a CSV file of places by its column ``key``; ``Fatal`` if it cannot be read or has no such column."""
    try:
        with Path(file).open("rb") as content:
            pages = list(sheets.text_pages(content, Form()))
    except (OSError, Reject) as error:
        msg = f"places: {file}: {error}"
        raise Fatal(msg) from error
    if key not in pages[0].columns:
        msg = f"places: {file}: it has no column {key!r}; there are {', '.join(pages[0].columns)}"
        raise Fatal(msg)
    records = [_named(page.columns, row) for page in pages for row in page.rows]
    return {str(record[key]): record for record in records if key in record}


def together(found: Iterable[Received]) -> Received:
    """Give the pages of one packet as one result."""
    message: Record = {}
    readings: list[Reading] = []
    rejects: list[Reject] = []
    rows = 0
    for received in found:
        shown = dict(received.message or {})
        rows += len(shown.get("rows", ()))
        message = {**shown, "rows": message.get("rows", []) + shown.get("rows", [])}
        readings += received.readings
        rejects += received.rejects
        if rows > MOST:
            rejects.append(Reject("too_large", f"more than {MOST} rows in one packet: the rest is not read; use a drop folder"))
            break
    return Received(message=message, readings=readings, rejects=rejects)


def _columns_needed(fields: Fields) -> list[tuple[str, list[str]]]:
    """Give the fields that every reading needs and the columns that may fill each."""
    found = []
    for field in msgspec.structs.fields(kind_by_name(fields.kind)):
        rule = fields.rules.get(field.name)
        if field.required and rule is not None and rule.value is None and not rule.join:
            texts = [rule.from_] if isinstance(rule.from_, str) else rule.from_
            found.append((field.name, [str(path(text).steps[0]) for text in texts]))
    return found


def _named(columns: list[str], row: Any) -> Record:
    """Give a row's cells by column; empty ones are absent."""
    if not columns:
        if not isinstance(row, dict):
            raise Reject("bad_frame", f"{str(row)[:40]!r} is no object with the columns of a row")
        return {column: value for column, value in row.items() if value not in (None, "")}
    return {
        column: cell
        for column, value in zip(columns, row, strict=False)
        if column and (cell := value.strip() if isinstance(value, str) else value) not in (None, "")
    }


def _fen(column: str, value: Any, unit: str) -> int:
    """Give money in fen, exactly; a part of a fen is refused. A binary fraction counts to 15 digits, as spreadsheets show it."""
    text = f"{value:.15g}" if isinstance(value, float) else str(value)[:40].translate(MONEY)
    try:
        amount = Decimal(text) * (100 if unit == "yuan" else 1)
    except ArithmeticError as error:
        raise Reject("bad_field", f"{column}: {str(value)[:40]!r} is no amount of money") from error
    if not amount.is_finite() or abs(amount) > DEAREST or amount != int(amount):
        raise Reject("bad_field", f"{column}: {str(value)[:40]!r} {unit} is no whole number of fen")
    return int(amount)


def _per_hour(column: str, value: Any, seconds: Any) -> float:
    try:
        count, period = float(value), float(seconds)
    except (TypeError, ValueError, OverflowError) as error:
        raise Reject("bad_field", f"{column}: {str(value)[:40]!r} over {seconds!r} s is no count over a time") from error
    if not (period > 0 and count < float("inf")):
        raise Reject("bad_field", f"{column}: {str(value)[:40]!r} over {seconds!r} s is no count over a time")
    return count * HOUR_S / period


def _equal(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, str | bool):
        return str(value) == str(wanted)
    try:
        return float(value) == float(wanted)
    except (TypeError, ValueError, OverflowError):
        return False
