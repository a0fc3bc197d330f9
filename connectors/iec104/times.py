"""Times of a station's clock to instants and back: CP56Time2a and CP24Time2a as ``elements`` shows them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from schemas.errors import Fatal, Reject

MINUTE: Final = 60_000_000
HOUR: Final = 60 * MINUTE


def zone(name: str) -> ZoneInfo:
    """Give a time zone by its IANA name; an unknown one raises ``Fatal``."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        msg = f"iec104: setting 'time_zone': {error}; give a name such as Asia/Shanghai"
        raise Fatal(msg) from error


def instant(local: str, where: ZoneInfo, *, summer: bool = False) -> int:
    """Give the microseconds UTC of a local time; ``summer`` (SU) tells which of a doubled hour it is.

    A date or time that does not exist raises ``Reject``.
    """
    try:
        moment = datetime.fromisoformat(local).replace(tzinfo=where, fold=0 if summer else 1)
    except ValueError:
        raise Reject("bad_field", f"{local} is no date and time") from None
    return round(moment.timestamp() * 1000) * 1000


def within_hour(clock: str, seen_at: int) -> int:
    """Give the latest instant, at most a minute ahead of ``seen_at``, whose minute and second are those.

    CP24Time2a does not say the hour; zones that are not whole hours off UTC are not met here.
    """
    minute, second = clock.split(":")
    past = int(minute) * MINUTE + round(float(second) * 1000) * 1000
    if past >= HOUR:
        raise Reject("bad_field", f"{clock} is no minute and second of an hour")
    found = seen_at - seen_at % HOUR + past
    while found > seen_at + MINUTE:
        found -= HOUR
    return found


def local(ts: int, where: ZoneInfo) -> dict[str, object]:
    """Give an instant as the fields of a CP56Time2a element."""
    moment = datetime.fromtimestamp(ts // 1000 / 1000, UTC).astimezone(where)
    quality = ("su",) if moment.dst() else ()
    return {
        "time": moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}",
        "time_quality": quality,
        "time_weekday": moment.isoweekday(),
    }
