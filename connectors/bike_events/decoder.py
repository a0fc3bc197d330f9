"""Lock events in a POST: JSON rows or CSV lines, read one by one."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, Final

import msgspec

from connectors._api import rules
from connectors._api.manifest import Settings
from connectors._api.paths import document
from connectors._api.session import Peer, Received, Reply
from schemas.errors import Reject

HERE: Final = Path(__file__).resolve().parent
COLUMNS: Final = ("BIKE_ID", "DATA_TIME", "LOCK_STATUS", "LONGITUDE", "LATITUDE")
"""Columns of CSV lines without a head line."""
ALIASES: Final = {"LON": "LONGITUDE", "LNG": "LONGITUDE", "LAT": "LATITUDE"}
NAMES: Final = {"0": "lock", "1": "unlock"}
MOST: Final = 100_000
"""Rows one POST may bring."""
Row = Any


class Session:
    """Decodes rows of one operator."""

    def __init__(self, settings: Settings, peer: Peer) -> None:
        self._crs = str(settings["crs"])
        self._parts = {"operator": str(settings["operator"]) or None}
        self._fields = rules.read(HERE / "mapping.toml", str(settings["zone"]))["bike_event"]

    def start(self, now: int) -> Received:
        """Give nothing: operators push."""
        return Received()

    def tick(self, now: int) -> Received:
        """Give nothing: no row waits for another."""
        return Received()

    def receive(self, packet: bytes, seen_at: int, origin: str = "") -> Received:
        """Decode a POST; what is neither JSON nor CSV is refused whole, else each row for itself."""
        rows = _json_rows(packet) if packet.lstrip()[:1] in (b"[", b"{") else _csv_rows(packet)
        if len(rows) > MOST:
            raise Reject("too_large", f"{len(rows)} rows; send at most {MOST} a POST", packet[:4096])
        readings, rejects, refused = [], [], []
        for index, row in enumerate(rows):
            try:
                readings.append(self._fields.reading(self._fields.values(row, self._parts), seen_at, self._crs))
            except Reject as error:
                rejects.append(Reject(error.reason, f"row {index}: {error.detail}", msgspec.json.encode(row)))
                refused.append({"index": index, "reason": error.reason, "detail": error.detail})
        answer = {"code": 1 if refused else 0, "accepted": len(readings), "refused": refused}
        reply = Reply(msgspec.json.encode(answer), "durable" if readings else "now")
        return Received(message=_message(rows), readings=readings, replies=(reply,), rejects=rejects)


def _message(rows: list[Row]) -> dict[str, Any]:
    if len(rows) != 1:
        return {"name": "lock_events", "rows": [_fields(row) for row in rows]}
    fields = _fields(rows[0])
    return {"name": NAMES.get(str(fields.get("lock_status")), "lock_event"), **fields}


def _fields(row: Row) -> dict[str, Any]:
    fields = row if isinstance(row, dict) else {"value": row}
    return {key.lower(): value for key, value in fields.items() if key.lower() != "name"}


def _json_rows(packet: bytes) -> list[Row]:
    body = document(packet)
    if isinstance(body, dict) and isinstance(body.get("data"), list):
        body = body["data"]
    return [_named(row) for row in (body if isinstance(body, list) else [body])]


def _csv_rows(packet: bytes) -> list[Row]:
    try:
        lines = list(csv.reader(packet.decode("utf-8-sig").splitlines()))
    except UnicodeDecodeError as error:
        raise Reject("bad_encoding", f"not UTF-8: {error.reason}", packet) from error
    except csv.Error as error:
        raise Reject("bad_frame", f"neither JSON nor CSV: {error}", packet) from error
    lines = [line for line in lines if line]
    columns: tuple[str, ...] = COLUMNS
    if lines and any(_column(cell) in COLUMNS for cell in lines[0]):
        columns = tuple(_column(cell) for cell in lines.pop(0))
    elif not lines or len(lines[0]) < len(COLUMNS):
        raise Reject("bad_frame", f"neither JSON nor CSV lines of {','.join(COLUMNS)}", packet)
    return [dict(zip(columns, (cell.strip() for cell in line), strict=False)) for line in lines]


def _named(row: Row) -> Row:
    return {_column(key): value for key, value in row.items()} if isinstance(row, dict) else row


def _column(name: str) -> str:
    upper = name.strip().upper()
    return ALIASES.get(upper, upper)
