"""Places in a JSON document: dotted paths with ``[n]``, and ``[*]`` for every item of a list."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Final

import msgspec

from schemas.errors import Fatal, Reject

EACH: Final = "*"
STEP: Final = re.compile(r"""\.?(?:([^.\[\]"]+)|\[(\d+)\]|\[(\*)\]|\["([^"]+)"\])""")
Step = str | int
"""A key, an index, or ``EACH`` (a key that reads ``*`` is written quoted and cannot be met unquoted)."""
MOST: Final = 100_000
"""Records one document may bring."""


class Path:
    """``a.b[0].c``, ``rows[*]``, ``["dotted.key"].x``; empty is the document itself. A text that is none raises ``Fatal``."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.steps: list[Step] = []
        position = 0
        while position < len(text):
            found = STEP.match(text, position)
            if found is None or (position == 0 and text[0] == "."):
                msg = f'{text!r} is no path, from {text[position:]!r} on; write a.b[0].c, rows[*] or ["dotted.key"]'
                raise Fatal(msg)
            key, index, each, quoted = found.groups()
            self.steps.append(int(index) if index else key or each or quoted)
            position = found.end()
        self.is_many = EACH in self.steps

    def one(self, document: Any) -> Any:
        """Give what lies there, ``None`` where nothing does; of many, the first that is not absent."""
        if self.is_many:
            return next((v for v in self._walk(document, 0) if v is not None), None)
        value = document
        for step in self.steps:
            if isinstance(step, str):
                value = value.get(step) if isinstance(value, dict) else None
            else:
                value = value[step] if isinstance(value, list) and step < len(value) else None
        return value

    def rows(self, document: Any) -> list[Any]:
        """Give every record that lies there; where there is none, or no list for ``[*]``, it is refused by its path."""
        found = self._walk(document, 0)
        if not found and not (self.is_many and self._lists(document)):
            raise Reject("missing_field", f"{self.text}: the document has no such records")
        if len(found) > MOST:
            raise Reject("too_large", f"{self.text}: {len(found)} records; the limit is {MOST}")
        return found

    def put(self, document: Any, value: Any) -> Any:
        """Give the document with ``value`` laid there, making the tables and lists on the way; ``[*]`` is its first item."""
        return _put(document, self.steps, value)

    def _walk(self, value: Any, at: int) -> list[Any]:
        for number, step in enumerate(self.steps[at:], at):
            if step == EACH:
                items = value if isinstance(value, list) else []
                return [found for item in items for found in self._walk(item, number + 1)]
            if isinstance(step, str):
                value = value.get(step) if isinstance(value, dict) else None
            else:
                value = value[step] if isinstance(value, list) and step < len(value) else None
            if value is None:
                return []
        return [value]

    def _lists(self, document: Any) -> bool:
        """Whether the first ``[*]`` meets a list, be it empty."""
        before = Path("")
        before.steps = self.steps[: self.steps.index(EACH)]
        return isinstance(before.one(document), list)


@cache
def path(text: str) -> Path:
    """Give the path of a text, made once."""
    return Path(text)


def document(packet: bytes) -> Any:
    """Read a JSON document; what is none is refused as ``bad_frame``, text outside UTF-8 as ``bad_encoding``."""
    try:
        return msgspec.json.decode(packet)
    except UnicodeDecodeError as error:
        raise Reject("bad_encoding", f"not UTF-8: {error.reason}", packet) from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise Reject("bad_frame", f"not JSON: {error}", packet) from error


def _put(document: Any, steps: list[Step], value: Any) -> Any:
    if not steps:
        return value
    step, rest = steps[0], steps[1:]
    if isinstance(step, str) and step != EACH:
        table = document if isinstance(document, dict) else {}
        table[step] = _put(table.get(step), rest, value)
        return table
    index = step if isinstance(step, int) else 0
    items = document if isinstance(document, list) else []
    items += [None] * (index + 1 - len(items))
    items[index] = _put(items[index], rest, value)
    return items
