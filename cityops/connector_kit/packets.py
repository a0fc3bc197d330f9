"""Packets as a person gives them on the command line: hexadecimal, text, or a file."""

from __future__ import annotations

import re
from pathlib import Path

from connectors._host.files import RECORDINGS, recorded
from schemas.errors import Fatal

SPACES = re.compile(r"[\s:,-]|0x", re.IGNORECASE)


def from_hex(text: str) -> bytes:
    """Read hexadecimal with any spacing, ``0x`` or colons; anything else raises ``Fatal``."""
    try:
        return bytes.fromhex(SPACES.sub("", text))
    except ValueError as error:
        msg = f"{text[:40]!r} is no hexadecimal; give a file with --file, or --text for a packet of text"
        raise Fatal(msg) from error


def from_text(text: str) -> bytes:
    """Read a packet of text; escapes such as ``\\\\r\\\\n`` stand for themselves, and a line end it lacks is added."""
    content = text.replace("\\r", "\r").replace("\\n", "\n").encode()
    return content if content.endswith(b"\n") or content[:1] in (b"{", b"[", b"<") else content + b"\r\n"


def from_file(path: Path) -> list[bytes]:
    """Read the packets of a file: one a line of a recording, any other file whole."""
    try:
        if path.suffix == ".hex":
            return [from_hex(line) for line in path.read_text(encoding="ascii").splitlines() if line.strip()]
        return list(recorded(path)) if path.suffix in RECORDINGS else [path.read_bytes()]
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path}: {error}"
        raise Fatal(msg) from error


def given(packet: str | None, file: Path | None, *, text: bool) -> list[tuple[bytes, str]]:
    """Give the packets asked for with their origin; a packet that names a file is that file. Neither raises ``Fatal``."""
    if packet is not None and file is not None:
        raise Fatal("a packet and --file are both given; give one of them")
    if packet is not None and not text and not _looks_hex(packet) and Path(packet).is_file():
        file = Path(packet)
    if file is not None:
        return [(content, file.name) for content in from_file(file)]
    if packet is None:
        return []
    return [(from_text(packet) if text else from_hex(packet), "")]


def _looks_hex(text: str) -> bool:
    plain = SPACES.sub("", text)
    return len(plain) % 2 == 0 and bool(re.fullmatch(r"[0-9a-fA-F]+", plain))
