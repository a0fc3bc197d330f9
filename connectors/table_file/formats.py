"""Excel and Parquet files as pages of rows, read piece by piece; text tables as any connector reads them."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from datetime import date, datetime, time
from decimal import Decimal
from itertools import islice
from math import isfinite
from typing import Any, BinaryIO, Final

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq

from connectors._api import sheets
from connectors._api.sheets import Bad, Page, Row
from connectors._api.tables import Declared
from schemas.errors import Reject

WORKBOOK: Final = b"PK\x03\x04"
PARQUET: Final = b"PAR1"
OLD_EXCEL: Final = b"\xd0\xcf\x11\xe0"
GZIP: Final = b"\x1f\x8b"
UNPACKED: Final = 2 << 30
"""Bytes that a workbook may have unpacked."""
GROUP: Final = 512 << 20
"""Bytes that a row group of a Parquet file may have unpacked."""
WIDEST: Final = 4096
"""Cells of a workbook's row."""
ROWS: Final = 1000


def pages(file: BinaryIO, declared: Declared) -> Iterator[Page]:
    """Give the pages of a file, whatever its format; one that is no table raises ``Reject``."""
    start = file.read(4)
    file.seek(0)
    if start == WORKBOOK:
        return _guarded(_workbook(file, declared), "no Excel workbook")
    if start == PARQUET:
        return _guarded(_parquet(file), "no Parquet file")
    if start == OLD_EXCEL:
        raise Reject("unsupported", "an old Excel file (.xls) or one with a password: save it as .xlsx without password", start)
    if start.startswith(GZIP):
        raise Reject("unsupported", "a compressed file: unpack it before it is dropped", start)
    return sheets.text_pages(file, declared)


def _guarded(found: Iterator[Page], what: str) -> Iterator[Page]:
    """Give the pages; whatever the library raises on a broken file refuses it."""
    try:
        yield from found
    except Reject:
        raise
    except Exception as error:  # both libraries raise nearly anything on broken files
        raise Reject("bad_frame", f"{what}: {type(error).__name__}: {str(error)[:200]}") from error


def _workbook(file: BinaryIO, declared: Declared) -> Iterator[Page]:
    with zipfile.ZipFile(file) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
    if unpacked > UNPACKED:
        raise Reject("too_large", f"the workbook has {unpacked} bytes unpacked; the limit is {UNPACKED}")
    file.seek(0)
    book = openpyxl.load_workbook(file, read_only=True, data_only=True, keep_links=False)
    try:
        if declared.sheet and declared.sheet not in book.sheetnames:
            raise Reject("bad_frame", f"no sheet {declared.sheet!r}; there are {', '.join(map(repr, book.sheetnames))}")
        sheet = book[declared.sheet] if declared.sheet else book.worksheets[0]
        sheet.reset_dimensions()
        rows = enumerate(sheet.iter_rows(values_only=True), 1)
        for _ in islice(rows, declared.skip):
            pass
        head = declared.columns or sheets.head_of(next(rows, (1, ()))[1], f"line {declared.skip + 1}")
        yield from sheets.paged(head, _cells(rows, len(head)), "xlsx")
    finally:
        book.close()


def _cells(rows: Iterator[tuple[int, tuple[Any, ...]]], width: int) -> Iterator[tuple[int, Row] | Bad]:
    for line, cells in rows:
        if len(cells) > WIDEST:
            raise Reject("too_large", f"line {line} has {len(cells)} cells; the limit is {WIDEST}")
        if all(cell is None or cell == "" for cell in cells):
            continue
        row = [_plain(cell) for cell in cells]
        row += [None] * (width - len(row))  # a workbook does not store the empty cells at a row's end
        found = sheets.fitted(row, width)
        yield (
            (line, found)
            if found is not None
            else Bad(line, "bad_frame", f"{len(row)} cells, the head has {width}", str(row)[:4096])
        )


def _parquet(file: BinaryIO) -> Iterator[Page]:
    table = pq.ParquetFile(file)
    metadata = table.metadata
    largest = max((metadata.row_group(n).total_byte_size for n in range(metadata.num_row_groups)), default=0)
    if largest > GROUP:
        raise Reject("too_large", f"a row group has {largest} bytes; the limit is {GROUP}: write smaller row groups")
    columns = sheets.head_of(table.schema_arrow.names, "the schema")
    yield from sheets.paged(columns, _batches(table), "parquet")


def _batches(table: pq.ParquetFile) -> Iterator[tuple[int, Row] | Bad]:
    line = 0
    for batch in table.iter_batches(batch_size=ROWS):
        makers = [_maker(column.type) for column in batch.columns]
        columns = [[make(value) for value in column.to_pylist()] for make, column in zip(makers, batch.columns, strict=True)]
        for cells in zip(*columns, strict=True):
            line += 1
            yield line, list(cells)


def _maker(kind: pa.DataType) -> Callable[[Any], Any]:
    return (lambda value: value) if pa.types.is_integer(kind) or pa.types.is_string(kind) else _plain


def _plain(value: Any) -> Any:
    """Give a cell as JSON can hold it: times as ISO 8601, decimals as text, whole numbers without fraction."""
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, float):
        if not isfinite(value):
            return None
        return int(value) if value.is_integer() and abs(value) < 1 << 53 else value
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, bytes):
        return value.hex().upper()
    return value if value is None or isinstance(value, str | int) else str(value)
