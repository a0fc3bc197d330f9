"""Profiles: what a vendor's JSON means, as data - topic, envelope, records, and rules for each kind.

The profiles of ``vendors/`` are built in; a city writes its own in the same form, or changes parts of one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec

from connectors._api import envelopes
from connectors._api.envelopes import Form, Opened
from connectors._api.paths import path
from connectors._api.rules import BASE, SYSTEMS, Fields, Rule, laid_over
from connectors._api.session import Received
from schemas import derive
from schemas.errors import Fatal, Reject
from schemas.reading import Reading

VENDORS: Final = Path(__file__).resolve().parent / "vendors"
ANY_KIND: Final = "any"
"""In place of a kind: the one that the setting ``kind`` names."""
PLACEHOLDER: Final = re.compile(r"\{([a-z_]+)\}|(\+)|(#)")
LEVELS: Final = "[^/]+"


class Declared(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A profile as written. ``topic`` names levels as ``{part}``; ``records`` is a path in the payload; ``kinds`` has the
    rules of each kind; ``same_names`` adds every field of the kind that the record has under its own name."""

    zh: str = ""
    en: str = ""
    envelope: Form = "plain"
    topic: str = ""
    records: str = ""
    crs: str = ""
    zone: str = "Asia/Shanghai"
    same_names: bool = False
    kinds: dict[str, dict[str, Rule]]


class Profile:
    """A compiled profile; what is wrong in it raises ``Fatal``."""

    def __init__(self, declared: Declared, kind: str = "") -> None:
        if declared.crs and declared.crs not in SYSTEMS:
            msg = f"profile: crs {declared.crs!r} is none of {', '.join(SYSTEMS)}"
            raise Fatal(msg)
        self.declared = declared
        self._topic = _pattern(declared.topic) if declared.topic else None
        self._records = path(declared.records)
        self._fields = {}
        for name, rules in declared.kinds.items():
            chosen = kind if name == ANY_KIND else name
            if not chosen:
                msg = "this profile is of any kind: name one in the setting 'kind', such as water_node"
                raise Fatal(msg)
            self._fields[chosen] = _fields(chosen, rules, declared)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds this profile gives."""
        return tuple(self._fields)

    def decode(self, document: Any, topic: str, seen_at: int) -> Received:
        """Give the readings of a document that came by ``topic``; records that cannot be read are refused one by one."""
        messages: list[dict[str, Any]] = []
        readings: list[Reading] = []
        rejects: list[Reject] = []
        named = self._named(topic)
        for message in envelopes.opened(self.declared.envelope, document):
            parts = {**named, **message.parts}
            messages.append(_shown(message, parts))
            for made in self._read(message, parts, seen_at):
                (rejects if isinstance(made, Reject) else readings).append(made)  # type: ignore[arg-type] # each to its own
        shown = messages[0] if len(messages) == 1 else {"name": self.declared.envelope, "messages": messages}
        return Received(message=shown, readings=readings, rejects=rejects)

    def encode(self, kind: str, rows: list[Mapping[str, Any]], parts: Mapping[str, Any] | None = None) -> tuple[str, bytes]:
        """Give topic and packet that decode to these rows of a kind's fields, all of one device.

        ``parts`` fills placeholders and envelope where no rule does.
        """
        made = [self._fields[kind].record(row, self.declared.crs) for row in rows]
        known = dict(parts or {})
        for _, own in made:
            known |= own
        where = self._records
        records = [record for record, _ in made]
        if where.is_many:
            at = where.steps.index("*")
            if where.steps[at + 1 :]:
                msg = f"records {where.text!r}: only a path that ends in [*] can be written"
                raise ValueError(msg)
            payload = path(where.text.removesuffix("[*]")).put({}, records)
        else:
            payload = where.put({}, records[0])
        body = envelopes.closed(self.declared.envelope, payload, known, int(rows[0]["ts"]))
        topic = PLACEHOLDER.sub(lambda found: str(known.get(found[1] or "", "x")), self.declared.topic)
        return topic, msgspec.json.encode(body)

    def names(self, topic: str) -> bool:
        """Tell whether this is a topic that names its device: then a payload cannot name another."""
        return bool(self._named(topic))

    def _named(self, topic: str) -> dict[str, Any]:
        found = self._topic.fullmatch(topic) if self._topic is not None else None
        return {} if found is None else found.groupdict()

    def _read(self, message: Opened, parts: dict[str, Any], seen_at: int) -> Iterable[Reading | Reject]:
        payload = message.payload
        if payload is None or payload in (b"", ""):
            return
        if isinstance(payload, bytes | str):
            text = "the payload is no JSON: let the platform decode it, or use the connector of its protocol"
            yield Reject("unsupported", text, payload if isinstance(payload, bytes) else payload.encode())
            return
        try:
            records = self._records.rows(payload)
        except Reject as error:
            yield Reject(error.reason, error.detail, msgspec.json.encode(payload))
            return
        for number, record in enumerate(records):
            for fields in self._fields.values():
                try:
                    values = fields.values(record, parts)
                    if fields.measures(values):
                        yield fields.reading(values, seen_at, self.declared.crs)
                except Reject as error:
                    yield Reject(error.reason, f"record {number}: {error.detail}", msgspec.json.encode(record))


@cache
def built_in() -> dict[str, Path]:
    """Give the file of every built-in profile by name."""
    return {file.stem: file for file in sorted(VENDORS.glob("*.toml"))}


def load(name: str, changes: Mapping[str, Any], kind: str = "", allowed: Iterable[str] = ()) -> Profile:
    """Give the profile of that name or ``.toml`` file, with ``changes`` laid over it (over nothing where ``name`` is empty).

    A kind outside ``allowed``, where that names any, and every flaw of a profile raises ``Fatal``.
    """
    file = built_in().get(name, Path(name))
    if name and not (name in built_in() or name.endswith(".toml")):
        msg = f"no profile {name!r}; built in: {', '.join(built_in())}; or give the path of a .toml file"
        raise Fatal(msg)
    try:
        table = msgspec.toml.decode(file.read_bytes()) if name else {}
        profile = Profile(msgspec.convert(laid_over(table, changes), Declared), kind)
    except (msgspec.MsgspecError, OSError, KeyError) as error:
        msg = f"profile {name or 'inline'}: {error}"
        raise Fatal(msg) from error
    if foreign := sorted(set(profile.kinds) - set(allowed)) if allowed else []:
        msg = f"profile {name or 'inline'}: kind {foreign[0]!r} is none that this connector declares: {', '.join(allowed)}"
        raise Fatal(msg)
    return profile


def _fields(kind: str, rules: Mapping[str, Rule], declared: Declared) -> Fields:
    same: dict[str, Rule] = {}
    if declared.same_names:
        same = {f.name: Rule(from_=f.name) for f in derive.fields(kind) if f.name not in BASE}
    return Fields(kind, {**same, **rules}, declared.zone)


def _pattern(topic: str) -> re.Pattern[str]:
    position, text = 0, ""
    for found in PLACEHOLDER.finditer(topic):
        text += re.escape(topic[position : found.start()])
        name, level, _ = found.groups()
        text += f"(?P<{name}>{LEVELS})" if name else LEVELS if level else ".*"
        position = found.end()
    try:
        return re.compile(text + re.escape(topic[position:]))
    except re.error as error:
        msg = f"topic {topic!r}: {error}"
        raise Fatal(msg) from error


def _shown(message: Opened, parts: Mapping[str, Any]) -> dict[str, Any]:
    rest = {key: value for key, value in parts.items() if key != "name"}
    return (
        {"name": message.name, **rest} if message.payload is None else {"name": message.name, **rest, "payload": message.payload}
    )
