"""Alarm and status bits as episodes, and the active-safety alarms of items 0x64 to 0x67 (T/JSATL 12)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from connectors._api.episodes import MOST_SOURCES, Edge, Episodes


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    alarm: dict[int, str]
    status: dict[int, str]
    active: dict[str, dict[int, str]]


TABLE: Final = msgspec.toml.decode((Path(__file__).parent / "alarms.toml").read_bytes(), type=_Table, strict=False)
STATUS_SHIFT: Final = 32
"""Status bits stand above the alarm flags."""
STATUS_MASK: Final = sum(1 << bit for bit in TABLE.status)
ALARM_MASK: Final = (1 << STATUS_SHIFT) - 1
STATES: Final = frozenset(TABLE.status.values())
CODES: Final = TABLE.alarm | {bit + STATUS_SHIFT: code for bit, code in TABLE.status.items()}
ACTIVE: Final = frozenset(TABLE.active)
"""Location items that carry active-safety alarms."""
PHASES: Final = {1: "rise", 2: "fall"}
"""Flag byte of an active-safety alarm; 0 is an alarm without an end."""
LEVEL_MAX: Final = 10
AHEAD_US: Final = 60_000_000
"""So far ahead of its arrival a report may be, as in the reject reason ``future_time``."""

_Last = tuple[int, int, int | None]
"""A source's newest report: its time and bits, and since when nothing has changed if there was never anything to tell."""


def bits(alarm: Any, status: Any) -> Any:
    """Give the bits that make episodes in one number (or one array of them): alarm flags below, status bits above."""
    return alarm | (status & STATUS_MASK) << STATUS_SHIFT


class Alarms:
    """The alarms and states standing on the terminals of one connection.

    A source's first report tells its standing alarms as rises; its states are then only taken note of: that an
    engine runs is no news. A report older than the newest of its source changes nothing, nor does one from the
    future: a clock that jumped once would silence all that follows.
    """

    def __init__(self) -> None:
        self._episodes = Episodes(CODES)
        self._last: dict[str, _Last] = {}

    def newest(self, source: str) -> int:
        """Give the time of the source's newest report, -1 before the first."""
        last = self._last.get(source)
        return -1 if last is None else last[0]

    def observe(self, source: str, ts: int, now: int, seen_at: int) -> list[Edge]:
        """Give what changed since the source's report before; ``now`` as ``bits`` gives it."""
        if ts > seen_at + AHEAD_US:
            return []
        last = self._last.get(source)
        if last is None:
            return self._first(source, ts, now)
        newest, before, quiet_since = last
        if ts < newest:
            return []
        if now == before:
            self._last[source] = (ts, before, quiet_since)
            return []
        self._last[source] = (ts, now, None)
        if quiet_since is not None:
            self._episodes.observe(source, quiet_since, before)
        return self._episodes.observe(source, ts, now)

    def _first(self, source: str, ts: int, now: int) -> list[Edge]:
        if len(self._last) >= MOST_SOURCES:
            del self._last[next(iter(self._last))]
        alarming = now & ALARM_MASK
        self._last[source] = (ts, now, None if alarming else ts)
        return [edge for edge in self._episodes.observe(source, ts, now) if edge.code not in STATES] if alarming else []


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
