"""Decoding packets from the shell: one a line from stdin, or whole files."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from cityops.parts import now
from schemas.errors import Fatal


def run(name: str, given: list[str], *, text: bool, files: list[Path]) -> None:
    """Print a JSON line for each line of stdin or each packet of the files; an unknown connector or setting raises ``Fatal``."""
    from connectors._host.decode import decode_packets

    packets = whole(files) if files else one_a_line(sys.stdin.buffer, sys.stdout, text=text)
    for described in decode_packets(name, pairs(given), packets, now, single=not files):
        _print(sys.stdout, described)


def pairs(given: Sequence[str]) -> dict[str, str]:
    """Read ``key=value`` options; one without an equals sign raises ``Fatal``."""
    found = {}
    for option in given:
        key, equals, value = option.partition("=")
        if not equals or not key:
            msg = f"--set {option!r}: give key=value"
            raise Fatal(msg)
        found[key] = value
    return found


def one_a_line(lines: IO[bytes], out: IO[str], *, text: bool) -> Iterator[tuple[bytes, str]]:
    """Give the packet of each line that is not empty; a line that is not hexadecimal is answered with a reject at once.

    A text packet gets the line end it had on the wire.
    """
    for number, line in enumerate(lines, 1):
        content = line.strip()
        if not content:
            continue
        if text:
            yield content + b"\r\n", f"line {number}"
            continue
        try:
            packet = bytes.fromhex(content.decode("ascii"))
        except ValueError:
            detail = f"line {number} is not hexadecimal; give --text for packets of text"
            _print(
                out, {"message": None, "readings": [], "replies": [], "rejects": [{"reason": "bad_encoding", "detail": detail}]}
            )
        else:
            yield packet, f"line {number}"


def whole(files: list[Path]) -> Iterator[tuple[bytes, str]]:
    """Give each file as one packet; its name is the origin."""
    for file in files:
        try:
            yield file.read_bytes(), file.name
        except OSError as error:
            msg = f"{file}: {error.strerror}"
            raise Fatal(msg) from error


def _print(out: IO[str], described: Mapping[str, Any]) -> None:
    out.write(json.dumps(described, ensure_ascii=False) + "\n")
    out.flush()
