"""Lock events as an operator pushes them, for tests and the simulator."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from connectors._api import rules, times
from connectors.bike_events.decoder import COLUMNS

HERE = Path(__file__).resolve().parent


def row(values: Mapping[str, Any], *, crs: str = "wgs84", zone: str = "Asia/Shanghai") -> dict[str, Any]:
    """Give the row of an event from fields of bike_event: source, ts, event, lon, lat."""
    record, _ = rules.read(HERE / "mapping.toml")["bike_event"].record(values, crs)
    return {**record, "DATA_TIME": times.write(values["ts"], "text", zone)}


def json_body(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Give the rows as a JSON list."""
    return msgspec.json.encode(rows)


def csv_body(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = COLUMNS) -> bytes:
    """Give the rows as CSV lines under a head line."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
