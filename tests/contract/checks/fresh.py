"""Generated files: committed as they would be generated now."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def complaints(wanted: Mapping[str, str], root: Path) -> list[str]:
    """Complain about generated files that are absent or differ."""
    found = []
    for name, text in wanted.items():
        path = root / name
        if not path.exists():
            found.append(f"{name} is absent; run `make generate`")
        elif path.read_text(encoding="utf-8") != text:
            found.append(f"{name} is out of date; run `make generate`")
    return found
