"""A rule: what it watches, when it raises and clears, where its threshold comes from; packs are TOML.

Limits are written in the unit a person knows (``km/h``) and compared in the field's own.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from schemas.derive import fields
from schemas.errors import Fatal
from schemas.events import Severity
from schemas.kinds import all_kinds

UNITS: dict[str, tuple[str, float]] = {
    "km/h": ("m/s", 1 / 3.6),
    "m/s": ("m/s", 1.0),
    "µg/m³": ("µg/m³", 1.0),
    "mg/m³": ("µg/m³", 1000.0),
    "%": ("%", 1.0),
    "": ("", 1.0),
}
"""Units a limit may be written in: the field's unit and the factor to it."""


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    """One condition of a rule."""


class Threshold(Part, frozen=True, kw_only=True, tag="threshold"):
    """Holds while a field is above (or at most) its limit; ends past ``clear``.

    ``share_of`` divides the field by another first; ``or_at_most`` also holds at or below that plain value.
    ``period_s`` accepts only readings that average over that period; ``between`` only local times of day.
    """

    field: str
    unit: str = ""
    above: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    clear: float
    share_of: str | None = None
    or_at_most: float | None = None
    period_s: int | None = None
    between: tuple[str, str] | None = None
    require: dict[str, bool] = {}


class Bits(Part, frozen=True, kw_only=True, tag="bits"):
    """Holds while any of the named bits of an integer field is set."""

    field: str
    bits: list[Annotated[int, msgspec.Meta(ge=0, le=63)]]


class Silent(Part, frozen=True, kw_only=True, tag="silent"):
    """Holds while a source has sent nothing for ``intervals`` times its own interval."""

    intervals: float = 3.0


class Jump(Part, frozen=True, kw_only=True, tag="jump"):
    """Holds at a fix that implies a speed above ``above`` from the one before, over ``distance_m`` or more."""

    above: float
    unit: str = "km/h"
    distance_m: float = 1000.0


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule as its pack declares it."""

    version: int
    severity: Severity
    category: Literal["city", "data"] = "city"
    kinds: list[str]
    zh: str
    en: str
    reason_zh: str
    reason_en: str
    clause: str
    """The standard and article the limit comes from, or ``本地设定 local setting``."""
    when: Threshold | Bits | Silent | Jump
    hold_s: float = 0.0
    """How long the condition must persist before it raises."""
    clear_s: float = 0.0
    """How long it must be absent before it clears."""
    id: str = ""

    @property
    def unit(self) -> str:
        """The unit the rule speaks in."""
        return getattr(self.when, "unit", "s" if isinstance(self.when, Silent) else "")

    @property
    def factor(self) -> float:
        """What a limit is multiplied by to compare it with the field."""
        return UNITS[self.unit][1] if self.unit in UNITS else 1.0

    @property
    def limit(self) -> float | None:
        """The limit, in the rule's unit."""
        when = self.when
        if isinstance(when, Threshold):
            return next((v for v in (when.above, when.at_least, when.at_most) if v is not None), None)
        if isinstance(when, Jump):
            return when.above
        return None


def load(files: Iterable[Path]) -> dict[str, Rule]:
    """Read rule packs; a later file overrides rules of the same id. Errors raise ``Fatal`` naming the rule."""
    found: dict[str, Rule] = {}
    for path in files:
        try:
            pack = msgspec.toml.decode(path.read_bytes(), type=dict[str, Rule])
        except (msgspec.MsgspecError, OSError) as error:
            msg = f"{path}: {error}"
            raise Fatal(msg) from error
        for name, rule in pack.items():
            _check(f"{path}: rule {name!r}", rule)
            found[name] = msgspec.structs.replace(rule, id=name)
    return found


def _check(where: str, rule: Rule) -> None:
    for kind in rule.kinds:
        if kind not in all_kinds():
            msg = f"{where}: unknown kind {kind!r}"
            raise Fatal(msg)
        named = {f.name: f for f in fields(kind, "clean")}
        when = rule.when
        if isinstance(when, Threshold | Bits) and when.field not in named:
            msg = f"{where}: {kind} has no field {when.field!r}"
            raise Fatal(msg)
        if isinstance(when, Threshold):
            _check_threshold(where, when, named[when.field].unit)


def _check_threshold(where: str, when: Threshold, unit: str) -> None:
    if sum(v is not None for v in (when.above, when.at_least, when.at_most)) != 1:
        msg = f"{where}: give exactly one of above, at_least, at_most"
        raise Fatal(msg)
    if when.share_of is None and (when.unit not in UNITS or UNITS[when.unit][0] != unit):
        msg = f"{where}: unit {when.unit!r} does not convert to the field's {unit!r}"
        raise Fatal(msg)
