"""Alarm and status bits as episodes, and the active-safety alarms of items 0x64 to 0x67 (T/JSATL 12)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from connectors._api.episodes import Episodes


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    alarm: dict[int, str]
    status: dict[int, str]
    active: dict[str, dict[int, str]]


TABLE: Final = msgspec.toml.decode((Path(__file__).parent / "alarms.toml").read_bytes(), type=_Table, strict=False)
STATUS_SHIFT: Final = 32
"""Status bits stand above the alarm flags."""
STATUS_MASK: Final = sum(1 << bit for bit in TABLE.status)
STATES: Final = frozenset(TABLE.status.values())
CODES: Final = TABLE.alarm | {bit + STATUS_SHIFT: code for bit, code in TABLE.status.items()}
ACTIVE: Final = frozenset(TABLE.active)
"""Location items that carry active-safety alarms."""
PHASES: Final = {1: "rise", 2: "fall"}
"""Flag byte of an active-safety alarm; 0 is an alarm without an end."""
LEVEL_MAX: Final = 10


def bits(alarm: Any, status: Any) -> Any:
    """Give the bits that make episodes in one number (or one array of them): alarm flags below, status bits above."""
    return alarm | (status & STATUS_MASK) << STATUS_SHIFT


class Alarms(Episodes):
    """The alarms and states standing on terminals; a terminal's first report tells its alarms, its states are only noted."""

    def __init__(self) -> None:
        super().__init__(CODES, STATES)


class Active(NamedTuple):
    """One active-safety alarm: its code, how it changed, and the fields the standard gives it."""

    code: str
    phase: str
    fields: Mapping[str, Any]
    detail: str | None


def active(items: Mapping[str, Any]) -> Iterator[Active]:
    """Give the active-safety alarms among the items of a location; an item that could not be read gives none."""
    for key, item in items.items():
        system = key.partition("#")[0]
        if system not in ACTIVE or not isinstance(item, Mapping):
            continue
        phase = PHASES.get(item["flag"], "moment")
        if system == "tpms":
            for code, tyres in _tyres(item["tyres"]).items():
                yield Active(code, phase, item, "tyre " + ", ".join(map(str, tyres)))
        else:
            yield Active(_code(system, item["type"]), phase, item, None)


def level(fields: Mapping[str, Any]) -> int | None:
    """Give an alarm's level, 1 lowest; absent where there is none or it is out of range."""
    found = fields.get("level", 0)
    return found if 0 < found <= LEVEL_MAX else None


def _tyres(tyres: list[dict[str, Any]]) -> dict[str, list[int]]:
    """Give the tyres by what is wrong with them: an alarm is told once, whatever the number of tyres."""
    found: dict[str, list[int]] = {}
    for tyre in tyres:
        for bit in range(16):
            if tyre["alarm"] >> bit & 1:
                found.setdefault(_code("tpms", bit), []).append(tyre["position"])
    return found


def _code(system: str, number: int) -> str:
    return f"{system}_{TABLE.active[system].get(number, f'0x{number:02x}')}"
