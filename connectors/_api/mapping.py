"""``mapping.toml``: which field of a message becomes which field of a kind, as data."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from schemas.errors import Fatal, Reject
from schemas.kinds import kind as kind_by_name
from schemas.reading import Reading


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    """How one field is filled: ``from`` a message key, times ``scale`` plus ``offset``.

    ``bit`` takes one bit of an integer as a boolean; ``values`` translates codes (others become absent);
    ``absent`` lists values the standard uses for "no data".
    """

    from_: str
    scale: float = 1.0
    offset: float = 0.0
    bit: int | None = None
    values: dict[str, Any] = {}
    absent: list[Any] = []


class Mapping:
    """The compiled mapping of one connector."""

    def __init__(self, rules: dict[str, dict[str, Rule]]) -> None:
        self._rules = {
            kind: (kind_by_name(kind), [(f, r.from_, _step(r)) for f, r in fields.items()]) for kind, fields in rules.items()
        }
        for kind, fields in rules.items():
            unknown = set(fields) - set(kind_by_name(kind).__struct_fields__)
            if unknown:
                msg = f"mapping of {kind}: it has no field {sorted(unknown)[0]!r}"
                raise Fatal(msg)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds this mapping can fill."""
        return tuple(self._rules)

    def plain(self, kind: str) -> dict[str, str]:
        """Give the field that a message key fills as it is, by key; keys whose value is changed on the way are left out."""
        return {key: field for field, key, step in self._rules[kind][1] if step is None}

    def reading(self, kind: str, message: dict[str, Any], **base: Any) -> Reading:
        """Give a reading of that kind from a message; ``base`` fills source, ts, seen_at and the like."""
        if kind not in self._rules:
            raise Reject("no_kind", f"no mapping to kind {kind!r}; there are {', '.join(self._rules)}")
        make, rules = self._rules[kind]
        for field, key, step in rules:
            value = message.get(key)
            if value is not None:
                base[field] = value if step is None else step(value)
        return make(**base)


def _step(rule: Rule) -> Callable[[Any], Any] | None:
    """Give what makes a field's value of the message's; ``None`` where it stays as it is."""
    absent = rule.absent
    if rule.bit is not None:
        mask = 1 << rule.bit
        return lambda v: None if v in absent else bool(v & mask)
    if rule.values:
        table = rule.values
        return lambda v: None if v in absent else table.get(str(v))
    if rule.scale == 1.0 and rule.offset == 0.0:
        return (lambda v: None if v in absent else v) if absent else None
    scale, offset = rule.scale, rule.offset
    return lambda v: None if v in absent else v * scale + offset


@cache
def read(path: Path) -> Mapping:
    """Read a ``mapping.toml``: a table per kind, an entry per field; errors raise ``Fatal``."""
    try:
        return Mapping(msgspec.toml.decode(path.read_bytes(), type=dict[str, dict[str, Rule]]))
    except (msgspec.MsgspecError, OSError, KeyError) as error:
        msg = f"{path}: {error}"
        raise Fatal(msg) from error
