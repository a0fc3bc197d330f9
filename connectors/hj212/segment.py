"""The data segment of HJ 212 as text: header items, the ``CP`` area, times, numbers (HJ 212-2017 6.3)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from math import isfinite
from typing import Any, Final

from connectors.hj212.encoder import BEIJING
from schemas.errors import Reject

Item = dict[str, str]
"""One item of ``CP``: the fields that stand between two semicolons."""

NAMES: Final[Mapping[str, str]] = {
    "1000": "set_timeout_and_retries",
    "1011": "device_time",
    "1012": "set_device_time",
    "1013": "time_calibration_notice",
    "1061": "realtime_interval",
    "1062": "set_realtime_interval",
    "1063": "minute_interval",
    "1064": "set_minute_interval",
    "1072": "set_password",
    "2011": "realtime_data",
    "2012": "stop_realtime_data",
    "2021": "device_state",
    "2022": "stop_device_state",
    "2031": "day_data",
    "2041": "device_running_time",
    "2051": "minute_data",
    "2061": "hour_data",
    "2081": "device_boot_time",
    "3011": "calibrate_zero_and_span",
    "3012": "sample_now",
    "3013": "start_cleaning",
    "3014": "comparison_sampling",
    "3015": "retain_sample",
    "3016": "set_sampling_period",
    "3017": "sampling_period",
    "3018": "sampling_duration",
    "3019": "instrument_serial_number",
    "3020": "instrument_record",
    "3021": "set_instrument_parameter",
    "9011": "request_answer",
    "9012": "execution_result",
    "9013": "notice_answer",
    "9014": "data_answer",
}
"""Message by command code CN, HJ 212-2017 table 9."""
NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
ABSENT: Final = frozenset({"", "-", "--", "---", "----", "null", "na", "n/a"})
"""What stands for a value that is not there."""
LATEST: Final = 9_000_000_000_000
"""Milliseconds up to which a serial number fits 64 bits (the year 2255)."""
OPEN: Final = "CP=&&"
CLOSE: Final = "&&"


def text_of(segment: bytes) -> str:
    """Give the segment's text: UTF-8 as the standard says, else GBK as many devices send it."""
    for encoding in ("utf-8", "gb18030"):
        try:
            return segment.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise Reject("bad_encoding", "segment is neither UTF-8 nor GBK")


def parse(text: str) -> dict[str, Any]:
    """Give header fields as sent, and ``CP`` as one mapping per item; a text of another shape is refused."""
    start = text.find(OPEN)
    end = text.rfind(CLOSE)
    if start < 0 or end < start + len(OPEN) or text[end + len(CLOSE) :].strip():
        raise Reject("bad_frame", "segment does not end in CP=&&...&&")
    message: dict[str, Any] = {}
    for part in filter(None, (part.strip() for part in text[:start].split(";"))):
        key, sign, value = part.partition("=")
        if not sign or key.strip() in message:
            raise Reject("bad_frame", f"header item {part[:40]!r} is no field of its own")
        message[key.strip()] = value.strip()
    message["CP"] = [_item(part) for part in text[start + len(OPEN) : end].split(";") if part.strip()]
    return message


def _item(text: str) -> Item:
    fields = [field.partition("=") for field in text.split(",")]
    return {key.strip(): value.strip() for key, sign, value in fields if sign}


def number(text: str) -> float | None:
    """Give a value, or ``None`` where the device says that it has none; anything else is refused.

    A trailing ellipsis is passed over: the examples of annex C end in one.
    """
    plain = text
    if not NUMBER.fullmatch(text):
        if text.lower() in ABSENT:
            return None
        plain = text.rstrip("…")
        if not NUMBER.fullmatch(plain):
            raise Reject("bad_field", f"{text[:40]!r} is no number")
    value = float(plain)
    if not isfinite(value):
        raise Reject("bad_field", f"{text[:40]!r} is too large a number")
    return value


def time_of(text: str) -> int | None:
    """Give yyyyMMddHHmmss, or the same with milliseconds, of Beijing as microseconds UTC; ``None`` if it is no time."""
    if len(text) not in (14, 17) or not (text.isascii() and text.isdigit()):
        return None
    second = _second(text[:14])
    return second if second is None or len(text) == 14 else second + int(text[14:]) * 1000


@lru_cache(maxsize=4096)
def _second(text: str) -> int | None:
    """Give where a second begins: the times of all devices fall into few of them."""
    try:
        month, day, hour, minute, second = (int(text[at : at + 2]) for at in range(4, 14, 2))
        local = datetime(int(text[:4]), month, day, hour, minute, second, tzinfo=BEIJING)
        return round(local.timestamp()) * 1_000_000
    except (ValueError, OverflowError):
        return None


def serial_of(qn: str, cn: str, part: str) -> int:
    """Give the number of a packet's first reading; the packet's further readings count on from it.

    It holds QN in milliseconds, the command, PNO and three digits to count in, so that readings of one
    device and one time differ, and a packet sent again gives the same numbers. Without a QN it begins at 0.
    """
    at = time_of(qn)
    digits = qn if qn.isascii() and qn.isdigit() and len(qn) < 13 else "0"
    sent = int(digits) if at is None else at // 1000
    place = int(part) % 100 if part.isascii() and part.isdigit() and len(part) <= 4 else 0
    return serial_at(sent, int(cn[2]) * 100_000 + place * 1000)


def serial_at(sent: int, within: int) -> int:
    """Give that number from QN in milliseconds and what tells apart the readings of one QN."""
    return max(sent, 0) % LATEST * 1_000_000 + within
