"""From the results of an APDU to values by attribute and element, and the meters and times they belong to."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

SERVER: Final = "202A0200"
"""Column with the address of the meter a row tells of."""
TIMES: Final = ("20210200", "60410200", "60420200", "60400200", "201E0200")
"""Columns with a row's time, best first: frozen, collected, stored, collection begun, event begun."""
CLOCK: Final = "40000200"
EPOCH: Final = datetime(1970, 1, 1, 8)  # noqa: DTZ001 - as Beijing's clocks showed it, like the texts
HEX: Final = tuple(f"{n:02X}" for n in range(256))
NUMBERS: Final = (int, float)
"""Types of a number; a truth value is none."""


class Found(NamedTuple):
    """Values of one meter at one time; address and time are empty where the APDU does not tell them."""

    address: str
    values: dict[str, float]
    ts: int | None
    clock: int | None
    register: str | None


def of(message: dict[str, Any]) -> Iterator[Found]:
    """Give the values in a message: of results, of the rows of records, of the meters behind a proxy."""
    if "servers" in message:
        for server in message["servers"]:
            yield from _results(server.get("results", []), server["tsa"])
    if "result" in message and isinstance(message["result"], dict):
        yield from _results([message["result"]], "")
    yield from _results(message.get("results", []), message.get("tsa", ""))
    for record in [*message.get("records", []), *([message["record"]] if "record" in message else [])]:
        yield from _rows(record, message.get("tsa", ""))
    follow = message.get("follow_report", [])
    yield from _results([one for one in follow if "rows" not in one], "")
    for record in follow:
        yield from _rows(record, "")


def _results(results: list[dict[str, Any]], address: str) -> Iterator[Found]:
    plain = [one for one in results if "columns" not in one]
    found = _found(plain, address, plain[0].get("oad") if len(plain) == 1 else None)
    if found.values:
        yield found
    for record in results:
        if "columns" in record:
            yield from _rows(record, address)


def _rows(record: dict[str, Any], address: str) -> Iterator[Found]:
    for row in record.get("rows", []):
        found = _found(row, address, record.get("oad"))
        if found.values:
            yield found


def _found(cells: list[dict[str, Any]], address: str, register: str | None) -> Found:
    known = {cell["oad"]: cell["value"] for cell in cells if "oad" in cell and "value" in cell}
    values: dict[str, float] = {}
    for oad, value in known.items():
        values |= elements(oad, value)
    times = [time for column in TIMES if column in known and (time := instant(known[column])) is not None]
    clock = instant(known[CLOCK]) if CLOCK in known else None
    server = known.get(SERVER)
    return Found(server if isinstance(server, str) and server else address, values, times[0] if times else None, clock, register)


def elements(oad: str, value: Any) -> dict[str, float]:
    """Give the numbers of an attribute by OAD: the whole array as its elements, counted from 1, a single value as itself."""
    if isinstance(value, list):
        which = oad[:6]
        return {which + HEX[n]: one for n, one in enumerate(value[:255], 1) if type(one) in NUMBERS} if oad[6:] == "00" else {}
    if type(value) not in NUMBERS:
        return {}
    return {oad: value, f"{oad[:6]}01": value} if oad[:2] == "00" and oad[6:] == "00" else {oad: value}


def instant(text: Any) -> int | None:
    """Give the microseconds UTC of a date_time_s as the message shows it; ``None`` for anything else."""
    if not isinstance(text, str):
        return None
    try:
        since = datetime.fromisoformat(text) - EPOCH
    except (ValueError, TypeError):  # no time, or one with an offset
        return None
    return since // timedelta(milliseconds=1) * 1000
