"""APDUs built from fields: what a controlling station commands, and what a station answers and reports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from zoneinfo import ZoneInfo

from connectors.iec104 import asdu, times
from connectors.iec104.apci import i_frame, s_frame, u_frame
from connectors.iec104.asdu import write

__all__ = ["clock", "i_frame", "interrogation", "report", "s_frame", "stamped", "u_frame", "write"]

INTERROGATION: Final = 100
COUNTERS: Final = 101
CLOCK: Final = 103
SPONTANEOUS, ACTIVATION = 3, 6
"""Causes of transmission (IEC 60870-5-101:2003 7.2.3)."""
QUALIFIERS: Final[Mapping[int, dict[str, int]]] = {INTERROGATION: {"qoi": 20}, COUNTERS: {"rqt": 5, "frz": 0}}
"""The general request of each kind of interrogation: of the station, of all counters without freezing."""


def interrogation(ca: int, order: int = INTERROGATION, *, oa: int = 0) -> bytes:
    """Give the ASDU of a general interrogation, or of one of all counters."""
    return write(order, [{"ioa": 0, **QUALIFIERS[order]}], cot=ACTIVATION, ca=ca, oa=oa)


def clock(ca: int, ts: int, zone: ZoneInfo, *, oa: int = 0) -> bytes:
    """Give the ASDU that sets a station's clock to ``ts`` (microseconds UTC), in the zone it keeps."""
    return write(CLOCK, [{"ioa": 0, **times.local(ts, zone)}], cot=ACTIVATION, ca=ca, oa=oa)


def stamped(one: Mapping[str, Any], ts: int, zone: ZoneInfo) -> dict[str, Any]:
    """Give an object with its time of a type that ends in a CP56Time2a."""
    return {**one, **times.local(ts, zone)}


def report(
    type_id: int, objects: Iterable[Mapping[str, Any]], *, ca: int, cot: int = SPONTANEOUS, oa: int = 0
) -> Iterator[bytes]:
    """Give as many ASDUs as objects of one type need, in order."""
    most = asdu.capacity(type_id)
    waiting = list(objects)
    for at in range(0, len(waiting), most):
        yield write(type_id, waiting[at : at + most], cot=cot, ca=ca, oa=oa)
