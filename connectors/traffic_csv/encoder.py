"""Detector and link tables as traffic centres write them, for tests and the simulator."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from connectors._api import tables, times
from connectors._api.tables import Table

HERE = Path(__file__).resolve().parent


def rows(kind: str, readings: Sequence[Mapping[str, Any]], profile: str = "detectors", **changes: Any) -> list[dict[str, Any]]:
    """Give rows that a profile reads as these fields of a kind; ``ts`` is in microseconds UTC."""
    made = Table(tables.load(HERE, profile, changes, [kind])).records(kind, readings)
    return [{**row, "time": times.write(reading["ts"], "text")} for row, reading in zip(made, readings, strict=True)]


def csv_body(records: Sequence[Mapping[str, Any]]) -> bytes:
    """Give records as CSV lines under a head line of all their columns."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(key for record in records for key in record)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue().encode()


def json_body(records: Sequence[Mapping[str, Any]]) -> bytes:
    """Give records as JSON lines."""
    return b"".join(msgspec.json.encode(record) + b"\n" for record in records)


def wide_body(readings: Sequence[tuple[int, Mapping[str, float | str]]]) -> bytes:
    """Give times (microseconds UTC) and the speeds in km/h by detector as a wide CSV table."""
    return csv_body([{"time": times.write(ts, "text"), **speeds} for ts, speeds in readings])
