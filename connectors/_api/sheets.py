"""Tables as pages of rows: CSV and JSON read piece by piece, whatever their size; other formats make the same pages."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain, islice
from typing import Any, BinaryIO, Final, Literal

import msgspec

from schemas.errors import REASONS, Reject

ROWS: Final = 500
"""Most rows of a page."""
CELLS: Final = 20_000
"""Most cells of a page, so that a wide table makes small pages."""
CHARACTERS: Final = 4_000_000
"""A page closes when its texts are longer than this."""
COLUMNS: Final = 20_000
LONGEST: Final = 1 << 20
"""Bytes of one JSON line."""
DOCUMENT: Final = 64 << 20
"""Bytes of a JSON document that is no lines."""
PIECE: Final = 1 << 20
DELIMITERS: Final = ",;\t|"
MARK: Final = "\udcff"
"""Stands for bytes that are no text."""
MARKED: Final = "cityops.marked"
Encoding = Literal["auto", "utf-8", "gb18030", "utf-16"]
Row = Any


def _mark(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return MARK, error.end


codecs.register_error(MARKED, _mark)


class Bad(msgspec.Struct, frozen=True, array_like=True):
    """A row that is none: its line, the reason of the reject, what is wrong, and its text."""

    line: int
    reason: str
    detail: str
    text: str = ""


class Page(msgspec.Struct, kw_only=True):
    """Some rows of a table: lists in the order of ``columns``, or objects where there are no columns.

    ``first`` rows came before; ``lines`` are the rows' line numbers (empty: the first row is line 1). ``watermark`` is
    how far a page of a database query reaches.
    """

    columns: list[str] = []
    rows: list[Row] = []
    first: int = 0
    lines: list[int] = []
    bad: list[Bad] = []
    format: str = ""
    watermark: Any = None

    def line(self, number: int) -> int:
        """Give the line number of a row of this page."""
        return self.lines[number] if number < len(self.lines) else self.first + number + 1


START: Final = b'{"columns":'
"""Begins a page as JSON."""


class Form(msgspec.Struct, frozen=True, kw_only=True):
    """How a text table is written: ``skip`` lines before the head; ``columns`` where there is no head."""

    encoding: Encoding = "auto"
    delimiter: str = "auto"
    skip: int = 0
    columns: list[str] = []


def encode(page: Page) -> bytes:
    """Give a page as the packet a session takes."""
    return msgspec.json.encode(page)


def page_of(packet: bytes) -> Page:
    """Read a page; what is none is refused."""
    try:
        page = msgspec.json.decode(packet, type=Page)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Reject("bad_frame", f"no page of a table: {error}", packet[:4096]) from error
    if page.columns and not all(isinstance(row, list) for row in page.rows):
        raise Reject("bad_frame", "no page of a table: a row is no list", packet[:4096])
    if not all(bad.reason in REASONS for bad in page.bad):
        raise Reject("bad_frame", "no page of a table: a bad row has an unknown reason", packet[:4096])
    return page


def is_json(file: BinaryIO) -> bool:
    """Tell whether the file begins like JSON; it is read from its beginning afterwards."""
    start = file.read(64).removeprefix(codecs.BOM_UTF8).lstrip()
    file.seek(0)
    return start[:1] in (b"{", b"[")


def text_pages(file: BinaryIO, form: Form) -> Iterator[Page]:
    """Give the pages of a CSV or JSON file; a file that is neither is refused, a row that is none becomes ``bad``."""
    return _json_pages(file) if is_json(file) else _csv_pages(file, form)


def paged(columns: list[str], rows: Iterable[tuple[int, Row] | Bad], format: str) -> Iterator[Page]:
    """Gather numbered rows, and those that are none, to pages; a table without rows gives one empty page."""
    most = max(1, min(ROWS, CELLS // max(len(columns), 1)))
    page, size, seen = Page(columns=columns, format=format), 0, 0
    for row in rows:
        if isinstance(row, Bad):
            page.bad.append(row)
            size += len(row.text)
        else:
            page.lines.append(row[0])
            page.rows.append(row[1])
            size += _characters(row[1])
        if len(page.rows) + len(page.bad) >= most or size > CHARACTERS:
            yield page
            seen += len(page.rows)
            page, size = Page(columns=columns, format=format, first=seen), 0
    if page.rows or page.bad or not seen:
        yield page


def _characters(row: Row) -> int:
    cells = row.values() if isinstance(row, dict) else row if isinstance(row, list) else ()
    return sum(len(cell) for cell in cells if isinstance(cell, str))


def head_of(cells: Iterable[Any], where: str) -> list[str]:
    """Give the names of columns; a name that is there twice, too many columns or none at all refuse the table."""
    names = ["" if cell is None else str(cell).strip() for cell in cells]
    while names and not names[-1]:
        names.pop()
    known = [name for name in names if name]
    twice = next((name for name in known if known.count(name) > 1), "") if len(set(known)) < len(known) else ""
    if MARK in "".join(known):
        raise Reject("bad_encoding", f"{where}: the names of columns are not in the encoding of the file")
    if not known or twice or len(names) > COLUMNS or "\0" in "".join(known):
        flaw = (
            f"two columns are named {twice!r}"
            if twice
            else f"over {COLUMNS} columns"
            if len(names) > COLUMNS
            else "no names of columns"
        )
        raise Reject("bad_frame", f"{where}: {flaw}")
    return names


def fitted(cells: list[Any], width: int) -> list[Any] | None:
    """Give a row as wide as its head: empty cells beyond it are dropped; any other number of cells is none."""
    while len(cells) > width and cells[-1] in ("", None):
        cells.pop()
    return cells if len(cells) == width else None


def encoding_of(file: BinaryIO) -> str:
    """Give UTF-16 or UTF-8 by their marks, UTF-8 where all of the file is that, else GB 18030; reads the file once."""
    start = file.read(2)
    file.seek(0)
    if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return "utf-16"
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        while piece := file.read(PIECE):
            decoder.decode(piece)
        decoder.decode(b"", True)
    except UnicodeDecodeError:
        return "gb18030"
    finally:
        file.seek(0)
    return "utf-8-sig"


def _csv_pages(file: BinaryIO, form: Form) -> Iterator[Page]:
    named = {"auto": "", "utf-8": "utf-8-sig"}.get(form.encoding, form.encoding)
    text = io.TextIOWrapper(file, named or encoding_of(file), MARKED, newline="")
    try:
        lines = iter(lambda: text.readline(LONGEST), "")
        skipped = sum(1 for _ in islice(lines, form.skip))
        first = next(lines, "")
        delimiter = max(DELIMITERS, key=first.count) if form.delimiter == "auto" else form.delimiter
        reader = csv.reader(chain((first,), lines), delimiter=delimiter)
        columns = form.columns or head_of(next(reader, []), f"line {skipped + 1}")
        yield from paged(columns, _rows(reader, skipped, len(columns)), "csv")
    except (csv.Error, UnicodeError) as error:
        raise Reject("bad_frame", f"no CSV: {error}") from error
    finally:
        with suppress(ValueError):  # it was closed before all of it was read
            text.detach()


def _rows(reader: Any, skipped: int, width: int) -> Iterator[tuple[int, Row] | Bad]:
    """Give each row with the line it begins on; after one that cannot be read the next line begins a new one."""
    while True:
        line = skipped + reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Bad(line, "bad_frame", f"no CSV row: {error}")
            continue
        if not any(cells):
            continue
        if MARK in (joined := ",".join(cells)):
            text = joined.replace(MARK, "\N{REPLACEMENT CHARACTER}")[:4096]
            yield Bad(line, "bad_encoding", "text is not in the encoding of the file", text)
            continue
        row = fitted(cells, width)
        if row is None:
            yield Bad(line, "bad_frame", f"{len(cells)} cells, the head has {width}", ",".join(cells)[:4096])
        else:
            yield line, row


def _json_pages(file: BinaryIO) -> Iterator[Page]:
    first = file.readline(LONGEST)
    try:
        is_lines = isinstance(msgspec.json.decode(first.removeprefix(codecs.BOM_UTF8)), dict) and file.read(1) != b""
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        is_lines = False
    file.seek(0)
    if is_lines:
        yield from paged([], _json_lines(file), "json lines")
        return
    packet = file.read(DOCUMENT + 1).removeprefix(codecs.BOM_UTF8)
    if len(packet) > DOCUMENT:
        raise Reject("too_large", f"a JSON document of more than {DOCUMENT} bytes; write a line for each row")
    try:
        found = msgspec.json.decode(packet)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Reject("bad_frame", f"not JSON: {error}", packet[:4096]) from error
    if isinstance(found, dict):
        found = next((found[key] for key in ("data", "rows", "records") if isinstance(found.get(key), list)), [found])
    yield from paged([], enumerate(found, 1), "json")


def _json_lines(file: BinaryIO) -> Iterator[tuple[int, Row] | Bad]:
    line = 0
    while content := file.readline(LONGEST):
        line += 1
        if not content.endswith(b"\n") and len(content) == LONGEST:
            while content and not content.endswith(b"\n"):
                content = file.readline(LONGEST)
            yield Bad(line, "too_large", f"a line of more than {LONGEST} bytes")
        elif content.strip():
            try:
                yield line, msgspec.json.decode(content.removeprefix(codecs.BOM_UTF8))
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                yield Bad(line, "bad_frame", f"not JSON: {error}", content[:4096].decode("utf-8", "backslashreplace"))
