"""What an OAD names: the object's name, and scale and unit of its values (DL/T 698.45 annex A)."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

TABLE: Final[dict[str, Any]] = msgspec.toml.decode((Path(__file__).parent / "objects.toml").read_bytes())
PHASES: Final = ("", "A相", "B相", "C相")
DEMAND_UNITS: Final = {"kWh": "kW", "kvarh": "kvar", "kVAh": "kVA"}
PRECISE: Final = 4
"""Attribute of an energy with two more decimals."""
DAR: Final[dict[str, str]] = TABLE["dar"]


class Attribute(NamedTuple):
    """One attribute of an object; ``divisor`` turns its integers into the unit."""

    zh: str
    divisor: int
    unit: str


@lru_cache(maxsize=4096)
def attribute(oad: str) -> Attribute:
    """Give what an OAD (eight hex digits) names; an object no table has is nameless and not scaled."""
    oi, number = oad[:4], int(oad[4:6], 16) & 0x1F
    found = _energy(oi, number) if oi[0] in "01" else None
    if found is None:
        entry = TABLE["objects"].get(oi, {})
        scaled = number == 2
        unit = entry.get("unit", "") if scaled else ""
        found = Attribute(entry.get("zh", ""), 10 ** -entry.get("scale", 0) if scaled else 1, unit)
    return found


def _energy(oi: str, number: int) -> Attribute | None:
    """An energy 00KP or KK1P, or a maximum demand 10KP."""
    if oi[:2] in ("00", "10"):
        entry = TABLE["energy"].get(oi[2])
    else:
        entry = TABLE["energy_further"].get(oi[:2]) if oi[2] == "1" else None
    phase = int(oi[3], 16)
    if entry is None or phase > 3:
        return None
    name = PHASES[phase] + entry["zh"]
    if oi[:2] == "10":
        return Attribute(f"{name}最大需量", 10**4, DEMAND_UNITS[entry["unit"]])
    return Attribute(f"{name}电能", 10**4 if number == PRECISE else 10**2, entry["unit"])


def scaled(value: Any, divisor: int) -> Any:
    """Give integers divided, inside arrays too; texts, bits and times stay."""
    if divisor == 1 or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value / divisor
    if isinstance(value, list):
        return [one / divisor if type(one) is int else scaled(one, divisor) for one in value]
    return value


def result_name(code: int) -> str:
    """Name a DAR."""
    return DAR.get(str(code), f"DAR {code}")
