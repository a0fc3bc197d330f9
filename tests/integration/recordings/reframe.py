"""A public air-quality series re-framed as a dust station's uploads: the values are real, the framing is ours.

The series is the PRSA hourly record of the Beijing station Dongsi, 2013 to 2017. No such station ever sent
these bytes: each row becomes one HJ 212-2017 upload of hourly means (ST=39, CN=2061) under an MN that we
made up. Values change only in their unit (CO from µg/m³ to mg/m³, pressure from hPa to kPa, wind from
one of 16 sectors to degrees), because that is how stations send them. A value that is absent in the
series is absent in the frame; minimum and maximum of an hour, which the series lacks, repeat its mean.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import islice
from pathlib import Path

from connectors.hj212 import encoder

FILE = "series/prsa_beijing_dongsi_2013_2017.csv.gz"
MN = "PRSA00000000000000DONGSI"
ABSENT = "NA"
FACTORS: Mapping[str, tuple[str, float]] = {
    "PM2.5": ("a34004", 1.0),
    "PM10": ("a34002", 1.0),
    "SO2": ("a21026", 1.0),
    "NO2": ("a21004", 1.0),
    "CO": ("a21005", 0.001),
    "O3": ("a05024", 1.0),
    "TEMP": ("a01001", 1.0),
    "PRES": ("a01006", 0.1),
    "WSPM": ("a01007", 1.0),
}
"""Column to factor code of HJ 212-2017 annex B, and from the column's unit to the one stations send."""
WIND = "a01008"
HOUR_US = 3_600_000_000
"""A station sends an hour's means when the hour is over."""
SECTORS = ["N", "NNE", "NE", "ENE", "E", "ESE", "SE", "SSE", "S", "SSW", "SW", "WSW", "W", "WNW", "NW", "NNW"]


def hours(path: Path, count: int | None = None) -> Iterator[dict[str, str]]:
    """Give the series' rows as they are, the first ``count`` or all."""
    with gzip.open(path, "rt", encoding="ascii", newline="") as lines:
        yield from islice(csv.DictReader(lines), count)


def hour_of(row: Mapping[str, str]) -> int:
    """Give the start of a row's hour, microseconds UTC; the series tells Beijing time."""
    year, month, day, hour = (int(row[name]) for name in ("year", "month", "day", "hour"))
    return int(datetime(year, month, day, hour, tzinfo=encoder.BEIJING).timestamp()) * 1_000_000


def upload(row: Mapping[str, str], mn: str = MN) -> bytes:
    """Give the frame of one hour."""
    values: dict[str, float | None] = {
        code: float(row[column]) * factor for column, (code, factor) in FACTORS.items() if row[column] != ABSENT
    }
    if row["wd"] != ABSENT:
        values[WIND] = SECTORS.index(row["wd"]) * 22.5
    start = hour_of(row)
    return encoder.hourly(mn, ts=start, values=values, qn=encoder.stamp(start + HOUR_US, millis=True))


def write(series: Path, target: Path, count: int | None = None, mn: str = MN) -> int:
    """Write the uploads of the series as a recording of one packet a line; give how many there are."""
    frames = [upload(row, mn).decode("ascii").rstrip("\r\n") for row in hours(series, count)]
    target.write_text("\n".join(frames) + "\n", encoding="ascii")
    return len(frames)
