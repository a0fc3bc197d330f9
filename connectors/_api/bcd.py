"""8421 BCD as Chinese terminals use it: digits, numbers, local times and their instants."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from schemas.errors import Reject

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BEIJING_US = 8 * 3_600_000_000
"""Offset of local time (GMT+8), µs."""
HOURS_KEPT = 4096
"""How many distinct hours are remembered before the memory is dropped."""

MINUTE_OR_SECOND = {(v // 10) << 4 | v % 10: v for v in range(60)}
"""BCD byte to 0-59; other bytes are absent."""

_hours: dict[bytes, int] = {}


def instant(raw: bytes, offset_us: int = BEIJING_US) -> int:
    """Give the µs UTC of six BCD bytes YYMMDDhhmmss of local time; a time no calendar has is a ``bad_field``."""
    hour = _hours.get(raw[:4])
    if hour is None:
        hour = _hour(raw)
    try:
        return hour + (MINUTE_OR_SECOND[raw[4]] * 60 + MINUTE_OR_SECOND[raw[5]]) * 1_000_000 - offset_us
    except LookupError:
        raise Reject("bad_field", f"time {raw.hex().upper()} is no BCD YYMMDDhhmmss") from None


def _hour(raw: bytes) -> int:
    h = raw.hex()
    try:
        start = datetime(2000 + int(h[0:2]), int(h[2:4]), int(h[4:6]), int(h[6:8]), tzinfo=UTC)
    except ValueError:
        raise Reject("bad_field", f"time {h.upper()} is no BCD YYMMDDhhmmss") from None
    return _keep(raw[:4], start)


def _keep(key: bytes, start: datetime) -> int:
    if len(_hours) >= HOURS_KEPT:
        _hours.clear()
    return _hours.setdefault(key, (start - EPOCH) // timedelta(microseconds=1))


def text_instant(text: str, offset_us: int = BEIJING_US) -> int:
    """Give the µs UTC of a local time as ``time_text`` shows it; a text that is no time is a ``bad_field``."""
    key = text[:13].encode("ascii", "replace")
    hour = _hours.get(key)
    try:
        if hour is None:
            hour = _keep(key, datetime.strptime(text[:13], "%Y-%m-%d %H").replace(tzinfo=UTC))
        minute, second = int(text[14:16]), int(text[17:19])
    except ValueError:
        minute = second = 60
    if hour is None or minute > 59 or second > 59:
        raise Reject("bad_field", f"{text!r} is no time of the form YYYY-MM-DD hh:mm:ss")
    return hour + (minute * 60 + second) * 1_000_000 - offset_us


def from_instant(ts: int, offset_us: int = BEIJING_US) -> bytes:
    """Give the six BCD bytes of local time of an instant in µs UTC, whole seconds."""
    return bytes.fromhex((EPOCH + timedelta(microseconds=ts + offset_us)).strftime("%y%m%d%H%M%S"))


def time_text(raw: bytes) -> str:
    """Give ``YYYY-MM-DD hh:mm:ss`` as the wire says it; bytes that are no BCD stay hex."""
    h = raw.hex()
    if not h.isdigit():
        return h.upper()
    return f"20{h[0:2]}-{h[2:4]}-{h[4:6]} {h[6:8]}:{h[8:10]}:{h[10:12]}"


def time_bytes(text: str) -> bytes:
    """Give the bytes that ``time_text`` shows so."""
    digits_only = "".join(c for c in text if c.isalnum())
    return bytes.fromhex(digits_only[2:] if len(digits_only) == 14 else digits_only)


def digits(raw: bytes) -> str:
    """Give the digits; nibbles above nine, which some terminals send, show as A-F."""
    return raw.hex().upper()


def from_digits(text: str, length: int) -> bytes:
    """Give ``length`` bytes of digits, zeros in front; too many digits raise ``ValueError``."""
    if len(text) > 2 * length:
        msg = f"{text!r} has more than {2 * length} digits"
        raise ValueError(msg)
    return bytes.fromhex(text.zfill(2 * length))


def date_text(raw: bytes) -> str:
    """Give ``YYYY-MM-DD`` of four BCD bytes; bytes that are no BCD stay hex."""
    h = raw.hex()
    return f"{h[0:4]}-{h[4:6]}-{h[6:8]}" if h.isdigit() else h.upper()


def date_bytes(text: str) -> bytes:
    """Give the bytes that ``date_text`` shows so."""
    return bytes.fromhex(text.replace("-", ""))


def number(raw: bytes) -> int | str:
    """Give the number the digits write; bytes that are no BCD stay hex."""
    h = raw.hex()
    return int(h) if h.isdigit() else h.upper()
