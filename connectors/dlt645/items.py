"""What a data identifier names: the items of DL/T 645 annex A, single ones and blocks of them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import msgspec

from connectors.dlt645.formats import Format, Value, compiled, read, write
from schemas.errors import Reject

TABLE: Final[dict[str, Any]] = msgspec.toml.decode((Path(__file__).parent / "items.toml").read_bytes())
BLOCK: Final = "FF"
"""Stands in an identifier for all items of that place."""
SEPARATOR: Final = 0xAA
"""Ends a part of a block whose parts vary in length (annex A, note on blocks)."""
PHASES: Final = {"01": "A相", "02": "B相", "03": "C相"}
DEMAND_UNITS: Final = {"kWh": "kW", "kvarh": "kvar", "kVAh": "kVA"}
DEMAND_FORMAT: Final = ["XX.XXXX", "YYMMDDhhmm"]


class Item(msgspec.Struct, frozen=True):
    """One item: its name, unit and the formats of its parts."""

    di: str
    zh: str
    unit: str
    formats: tuple[Format, ...]
    repeats: bool = False
    """The formats come again and again: a total, then each tariff."""

    @property
    def size(self) -> int:
        """Bytes it takes once."""
        return sum(form.size for form in self.formats)

    def decode(self, raw: bytes) -> dict[str, Any]:
        """Give the fields of ``raw``: ``value``, ``values`` where it has several, ``time`` of a demand."""
        found: list[Value | None] = []
        for at in range(0, len(raw), self.size):
            offset = at
            for form in self.formats:
                found.append(read(form, raw[offset : offset + form.size]))
                offset += form.size
        shown: dict[str, Any] = {"di": self.di, "di_name": self.zh, "value": found[0], "unit": self.unit}
        if len(found) == 2 and self.formats[-1].kind == "date":
            return {**shown, "time": found[1]}
        return {**shown, "values": found} if len(found) > 1 else shown

    def encode(self, value: Value | list[Value]) -> bytes:
        """Give the bytes of a value, or of one value per format; the inverse of ``decode``."""
        values = value if isinstance(value, list) else [value]
        return b"".join(write(form, one) for form, one in zip(self.formats, values, strict=True))


@lru_cache(maxsize=4096)
def item(di: str) -> Item | None:
    """Give what an identifier (DI3 DI2 DI1 DI0 in hex) names; ``None`` for one the tables do not have, and for blocks."""
    listed = TABLE["items" if len(di) == 8 else "edition_1997"].get(di)
    if listed or len(di) != 8:
        return _listed(di, listed)
    if di[:2] in ("00", "01"):
        return _energy(di)
    return _momentary(di) or _frozen(di)


def name(di: str) -> str:
    """Give the name of an identifier, of its block or group; empty where the tables have none."""
    if found := item(di):
        return found.zh
    if BLOCK in (di[2:4], di[4:6], di[6:8]):
        first = next(parts(di), None)
        return f"{first.zh}等数据块" if first else ""
    return str(TABLE["events"].get(di[:4], ""))


def parts(di: str) -> Iterator[Item]:
    """Give the items of a block in the order they are sent."""
    places = [at for at in (2, 4, 6) if di[at : at + 2] == BLOCK]
    if len(di) != 8 or len(places) != 1:
        return
    at, misses = places[0], 0
    for number in range(64):
        found = item(f"{di[:at]}{number:02X}{di[at + 2 :]}")
        if found is not None:
            yield found
        elif number:
            misses += 1
        if misses:
            return


def decode(di: str, raw: bytes, *, whole: bool = True) -> list[dict[str, Any]]:
    """Give the items in the data behind an identifier; an unknown one gives its raw bytes.

    ``whole`` says that the data is complete: then a length no item or block has raises ``Reject``. Of a part, which
    further frames complete, the items that are complete are given.
    """
    found = item(di)
    if found is None:
        return _block(di, raw)
    if found.repeats and raw and len(raw) % found.size == 0:
        return [found.decode(raw)]
    if len(raw) == found.size:
        return [found.decode(raw)]
    if whole:
        raise Reject("bad_length", f"{di} {found.zh} takes {found.size} bytes but has {len(raw)}")
    return [found.decode(raw[: found.size])] if len(raw) > found.size else [{"di": di, "di_name": found.zh, "raw": raw}]


def _block(di: str, raw: bytes) -> list[dict[str, Any]]:
    shown, rest = [], raw
    for part in parts(di):
        if rest[:1] == bytes((SEPARATOR,)):
            rest = rest[1:]
        if len(rest) < part.size:
            break
        shown.append(part.decode(rest[: part.size]))
        rest = rest[part.size :]
    if rest.strip(bytes((SEPARATOR,))) or not shown:
        shown.append({"di": di, "di_name": name(di), "raw": rest})
    return shown


def _listed(di: str, entry: dict[str, Any] | None) -> Item | None:
    if entry is None:
        return None
    formats = entry["format"] if isinstance(entry["format"], list) else [entry["format"]]
    signed = bool(entry.get("signed"))
    return Item(di, entry["zh"], entry.get("unit", ""), tuple(compiled(f, signed) for f in formats))


def _energy(di: str) -> Item | None:
    """An energy (DI3 = 00) or a maximum demand with its time (DI3 = 01)."""
    tariff, settlement = int(di[4:6], 16), int(di[6:8], 16)
    if tariff > 63 or settlement > 12:
        return None
    phase, entry = _phase(di[2:4])
    if entry is None or (phase and tariff):
        return None
    when = f"上{settlement}结算日" if settlement else "当前"
    which = phase + entry["zh"] + (f"费率{tariff}" if tariff else "" if phase else "总")
    if di[:2] == "00":
        return _listed(di, {**entry, "zh": f"{when}{which}电能", "format": "XXXXXX.XX"})
    demand = {"zh": f"{when}{which}最大需量及发生时间", "format": DEMAND_FORMAT, "unit": DEMAND_UNITS[entry["unit"]]}
    return _listed(di, {**demand, "signed": entry.get("signed", False)})


def _phase(di2: str) -> tuple[str, dict[str, Any] | None]:
    """Give the phase (empty: all) and the energy that DI2 names."""
    energies = TABLE["energy"]
    if di2 in energies:
        return "", energies[di2]
    code = int(di2, 16)
    for phase, place in TABLE["phases"].items():
        for first, base, count in ((int(place["first"], 16), 1, 10), (int(place["further"], 16), 0x80, 7)):
            if first <= code < first + count:
                return f"{phase}相", energies.get(f"{code - first + base:02X}")
    return "", None


def _momentary(di: str) -> Item | None:
    """A momentary value of a phase or of all, or a share of a harmonic."""
    phase, last = di[4:6], di[6:8]
    if phase in PHASES and (harmonic := TABLE["harmonics"].get(di[:4])) and 1 <= int(last, 16) <= 21:
        return _listed(di, {**harmonic, "zh": f"{PHASES[phase]}{int(last, 16)}次{harmonic['zh']}"})
    entry = TABLE["variables"].get(di[:4])
    if entry is None or last != "00":
        return None
    if phase in PHASES:
        return _listed(di, {**entry, "zh": f"{PHASES[phase]}{entry['zh']}"})
    return _listed(di, {**entry, "zh": f"总{entry['zh']}"}) if phase == "00" and entry.get("total", True) else None


def _frozen(di: str) -> Item | None:
    """A value as it was when something froze it; totals and tariffs follow one another."""
    freeze, entry = TABLE["freezes"].get(di[:4]), TABLE["frozen"].get(di[4:6])
    if freeze is None or entry is None:
        return None
    found = _listed(di, {**entry, "zh": f"（上{int(di[6:8], 16)}次）{freeze}{entry['zh']}"})
    return found and msgspec.structs.replace(found, repeats=di[4:6] != "00")
