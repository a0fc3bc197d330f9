"""Pages of a database table as the client makes them, for tests and the simulator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from connectors._api import sheets
from connectors._api.sheets import Page


def page(rows: Sequence[Mapping[str, Any]], watermark: Any = None) -> bytes:
    """Give rows, all with the columns of the first, as a page up to that watermark."""
    columns = list(rows[0]) if rows else []
    return sheets.encode(
        Page(columns=columns, rows=[[row.get(column) for column in columns] for row in rows], watermark=watermark)
    )
