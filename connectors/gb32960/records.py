"""Data units of real-time and replayed records: a time, then information blocks (7.2)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from connectors.gb32960.layouts import Layout, Values, layout
from connectors.gb32960.packet import Edition
from schemas.errors import Reject

CUSTOM_FIRST, CUSTOM_LAST = 0x80, 0xFE
SIGNATURE: Final = 0xFF
"""Begins the vehicle's signature at the end of a record of the 2025 edition."""


class Block(NamedTuple):
    """An information block: its name, its layout, and whether it is a list with its count in front."""

    name: str
    layout: Layout
    many: bool


class _Declared(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    fields: list[str]
    many: bool = False


def _read_blocks() -> dict[str, dict[int, Block]]:
    table = msgspec.toml.decode((Path(__file__).parent / "blocks.toml").read_bytes(), type=dict[str, dict[str, _Declared]])
    return {
        edition: {int(code, 16): Block(one.name, layout(one.fields), one.many) for code, one in blocks.items()}
        for edition, blocks in table.items()
    }


BLOCKS: Final = _read_blocks()
"""Blocks by edition and code."""
CODES: Final = {edition: {block.name: code for code, block in blocks.items()} for edition, blocks in BLOCKS.items()}
NO_COUNT: Final = {0xFE: "abnormal", 0xFF: "invalid"}
"""Counts of a list of groups that are none."""


def read(edition: Edition, body: bytes, at: int) -> Values:
    """Give the blocks by name; a block of the tables that reaches beyond the body is a ``bad_length``.

    Custom blocks stay raw, each with its code. A custom block with another layout than the standard's, and a
    code no table has, end the reading: the bytes from there on stay raw as ``rest``.
    """
    blocks, values = BLOCKS[edition], Values()
    while at < len(body):
        block = blocks.get(body[at])
        if block is not None:
            at = _read_block(block, body, at + 1, values)
        elif body[at] == SIGNATURE and edition == "2025":
            values["signature"], at = _read_signature(body, at + 1)
        else:
            stop = at + 3 + int.from_bytes(body[at + 1 : at + 3])
            if not CUSTOM_FIRST <= body[at] <= CUSTOM_LAST or at + 3 > len(body) or stop > len(body):
                values["rest"] = body[at:]
                break
            values.setdefault("custom", []).append({"type": body[at], "content": body[at + 3 : stop]})
            at = stop
    return values


def _read_block(block: Block, body: bytes, at: int, values: Values) -> int:
    try:
        if block.many:
            return _read_groups(block, body, at, values)
        values[block.name], at = block.layout.read(body, at)
    except Reject as reject:
        raise Reject(reject.reason, f"block {block.name}: {reject.detail}") from None
    return at


def _read_groups(block: Block, body: bytes, at: int, values: Values) -> int:
    if at >= len(body):
        raise Reject("bad_length", "the count is missing")
    count, at = body[at], at + 1
    groups = values.setdefault(block.name, [])
    if count in NO_COUNT:
        values.setdefault(NO_COUNT[count], []).append(block.name)
        return at
    for _ in range(count):
        group, at = block.layout.read(body, at)
        groups.append(group)
    return at


def _read_signature(body: bytes, at: int) -> tuple[Values, int]:
    values: Values = {"type": body[at] if at < len(body) else 0}
    at += 1
    for name in ("r", "s"):
        stop = at + 2 + int.from_bytes(body[at : at + 2])
        if at + 2 > len(body) or stop > len(body):
            raise Reject("bad_length", f"block signature: {name} ends after the data")
        values[name], at = body[at + 2 : stop], stop
    return values, at


def write(edition: Edition, values: Mapping[str, Any]) -> bytes:
    """Give the bytes that ``read`` shows so, the blocks in the order of ``values``; a signature comes last."""
    parts = []
    for name, value in values.items():
        code = CODES[edition].get(name)
        if code is not None:
            parts.append(bytes((code,)) + _write_block(BLOCKS[edition][code], value, values))
        elif name == "custom":
            parts += [bytes((one["type"],)) + len(one["content"]).to_bytes(2) + one["content"] for one in value]
    parts.append(bytes(values.get("rest", b"")))
    if "signature" in values:
        one = values["signature"]
        signed = b"".join(len(one[part]).to_bytes(2) + one[part] for part in ("r", "s"))
        parts.append(bytes((SIGNATURE, one["type"])) + signed)
    return b"".join(parts)


def _write_block(block: Block, value: Any, values: Mapping[str, Any]) -> bytes:
    if not block.many:
        return block.layout.write(value)
    none = next((count for count, mark in NO_COUNT.items() if block.name in values.get(mark, ()) and not value), None)
    return bytes((len(value) if none is None else none,)) + b"".join(map(block.layout.write, value))
