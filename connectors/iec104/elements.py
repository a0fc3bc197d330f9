"""Information elements: octets to fields of an object and back (IEC 60870-5-101:2003 7.2.6)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from struct import Struct
from typing import Any, Final, NamedTuple

Fields = dict[str, Any]
Values = Mapping[str, Any]


class Element(NamedTuple):
    """One information element.

    ``read(asdu, at, fields)`` adds its fields to those of an object, ``write(fields)`` gives its octets.
    ``column`` names the list of the message that collects its field ``key`` over all objects, if any.
    """

    size: int
    read: Callable[[bytes, int, Fields], None]
    write: Callable[[Values], bytes]
    column: str = ""
    key: str = ""


IV, NT, SB, BL, EI, OV = 0x80, 0x40, 0x20, 0x10, 0x08, 0x01
QUALITY: Final = {"iv": IV, "nt": NT, "sb": SB, "bl": BL, "ei": EI, "ov": OV}
"""Quality bits, gravest first: invalid, not topical, substituted, blocked, elapsed time invalid, overflow."""
POINT_QUALITY: Final = IV | NT | SB | BL

Bits = Mapping[str, tuple[int, int]]
"""Fields within an octet: lowest bit and width."""


def _quality(octet: int, mask: int) -> tuple[str, ...]:
    return tuple(name for name, bit in QUALITY.items() if octet & mask & bit)


def _octet(bits: Bits, quality: int = 0, column: str = "", key: str = "value") -> Element:
    """An octet of bit fields, with the quality bits of ``quality``; every value of it is worked out once."""
    table: list[Fields] = []
    for octet in range(256):
        fields: Fields = {name: octet >> low & (1 << width) - 1 for name, (low, width) in bits.items()}
        if quality:
            fields["quality"] = _quality(octet, quality)
        table.append(fields)

    def read(asdu: bytes, at: int, fields: Fields) -> None:
        fields.update(table[asdu[at]])

    def write(fields: Values) -> bytes:
        octet = sum(QUALITY[name] for name in fields.get("quality", ()) if QUALITY[name] & quality)
        for name, (low, width) in bits.items():
            octet |= (int(fields.get(name, 0)) & (1 << width) - 1) << low
        return bytes([octet])

    return Element(1, read, write, column, key)


def _number(code: str, key: str = "value", column: str = "", scale: float = 0) -> Element:
    """A number of little-endian octets; ``scale`` divides it."""
    form = Struct("<" + code)
    low, high = (0, 0) if code == "f" else _bounds(form.size, signed=code.islower())

    def read(asdu: bytes, at: int, fields: Fields) -> None:
        (number,) = form.unpack_from(asdu, at)
        fields[key] = number / scale if scale else number

    def write(fields: Values) -> bytes:
        number = fields.get(key, 0)
        if code == "f":
            return form.pack(number)
        return form.pack(min(max(round(number * scale) if scale else int(number), low), high))

    return Element(form.size, read, write, column, key)


def _bounds(size: int, *, signed: bool) -> tuple[int, int]:
    bits = 8 * size
    return (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)


def _octets3(key: str) -> Element:
    def read(asdu: bytes, at: int, fields: Fields) -> None:
        fields[key] = int.from_bytes(asdu[at : at + 3], "little")

    return Element(3, read, lambda fields: int(fields.get(key, 0)).to_bytes(3, "little"), "", key)


def _read_step(asdu: bytes, at: int, fields: Fields) -> None:
    octet = asdu[at]
    fields["value"] = (octet & 0x3F) - (octet & 0x40)
    fields["transient"] = octet >> 7


def _write_step(fields: Values) -> bytes:
    return bytes([int(fields.get("value", 0)) & 0x7F | (0x80 if fields.get("transient") else 0)])


def _read_counter(asdu: bytes, at: int, fields: Fields) -> None:
    octet = asdu[at + 4]
    fields["value"] = int.from_bytes(asdu[at : at + 4], "little", signed=True)
    fields["sequence"] = octet & 0x1F
    fields["carry"] = octet >> 5 & 1
    fields["adjusted"] = octet >> 6 & 1
    fields["quality"] = ("iv",) if octet & IV else ()


def _write_counter(fields: Values) -> bytes:
    octet = int(fields.get("sequence", 0)) & 0x1F
    octet |= 0x20 if fields.get("carry") else 0
    octet |= 0x40 if fields.get("adjusted") else 0
    octet |= IV if "iv" in fields.get("quality", ()) else 0
    return int(fields.get("value", 0)).to_bytes(4, "little", signed=True) + bytes([octet])


def _read_changes(asdu: bytes, at: int, fields: Fields) -> None:
    fields["value"] = asdu[at] | asdu[at + 1] << 8
    fields["changed"] = asdu[at + 2] | asdu[at + 3] << 8


def _write_changes(fields: Values) -> bytes:
    return int(fields.get("value", 0)).to_bytes(2, "little") + int(fields.get("changed", 0)).to_bytes(2, "little")


def _read_minutes(asdu: bytes, at: int, fields: Fields) -> None:
    ms = asdu[at] | asdu[at + 1] << 8
    minute = asdu[at + 2]
    fields["time"] = f"{minute & 0x3F:02d}:{ms // 1000:02d}.{ms % 1000:03d}"
    fields["time_quality"] = ("iv",) if minute & IV else ()


def _write_minutes(fields: Values) -> bytes:
    minute, second = str(fields["time"]).split(":")
    octet = int(minute) | (IV if "iv" in fields.get("time_quality", ()) else 0)
    return _milliseconds(second) + bytes([octet])


def _milliseconds(second: str) -> bytes:
    return round(float(second) * 1000).to_bytes(2, "little")


TIME_QUALITY: Final = ((), ("su",), ("iv",), ("iv", "su"))


def _time(key: str, column: str = "") -> Element:
    """CP56Time2a as local time in ISO form, with its day of the week (0: not used) and its bits IV and SU.

    A year of two digits is 1970 to 2069; some senders count on from 1900, and are read so. A date that does not
    exist is given as it was sent.
    """

    def read(asdu: bytes, at: int, fields: Fields) -> None:
        low, high, minute, hour, day, month, year = asdu[at : at + 7]
        ms = low | high << 8
        year &= 0x7F
        fields[key] = (
            f"{year + (1900 if year >= 70 else 2000)}-{month & 0x0F:02d}-{day & 0x1F:02d}"
            f"T{hour & 0x1F:02d}:{minute & 0x3F:02d}:{ms // 1000:02d}.{ms % 1000:03d}"
        )
        fields[f"{key}_quality"] = TIME_QUALITY[minute >> 6 & 2 | hour >> 7]
        fields[f"{key}_weekday"] = day >> 5

    def write(fields: Values) -> bytes:
        date, clock = str(fields[key]).split("T")
        year, month, day = map(int, date.split("-"))
        hour, minute, second = clock.split(":")
        quality = fields.get(f"{key}_quality", ())
        octets = [
            int(minute) | (IV if "iv" in quality else 0),
            int(hour) | (0x80 if "su" in quality else 0),
            day | int(fields.get(f"{key}_weekday", 0)) << 5,
            month,
            year % 100,
        ]
        return _milliseconds(second) + bytes(octets)

    return Element(7, read, write, column, key)


def _read_segment(asdu: bytes, at: int, fields: Fields) -> None:
    fields["los"] = asdu[at]
    fields["segment"] = bytes(asdu[at + 1 : at + 1 + asdu[at]])


def _write_segment(fields: Values) -> bytes:
    segment = bytes(fields["segment"])
    return bytes([len(segment)]) + segment


def _whole(key: str, column: str = "") -> Element:
    return _octet({key: (0, 8)}, column=column, key=key)


ELEMENTS: Final[dict[str, Element]] = {
    "SIQ": _octet({"value": (0, 1)}, POINT_QUALITY, "spi"),
    "DIQ": _octet({"value": (0, 2)}, POINT_QUALITY, "dpi"),
    "QDS": _octet({}, POINT_QUALITY | OV, "qds_iv", "quality"),
    "QDP": _octet({}, POINT_QUALITY | EI),
    "VTI": Element(1, _read_step, _write_step, "value_vti", "value"),
    "BSI": _number("I", column="value_bsi"),
    "NVA": _number("h", column="value_normalized", scale=32768),
    "SVA": _number("h", column="value_scaled"),
    "R32": _number("f", column="value_float"),
    "BCR": Element(5, _read_counter, _write_counter, "value_bcr", "value"),
    "SEP": _octet({"value": (0, 2)}, POINT_QUALITY | EI),
    "SPE": _octet({"value": (0, 6)}),
    "OCI": _octet({"value": (0, 4)}),
    "SCD": Element(4, _read_changes, _write_changes),
    "SCO": _octet({"value": (0, 1), "qu": (2, 5), "se": (7, 1)}, column="scs"),
    "DCO": _octet({"value": (0, 2), "qu": (2, 5), "se": (7, 1)}, column="dcs"),
    "RCO": _octet({"value": (0, 2), "qu": (2, 5), "se": (7, 1)}, column="rcs"),
    "QOS": _octet({"ql": (0, 7), "se": (7, 1)}),
    "COI": _octet({"coi": (0, 7), "changed": (7, 1)}, column="coi", key="coi"),
    "QOI": _whole("qoi", "qoi"),
    "QCC": _octet({"rqt": (0, 6), "frz": (6, 2)}),
    "QRP": _whole("qrp"),
    "QPM": _octet({"kpa": (0, 6), "lpc": (6, 1), "pop": (7, 1)}),
    "QPA": _whole("qpa"),
    "FBP": _number("H", "fbp"),
    "TSC": _number("H", "tsc"),
    "CP16": _number("H", "elapsed_ms"),
    "CP24": Element(3, _read_minutes, _write_minutes, "cp24", "time"),
    "CP56": _time("time", "cp56"),
    "FROM": _time("from"),
    "TO": _time("to"),
    "NOF": _number("H", "nof"),
    "NOS": _whole("nos"),
    "LOF": _octets3("lof"),
    "FRQ": _whole("frq"),
    "SRQ": _whole("srq"),
    "SCQ": _whole("scq"),
    "LSQ": _whole("lsq"),
    "CHS": _whole("chs"),
    "AFQ": _whole("afq"),
    "SOF": _whole("sof"),
    "SEGMENT": Element(1, _read_segment, _write_segment),
}
"""Every element of the type identifications, by its name in the standard; SEGMENT grows by its first octet."""
