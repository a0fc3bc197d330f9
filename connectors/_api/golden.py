"""Golden cases: a connector's ``golden/*.json``, written by hand from the tables of its standard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from schemas.errors import Fatal


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One packet (``hex``, ``text``, or a ``file`` beside the case) and what must come of it.

    ``message`` lists the fields that must be equal, others may be there; ``readings``, ``replies`` (hex)
    and ``rejects`` (reasons) are complete. A reading names the fields that must be equal.
    """

    hex: str | None = None
    text: str | None = None
    file: str | None = None
    origin: str = ""
    message: dict[str, Any] | None = None
    readings: list[dict[str, Any]] = []
    replies: list[str] = []
    rejects: list[str] = []


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A named exchange with the clause of the standard it was written from."""

    name: str
    clause: str
    settings: dict[str, Any] = {}
    seen_at: str = "2026-11-01T00:00:00Z"
    steps: list[Step]


def cases(folder: Path) -> dict[str, Case]:
    """Read all golden cases of a connector's folder by file name; errors raise ``Fatal``."""
    found: dict[str, Case] = {}
    for path in sorted((folder / "golden").glob("*.json")):
        try:
            found[path.stem] = msgspec.json.decode(path.read_bytes(), type=Case)
        except msgspec.MsgspecError as error:
            msg = f"{path}: {error}"
            raise Fatal(msg) from error
    return found


def packet(step: Step, folder: Path) -> bytes:
    """Give the bytes of a step."""
    if step.hex is not None:
        return bytes.fromhex(step.hex)
    if step.text is not None:
        return step.text.encode()
    if step.file is not None:
        return (folder / "golden" / step.file).read_bytes()
    msg = f"{folder}: a golden step has neither hex, text nor file"
    raise Fatal(msg)
