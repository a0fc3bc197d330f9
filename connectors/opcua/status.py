"""StatusCode: how good a value is, and the name of the code."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

NAMES: Final[dict[int, str]] = {
    int(code, 16): name
    for code, name in msgspec.toml.decode((Path(__file__).parent / "status.toml").read_bytes(), type=dict[str, str]).items()
}
"""Names by the upper sixteen bits."""
CODES: Final = {name: code << 16 for code, name in NAMES.items()}
SEVERITIES: Final = ("good", "uncertain", "bad", "bad")
"""By the upper two bits (Part 4, 7.39.1); 11 is reserved, and bad."""
LIMIT: Final = 1 << 32


def severity(code: int) -> str:
    """Give ``good``, ``uncertain`` or ``bad``."""
    return SEVERITIES[code >> 30 & 3]


def name(code: int) -> str:
    """Give the code's name, or that of its severity where it is none of ``status.toml``."""
    return NAMES.get(code >> 16) or severity(code).capitalize()
