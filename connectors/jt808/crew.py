"""Who drives and what is carried: driver cards (0x0702) and electronic waybills (0x0701) as fields of their kinds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from connectors._api import bcd
from connectors._api.layouts import text
from connectors._api.pseudonym import pseudonym
from schemas.errors import Reject

CARD_IN, CARD_OUT, CARD_READ = 1, 2, 0
CARD_RESULTS: Final = {1: "key_refused", 2: "card_locked", 3: "card_removed", 4: "check_failed"}
"""Results of reading a driver's card other than success."""
WAYBILL_MAX: Final = 16_384
"""Longest waybill kept, characters."""


def duty(message: Mapping[str, Any], key: str, offset_us: int, seen_at: int) -> dict[str, Any]:
    """Give the fields of a ``driver_duty`` from a driver card message; a time no calendar has raises ``Reject``.

    The 2011 form says who drives but not since when: it is dated by its arrival. Without a key nobody is named.
    """
    status, result = message.get("status"), message.get("card_result", CARD_READ)
    event = {CARD_IN: "on", CARD_OUT: "off"}.get(status or 0, "report")
    if status == CARD_IN and result != CARD_READ:
        event = "failed"
    stamp = message.get("time")
    return {
        "event": event,
        "ts": seen_at if stamp is None else bcd.instant(bcd.time_bytes(stamp), offset_us),
        "driver": pseudonym(message.get("licence", ""), key) if key else None,
        "issuer": message.get("authority") or None,
        "valid_until": _day(message.get("valid_until", ""), offset_us),
        "detail": CARD_RESULTS.get(result, f"0x{result:02x}") if event == "failed" else None,
    }


def waybill(message: Mapping[str, Any]) -> str:
    """Give the content of an electronic waybill; one that is too long raises ``Reject``."""
    content = text(message["content"])
    if len(content) > WAYBILL_MAX:
        raise Reject("too_large", f"waybill of {len(content)} characters, at most {WAYBILL_MAX} are kept")
    return content


def _day(shown: str, offset_us: int) -> int | None:
    """Give the start of a day shown as ``2030-12-31``; absent where the card has none."""
    if not shown.startswith("20"):
        return None
    try:
        return bcd.instant(bcd.date_bytes(shown)[1:] + bytes(3), offset_us)
    except (Reject, ValueError):
        return None
